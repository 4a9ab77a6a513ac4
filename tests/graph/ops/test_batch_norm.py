"""BatchNormalization: against onnxruntime, its gradients, and over several workers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from graphs import check_refusal, feed
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS, both_layouts, normal, same
from oracles import ort_run
from workers import Threads

from graphspec.base.arrays.layout import shard_slice
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.initializers import Constant
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.kernels.context import Shard

Array = np.ndarray[Any, Any]


@st.composite
def batches(draw: st.DrawFn) -> list[Array]:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=5)))
    seed, count = draw(st.integers(0, 1000)), shape[1]
    X = normal(seed, *shape) * 2 + draw(st.sampled_from([0, 3]))
    mean, var = normal(seed + 3, count), np.abs(normal(seed + 4, count)) + 0.1
    return [X, normal(seed + 1, count), normal(seed + 2, count), mean, var]


@pytest.fixture(params=[0.0, 1e30], ids=["differences", "moments"])
def statistics(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean and variance always from differences, or always from the sums of x and x²."""
    monkeypatch.setattr("graphspec.graph.ops.normalization._FAR", request.param)


@pytest.mark.usefixtures("statistics")
@SETTINGS
@given(batches(), st.sampled_from([1e-5, 1e-3]))
def test_batch_normalization_matches_onnxruntime(inputs: list[Array], epsilon: float) -> None:
    same("BatchNormalization", inputs, epsilon=epsilon)
    same("BatchNormalization", inputs, epsilon=epsilon, momentum=0.7, training_mode=1)


@pytest.mark.slow
@pytest.mark.usefixtures("statistics")
@SETTINGS
@given(batches())
def test_batch_normalization_gradients(inputs: list[Array]) -> None:
    both_layouts("BatchNormalization", inputs, [0, 1, 2], epsilon=1e-2)
    both_layouts("BatchNormalization", inputs, [0, 1, 2], epsilon=1e-2, training_mode=1)


@pytest.mark.parametrize("perm", [(0, 1, 2, 3), (0, 2, 3, 1)])
@pytest.mark.parametrize("workers", [1, 3, 6])
def test_batch_normalization_over_workers(workers: int, perm: tuple[int, ...]) -> None:
    """Statistics and gradients of the whole batch, however it is shared; rank 0 alone writes the moving statistics."""
    X = normal(0, 5, 3, 4, 2) * np.array([1, 2, 0.1], np.float32)[:, None, None] + 100
    graph = Graph("test")
    g = Builder(graph, "bn")
    graph.inputs["x"] = x = Value("x", Type("float32", ("N", *(X.shape[k] for k in perm[1:]))), "input")
    graph.inputs["c"] = c = Value("c", Type("float32", ("N", *X.shape[1:])), "input")
    one, zero = Constant(value=1.0), Constant(value=0.0)
    gamma, beta = g.param("gamma", (3,), one), g.param("beta", (3,), zero)
    mean, var = g.param("moving_mean", (3,), zero, state=True), g.param("moving_variance", (3,), one, state=True)
    y = g.BatchNormalization(
        g.Transpose(x, perm=tuple(np.argsort(perm))), gamma, beta, mean, var, momentum=0.9, training_mode=1
    )
    graph.outputs["y"] = y
    loss = Builder(graph, "loss").ReduceSum(g.Mul(y, c), keepdims=0)
    cotangent = normal(1, *X.shape)

    def work(rank: int, size: int, barrier: threading.Barrier, arrays: list[Any]) -> dict[str, Array]:
        parameters, rows = Parameters(graph), shard_slice(len(X), rank, size)
        parameters.initialize(0)
        gradient = np.zeros_like(parameters.vectors["trainable"])
        feeds = {"x": X[rows].transpose(perm), "c": cotangent[rows]}
        program = build_program(
            graph.with_outputs({"y": y}, loss),
            parameters,
            Target(
                {n: a.shape for n, a in feeds.items()},
                input_grads=["x"],
                shard=Shard(Threads(rank, size, barrier, arrays), rows, len(X)),
            ),
            gradient=gradient,
            training=True,
        )
        feed(graph, program, feeds)
        program.run()
        state = {n.removeprefix("bn/"): a for n, a in parameters.get(group="state").items()}
        grads = {n.removeprefix("bn/"): a for n, a in parameters.get(gradient, "trainable").items()}
        dX = program.grads["x"].transpose(np.argsort(perm))
        return {"y": program.fetches["y"].copy(), "dX": dX.copy(), **state, **grads}

    def results(size: int) -> list[dict[str, Array]]:
        barrier, arrays = threading.Barrier(size), [None] * size
        with ThreadPoolExecutor(size) as pool:
            return list(pool.map(lambda rank: work(rank, size, barrier, arrays), range(size)))

    exact = X.astype(np.float64)
    m, v = exact.mean((0, 2, 3), keepdims=True), exact.var((0, 2, 3), keepdims=True)
    normalized, d = (exact - m) / np.sqrt(v + 1e-5), cotangent.astype(np.float64)
    centred = d - d.mean((0, 2, 3), keepdims=True) - normalized * (d * normalized).mean((0, 2, 3), keepdims=True)
    found = results(workers)
    close = partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-3)
    close(np.concatenate([r["y"] for r in found]), normalized)
    close(np.concatenate([r["dX"] for r in found]) * np.sqrt(v + 1e-5), centred)
    close(sum(r["gamma"] for r in found), (d * normalized).sum((0, 2, 3)))
    close(sum(r["beta"] for r in found), d.sum((0, 2, 3)))
    close(found[0]["moving_mean"], 0.1 * m.ravel())
    close(found[0]["moving_variance"], 0.9 + 0.1 * v.ravel(), rtol=1e-5)
    for other in found[1:]:
        np.testing.assert_array_equal(other["moving_mean"], 0)


def test_batch_normalization_outside_training_uses_moving_statistics() -> None:
    X, params = normal(0, 4, 3, 5), [normal(k, 3) for k in range(1, 4)] + [np.abs(normal(4, 3))]
    graph = Graph("test")
    g = Builder(graph, "bn")
    graph.inputs["x"] = x = Value("x", Type("float32", X.shape), "input")
    names = ["gamma", "beta", "moving_mean", "moving_variance"]
    values = [g.param(n, (3,), Constant(value=0.0), state=n.startswith("moving")) for n in names]
    graph.outputs["y"] = g.BatchNormalization(x, *values, training_mode=1)
    parameters = Parameters(graph)
    parameters.set({f"bn/{n}": p for n, p in zip(names, params, strict=True)})
    program = build_program(graph, parameters, Target({"x": X.shape}))
    feed(graph, program, {"x": X})
    program.run()
    expected = ort_run("BatchNormalization", [X, *params])[0]
    np.testing.assert_allclose(program.fetches["y"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(parameters.get()["bn/moving_mean"], params[2])


def test_parameters_must_fit_the_channels() -> None:
    shapes = [(1, 2, 3), (3,), (2,), (2,), (2,)]
    check_refusal("BatchNormalization", shapes, {}, "GS304", "scale (3,), which does not fit 2 channels")
