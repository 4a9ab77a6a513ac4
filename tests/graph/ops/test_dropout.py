"""Dropout and noise in training: statistics, exact reruns, and workers that draw their rows alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import graphs
import numpy as np
import pytest
from graphs import Array, build, feed, run, scalar_loss
from layouts import lying, normal

from graphspec.base.arrays.layout import shard_slice
from graphspec.base.arrays.random import Clock
from graphspec.base.errors import ShapeError
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.kernels.context import LocalGroup, Shard
from graphspec.graph.ops import OPS

NOISE: list[tuple[str, dict[str, Any]]] = [
    ("SharedDropout", {"rate": 0.3, "shared": (1,)}),
    ("SharedDropout", {"rate": 0.3, "shared": (0, 2)}),
    ("AlphaDropout", {"rate": 0.3}),
    ("AlphaDropout", {"rate": 0.3, "shared": (0, 1)}),
    ("GaussianDropout", {"deviation": 0.5}),
    ("GaussianNoise", {"deviation": 0.5}),
    ("GumbelNoise", {}),
    ("UniformNoise", {"width": 0.5}),
]


def trained(op: str, X: Array, *, seed: int = 0, step: int = 0, rows: slice | None = None, **attrs: Any) -> Array:
    """What one operator gives in training, on all rows of a batch or some."""
    graph, _ = build(op, [X if rows is None else X[rows]], **attrs)
    part = X if rows is None else X[rows]
    program = build_program(
        graph,
        Parameters(graph, X.dtype),
        Target({"x0": part.shape}, shard=Shard(LocalGroup(), rows or slice(0, len(X)), len(X))),
        training=True,
        seed=seed,
        clock=Clock(step),
    )
    feed(graph, program, {"x0": part})
    program.run()
    return program.fetches["y0"].copy()


@pytest.mark.parametrize(("op", "attrs"), NOISE)
def test_the_identity_outside_training(op: str, attrs: dict[str, Any]) -> None:
    X = np.random.default_rng(1).standard_normal((4, 3, 5)).astype(np.float32)
    np.testing.assert_array_equal(run(op, [X], **attrs)[0], X)
    assert OPS[op].identity_in_inference


@pytest.mark.parametrize(("op", "attrs"), NOISE)
def test_workers_draw_what_one_draws(op: str, attrs: dict[str, Any]) -> None:
    """The same noise again for an equal seed and step, another for others; each worker's rows are those of the batch."""
    X = np.random.default_rng(3).standard_normal((7, 3, 5)).astype(np.float32)
    whole = trained(op, X, seed=1, step=4, **attrs)
    np.testing.assert_array_equal(trained(op, X, seed=1, step=4, **attrs), whole)
    assert not np.array_equal(trained(op, X, seed=1, step=5, **attrs), whole)
    assert not np.array_equal(trained(op, X, seed=2, step=4, **attrs), whole)
    for cuts in ((0, 1, 7), (0, 3, 3, 6, 7), (0, 2, 4, 7)):
        parts = [trained(op, X, seed=1, step=4, rows=slice(a, b), **attrs) for a, b in pairwise(cuts)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_shared_dropout_decides_once() -> None:
    X = np.ones((6, 50, 40), np.float32)
    Y = trained("SharedDropout", X, rate=0.25, shared=(1,))
    assert set(np.unique(Y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (Y[:, :1] == Y).all()
    assert abs((Y[:, 0] == 0).mean() - 0.25) < 0.1
    over_rows = trained("SharedDropout", X, rate=0.25, shared=(0,))
    assert (over_rows == over_rows[:1]).all()
    assert abs((over_rows[0] == 0).mean() - 0.25) < 0.03


def test_statistics_of_normal_noise() -> None:
    X = np.full((300, 401), 2.0, np.float32)
    noise = trained("GaussianNoise", X, deviation=0.5) - X
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 0.5) < 0.01
    assert abs((np.abs(noise) < 0.5).mean() - 0.6827) < 0.01
    assert abs((noise**4).mean() / 0.5**4 - 3) < 0.1
    halves = noise[:, :200], noise[:, 201:]  # cosines and sines of the same pairs
    assert abs(np.corrcoef(halves[0].ravel(), halves[1].ravel())[0, 1]) < 0.02
    factor = trained("GaussianDropout", X, deviation=0.5) / X
    assert abs(factor.mean() - 1) < 0.01
    assert abs(factor.std() - 0.5) < 0.01


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    """By Keras's formula: kept elements are a · x + b, dropped ones a · α + b."""
    X = np.random.default_rng(5).standard_normal((300, 400)).astype(np.float32)
    Y = trained("AlphaDropout", X, rate=0.2)
    alpha = -1.7580993408473766
    a = ((1 - 0.2) * (1 + 0.2 * alpha**2)) ** -0.5
    b = -a * alpha * 0.2
    dropped = np.isclose(Y, a * alpha + b, atol=1e-6)
    np.testing.assert_allclose(Y[~dropped], (a * X + b)[~dropped], rtol=1e-4, atol=1e-5)
    assert abs(dropped.mean() - 0.2) < 0.01
    assert abs(Y.mean()) < 0.02
    assert abs(Y.std() - 1) < 0.02


def dropped(X: Array, rate: float, *, step: int = 0, workers: int = 1, **attrs: Any) -> tuple[Array, Array]:
    """The output and the gradient of ones of a Dropout on X, from programs of several workers."""
    inputs = [X, np.array(rate, np.float32), np.array(True)]
    graph, _ = graphs.build("Dropout", inputs, {1, 2}, **attrs)
    loss = scalar_loss(graph, {"y0": np.ones(graph.outputs["y0"].shape[1:], np.float32)})
    outputs, grads = [], []
    for rank in range(workers):
        rows = shard_slice(len(X), rank, workers)
        program = build_program(
            graph.with_outputs(graph.outputs, loss),
            Parameters(graph),
            Target({"x0": X[rows].shape}, input_grads=["x0"], shard=Shard(LocalGroup(), rows, len(X))),
            training=True,
            clock=Clock(step),
        )
        feed(graph, program, {"x0": X[rows]})
        program.run()
        outputs.append(program.fetches["y0"].copy())
        grads.append(program.grads["x0"].copy())
    return np.concatenate(outputs), np.concatenate(grads)


@pytest.mark.parametrize("shape", [(64, 33), (10, 7, 20, 3)])
def test_dropout(shape: tuple[int, ...]) -> None:
    X = normal(0, *shape) + 10
    Y, dX = dropped(X, 0.3)
    kept = Y != 0
    np.testing.assert_allclose(Y[kept], X[kept] / 0.7, rtol=1e-6)
    np.testing.assert_allclose(dX, kept / 0.7, rtol=1e-6)
    assert abs(kept.mean() - 0.7) < 4 * np.sqrt(0.21 / X.size)
    assert not np.array_equal(kept, dropped(X, 0.3, step=1)[0] != 0)
    assert not np.array_equal(kept, dropped(X, 0.3, seed=1)[0] != 0)
    np.testing.assert_array_equal(Y, dropped(X, 0.3, workers=3)[0])
    np.testing.assert_array_equal(run("Dropout", [X, np.array(0.3), np.array(True)], {1, 2})[0], X)


def test_dropout_mask_does_not_depend_on_memory_order() -> None:
    X = normal(0, 6, 3, 4, 5) + 10
    expected = dropped(X, 0.5)[0]
    with lying((0, 3, 1, 2)):
        moved = dropped(np.ascontiguousarray(X.transpose(0, 2, 3, 1)), 0.5)[0]
    np.testing.assert_array_equal(moved, expected)


def test_statistics_of_other_noise() -> None:
    X = np.full((300, 401), 2.0, np.float32)
    uniform = trained("UniformNoise", X, width=0.5) - X
    assert -0.5 <= uniform.min() < -0.499
    assert 0.499 < uniform.max() <= 0.5
    assert abs(uniform.mean()) < 0.01
    assert abs(uniform.var() - 1 / 12) < 0.001
    gumbel = trained("GumbelNoise", np.zeros_like(X))
    assert np.isfinite(gumbel).all()
    assert abs(gumbel.mean() - 0.57722) < 0.02
    assert abs(gumbel.var() - np.pi**2 / 6) < 0.05


def test_the_gradient_of_a_step_goes_to_what_it_is_of() -> None:
    X, S = np.eye(3, dtype=np.float32), np.full((3, 3), 0.3, np.float32)
    graph, Y = build("StraightThrough", [X, S])
    names = list(graph.inputs)
    loss = Builder(graph, "loss").ReduceSum(Y, keepdims=0)
    shapes = dict.fromkeys(names, X.shape)
    program = build_program(
        graph.with_outputs({"y": Y}, loss), Parameters(graph), Target(shapes, input_grads=names), training=True
    )
    for name, array in zip(names, (X, S), strict=True):
        program.feeds[name][...] = array
    program.run()
    np.testing.assert_array_equal(program.fetches["y"], X)
    assert (program.grads[names[0]] == 0).all()
    assert (program.grads[names[1]] == 1).all()


def test_samples_and_steps_are_strict() -> None:
    for op in ("Sample", "StraightThrough"):
        with pytest.raises(ShapeError):
            build(op, [np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)])
