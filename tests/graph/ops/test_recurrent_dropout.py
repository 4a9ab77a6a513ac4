"""LSTM, GRU and RNN with dropout on the state: against Keras's formulas step by step, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import build, check_gradients, feed
from recurrent_inputs import GATES, inputs_of

from graphspec.base.errors import ShapeError
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Target

Array = np.ndarray[Any, Any]
KINDS = ["LSTM", "GRU", "GRU after", "RNN"]
T, N, F, H = 5, 4, 3, 2


def attributes(kind: str, **more: Any) -> dict[str, Any]:
    return {"hidden_size": H, **({"linear_before_reset": 1} if kind == "GRU after" else {}), **more}


def with_masks(kind: str, *, both: bool, lens: bool, initial: bool = True) -> list[Array | None]:
    op = kind.split()[0]
    inputs = inputs_of(op, T, N, F, H, 1, bias=True, lens=lens, initial=initial)
    inputs += [None] * (5 + (2 if op == "LSTM" else 1) - len(inputs))
    random = np.random.default_rng(3)
    sizes = (H, F) if both else (H,)
    return inputs + [(random.integers(0, 2, (N, GATES[op], size)) * 2).astype(np.float32) for size in sizes]


def run(op: str, inputs: list[Array | None], *, training: bool, **attrs: Any) -> list[Array]:
    graph, _ = build(op, inputs, **attrs)
    arrays = {f"x{k}": a for k, a in enumerate(inputs) if a is not None}
    shapes = {n: a.shape for n, a in arrays.items()}
    program = build_program(graph, Parameters(graph, np.float64), Target(shapes), training=training)
    feed(graph, program, arrays)
    program.run()
    return [a.copy() for a in program.fetches.values()]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def expected(kind: str, inputs: list[Any], order: Any) -> tuple[Array, Array]:
    """Return all outputs (T, N, H) and the last h by the formulas of Keras's cells; gates in ONNX's order."""
    X, W, R, B = (np.asarray(a, np.float64) for a in inputs[:4])
    G = GATES[kind.split()[0]]
    state_mask, input_mask = inputs[-2:]
    Wb, Rb = B[0].reshape(2, G, H)
    h = np.asarray(inputs[5][0], np.float64)
    c = np.asarray(inputs[6][0], np.float64) if kind == "LSTM" else h
    Y = np.zeros((T, N, H))
    for t in order:
        x = [(X[t] * input_mask[:, k]) @ W[0, k * H : (k + 1) * H].T + Wb[k] for k in range(G)]
        r = [(h * state_mask[:, k]) @ R[0, k * H : (k + 1) * H].T + Rb[k] for k in range(G)]
        if kind == "LSTM":
            i, o, f = (sigmoid(x[k] + r[k]) for k in range(3))
            c = f * c + i * np.tanh(x[3] + r[3])
            h = o * np.tanh(c)
        elif kind == "RNN":
            h = np.tanh(x[0] + r[0])
        else:
            z, gate = (sigmoid(x[k] + r[k]) for k in range(2))
            inner = gate * r[2] if kind == "GRU after" else (gate * h * state_mask[:, 2]) @ R[0, 2 * H :].T + Rb[2]
            h = z * h + (1 - z) * np.tanh(x[2] + inner)
        Y[t] = h
    return Y, h


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_in_training_follow_the_formulas(kind: str, direction: str) -> None:
    inputs = with_masks(kind, both=True, lens=False)
    attrs = attributes(kind, direction=direction)
    Y, Y_h, *_ = run(f"Dropout{kind.split()[0]}", inputs, training=True, **attrs)
    wanted, last = expected(kind, inputs, range(T) if direction == "forward" else reversed(range(T)))
    np.testing.assert_allclose(Y[:, 0], wanted, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(Y_h[0], last, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("lens", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_masks_of_ones_and_inference_are_the_plain_operator(kind: str, lens: bool) -> None:
    op, attrs = kind.split()[0], attributes(kind)
    inputs = with_masks(kind, both=True, lens=lens)
    plain = run(op, inputs[:-2], training=True, **attrs)
    ones = [None if a is None else np.ones_like(a) for a in inputs[-2:]]
    for got in (
        run(f"Dropout{op}", [*inputs[:-2], *ones], training=True, **attrs),
        run(f"Dropout{op}", inputs, training=False, **attrs),
    ):
        for a, b in zip(got, plain, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize(("both", "lens"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind: str, both: bool, lens: bool, direction: str) -> None:
    inputs = with_masks(kind, both=both, lens=lens)
    wrt = [k for k in range(5 + (2 if kind == "LSTM" else 1)) if k != 4]
    attrs = attributes(kind, direction=direction)
    check_gradients(f"Dropout{kind.split()[0]}", inputs, wrt, training=True, **attrs)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_without_initial_states_and_with_clip(kind: str) -> None:
    inputs = with_masks(kind, both=True, lens=False, initial=False)
    wrt = [0, 1, 2, 3]
    check_gradients(f"Dropout{kind.split()[0]}", inputs, wrt, training=True, **attributes(kind, clip=0.7))


@pytest.mark.parametrize("op", ["DropoutLSTM", "DropoutGRU", "DropoutRNN"])
def test_gradients_over_several_blocks(op: str) -> None:
    T, N, F, H = 40, 33, 50, 33
    plain = op.removeprefix("Dropout")
    inputs = inputs_of(plain, T, N, F, H, 1, bias=True, lens=True, initial=True)
    inputs[1:3] = [0.2 * a for a in inputs[1:3] if a is not None]
    random = np.random.default_rng(0)
    inputs += [(2 * random.integers(0, 2, (N, GATES[plain], size))).astype(np.float32) for size in (H, F)]
    wrt = [k for k in range(len(inputs) - 2) if k != 4]
    check_gradients(op, inputs, wrt, training=True, hidden_size=H, rtol=1e-5)


def test_masks_must_fit() -> None:
    inputs = with_masks("LSTM", both=True, lens=False)
    with pytest.raises(ShapeError, match="mask of shape"):
        build("DropoutLSTM", [*inputs[:-1], inputs[-2]], **attributes("LSTM"))
    both = inputs_of("LSTM", T, N, F, H, 2, bias=True, lens=False, initial=True)
    with pytest.raises(ShapeError, match="one direction"):
        build("DropoutLSTM", [*both, *inputs[-2:]], **attributes("LSTM", direction="bidirectional"))
    with pytest.raises(ShapeError, match="float"):
        build("DropoutLSTM", [*inputs[:-1], np.ones((N, 4, F), np.int64)], **attributes("LSTM"))
