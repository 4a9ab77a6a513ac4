"""Losses that Keras lacks against libraries (`golden/make_torch_losses.py`) and loops: values, gradients, workers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from golden_cases import GOLDEN
from golden_run import run
from safetensors.numpy import load_file
from workers import by_workers

from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.vocabulary.losses import LOSSES, reduce

Array = np.ndarray[Any, Any]
FILE = load_file(GOLDEN / "torch_losses.safetensors")


def golden(case: str) -> dict[str, Array]:
    return {name.partition("/")[2]: array for name, array in FILE.items() if name.startswith(f"{case}/")}


def lowered(config: Any, x: Array, y: Array) -> tuple[Graph, Value]:
    loss, graph = LOSSES.parse(config), Graph("g")
    X = graph.inputs["x"] = Value("x", Type("float32", ("N", *x.shape[1:])), "input")
    y_true = graph.inputs["y"] = Value("y", loss.target(X), "input")
    with Builder(graph, "loss") as g:
        return graph, reduce(g, loss.lower(g, y_true, X), weight=None, mask=None)


def measured(config: Any, x: Array, y: Array, dtype: Any = np.float64) -> tuple[float, Array]:
    graph, scalar = lowered(config, x, y)
    found, _, gradients = run(
        graph, Parameters(graph, dtype), {"x": x, "y": y}, {"loss": scalar}, loss=scalar, input_grads=["x"]
    )
    return float(found["loss"]), gradients["x"]


def semi_hard(x: Array, y: Array, margin: float, distance: str) -> float:
    """TensorFlow Addons' definition, pair by pair."""
    if distance == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    squares = ((x[:, None] - x[None]) ** 2).sum(-1)
    d = {"euclidean": np.sqrt(squares), "squared_euclidean": squares, "cosine": squares / 2}[distance]
    values = []
    for a in range(len(x)):
        for p in range(len(x)):
            if a == p or y[a] != y[p]:
                continue
            others = [d[a, n] for n in range(len(x)) if y[n] != y[a]]
            outside = [far for far in others if far > d[a, p]]
            values.append(max(d[a, p] - (min(outside) if outside else max(others)) + margin, 0))
    return float(np.mean(values))


def cox(h: Array, y: Array, ties: str) -> float:
    """The definition: a product over times of events."""
    (time, event), total = y.T, 0.0
    for t in np.unique(time[event > 0]):
        died = (time == t) & (event > 0)
        risk, lost = np.exp(h[time >= t]).sum(), np.exp(h[died]).sum()
        total -= h[died].sum()
        for k in range(died.sum()):
            total += math.log(risk - (k / died.sum() * lost if ties == "efron" else 0))
    return total / event.sum()


random = np.random.default_rng(2)
X, Y = random.normal(size=(9, 3)), np.array([0, 1, 1, 0, 2, 1, 0, 3, 0])
TIMES = np.stack([random.integers(1, 5, 9), random.integers(0, 2, 9)], 1).astype(float)
LOOPS: dict[str, tuple[Any, Array, Array, Any]] = {
    f"triplet_semi_hard {d}": (
        {"type": "triplet_semi_hard", "distance": d, "margin": 0.75}, X, Y, lambda x, d=d: semi_hard(x, Y, 0.75, d)
    )
    for d in ("euclidean", "squared_euclidean", "cosine")
}  # fmt: skip
LOOPS |= {
    f"cox {t}": ({"type": "cox", "ties": t}, X[:, :1], TIMES, lambda x, t=t: cox(x[:, 0], TIMES, t))
    for t in ("efron", "breslow")
}


@pytest.mark.parametrize("case", LOOPS)
def test_definitions_in_loops(case: str) -> None:
    config, x, y, reference = LOOPS[case]
    loss, gradient = measured(config, x, y)
    assert loss == pytest.approx(reference(x), rel=1e-7)
    expected = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-6
        expected[place] = (reference(x + step) - reference(x - step)) / 2e-6
    np.testing.assert_allclose(gradient, expected, atol=1e-7)
    assert measured(config, x.astype(np.float32), y, np.float32)[0] == pytest.approx(loss, rel=1e-5)


LIBRARIES = {"supcon": "supcon", "cox": "cox", "negative_binomial": "negative_binomial"}


def given(case: str) -> tuple[Array, Array]:
    g = golden(case)
    if case == "cox":
        return g["h"][:, None], np.stack([g["time"], g["event"]], 1).astype(float)
    return g["x"], g["y"]


@pytest.mark.parametrize("case", LIBRARIES)
def test_values_and_gradients_are_those_of_libraries(case: str) -> None:
    g, (x, y) = golden(case), given(case)
    loss, gradient = measured(case, x, y.astype(float) if case == "negative_binomial" else y)
    assert loss == pytest.approx((g["loss"] if "loss" in g else g["values"]).mean(), rel=1e-6)
    if "gradient" in g:
        # PyTorch's library takes the mean over the rows with a loss; lgamma is Lanczos's, for float32
        scale = 1 if case == "supcon" else len(x)
        np.testing.assert_allclose(gradient * scale, g["gradient"], atol=1e-6)


@pytest.mark.parametrize("case", ["supcon", "triplet_semi_hard", "cox"])
@pytest.mark.parametrize("size", [2, 4])
def test_workers_see_the_rows_of_all(case: str, size: int) -> None:
    x, y = given("supcon" if case == "triplet_semi_hard" else case)
    graph, scalar = lowered(case, x, y)
    loss, gradient = by_workers(graph, scalar, {"x": x, "y": y}, size, "x")
    expected = measured(case, x, y)
    assert loss == pytest.approx(expected[0], rel=1e-9)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-9)


def test_rows_without_partners_do_not_count() -> None:
    for loss in ("supcon", "triplet_semi_hard"):
        value, gradient = measured(loss, X, np.arange(9))
        assert value == 0
        assert not gradient.any()
    value, gradient = measured("cox", X[:, :1], np.stack([TIMES[:, 0], np.zeros(9)], 1))
    assert value == 0
    assert not gradient.any()
