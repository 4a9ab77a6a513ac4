"""Convolution, pooling, normalization, resizing and dropout: against onnxruntime, and their gradients."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import graphs
import numpy as np
import pytest
from graphs import build, check_gradients, dtype_name, feed, run, scalar_loss
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import ort_run

from graphspec.compiler.build import Builder
from graphspec.compiler.ir import Graph, Type, Value
from graphspec.errors import ShapeError
from graphspec.initializers import Constant
from graphspec.runtime.bind import bind
from graphspec.runtime.random import Clock
from graphspec.runtime.replicas import share
from graphspec.runtime.store import Store

Array = np.ndarray[Any, Any]
SETTINGS = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def same(op: str, inputs: list[Array | None], constants: set[int] = frozenset(), **attrs: Any) -> None:
    """One operator of ours and onnxruntime's give the same."""
    ours = run(op, inputs, constants, **attrs)
    theirs = ort_run(op, inputs, attrs, constants=constants, outputs=len(ours))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@contextmanager
def lying(perm: tuple[int, ...]) -> Iterator[None]:
    """Inside, the first input of every operator goes through a Transpose first: its memory has another axis order."""

    def build_transposed(op: str, inputs: list[Array | None], constants: set[int] = frozenset(), **attrs: Any) -> Any:
        graph = Graph("test")
        g = Builder(graph, "node")
        values: list[Any] = []
        for k, array in enumerate(inputs):
            if array is None or k in constants:
                values.append(None if array is None else g.constant(array, dtype_name(array)))
                continue
            value = Value(f"x{k}", Type(dtype_name(array), array.shape), "input")
            graph.inputs[value.name] = value
            values.append(g.Transpose(value, perm=perm) if k == 0 else value)
        out = getattr(g, op)(*values, **attrs)
        for k, value in enumerate(out if isinstance(out, tuple) else (out,)):
            graph.outputs[f"y{k}"] = value
        return graph, out

    with patch.object(graphs, "build", build_transposed):
        yield


def both_layouts(
    op: str, inputs: list[Array | None], wrt: list[int], constants: set[int] = frozenset(), **attrs: Any
) -> None:
    """Values and gradients do not depend on the order of the first input's axes in memory."""
    X = inputs[0]
    assert X is not None
    expected = run(op, inputs, constants, **attrs)
    check_gradients(op, inputs, wrt, constants, outputs=[0], **attrs)
    channels_last = (0, *range(2, X.ndim), 1)
    for order in (channels_last, tuple(np.random.default_rng(X.size).permutation(X.ndim))):
        moved = [np.ascontiguousarray(X.transpose(order)), *inputs[1:]]
        with lying(tuple(int(i) for i in np.argsort(order))):
            for a, b in zip(run(op, moved, constants, **attrs), expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
            check_gradients(op, moved, wrt, constants, outputs=[0], **attrs)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[list[Array | None], dict[str, Any]]:
    rank = draw(st.integers(1, 3))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    few = st.integers(1, 3)
    channels, out, batch = group * draw(few), group * draw(few), draw(few)
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
    program = bind(graph, Store(graph), fetches={"loss": loss}, loss=loss, shapes={"x0": X.shape}, input_grads=["x0"])
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


@st.composite
def batches(draw: st.DrawFn) -> list[Array]:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=5)))
    seed, count = draw(st.integers(0, 1000)), shape[1]
    X = normal(seed, *shape) * 2 + draw(st.sampled_from([0, 3]))
    mean, var = normal(seed + 3, count), np.abs(normal(seed + 4, count)) + 0.1
    return [X, normal(seed + 1, count), normal(seed + 2, count), mean, var]


@SETTINGS
@given(batches(), st.sampled_from([1e-5, 1e-3]))
def test_batch_normalization_matches_onnxruntime(inputs: list[Array], epsilon: float) -> None:
    same("BatchNormalization", inputs, epsilon=epsilon)
    same("BatchNormalization", inputs, epsilon=epsilon, momentum=0.7, training_mode=1)


@SETTINGS
@given(batches())
def test_batch_normalization_gradients(inputs: list[Array]) -> None:
    both_layouts("BatchNormalization", inputs, [0, 1, 2], epsilon=1e-2)
    both_layouts("BatchNormalization", inputs, [0, 1, 2], epsilon=1e-2, training_mode=1)


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


@SETTINGS
@given(layers())
def test_layer_normalization_gradients(case: tuple[list[Array | None], int]) -> None:
    inputs, axis = case
    both_layouts("LayerNormalization", inputs, [0, 1] if inputs[2] is None else [0, 1, 2], axis=axis, epsilon=1e-2)


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
        rows = share(len(X), rank, workers)
        program = bind(
            graph,
            Store(graph),
            fetches=graph.outputs,
            loss=loss,
            shapes={"x0": X[rows].shape},
            training=True,
            rows=rows,
            total=len(X),
            clock=Clock(step),
            input_grads=["x0"],
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
        ("Conv", [(1, 2, 3, 3), (4, 2, 5, 5)], {}, "GS303", "window 5×5 is larger than its input 3×3"),
        ("Conv", [(1, 2, 3, 3), (4, 3, 2, 2)], {}, "GS304", "takes 3 channels"),
        ("Conv", [(1, 4, 3, 3), (4, 1, 2, 2)], {"group": 3}, "GS304", "do not divide by 3 groups"),
        ("Conv", [(1, 2, 3, 3), (4, 2, 2, 2), (3,)], {}, "GS304", "bias"),
        ("Conv", [(1, 2), (4, 2)], {}, "GS301", "spatial axes"),
        ("Conv", [(1, 2, 3, 3), (4, 2, 2)], {}, "GS301", "rank"),
        ("Conv", [(1, 2, 3, 3), (4, 2, 2, 2)], {"strides": (1,)}, "GS301", "strides"),
        ("MaxPool", [(1, 2, 3, 3)], {"kernel_shape": (4, 2)}, "GS303", "window 4×2 is larger than its input 3×3"),
        ("AveragePool", [(1, 2, 3)], {"kernel_shape": (2, 2)}, "GS301", "kernel_shape"),
        ("GlobalMaxPool", [(1, 2)], {}, "GS301", "spatial"),
        ("BatchNormalization", [(1, 2, 3), (3,), (2,), (2,), (2,)], {}, "GS304", "scale (3,) does not fit 2 channels"),
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


class Threads:
    """A group of workers that are threads of this process."""

    def __init__(self, rank: int, size: int, barrier: threading.Barrier, arrays: list[Any]) -> None:
        self.rank, self.size, self._barrier, self._arrays = rank, size, barrier, arrays

    def all_reduce(self, array: Array) -> None:
        self._arrays[self.rank] = array
        self.barrier()
        total = np.sum(self._arrays, axis=0)
        self.barrier()
        array[...] = total

    def barrier(self) -> None:
        self._barrier.wait(timeout=20)


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
        store, rows = Store(graph), share(len(X), rank, size)
        store.initialize(0)
        gradient = np.zeros_like(store.vectors["trainable"])
        feeds = {"x": X[rows].transpose(perm), "c": cotangent[rows]}
        program = bind(
            graph,
            store,
            fetches={"y": y},
            loss=loss,
            gradient=gradient,
            shapes={n: a.shape for n, a in feeds.items()},
            training=True,
            group=Threads(rank, size, barrier, arrays),
            rows=rows,
            total=len(X),
            input_grads=["x"],
        )
        feed(graph, program, feeds)
        program.run()
        state = {n.removeprefix("bn/"): a for n, a in store.get(group="state").items()}
        grads = {n.removeprefix("bn/"): a for n, a in store.get(gradient, "trainable").items()}
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
    store = Store(graph)
    store.set({f"bn/{n}": p for n, p in zip(names, params, strict=True)})
    program = bind(graph, store, fetches=graph.outputs, shapes={"x": X.shape})
    feed(graph, program, {"x": X})
    program.run()
    expected = ort_run("BatchNormalization", [X, *params])[0]
    np.testing.assert_allclose(program.fetches["y"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(store.get()["bn/moving_mean"], params[2])


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
    program = bind(
        graph,
        Store(graph),
        fetches=graph.outputs,
        loss=loss,
        shapes={n: a.shape for n, a in arrays.items()},
        training=True,
        rows=slice(5, 5),
        total=5,
        input_grads=list(arrays),
    )
    feed(graph, program, arrays)
    program.run()
    for name, gradient in program.grads.items():
        assert gradient.shape == arrays[name].shape
        np.testing.assert_array_equal(gradient, 0)
