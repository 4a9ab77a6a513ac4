"""LayerNormalization, RMSNormalization, GroupNormalization, LpNormalization: against onnxruntime, and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from graphs import Array, build, check_gradients, check_refusal, run
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS, both_layouts, normal, same
from onnx import helper
from oracles import make_model, onnx_attributes, ort_run, session

from graphspec.base.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.decompositions import DECOMPOSITIONS
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.ops import OPS


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
    with Builder(graph, "node") as g:
        graph.outputs["y"] = DECOMPOSITIONS[op](g, OPS[op](**attrs), *values)
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


@pytest.mark.slow
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


@pytest.mark.slow
@SETTINGS
@given(rows())
def test_rms_normalization_gradients(case: tuple[list[Any], int]) -> None:
    inputs, axis = case
    both_layouts("RMSNormalization", inputs, [0, 1], axis=axis, epsilon=1e-2)


@pytest.mark.slow
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


@pytest.mark.parametrize("op", ["GroupNormalization", "RMSNormalization", "LpNormalization"])
def test_no_rows(op: str) -> None:
    vectors = {"GroupNormalization": 2, "RMSNormalization": 1, "LpNormalization": 0}[op]
    inputs: list[Array | None] = [np.zeros((0, 4, 4), np.float32), *[np.zeros(4, np.float32)] * vectors]
    attrs: dict[str, Any] = {"num_groups": 2} if vectors == 2 else {}
    check_gradients(op, inputs, list(range(len(inputs))), **attrs)


@st.composite
def layers(draw: st.DrawFn) -> tuple[list[Array | None], int]:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=4)))
    axis = draw(st.integers(1, len(shape) - 1))
    seed = draw(st.integers(0, 1000))
    B = normal(seed + 2, *shape[axis:]) if draw(st.booleans()) else None
    return [normal(seed, *shape) + 1, normal(seed + 1, *shape[axis:]), B], draw(
        st.sampled_from([axis, axis - len(shape)])
    )


@SETTINGS
@given(layers(), st.sampled_from([1e-5, 1e-3]))
def test_layer_normalization_matches_onnxruntime(case: tuple[list[Array | None], int], epsilon: float) -> None:
    inputs, axis = case
    same("LayerNormalization", inputs, axis=axis, epsilon=epsilon)


@pytest.mark.slow
@SETTINGS
@given(layers())
def test_layer_normalization_gradients(case: tuple[list[Array | None], int]) -> None:
    inputs, axis = case
    both_layouts("LayerNormalization", inputs, [0, 1] if inputs[2] is None else [0, 1, 2], axis=axis, epsilon=1e-2)


@pytest.mark.parametrize(
    ("shapes", "attrs", "code", "text"),
    [([(1, 2, 3), (2,)], {}, "GS304", "Scale (2,)"), ([(1, 2, 3), (3,)], {"axis": 3}, "GS301", "axis 3")],
)
def test_what_cannot_work_is_refused(
    shapes: list[tuple[int, ...]], attrs: dict[str, Any], code: str, text: str
) -> None:
    check_refusal("LayerNormalization", shapes, attrs, code, text)
