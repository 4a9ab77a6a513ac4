"""Recurrences as Scans: equal to the operators, and to their gradients; a Scan by hand against sums written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from derivatives import check_derivatives
from recurrent_inputs import inputs_of

from graphspec.graph.builder import Builder
from graphspec.graph.derivatives import gradients
from graphspec.graph.derivatives.recurrences import repeated
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.onnx_model import model_of
from graphspec.graph.onnx_session import session

random = np.random.default_rng(0)


@pytest.mark.parametrize("reverse", [0, 1])
def test_a_scan_and_its_gradient(reverse: int) -> None:
    """``s ← 0.5 s + w x`` over T elements, T free: the states, and the gradients of a sum of their squares by formula."""
    types = {"s": Type("float32", (2,)), "x": Type("float32", ("T", 2)), "w": Type("float32", ())}
    graph = Graph("test", {name: Value(name, type_, "input") for name, type_ in types.items()})
    s, x, w = graph.inputs.values()
    with Builder(graph, "node") as g:
        step = lambda b, before, now, same: [before[0] * 0.5 + same["w"] * now[0]]  # noqa: E731
        (last,), (states,) = repeated(g, step, [s], [x], {"w": w}, reverse)
        loss = g.ReduceSumSquare(states, keepdims=0)
    graph.outputs = {"states": states, "last": last} | {
        f"d{n}": v for n, v in gradients(graph, loss, ["s", "x", "w"]).items()
    }
    model = session(model_of(graph).SerializeToString())
    for T in (1, 4):
        start, rows, weight = random.standard_normal(2), random.standard_normal((T, 2)), 0.7
        feeds = {"s": start, "x": rows, "w": np.array(weight)}
        found = dict(
            zip(graph.outputs, model.run(None, {n: a.astype(np.float32) for n, a in feeds.items()}), strict=True)
        )
        order = range(T)[:: -1 if reverse else 1]
        place = {t: k for k, t in enumerate(order)}
        powers = np.array([[0.5 ** (place[t] - place[u]) if place[u] <= place[t] else 0 for u in order] for t in order])
        decay = np.array([0.5 ** (place[t] + 1) for t in order])
        expected = np.empty((T, 2))
        expected[list(order)] = powers @ (weight * rows[list(order)]) + decay[:, None] * start
        np.testing.assert_allclose(found["states"], expected, rtol=1e-5)
        np.testing.assert_allclose(found["last"], expected[order[-1]], rtol=1e-5)
        twice = 2 * expected[list(order)]
        of_rows = np.empty((T, 2))
        of_rows[list(order)] = weight * powers.T @ twice
        np.testing.assert_allclose(found["dx"], of_rows, rtol=1e-4)
        np.testing.assert_allclose(found["ds"], decay @ twice, rtol=1e-4)
        np.testing.assert_allclose(found["dw"], np.sum((powers.T @ twice) * rows[list(order)]), rtol=1e-4)


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("lens", "initial"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("outputs", [[0], [1], [0, 1]])
def test_recurrent(op: str, direction: str, lens: bool, initial: bool, outputs: list[int]) -> None:
    D = 2 if direction == "bidirectional" else 1
    inputs = inputs_of(op, 4, 3, 2, 5, D, bias=True, lens=lens, initial=initial)
    if lens:
        inputs[4] = np.array([4, 0, 2], np.int32)
    wrt = [k for k in range(len(inputs)) if k != 4]
    more = {"linear_before_reset": 1} if op == "GRU" and initial else {}
    check_derivatives(op, inputs, wrt, hidden_size=5, direction=direction, outputs=outputs, by_numpy=False, **more)


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_options_of_recurrences(op: str) -> None:
    inputs = inputs_of(op, 3, 4, 2, 3, 1, bias=False, lens=False, initial=False)
    names = {"LSTM": ["HardSigmoid", "Relu", "Softsign"], "GRU": ["HardSigmoid", "ScaledTanh"], "RNN": ["Affine"]}[op]
    numbers_ = {"LSTM": ([0.3], [0.4]), "GRU": ([0.3, 0.8], [0.4, 1.2]), "RNN": ([0.3], [0.4])}[op]
    more: dict[str, Any] = {"activations": names, "activation_alpha": numbers_[0], "activation_beta": numbers_[1]}
    check_derivatives(op, inputs, [0, 1, 2], hidden_size=3, clip=0.8, by_numpy=False, **more)


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("reset", [0, 1])
@pytest.mark.parametrize("both", [False, True])
def test_recurrent_dropout(op: str, reset: int, both: bool) -> None:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    inputs = inputs_of(op, 3, 4, 2, 5, 1, bias=True, lens=False, initial=True)
    masks = [random.integers(0, 2, (4, gates, size)) * 1.5 for size in (5, 2)]
    inputs += masks if both else masks[:1]
    wrt = [k for k in range(len(inputs) - len(masks if both else masks[:1])) if k != 4]
    more = {"linear_before_reset": reset} if op == "GRU" else {}
    check_derivatives(f"Dropout{op}", inputs, wrt, hidden_size=5, by_numpy=False, **more)
