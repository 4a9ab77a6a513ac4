"""CTC: against PyTorch's values, against the sum over every path, and its gradient against finite differences."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load
from graphs import check_gradients, run
from hypothesis import given, settings
from hypothesis import strategies as st

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.vocabulary.losses import reduce
from graphspec.vocabulary.losses.classes import CTC

Array = np.ndarray[Any, Any]


def loss_and_gradient(*inputs: Array | None, dtype: Any = np.float32) -> tuple[Array, Array]:
    """Return the operator's values, and the gradient of their sum with respect to the logits (N, T, C)."""
    graph = Graph("ctc")
    values: list[Value | None] = []
    arrays = {f"x{k}": a for k, a in enumerate(inputs) if a is not None}
    for k, array in enumerate(inputs):
        kind = Type("float32" if k == 0 else "int64", () if array is None else array.shape)
        values.append(None if array is None else graph.inputs.setdefault(f"x{k}", Value(f"x{k}", kind, "input")))
    g = Builder(graph, "ctc")
    loss = g.CTCLoss(*values)
    scalar = g.ReduceLoss(loss, reduction="sum")
    shapes = {n: a.shape for n, a in arrays.items()}
    p = build_program(
        graph.with_outputs({"loss": loss}, scalar), Parameters(graph, dtype), Target(shapes, input_grads=["x0"])
    )
    for name, array in arrays.items():
        p.feeds[name][...] = array
    p.run()
    first = p.grads["x0"].copy()
    p.run()
    np.testing.assert_array_equal(first, p.grads["x0"])
    return p.fetches["loss"].copy(), first


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", load("ctc"), ids=lambda c: c.id)
def test_ctc_torch(case: Case, dtype: Any) -> None:
    logits, targets = case["logits"].transpose(1, 0, 2), case["targets"].astype(np.int64)
    lengths = [case[k].astype(np.int64) for k in ("input_lengths", "target_lengths")]
    loss, gradient = loss_and_gradient(logits, targets, *lengths, dtype=dtype)
    np.testing.assert_allclose(loss, case["loss"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient.transpose(1, 0, 2), case["gradient"], rtol=1e-5, atol=1e-6)


def enumerated(logits: Array, labels: list[int]) -> float:
    """``-log`` of the summed probability of every path that collapses to the labels."""
    steps, classes = logits.shape
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    total = 0.0
    for path in product(range(classes), repeat=steps):
        if [k for i, k in enumerate(path) if k and (i == 0 or path[i - 1] != k)] == labels:
            total += float(np.prod([p[t, k] for t, k in enumerate(path)]))
    return -float(np.log(total)) if total else np.inf


@settings(max_examples=60)
@given(st.data())
def test_ctc_every_path(data: st.DataObject) -> None:
    steps, classes, n = (data.draw(st.integers(1, k)) for k in (5, 3, 3))
    classes += 1
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    logits = random.standard_normal((n, steps, classes)) * data.draw(st.sampled_from([0.1, 1.0, 10.0]))
    sequences = [data.draw(st.lists(st.integers(1, classes - 1), max_size=4)) for _ in range(n)]
    labels = np.zeros((n, max(1, *map(len, sequences)) if n > 1 else max(1, len(sequences[0]))), np.int64)
    for row, sequence in zip(labels, sequences, strict=True):
        row[: len(sequence)] = sequence
    input_length = np.array([data.draw(st.integers(0, steps)) for _ in range(n)])
    loss, gradient = loss_and_gradient(logits, labels, input_length, dtype=np.float64)
    for k, sequence in enumerate(sequences):
        expected = enumerated(logits[k, : input_length[k]], sequence)
        np.testing.assert_allclose(loss[k], expected, rtol=1e-9, atol=1e-12)
        assert np.isfinite(gradient[k]).all()
        assert not gradient[k, input_length[k] :].any()
        if np.isinf(expected):
            assert not gradient[k].any()


def test_ctc_gradients() -> None:
    random = np.random.default_rng(0)
    logits = random.standard_normal((4, 9, 5))
    labels = np.array([[1, 1, 2, 0], [3, 4, 3, 4], [0, 0, 0, 0], [2, 2, 2, 2]])
    check_gradients("CTCLoss", [logits, labels], [0])
    check_gradients("CTCLoss", [logits, labels, np.array([9, 6, 3, 8])], [0])
    check_gradients("CTCLoss", [logits, labels, None, np.array([2, 3, 0, 4])], [0])


def test_ctc_certain_and_hopeless() -> None:
    """Probabilities are far below the range of float64."""
    logits = np.full((2, 100, 3), -400.0)
    logits[:, :, 0] = 400.0
    labels = np.array([[0] * 30, [1, 2] * 15])
    loss, gradient = loss_and_gradient(logits, labels)
    np.testing.assert_allclose(loss, [0.0, 30 * 800.0 - np.log(float(choose(100, 30)))], rtol=1e-6, atol=1e-6)
    assert np.isfinite(gradient).all()


def choose(n: int, k: int) -> int:
    import math

    return math.comb(n, k)


def test_ctc_no_rows() -> None:
    (values,) = run("CTCLoss", [np.zeros((0, 4, 3), np.float32), np.zeros((0, 2), np.int64)])
    assert values.shape == (0,)


def test_ctc_of_a_softmax_uses_its_logits() -> None:
    random = np.random.default_rng(1)
    logits, labels = random.standard_normal((2, 6, 4)), np.array([[1, 2], [3, 0]])
    mask = np.arange(6) < np.array([[6], [4]])

    def value(softmax: bool, masked: bool) -> float:
        graph = Graph("ctc")
        for name, array, kind in (("x", logits, "float32"), ("y", labels, "int64"), ("m", mask, "bool")):
            graph.inputs[name] = Value(name, Type(kind, array.shape), "input")
        g = Builder(graph, "ctc")
        head = g.Softmax(graph.inputs["x"]) if softmax else graph.inputs["x"]
        head = head.with_mask(graph.inputs["m"] if masked else None)
        with g:
            scalar = reduce(g, CTC().lower(g, graph.inputs["y"], head), weight=None, mask=None)
        shapes = {"x": logits.shape, "y": labels.shape, "m": mask.shape}
        p = build_program(graph.with_outputs({"loss": scalar}), Parameters(graph, np.float64), Target(shapes))
        for name, array in (("x", logits), ("y", labels), ("m", mask)):
            p.feeds[name][...] = array
        p.run()
        return float(p.fetches["loss"])

    every = [enumerated(logits[0], [1, 2]), enumerated(logits[1], [3])]
    some = [enumerated(logits[0], [1, 2]), enumerated(logits[1, :4], [3])]
    assert value(False, False) == pytest.approx(np.mean(every))
    assert value(True, False) == pytest.approx(np.mean(every))
    assert value(True, True) == pytest.approx(np.mean(some))
