"""Rules of layers' operators, against the runtime's own gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from derivatives import check_derivatives

from graphspec.graph.builder import Builder
from graphspec.graph.derivatives import gradients
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.onnx_model import model_of
from graphspec.graph.onnx_session import session

random = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return random.standard_normal(shape)


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 8, 7), (4, 3, 3, 2), {}),
    ((2, 3, 8, 7), (4, 3, 3, 3), {"pads": (1, 1, 1, 1)}),
    ((2, 3, 9, 8), (4, 3, 3, 3), {"strides": (2, 2), "pads": (1, 0, 1, 1)}),
    ((2, 3, 10, 11), (4, 3, 2, 3), {"strides": (3, 4)}),  # the last rows and columns are in no window
    ((2, 3, 11, 9), (4, 3, 3, 3), {"dilations": (2, 3), "pads": (2, 3, 2, 3)}),
    ((2, 3, 12, 9), (4, 3, 3, 2), {"dilations": (2, 1), "strides": (3, 2), "pads": (1, 0, 0, 1)}),
    ((2, 3, 12, 9), (4, 3, 1, 1), {"strides": (3, 2)}),
    ((2, 3, 12, 11), (4, 3, 9, 8), {"strides": (1, 2), "pads": (2, 0, 1, 1)}),  # a kernel of many taps
    ((2, 4, 8, 7), (6, 2, 3, 2), {"group": 2, "strides": (2, 1)}),
    ((2, 4, 8, 7), (8, 1, 3, 3), {"group": 4, "pads": (1, 1, 1, 1)}),
    ((3, 2, 13), (4, 2, 5), {"strides": (2,), "auto_pad": "SAME_UPPER"}),
    ((3, 2, 13), (4, 2, 2), {"dilations": (4,), "pads": (4, 0)}),
    ((1, 2, 6, 5, 4), (3, 2, 3, 2, 2), {"strides": (1, 2, 1), "pads": (1, 0, 0, 1, 0, 0)}),
]


@pytest.mark.parametrize(("x", "w", "attrs"), CONVOLUTIONS)
def test_conv(x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any]) -> None:
    check_derivatives("Conv", [numbers(*x), numbers(*w), numbers(w[0])], [0, 1, 2], **attrs)


@pytest.mark.parametrize(
    ("x", "w", "attrs"),
    [
        ((2, 3, 5, 4), (3, 4, 3, 2), {}),
        ((2, 3, 5, 4), (3, 4, 3, 3), {"strides": (2, 3), "pads": (1, 0, 0, 1)}),
        ((2, 3, 5, 4), (3, 4, 3, 3), {"strides": (2, 3), "output_padding": (1, 2), "pads": (0, 1, 1, 0)}),
        ((2, 4, 5, 4), (4, 3, 2, 2), {"group": 2, "dilations": (2, 1)}),
        ((2, 4, 6), (4, 1, 3), {"group": 4, "strides": (2,)}),
    ],
)
def test_conv_transpose(x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any]) -> None:
    check_derivatives(
        "ConvTranspose", [numbers(*x), numbers(*w), numbers(w[1] * attrs.get("group", 1))], [0, 1, 2], **attrs
    )


POOLS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 8, 6), {"kernel_shape": (2, 2), "strides": (2, 2)}),
    ((2, 3, 9, 7), {"kernel_shape": (2, 3), "strides": (2, 3)}),
    ((2, 3, 9, 7), {"kernel_shape": (3, 3), "strides": (2, 1), "pads": (1, 1, 1, 1)}),
    ((2, 3, 9, 7), {"kernel_shape": (3, 2), "strides": (2, 2), "ceil_mode": 1}),
    ((2, 3, 9), {"kernel_shape": (3,), "strides": (2,), "auto_pad": "SAME_UPPER"}),
    ((2, 2, 4, 5, 6), {"kernel_shape": (2, 2, 3), "strides": (2, 2, 2)}),
]


@pytest.mark.parametrize(("x", "attrs"), [*POOLS, ((2, 3, 9), {"kernel_shape": (3,), "dilations": (2,)})])
@pytest.mark.parametrize("ties", [False, True])
def test_max_pool(x: tuple[int, ...], attrs: dict[str, Any], ties: bool) -> None:
    X = np.maximum(np.round(numbers(*x)), 0) if ties else numbers(*x)
    check_derivatives("MaxPool", [X], [0], by_numpy=False, **attrs)


@pytest.mark.parametrize(("x", "attrs"), POOLS)
@pytest.mark.parametrize("include", [0, 1])
def test_average_pool(x: tuple[int, ...], attrs: dict[str, Any], include: int) -> None:
    check_derivatives("AveragePool", [numbers(*x)], [0], count_include_pad=include, **attrs)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5)])
def test_global_pools(op: str, shape: tuple[int, ...]) -> None:
    check_derivatives(op, [np.round(numbers(*shape) * 2)], [0])


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("ids", [np.array([[0, 2, 2], [1, -1, 0]]), np.array(1), np.array([2, 0])])
@pytest.mark.parametrize("constant", [set(), {1}])
def test_gather(axis: int, ids: np.ndarray, constant: set[int]) -> None:
    check_derivatives("Gather", [numbers(3, 4, 5), ids], [0], constant, axis=axis)


def test_gather_elements_and_nd() -> None:
    check_derivatives("GatherElements", [numbers(3, 4), np.array([[0, 2, 2, 1], [1, -1, 0, 1]])], [0], axis=0)
    check_derivatives("GatherND", [numbers(3, 4, 2), np.array([[0, 2], [-2, 3], [0, 2]])], [0])
    check_derivatives(
        "GatherND", [numbers(2, 3, 4, 2), np.array([[[0, 2], [0, 2]], [[1, -1], [2, 0]]])], [0], batch_dims=1
    )


def test_indices_are_added_by_one_thread() -> None:
    """onnxruntime's ScatterND loses terms with several threads; what rules emit does not."""
    ids, X = np.array(random.integers(0, 50, 20_000)), Value("x", Type("float32", (50, 16)), "input")
    graph = Graph("test", {"x": X, "i": Value("i", Type("int64", ids.shape), "input")})
    with Builder(graph, "node") as g:
        loss = g.ReduceSum(g.Gather(*graph.inputs.values()), keepdims=0)
    graph.outputs = {"dx": gradients(graph, loss, ["x"])["x"]}
    graph.nodes = graph.needed(graph.roots())
    model = session(model_of(graph).SerializeToString(), 2)
    expected = np.repeat(np.bincount(ids, minlength=50)[:, None], 16, axis=1)
    feeds = {"x": np.zeros((50, 16), np.float32), "i": ids}
    for _ in range(20):
        (found,) = model.run(None, {n.name: feeds[n.name] for n in model.get_inputs()})
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("reduction", ["none", "add"])
def test_scatters(reduction: str) -> None:
    ids = np.array([[0, 2, 1, 1], [1, 0, 2, 0]])
    check_derivatives("ScatterElements", [numbers(3, 4), ids, numbers(2, 4)], [0, 2], axis=0, reduction=reduction)
    check_derivatives("ScatterND", [numbers(4, 3), np.array([[0], [2]]), numbers(2, 3)], [0, 2], reduction=reduction)


def test_top() -> None:
    check_derivatives("TopK", [numbers(3, 5), np.array([2])], [0], {1}, axis=1)


@pytest.mark.parametrize(
    ("scales", "attrs"),
    [
        ((1, 1, 2, 3), {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
        ((1, 1, 2, 2), {"mode": "linear"}),
        ((1, 1, 0.5, 1.5), {"mode": "linear"}),
        ((1, 1, 2, 1.5), {"mode": "cubic"}),
        ((1, 1, 1.2, 1), {"mode": "linear"}),  # of the same size
    ],
)
def test_resize(scales: tuple[float, ...], attrs: dict[str, Any]) -> None:
    check_derivatives("Resize", [numbers(2, 3, 4, 6), None, np.array(scales, float)], [0], {2}, **attrs)


def test_depth_and_space() -> None:
    check_derivatives("DepthToSpace", [numbers(2, 8, 3, 4)], [0], blocksize=2)
    check_derivatives("SpaceToDepth", [numbers(2, 2, 6, 4)], [0], blocksize=2)


VARYING: list[tuple[str, list[tuple[int, ...]], dict[str, Any]]] = [
    ("Conv", [(2, 3, 9, 8), (4, 3, 3, 2)], {"strides": (2, 3), "pads": (1, 0, 0, 1)}),
    ("Conv", [(2, 4, 9), (6, 2, 2)], {"strides": (4,), "dilations": (2,), "group": 2}),
    ("Conv", [(2, 3, 9), (4, 3, 4)], {"auto_pad": "SAME_UPPER"}),
    ("Conv", [(2, 3, 9), (4, 3, 4)], {"auto_pad": "SAME_LOWER"}),
    ("ConvTranspose", [(2, 3, 5), (3, 4, 3)], {"strides": (3,), "output_padding": (1,), "pads": (1, 0)}),
    ("MaxPool", [(2, 3, 9)], {"kernel_shape": (2,), "strides": (2,)}),
    ("MaxPool", [(2, 3, 9)], {"kernel_shape": (3,), "strides": (2,)}),
    ("AveragePool", [(2, 3, 9)], {"kernel_shape": (2,), "strides": (4,)}),
    ("GlobalAveragePool", [(2, 3, 9)], {}),
    ("GlobalMaxPool", [(2, 3, 9)], {}),
]


@pytest.mark.parametrize(("op", "shapes", "attrs"), VARYING)
def test_axes_that_vary(op: str, shapes: list[tuple[int, ...]], attrs: dict[str, Any]) -> None:
    """The batch and the spatial axes of the first input are symbols; every number of left-over elements occurs."""
    for size in range(9, 13):
        X = (*shapes[0][:2], size, *shapes[0][3:])
        symbols = ("N", shapes[0][1], *"abc"[: len(X) - 2])
        check_derivatives(
            op, [numbers(*s) for s in (X, *shapes[1:])], [*range(len(shapes))], by_numpy=False, symbols=symbols, **attrs
        )
