"""The maxima of a ConvPool and their gradient by NumPy, by compiled kernels with the same bits, and without planes."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from bits import FOUND, assert_same_bits, needs_kernels, numbers, run
from graphs import check_gradients
from graphs import run as graph_run
from layouts import normal

from graphspec.graph.kernels import compiled
from graphspec.graph.ops.convolution import Pooled

Array = np.ndarray[Any, Any]
SHAPES = {  # of y, the number of planes, and rows per window
    "four taps": ((3, 5, 4, 12), 2, 2),
    "long rows": ((2, 3, 2, 70), 2, 2),
    "one plane": ((2, 3, 4, 9), 1, 2),
    "one row": ((4, 6, 33), 2, 1),
    "nine taps": ((2, 4, 3, 5), 3, 3),
    "three axes": ((2, 3, 2, 3, 4), 4, 2),
    "six taps": ((2, 3, 4, 8), 3, 2),
}


class Memory:
    """The part of a context that the maxima use."""

    def __init__(self, dtype: Any, *, differentiated: bool) -> None:
        self.dtype, self.saved, self._differentiated = np.dtype(dtype), 0, differentiated

    def scratch(self, shape: Any, dtype: Any = None) -> Array:
        return np.full(shape, 7, dtype or self.dtype)

    def save_for_backward(self, shape: Any, dtype: Any = None) -> Array:
        array = self.scratch(shape, dtype)
        self.saved += array.nbytes
        return array

    def wants(self, i: int) -> bool:
        return self._differentiated


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("last", [False, True], ids=["channels second", "channels last"])
@pytest.mark.parametrize("case", SHAPES)
def test_the_kernels_give_the_bits_of_numpy(case: str, last: bool, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, count, rows = SHAPES[case]
    order = (0, *range(2, len(shape)), 1) if last else tuple(range(len(shape)))
    of_plane = (*shape[:2], shape[2] * rows, *shape[3:])
    random = np.random.default_rng(8)
    monkeypatch.setattr("graphspec.graph.kernels.compiled.FAST", True)
    for round_ in (False, True):
        planes = numbers(random, (count, *[of_plane[k] for k in order]), dtype)
        dY = numbers(random, [shape[k] for k in order], dtype).transpose(np.argsort(order))
        if round_:  # many are equal, some 0 and -0
            planes = np.round(np.where(np.isfinite(planes), planes, 0))
        for differentiated in (False, True):
            results, bytes_saved = [], []
            for library in (None, FOUND):
                monkeypatch.setattr(compiled, "LIBRARY", library)
                context = Memory(dtype, differentiated=differentiated)
                y = np.full([shape[k] for k in order], 5, dtype).transpose(np.argsort(order))
                pooled = Pooled(context, planes, y, order, rows)
                calls, found = list(pooled.calls), [y]
                for k in range(count if differentiated else 0):
                    dP = np.full([of_plane[k] for k in order], 3, dtype).transpose(np.argsort(order))
                    calls += pooled.gradient(context, np.ascontiguousarray(dY) if k else dY, dP, k)
                    found.append(dP)
                assert any(hasattr(f, "uses") for f, *_ in calls) == (library is not None)
                run(calls)
                results.append(found)
                bytes_saved.append(context.saved)
            for name, *pair in zip(("y", *map(str, range(count))), *results, strict=False):
                assert_same_bits(*pair, f"{name} of {case}")
            taps = count * rows
            assert bytes_saved == ([taps * y.size, y.size] if differentiated else [0, 0])


@needs_kernels
def test_the_kernels_refuse_what_does_not_fit() -> None:
    library = FOUND
    planes, y = np.zeros((2, 6, 2, 9), np.float32), np.zeros((6, 9), np.float32)
    largest, place = np.zeros((6, 9), np.uint8), np.array([0, 2], np.intc)
    assert library.bind("conv_pool", planes, y, largest) is not None
    with pytest.raises(ValueError, match="do not fit the maxima"):
        library.bind("conv_pool", planes, y[:5].copy(), None)
    with pytest.raises(ValueError, match="shape of y"):
        library.bind("conv_pool", planes, y, largest[:5].copy())
    with pytest.raises(ValueError, match="1 to 256 taps"):
        library.bind("conv_pool", np.zeros((257, 6, 1, 9), np.float32), y, None)
    assert library.bind("conv_pool_gradient", largest, y, planes[0].copy(), place) is not None
    with pytest.raises(ValueError, match="does not fit the maxima"):
        library.bind("conv_pool_gradient", largest, y, planes[0, :5].copy(), place)
    with pytest.raises(ValueError, match="shape of dy"):
        library.bind("conv_pool_gradient", largest[:5].copy(), y, planes[0].copy(), place)
    with pytest.raises(ValueError, match="their count"):
        library.bind("conv_pool_gradient", largest, y, planes[0].copy(), place[:1].copy())


@needs_kernels
def test_short_rows_without_a_gradient_are_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.graph.kernels.compiled.FAST", None)
    monkeypatch.setattr(compiled, "LIBRARY", FOUND)
    for width, differentiated, served in ((8, False, False), (40, False, True), (8, True, True)):
        context = Memory(np.float32, differentiated=differentiated)
        planes, y = np.zeros((2, 2, 3, 8, width), np.float32), np.zeros((2, 3, 4, width), np.float32)
        calls = Pooled(context, planes, y, (0, 1, 2, 3), 2).calls
        assert any(hasattr(f, "uses") for f, *_ in calls) == served


needs_direct = pytest.mark.skipif(
    FOUND is None or "conv_pool_direct" not in FOUND.operands(), reason="no such kernel is built for this platform"
)
DIRECT = {  # samples, inputs along the axes and channels, filters, kernel, pooling, strides, dilations
    "grey pictures": (3, (9, 10), 1, 16, (3, 3), (2, 2), (1, 1), (1, 1)),
    "colours": (2, (12, 9), 3, 21, (3, 2), (2, 4), (1, 1), (2, 1)),
    "series": (4, (31,), 2, 5, (5,), (4,), (2,), (1,)),
    "volumes": (2, (6, 7, 8), 1, 17, (3, 2, 3), (2, 2, 1), (1, 1, 1), (1, 1, 1)),
    "long rows": (1, (5, 82), 1, 16, (2, 3), (2, 2), (1, 1), (1, 1)),
    "no samples": (0, (9, 10), 1, 16, (3, 3), (2, 2), (1, 1), (1, 1)),
}


def taps_by_hand(case: str, dtype: Any) -> tuple[Array, Array, Array, Array]:
    """Inputs (N, …, C), weights (k…, C, filters), and the inputs and the convolution at each tap, input by input."""
    samples, sizes, channels, filters, kernel, pool, strides, gaps = DIRECT[case]
    random = np.random.default_rng(4)
    x = (
        numbers(random, (samples, *sizes, channels), dtype)
        if samples < 4
        else random.normal(size=(samples, *sizes, channels))
    )
    x, weights = x.astype(dtype), random.normal(size=(*kernel, channels, filters)).astype(dtype)
    reach = [(n - (k - 1) * g - 1) // s + 1 for n, k, s, g in zip(sizes, kernel, strides, gaps, strict=True)]
    out = [n // p for n, p in zip(reach, pool, strict=True)]
    windows = []
    for tap in product(*map(range, pool)):
        inputs = []
        for k in product(*map(range, kernel)):
            first = [t * s + i * g for t, s, i, g in zip(tap, strides, k, gaps, strict=True)]
            step = [p * s for p, s in zip(pool, strides, strict=True)]
            inputs.append(x[:, *(slice(f, f + (n - 1) * s + 1, s) for f, n, s in zip(first, out, step, strict=True))])
        windows.append(np.concatenate(inputs, -1))
    values = np.zeros((len(windows), samples, *out, filters), dtype)
    with np.errstate(all="ignore"):
        for inputs, value in zip(windows, values, strict=True):
            for k, w in enumerate(weights.reshape(-1, filters)):
                value += inputs[..., k : k + 1] * w
    return x, weights, np.array(windows), values


@needs_direct
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", DIRECT)
def test_pooling_without_planes(case: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The maxima have the bits of sums one input after another; the kernel's gradient is that of float64."""
    monkeypatch.setattr(compiled, "LIBRARY", FOUND)
    x, weights, windows, values = taps_by_hand(case, dtype)
    y, largest = np.full(values.shape[1:], 5, dtype), np.full(values.shape[1:], 5, np.uint8)
    sizes, dW = np.array(DIRECT[case][5:], np.intc), np.full_like(weights, 5)
    wide = np.full((*x.shape[:-1], x.shape[-1] + 2), 9, dtype)
    wide[..., 1:-1] = x
    for given in (x, wide[..., 1:-1]):
        run(compiled.alone("conv_pool_direct", given, weights, y, largest, sizes))
        with np.errstate(all="ignore"):
            expected = values.max(0)
        assert_same_bits(y + 0, expected + 0, case)  # which zero is the larger is not promised
        unknown = np.isnan(values).any(0)
        found = np.take_along_axis(values, largest[None].astype(np.intp), 0)[0]
        assert np.array_equal(found[~unknown], expected[~unknown])
        assert (largest[np.isnan(values).all(0)] == len(values) - 1).all()
        only = np.full_like(y, 5)
        run(compiled.alone("conv_pool_direct", given, weights, only, None, sizes))
        assert_same_bits(only, y)
    x, dy = np.nan_to_num(x, nan=1, posinf=2, neginf=-2), np.random.default_rng(5).normal(size=y.shape).astype(dtype)
    x = np.clip(x, -9, 9)
    windows = np.clip(np.nan_to_num(windows, nan=1, posinf=2, neginf=-2), -9, 9).astype(np.float64)
    run(compiled.alone("conv_pool_direct_gradient", x, dW, dy, largest, sizes))
    spread = np.where(largest == np.arange(len(values)).reshape(-1, *[1] * y.ndim), dy, 0).astype(np.float64)
    expected = np.einsum("ak,af->kf", windows.reshape(-1, windows.shape[-1]), spread.reshape(-1, y.shape[-1]))
    np.testing.assert_allclose(
        dW.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4 if dtype == np.float32 else 1e-12
    )


@needs_direct
def test_pooling_without_planes_refuses_what_does_not_fit() -> None:
    x, w, y = np.zeros((2, 8, 8, 1), np.float32), np.zeros((3, 3, 1, 5), np.float32), np.zeros((2, 3, 3, 5), np.float32)
    sizes = np.array([[2, 2], [1, 1], [1, 1]], np.intc)
    assert FOUND.bind("conv_pool_direct", x, w, y, None, sizes) is not None
    for message, operands in {
        "three sizes for each": (x, w, y, None, sizes[:2].copy()),
        "differ in samples": (x[:1], w, y, None, sizes),
        "what is not there": (x[:, :7], w, y, None, sizes),
        "must be positive": (x, w, y, None, sizes * [[1], [1], [0]]),
        "multiple of 4 taps": (x, w, y, None, np.array([[2, 1], [1, 1], [1, 1]], np.intc)),
        "the shape of y": (x, w, y, np.zeros((2, 3, 3, 4), np.uint8), sizes),
    }.items():
        with pytest.raises(ValueError, match=message):
            FOUND.bind("conv_pool_direct", *operands[:4], np.ascontiguousarray(operands[4], np.intc))


@needs_direct
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 1, 3), (-1, 0, 0, -1)])
def test_an_operator_without_planes(padding: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """With padding, or what crop_unread leaves of it; float64 gradients by finite differences."""
    monkeypatch.setattr(compiled, "LIBRARY", FOUND)
    monkeypatch.setattr(compiled, "FAST", True)
    x, W = normal(1, 3, 2, 9, 10), normal(2, 13, 2, 3, 3)
    attrs: dict[str, Any] = {"pads": padding, "window": (2, 2)}
    (direct,) = graph_run("ConvPool", [x, W], training=True, **attrs)
    monkeypatch.setattr(compiled, "LIBRARY", None)
    (planes,) = graph_run("ConvPool", [x, W], training=True, **attrs)
    np.testing.assert_allclose(direct, planes, rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(compiled, "LIBRARY", FOUND)
    check_gradients("ConvPool", [x, W], [1], training=True, **attrs)
