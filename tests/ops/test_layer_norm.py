"""GroupNormalization, RMSNormalization, LpNormalization, ScatterElements, SpectralScale: against onnxruntime, gradients."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from graphs import Array, build, check_gradients, run
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS, both_layouts, normal, same
from onnx import helper
from oracles import make_model, onnx_attributes, ort_run, session
from workers import Threads

from graphspec.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.decompositions import (
    DECOMPOSITIONS,
    norm,  # noqa: F401
)
from graphspec.graph.target import Target
from graphspec.initializers import Constant
from graphspec.ir.graph import Graph, Type, Value
from graphspec.kernels.group import Shard
from graphspec.ops import OPS
from graphspec.ops.base import declared_attributes
from graphspec.runtime.build import build_program
from graphspec.runtime.parameters import Parameters


def newer(op: str, inputs: Sequence[Array], opset: int, **attrs: Any) -> Array:
    """What onnxruntime computes for an operator of a newer opset."""
    names = [f"x{k}" for k in range(len(inputs))]
    node = helper.make_node(op, names, ["y"], name=op, **onnx_attributes(attrs))
    model = make_model([node], dict(zip(names, inputs, strict=True)), ["y"])
    model.opset_import[0].version, model.ir_version = opset, 11
    return np.asarray(session(model).run(None, dict(zip(names, inputs, strict=True)))[0])


def decomposed(op: str, inputs: Sequence[Array], **attrs: Any) -> list[Array]:
    """Our decomposition, run by onnxruntime at opset 17."""
    graph = Graph("test")
    for k, array in enumerate(inputs):
        graph.inputs[f"x{k}"] = Value(f"x{k}", Type("float32", array.shape), "input")
    values = list(graph.inputs.values())
    graph.outputs["y"] = DECOMPOSITIONS[op](Builder(graph, "node"), *values, **declared_attributes(OPS[op]) | attrs)
    return ort_run(graph, {f"x{k}": a for k, a in enumerate(inputs)})


@st.composite
def grouped(draw: st.DrawFn) -> tuple[list[Any], int]:
    groups, per = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    spatial = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    seed, count = draw(st.integers(0, 1000)), groups * per
    X = normal(seed, draw(st.integers(1, 4)), count, *spatial) * 2 + draw(st.sampled_from([0, 3]))
    return [X, normal(seed + 1, count), normal(seed + 2, count)], groups


@SETTINGS
@given(grouped(), st.sampled_from([1e-5, 1e-3]))
def test_group_normalization_matches_onnxruntime(case: tuple[list[Any], int], epsilon: float) -> None:
    inputs, groups = case
    expected = newer("GroupNormalization", inputs, 21, num_groups=groups, epsilon=epsilon)
    for found in (
        run("GroupNormalization", inputs, num_groups=groups, epsilon=epsilon),
        decomposed("GroupNormalization", inputs, num_groups=groups, epsilon=epsilon),
    ):
        np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=1e-4)


@SETTINGS
@given(grouped())
def test_group_normalization_gradients(case: tuple[list[Any], int]) -> None:
    inputs, groups = case
    both_layouts("GroupNormalization", inputs, [0, 1, 2], num_groups=groups, epsilon=1e-2)


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[Any], int]:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=4)))
    axis = draw(st.integers(1, len(shape) - 1))
    seed = draw(st.integers(0, 1000))
    return [normal(seed, *shape) + 1, normal(seed + 1, *shape[axis:])], draw(st.sampled_from([axis, axis - len(shape)]))


@SETTINGS
@given(rows(), st.sampled_from([1e-5, 1e-3]))
def test_rms_normalization_matches_onnxruntime(case: tuple[list[Any], int], epsilon: float) -> None:
    inputs, axis = case
    expected = newer("RMSNormalization", inputs, 23, axis=axis, epsilon=epsilon)
    for found in (
        run("RMSNormalization", inputs, axis=axis, epsilon=epsilon),
        decomposed("RMSNormalization", inputs, axis=axis, epsilon=epsilon),
    ):
        np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)


@SETTINGS
@given(rows())
def test_rms_normalization_gradients(case: tuple[list[Any], int]) -> None:
    inputs, axis = case
    both_layouts("RMSNormalization", inputs, [0, 1], axis=axis, epsilon=1e-2)


@SETTINGS
@given(rows(), st.sampled_from([1, 2]))
def test_lp_normalization(case: tuple[list[Any], int], p: int) -> None:
    X, axis = case[0][0], case[1]
    same("LpNormalization", [X], axis=axis, p=p)
    both_layouts("LpNormalization", [X], [0], axis=axis, p=p)


@pytest.mark.parametrize("p", [1, 2])
def test_zeros_have_no_direction(p: int) -> None:
    X = np.array([[0, 0, 0], [3, -4, 0]], np.float32)
    (Y,) = run("LpNormalization", [X], p=p)
    np.testing.assert_allclose(Y, [[0, 0, 0], X[1] / (7 if p == 1 else 5)], rtol=1e-6)


def test_groups_must_divide() -> None:
    with pytest.raises(ShapeError, match="cannot divide 3 channels into 2 groups"):
        build("GroupNormalization", [normal(0, 2, 3, 4), normal(1, 3), normal(2, 3)], num_groups=2)


@SETTINGS
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 5), st.sampled_from(["none", "add"]), st.booleans())
def test_scatter_elements(seed: int, n: int, size: int, reduction: str, last: bool) -> None:
    random = np.random.default_rng(seed)
    data, axis = random.standard_normal((n, size) if last else (size, n)).astype(np.float32), 1 if last else 0
    count = size if reduction == "none" else size + 2
    ids = np.stack(
        [random.permutation(size) if reduction == "none" else random.integers(0, size, count) for _ in range(n)]
    )
    ids = np.where(random.random(ids.shape) < 0.3, ids - size, ids)[:, : max(1, count - 1)]
    ids = ids if last else np.ascontiguousarray(ids.T)
    updates = random.standard_normal(ids.shape).astype(np.float32)
    same("ScatterElements", [data, ids, updates], axis=axis, reduction=reduction)
    check_gradients("ScatterElements", [data, ids, updates], [0, 2], axis=axis, reduction=reduction)


def test_scatter_elements_without_rows() -> None:
    none = np.zeros((0, 3), np.float32)
    graph, _ = build("ScatterElements", [none, np.zeros((0, 2), np.int64), none[:, :2]], axis=1)
    build_program(graph, Parameters(graph), Target({n: v.shape for n, v in graph.inputs.items()})).run()


@pytest.mark.parametrize("op", ["GroupNormalization", "RMSNormalization", "LpNormalization"])
def test_no_rows(op: str) -> None:
    vectors = {"GroupNormalization": 2, "RMSNormalization": 1, "LpNormalization": 0}[op]
    inputs: list[Array | None] = [np.zeros((0, 4, 4), np.float32), *[np.zeros(4, np.float32)] * vectors]
    attrs: dict[str, Any] = {"num_groups": 2} if vectors == 2 else {}
    check_gradients(op, inputs, list(range(len(inputs))), **attrs)


@pytest.mark.parametrize(
    ("sizes", "shape", "columns"), [((3, 4), (3, 4), 1), ((4, 2, 3), (4, 2, 3), 0), ((2, 3, 2), (6, 2), 1)]
)
def test_spectral_scale(sizes: tuple[int, ...], shape: tuple[int, ...], columns: int) -> None:
    """After many iterations the largest singular value is divided by; the weight itself is."""
    graph = Graph("test")
    g = Builder(graph, "node")
    W, u = (
        g.param("kernel", shape, Constant(value=0.0)),
        g.param("vector_u", (1, sizes[columns]), Constant(value=1.0), state=True),
    )
    graph.outputs["y"] = g.SpectralScale(W, u, sizes=sizes, columns=columns, iterations=60)
    parameters = Parameters(graph, np.float64)
    parameters.initialize(0)
    program = build_program(graph, parameters, Target({}, shard=Shard.whole(1)), training=True)
    program.run()
    np.testing.assert_array_equal(program.fetches["y"], np.zeros(shape))  # a kernel of zeros stays
    np.testing.assert_array_equal(parameters.get()["node/vector_u"], np.ones((1, sizes[columns])))
    start = np.random.default_rng(1).standard_normal(shape)
    parameters.set({"node/kernel": start})
    program.run()
    matrix = np.moveaxis(start.reshape(sizes), columns, -1).reshape(-1, sizes[columns])
    sigma = np.linalg.svd(matrix, compute_uv=False)[0]
    np.testing.assert_allclose(program.fetches["y"], start / sigma, rtol=1e-6)
    np.testing.assert_array_equal(parameters.get()["node/kernel"], program.fetches["y"])


def test_spectral_scale_over_workers() -> None:
    """Every worker uses the kernel that rank 0 alone writes, once; none reads it half written."""
    graph = Graph("test")
    g = Builder(graph, "node")
    start = np.random.default_rng(1).standard_normal((6, 5)).astype(np.float32)
    W, u = g.param("kernel", (6, 5), Constant(value=0.0)), g.param("vector_u", (1, 5), Constant(value=1.0), state=True)
    graph.outputs["y"] = g.SpectralScale(W, u, sizes=(6, 5), columns=1)

    def work(parameters: Parameters, rank: int, size: int, barrier: threading.Barrier) -> Array:
        group = Threads(rank, size, barrier, [])
        shapes: dict[str, Any] = {}
        program = build_program(graph, parameters, Target(shapes, shard=Shard(group, slice(0, 1), 1)), training=True)
        for _ in range(20):
            program.run()
        return np.array(program.fetches["y"])

    found = []
    for size in (1, 3):
        parameters = Parameters(graph)
        parameters.initialize(0)
        parameters.set({"node/kernel": start})
        barrier = threading.Barrier(size)
        with ThreadPoolExecutor(size) as pool:
            found += list(pool.map(partial(work, parameters, size=size, barrier=barrier), range(size)))
        found.append(parameters.get()["node/kernel"])
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_spectral_scale_outside_training() -> None:
    W, u = normal(0, 3, 4), normal(1, 1, 4)
    attrs: dict[str, Any] = {"sizes": (3, 4), "columns": 1}
    np.testing.assert_array_equal(run("SpectralScale", [W, u], **attrs)[0], W)
    check_gradients("SpectralScale", [W, u], [0], **attrs)
