"""LSTM, GRU and RNN: against onnxruntime over random attributes, and their gradients against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import check_gradients, run
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import compare
from recurrent_inputs import GATES, inputs_of

from graphspec.base.errors import ShapeError

Array = np.ndarray[Any, Any]
TAKES: dict[str, tuple[int, int]] = {
    "Sigmoid": (0, 0),
    "Tanh": (0, 0),
    "Relu": (0, 0),
    "Softsign": (0, 0),
    "Softplus": (0, 0),
    "LeakyRelu": (1, 0),
    "ThresholdedRelu": (1, 0),
    "Elu": (1, 0),
    "Affine": (1, 1),
    "ScaledTanh": (1, 1),
    "HardSigmoid": (1, 1),
}


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[Array | None], dict[str, Any]]:
    op = draw(st.sampled_from(sorted(GATES)))
    T, N, features, H = (draw(st.integers(1, k)) for k in (6, 4, 3, 4))
    direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    D = 2 if direction == "bidirectional" else 1
    attrs: dict[str, Any] = {"hidden_size": H, "direction": direction}
    if draw(st.booleans()):
        count = D * {"LSTM": 3, "GRU": 2, "RNN": 1}[op]
        names = [draw(st.sampled_from(sorted(TAKES))) for _ in range(count)]
        attrs["activations"] = tuple(names)
        for k, key in enumerate(("activation_alpha", "activation_beta")):
            if numbers := [draw(st.sampled_from([0.3, 0.8, 1.25])) for n in names if TAKES[n][k]]:
                attrs[key] = tuple(numbers)
    if draw(st.booleans()):
        attrs["clip"] = draw(st.sampled_from([0.3, 1.0]))
    if op == "GRU":
        attrs["linear_before_reset"] = draw(st.integers(0, 1))
    flags = {k: draw(st.booleans()) for k in ("bias", "lens", "initial")}
    return op, inputs_of(op, T, N, features, H, D, **flags, seed=draw(st.integers(0, 99))), attrs


@pytest.mark.slow
@settings(max_examples=300)
@given(cases())
def test_recurrent_onnxruntime(case: tuple[str, list[Array | None], dict[str, Any]]) -> None:
    op, inputs, attrs = case
    compare(op, inputs, attrs, outputs=3 if op == "LSTM" else 2)


@pytest.mark.slow
@settings(max_examples=80)
@given(cases(), st.integers(1, 7))
def test_recurrent_gradients(case: tuple[str, list[Array | None], dict[str, Any]], chosen: int) -> None:
    op, inputs, attrs = case
    every = range(3 if op == "LSTM" else 2)
    outputs = [k for k in every if chosen >> k & 1] or list(every)
    wrt = [k for k, a in enumerate(inputs) if a is not None and k != 4]
    check_gradients(op, inputs, wrt, outputs=outputs, **attrs)


ALONE_AND_TOGETHER = [
    *(("LSTM", outputs) for outputs in ([0], [1], [2], [0, 1], [1, 2], [0, 1, 2])),
    *((op, outputs) for op in ("GRU", "GRU reset", "RNN") for outputs in ([0], [1], [0, 1])),
]


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("op", "outputs"), ALONE_AND_TOGETHER, ids=str)
def test_recurrent_plain_gradients(op: str, direction: str, outputs: list[int]) -> None:
    """The defaults with initial states and lengths from 0, for each output separately and for all together."""
    attrs: dict[str, Any] = {"linear_before_reset": 1} if op == "GRU reset" else {}
    op = op.split()[0]
    D = 2 if direction == "bidirectional" else 1
    inputs = inputs_of(op, 5, 4, 3, 2, D, bias=True, lens=True, initial=True)
    inputs[4] = np.array([5, 0, 3, 1], np.int32)
    wrt = [k for k in range(len(inputs)) if k != 4]
    check_gradients(op, inputs, wrt, outputs=outputs, hidden_size=2, direction=direction, **attrs)


@pytest.mark.parametrize("op", sorted(GATES))
def test_recurrent_long(op: str) -> None:
    """More steps than one block of gradients, and wide enough for one product per step."""
    inputs = inputs_of(op, 40, 33, 70, 33, 1, bias=True, lens=True, initial=True)
    inputs[1:3] = [0.2 * a for a in inputs[1:3] if a is not None]  # otherwise rounding differences grow with every step
    compare(op, inputs, {"hidden_size": 33}, outputs=2)
    wrt = [k for k in range(len(inputs)) if k != 4]
    check_gradients(op, inputs, wrt, hidden_size=33, rtol=1e-5)


@pytest.mark.parametrize("op", sorted(GATES))
def test_recurrent_padding_does_not_matter(op: str) -> None:
    inputs = inputs_of(op, 6, 3, 2, 2, 1, bias=True, lens=True, initial=False)
    inputs[4] = lens = np.array([6, 2, 4], np.int32)
    for direction in ("forward", "reverse"):
        before = run(op, inputs, hidden_size=2, direction=direction)
        X = np.where(np.arange(6)[:, None, None] < lens[:, None], inputs[0], np.float32(1e6))
        after = run(op, [X, *inputs[1:]], hidden_size=2, direction=direction)
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("attrs", "text"),
    [
        ({"layout": 1}, "layout"),
        ({"direction": "sideways"}, "direction"),
        ({"activations": ("Sigmoid",)}, "activations"),
        ({"activations": ("Sigmoid", "Sine", "Tanh")}, "Sine"),
        ({"activations": ("Sigmoid", "Affine", "Tanh")}, "needs an alpha or a beta for the activation Affine"),
        ({"activation_alpha": (1.0,)}, "more alphas or betas"),
        ({"clip": -1.0}, "clip"),
        ({"hidden_size": 3}, "W of shape"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_recurrent_refuses(attrs: dict[str, Any], text: str) -> None:
    inputs = inputs_of("LSTM", 3, 2, 2, 2, 1, bias=True, lens=False, initial=False)
    with pytest.raises(ShapeError, match=text):
        run("LSTM", inputs, **{"hidden_size": 2} | attrs)


@pytest.mark.parametrize("k", range(1, 7))
def test_recurrent_checks_every_shape(k: int) -> None:
    inputs = inputs_of("LSTM", 3, 2, 2, 2, 1, bias=True, lens=True, initial=True)
    wrong = inputs[k]
    assert wrong is not None
    inputs[k] = np.concatenate([wrong, wrong], axis=-1)
    with pytest.raises(ShapeError):
        run("LSTM", inputs, hidden_size=2)


def test_recurrent_has_no_peepholes() -> None:
    inputs = inputs_of("LSTM", 3, 2, 2, 2, 1, bias=True, lens=True, initial=True)
    with pytest.raises(TypeError):
        run("LSTM", [*inputs, np.zeros((1, 6), np.float32)], hidden_size=2)
