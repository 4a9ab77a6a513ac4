"""MaxPool and AveragePool: against onnxruntime, their gradients, and what they refuse."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from graphs import build, check_refusal, feed, scalar_loss
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS, both_layouts, normal, same
from onnx import TensorProto, helper

from graphspec.base.errors import ShapeError
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.onnx_session import session

Array = np.ndarray[Any, Any]


@st.composite
def poolings(draw: st.DrawFn) -> tuple[Array, dict[str, Any]]:
    rank = draw(st.integers(1, 3))
    vector = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(rank))  # noqa: E731
    kernel, strides = vector(1, 4 if rank < 3 else 3), vector(1, 4)
    auto_pad = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto_pad.startswith("SAME"):  # onnxruntime computes negative padding for strides beyond the window
        strides = tuple(min(s, k) for s, k in zip(strides, kernel, strict=True))
    attrs: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "auto_pad": auto_pad}
    pads = (0,) * (2 * rank)
    if auto_pad == "NOTSET":
        begins = tuple(draw(st.integers(0, k - 1)) for k in kernel)
        balanced = draw(st.booleans())  # as many pads as SAME would have
        ends = tuple(
            k - 1 - b if balanced else draw(st.integers(0, k - 1)) for k, b in zip(kernel, begins, strict=True)
        )
        pads = attrs["pads"] = begins + ends
        attrs["ceil_mode"] = draw(st.integers(0, 1))
    spatial = [draw(st.integers(max(1, k - pads[i] - pads[i + rank]), k + 6)) for i, k in enumerate(kernel)]
    if auto_pad == "VALID":
        spatial = [max(s, k) for s, k in zip(spatial, kernel, strict=True)]
    X = normal(draw(st.integers(0, 1000)), draw(st.integers(1, 3)), draw(st.integers(1, 4)), *spatial)
    if draw(st.booleans()):
        X = np.round(X)  # many equal numbers
    return X, attrs


@SETTINGS
@given(poolings(), st.integers(1, 2))
def test_max_pool_matches_onnxruntime(case: tuple[Array, dict[str, Any]], dilation: int) -> None:
    X, attrs = case
    extents = [(k - 1) * dilation + 1 for k in attrs["kernel_shape"]]
    if attrs["auto_pad"] == "NOTSET" and all(s >= e for s, e in zip(X.shape[2:], extents, strict=True)):
        attrs = attrs | {"dilations": (dilation,) * (X.ndim - 2)}
    same("MaxPool", [X], **attrs)


@SETTINGS
@given(poolings(), st.integers(0, 1))
def test_average_pool_matches_onnxruntime(case: tuple[Array, dict[str, Any]], include: int) -> None:
    X, attrs = case
    same("AveragePool", [X], count_include_pad=include, **attrs)


@pytest.mark.slow
@SETTINGS
@given(poolings(), st.integers(0, 1))
def test_pool_gradients(case: tuple[Array, dict[str, Any]], include: int) -> None:
    X, attrs = case
    distinct = np.random.default_rng(0).permutation(X.size).reshape(X.shape) / X.size
    both_layouts("MaxPool", [distinct], [0], **attrs)
    both_layouts("AveragePool", [distinct], [0], count_include_pad=include, **attrs)


def test_sizes_that_are_rounded_up_are_those_of_onnxruntime() -> None:
    """Every window, step and padding: a last window that would start in the padding at the end is left out."""
    for kernel, stride in itertools.product(range(1, 5), range(1, 4)):
        for pads in itertools.product(range(kernel), repeat=2):
            attrs = {"kernel_shape": (kernel,), "strides": (stride,), "pads": pads, "ceil_mode": 1}
            node = helper.make_node("MaxPool", ["x"], ["y"], name="pool", **attrs)
            values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, None]) for n in "xy"]
            graph = helper.make_graph([node], "pools", values[:1], values[1:])
            opsets = [helper.make_opsetid("", 17)]
            runner = session(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
            for size in range(max(1, kernel - sum(pads)), 9):
                X = Value("x", Type("float32", (1, 1, size)), "input")
                (expected,) = runner.run(None, {"x": np.zeros((1, 1, size), np.float32)})
                assert Builder(Graph("test"), "node").MaxPool(X, **attrs).shape == expected.shape, (attrs, size)


@pytest.mark.parametrize(("kernel", "strides"), [((2, 2), (2, 2)), ((3, 3), (1, 1)), ((2, 3), (1, 2))])
def test_max_pool_gradient_goes_to_the_first_maximum(kernel: tuple[int, int], strides: tuple[int, int]) -> None:
    X = np.random.default_rng(0).integers(0, 2, (2, 3, 7, 6)).astype(np.float32)
    graph, _ = build("MaxPool", [X], kernel_shape=kernel, strides=strides)
    loss = scalar_loss(graph, {"y0": np.ones(graph.outputs["y0"].shape, np.float32)})
    program = build_program(
        graph.with_outputs({"loss": loss}, loss), Parameters(graph), Target({"x0": X.shape}, input_grads=["x0"])
    )
    feed(graph, program, {"x0": X})
    program.run()
    expected = np.zeros_like(X)
    for n, c, i, j in np.ndindex(*graph.outputs["y0"].shape):
        top, left = i * strides[0], j * strides[1]
        window = X[n, c, top : top + kernel[0], left : left + kernel[1]]
        di, dj = np.unravel_index(window.argmax(), window.shape)
        expected[n, c, top + di, left + dj] += 1
    np.testing.assert_array_equal(program.grads["x0"], expected)


def test_integers_are_refused() -> None:
    with pytest.raises(ShapeError) as caught:
        build("MaxPool", [np.zeros((1, 2, 3), np.int64)], kernel_shape=(2,))
    assert caught.value.code == "GS306"


@pytest.mark.parametrize(
    ("op", "shapes", "attrs", "code", "text"),
    [
        ("MaxPool", [(1, 2, 3, 3)], {"kernel_shape": (4, 2)}, "GS303", "window 4×2, larger than its input 3×3"),
        ("AveragePool", [(1, 2, 3)], {"kernel_shape": (2, 2)}, "GS301", "kernel_shape"),
        (
            "MaxPool",
            [(1, 2, 9)],
            {"kernel_shape": (2,), "dilations": (2,), "auto_pad": "SAME_UPPER"},
            "GS105",
            "has auto_pad SAME_UPPER with dilations (2,), which onnxruntime pads by another rule",
        ),
    ],
)
def test_what_cannot_work_is_refused(
    op: str, shapes: list[tuple[int, ...]], attrs: dict[str, Any], code: str, text: str
) -> None:
    check_refusal(op, shapes, attrs, code, text)


@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        ({"auto_pad": "SAME_UPPER", "strides": (2,)}, "(time+1)//2"),
        ({"auto_pad": "VALID", "strides": (2,)}, "(time-3)//2+1"),
        ({"pads": (2, 0)}, "time"),
    ],
)
def test_sizes_that_vary_stay_symbolic(attrs: dict[str, Any], expected: str) -> None:
    X = Value("x", Type("float32", ("N", 4, "time")), "input")
    assert Builder(Graph("test"), "node").MaxPool(X, kernel_shape=(3,), **attrs).shape == ("N", 4, expected)
