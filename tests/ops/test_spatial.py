"""Convolution, pooling, normalization, resizing and dropout: against onnxruntime, and their gradients."""

from __future__ import annotations

import re
from typing import Any

import graphs
import numpy as np
import pytest
from graphs import build, check_gradients, feed, run, scalar_loss
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS, both_layouts, lying, normal, same

from graphspec.arrays.random import Clock
from graphspec.arrays.split import shard_slice
from graphspec.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Type, Value
from graphspec.kernels.group import LocalGroup, Shard
from graphspec.runtime.build import build_program
from graphspec.runtime.parameters import Parameters

Array = np.ndarray[Any, Any]


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[list[Array | None], dict[str, Any]]:
    rank = draw(st.integers(1, 3))
    few = st.integers(1, 3)
    if draw(st.booleans()):
        group = channels = out = draw(st.integers(2, 5))  # depthwise
    else:
        group = draw(st.sampled_from([1, 1, 2, 3]))
        channels, out = group * draw(few), group * draw(few)
    batch = draw(few)
    vector = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(rank))  # noqa: E731
    kernel, strides = vector(1, 4 if rank < 3 else 3), vector(1, 3)
    auto_pad = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    dilations = vector(1, 2) if auto_pad in ("NOTSET", "VALID") else (1,) * rank  # onnxruntime refuses it for SAME
    attrs: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": group, "auto_pad": auto_pad}
    pads = (0,) * (2 * rank)
    if auto_pad == "NOTSET":
        pads = attrs["pads"] = vector(0, 2) + vector(0, 2)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    spatial = [
        draw(st.integers(max(1, e if auto_pad == "VALID" else e - pads[k] - pads[k + rank]), e + 6))
        for k, e in enumerate(extent)
    ]
    seed = draw(st.integers(0, 1000))
    bias = normal(seed + 2, out) if draw(st.booleans()) else None
    X, W = normal(seed, batch, channels, *spatial), normal(seed + 1, out, channels // group, *kernel)
    return [X, W, bias], attrs


@SETTINGS
@given(convolutions())
def test_conv_matches_onnxruntime(case: tuple[list[Array | None], dict[str, Any]]) -> None:
    inputs, attrs = case
    same("Conv", inputs, **attrs)


@SETTINGS
@given(convolutions())
def test_conv_gradients(case: tuple[list[Array | None], dict[str, Any]]) -> None:
    inputs, attrs = case
    both_layouts("Conv", inputs, [0, 1] if inputs[2] is None else [0, 1, 2], **attrs)


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
        pads = attrs["pads"] = tuple(draw(st.integers(0, k - 1)) for k in kernel * 2)
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


@SETTINGS
@given(poolings(), st.integers(0, 1))
def test_pool_gradients(case: tuple[Array, dict[str, Any]], include: int) -> None:
    X, attrs = case
    distinct = np.random.default_rng(0).permutation(X.size).reshape(X.shape) / X.size
    both_layouts("MaxPool", [distinct], [0], **attrs)
    both_layouts("AveragePool", [distinct], [0], count_include_pad=include, **attrs)


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


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(2, 3, 5), (3, 4, 5, 2), (1, 1, 2, 3, 4)])
def test_global_pooling(op: str, shape: tuple[int, ...]) -> None:
    X = normal(0, *shape)
    same(op, [X])
    both_layouts(op, [X], [0])


@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize(mode: str, coordinates: str, nearest: str) -> None:
    if mode == "linear" and nearest != "floor":
        return
    attrs = {"mode": mode, "coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
    X = normal(0, 2, 3, 4, 5)
    for scales in ([1, 1, 2, 3], [1, 1, 2, 1], [1, 1, 1.5, 0.5], [1, 1, 0.4, 2.7]):
        inputs = [X, None, np.array(scales, np.float32)]
        same("Resize", inputs, {2}, **attrs)
        check_gradients("Resize", inputs, [0], {2}, **attrs)
    same("Resize", [X, None, None, np.array([2, 3, 7, 3])], {3}, **attrs)


@pytest.mark.parametrize("scales", [[1, 1, 2, 3], [1, 1, 1.5, 2]])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize_in_other_layouts(mode: str, scales: list[float]) -> None:
    attrs = {"mode": mode, "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    both_layouts("Resize", [normal(0, 2, 3, 4, 5), None, np.array(scales, np.float32)], [0], constants={2}, **attrs)


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


@pytest.mark.parametrize(
    ("op", "shapes", "attrs", "code", "text"),
    [
        ("Conv", [(1, 2, 3, 3), (4, 2, 5, 5)], {}, "GS303", "window 5×5, larger than its input 3×3"),
        ("Conv", [(1, 2, 3, 3), (4, 3, 2, 2)], {}, "GS304", "kernel for 3 channels"),
        ("Conv", [(1, 4, 3, 3), (4, 1, 2, 2)], {"group": 3}, "GS304", "by 3 groups"),
        ("Conv", [(1, 2, 3, 3), (4, 2, 2, 2), (3,)], {}, "GS304", "bias"),
        ("Conv", [(1, 2), (4, 2)], {}, "GS301", "spatial axes"),
        ("Conv", [(1, 2, 3, 3), (4, 2, 2)], {}, "GS301", "rank"),
        ("Conv", [(1, 2, 3, 3), (4, 2, 2, 2)], {"strides": (1,)}, "GS301", "strides"),
        ("MaxPool", [(1, 2, 3, 3)], {"kernel_shape": (4, 2)}, "GS303", "window 4×2, larger than its input 3×3"),
        ("AveragePool", [(1, 2, 3)], {"kernel_shape": (2, 2)}, "GS301", "kernel_shape"),
        ("GlobalMaxPool", [(1, 2)], {}, "GS301", "spatial"),
        (
            "BatchNormalization",
            [(1, 2, 3), (3,), (2,), (2,), (2,)],
            {},
            "GS304",
            "scale (3,), which does not fit 2 channels",
        ),
        ("LayerNormalization", [(1, 2, 3), (2,)], {}, "GS304", "Scale (2,)"),
        ("LayerNormalization", [(1, 2, 3), (3,)], {"axis": 3}, "GS301", "axis 3"),
    ],
)
def test_what_cannot_work_is_refused(
    op: str, shapes: list[tuple[int, ...]], attrs: dict[str, Any], code: str, text: str
) -> None:
    with pytest.raises(ShapeError, match=re.escape(text)) as caught:
        build(op, [np.zeros(s, np.float32) for s in shapes], **attrs)
    assert caught.value.code == code


def test_integers_are_refused() -> None:
    with pytest.raises(ShapeError) as caught:
        build("MaxPool", [np.zeros((1, 2, 3), np.int64)], kernel_shape=(2,))
    assert caught.value.code == "GS306"


@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        ({"auto_pad": "SAME_UPPER", "strides": (2,)}, "(time+1)//2"),
        ({"auto_pad": "VALID", "strides": (2,)}, "(time-3)//2+1"),
        ({"pads": (2, 0)}, "time"),
    ],
)
def test_sizes_that_vary_stay_symbolic(attrs: dict[str, Any], expected: str) -> None:
    g = Builder(Graph("test"), "node")
    X = Value("x", Type("float32", ("N", 4, "time")), "input")
    W = Value("w", Type("float32", (5, 4, 3)), "input")
    assert g.Conv(X, W, **attrs).shape == ("N", 5, expected)
    assert g.MaxPool(X, kernel_shape=(3,), **attrs).shape == ("N", 4, expected)


@pytest.mark.parametrize(
    ("op", "shapes", "attrs"),
    [
        ("Conv", [(0, 2, 5, 4), (3, 2, 3, 3), (3,)], {"pads": (1, 1, 1, 1), "strides": (2, 2)}),
        ("Conv", [(0, 2, 5), (3, 2, 3)], {}),
        ("Conv", [(0, 2, 5, 4), (3, 2, 1, 1), (3,)], {}),
        ("MaxPool", [(0, 2, 5, 4)], {"kernel_shape": (2, 2), "strides": (2, 2)}),
        ("MaxPool", [(0, 2, 5, 4)], {"kernel_shape": (3, 3)}),
        ("AveragePool", [(0, 2, 5, 4)], {"kernel_shape": (3, 3)}),
        ("GlobalAveragePool", [(0, 2, 5, 4)], {}),
        ("GlobalMaxPool", [(0, 2, 5, 4)], {}),
        ("LayerNormalization", [(0, 4, 3), (3,), (3,)], {}),
    ],
)
def test_a_worker_without_rows_has_gradients_of_zero(
    op: str, shapes: list[tuple[int, ...]], attrs: dict[str, Any]
) -> None:
    arrays = {f"x{k}": normal(k, *s) for k, s in enumerate(shapes)}
    graph, _ = build(op, list(arrays.values()), **attrs)
    loss = scalar_loss(graph, {"y0": np.ones((), np.float32)})
    program = build_program(
        graph.with_outputs(graph.outputs, loss),
        Parameters(graph),
        Target(
            {n: a.shape for n, a in arrays.items()}, input_grads=list(arrays), shard=Shard(LocalGroup(), slice(5, 5), 5)
        ),
        training=True,
    )
    feed(graph, program, arrays)
    program.run()
    for name, gradient in program.grads.items():
        assert gradient.shape == arrays[name].shape
        np.testing.assert_array_equal(gradient, 0)


def test_a_depthwise_convolution_in_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one sample's rows, and taps that are not repeated along a row."""
    X, W, B = normal(0, 3, 4, 9, 7), normal(1, 4, 1, 3, 2), normal(2, 4)
    attrs: dict[str, Any] = {"group": 4, "strides": (2, 1), "pads": (2, 1, 1, 2), "dilations": (1, 2)}
    same("Conv", [X, W, B], **attrs)
    monkeypatch.setattr("graphspec.kernels.depthwise.BLOCK_ELEMENTS", 40)
    monkeypatch.setattr("graphspec.kernels.depthwise._ROW", 1)
    same("Conv", [X, W, B], **attrs)
    both_layouts("Conv", [X, W, B], [0, 1, 2], **attrs)
