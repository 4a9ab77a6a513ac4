"""Rules of matrix products, reductions and of operators that move elements, against the runtime's own gradients."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    "shapes",
    [((4, 3), (3, 5)), ((2, 4, 3), (3, 5)), ((2, 4, 3), (2, 3, 5)), ((1, 4, 3), (2, 3, 5)), ((2, 1, 4, 3), (5, 3, 2))],
)
def test_matmul(shapes: tuple[tuple[int, ...], ...]) -> None:
    check_derivatives("MatMul", [numbers(*s) for s in shapes], [0, 1])


@pytest.mark.parametrize("a", [0, 1])
@pytest.mark.parametrize("b", [0, 1])
def test_gemm(a: int, b: int) -> None:
    A, B = numbers(4, 3), numbers(3, 5)
    inputs = [A.T.copy() if a else A, B.T.copy() if b else B, numbers(5)]
    check_derivatives("Gemm", inputs, [0, 1, 2], transA=a, transB=b, alpha=0.5, beta=2.0)


AXES = np.array([0, 2])


@pytest.mark.parametrize(
    "op",
    [
        "ReduceMean",
        "ReduceMax",
        "ReduceMin",
        "ReduceSumSquare",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
    ],
)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reductions(op: str, keepdims: int) -> None:
    X = np.abs(numbers(3, 4, 2)) + 0.1 if op == "ReduceLogSum" else numbers(3, 4, 2)
    check_derivatives(op, [X], [0], axes=(0, 2), keepdims=keepdims)
    check_derivatives(op, [X], [0], keepdims=keepdims)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_sums(keepdims: int) -> None:
    check_derivatives("ReduceSum", [numbers(3, 4, 2), AXES], [0], {1}, keepdims=keepdims)
    check_derivatives("ReduceSum", [numbers(3, 4, 2)], [0], keepdims=keepdims)
    check_derivatives("CumSum", [numbers(3, 4), np.array(1)], [0], {1}, reverse=keepdims, exclusive=1)


def test_moves() -> None:
    X = numbers(3, 4, 2)
    check_derivatives("Reshape", [X, np.array([6, -1])], [0], {1})
    check_derivatives("Flatten", [X], [0], axis=2)
    check_derivatives("Unsqueeze", [X, np.array([1])], [0], {1})
    check_derivatives("Squeeze", [X[:, :1], np.array([1])], [0], {1})
    check_derivatives("Transpose", [X], [0], perm=(2, 0, 1))
    check_derivatives("Expand", [X[:, :1], np.array([5, 3, 4, 2])], [0], {1})
    check_derivatives("Tile", [X, np.array([2, 1, 3])], [0], {1})
    check_derivatives("Concat", [X, numbers(3, 1, 2)], [0, 1], axis=1)
    check_derivatives("Split", [X, np.array([1, 3])], [0], {1}, axis=1, outputs=[1])
    check_derivatives("Trilu", [X], [0], upper=0)


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [((1,), (3,), (1,), (1,)), ((0, 1), (2, 9), (0, 1), (1, 1)), ((-1,), (-9,), (1,), (-1,)), ((0,), (4,), (1,), (2,))],
)
def test_slices(starts: tuple[int, ...], ends: tuple[int, ...], axes: tuple[int, ...], steps: tuple[int, ...]) -> None:
    constants = [np.array(x) for x in (starts, ends, axes, steps)]
    check_derivatives("Slice", [numbers(3, 4, 2), *constants], [0], {1, 2, 3, 4})


def test_slices_up_to_sizes_that_vary() -> None:
    graph = Graph("test", {"x": Value("x", Type("float32", ("N", "time", 2)), "input")})
    with Builder(graph, "node") as g:
        X = graph.inputs["x"]
        starts, ends = (g.Concat(g.size(X, 0) - k, g.size(X, 1) - k, axis=0) for k in (3, 1))
        loss = g.ReduceSumSquare(g.Slice(X, starts, ends, g.constant([0, 1])), keepdims=0)
    found = gradients(graph, loss, ["x"])
    graph.outputs = {"gradient": found["x"]}
    graph.nodes = graph.needed(graph.roots())
    x = numbers(4, 6, 2).astype(np.float32)
    expected = np.zeros_like(x)
    expected[1:3, 3:5] = 2 * x[1:3, 3:5]
    (array,) = session(model_of(graph).SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(array, expected, rtol=1e-6)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pads(mode: str) -> None:
    check_derivatives("Pad", [numbers(3, 4), np.array([0, 2, 1, 1])], [0], {1}, mode=mode)


def test_crops() -> None:
    check_derivatives("Pad", [numbers(3, 4), np.array([0, -1, 0, 2])], [0], {1})


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [-1, 1])
def test_softmax(op: str, axis: int) -> None:
    check_derivatives(op, [numbers(3, 4, 2)], [0], axis=axis)


@pytest.mark.parametrize("equation", ["ab,bc->ac", "abc,cd->abd", "bqhd,bkhd->bhqk", "ab,ab->a"])
def test_einsum(equation: str) -> None:
    sizes = dict(zip("abcdhkq", (2, 3, 4, 5, 2, 3, 4), strict=True))
    shapes = [[sizes[k] for k in term] for term in equation.split("->")[0].split(",")]
    check_derivatives("Einsum", [numbers(*s) for s in shapes], [0, 1], equation=equation)
