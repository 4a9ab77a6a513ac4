"""Depthwise convolutions by NumPy's calls and by compiled kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bits import FOUND, assert_same_bits, needs_kernels, numbers, run

from graphspec.graph.kernels import compiled
from graphspec.graph.kernels.channels import channel_order
from graphspec.graph.kernels.correlation import correlation
from graphspec.graph.kernels.depthwise import Depthwise, DepthwiseRows, depthwise
from graphspec.graph.kernels.windows import Axis

Array = np.ndarray[Any, Any]
CHANNELS = (1, 3, 8, 9, 16, 24, 57)
IMAGES = {
    "same": ((2, 7, 9), [Axis(7, 7, 3, 1, 1, 1), Axis(9, 9, 3, 1, 1, 1)]),
    "strided": ((3, 8, 7), [Axis(8, 4, 3, 2, 1, 1), Axis(7, 3, 3, 2, 1, 0)]),
    "dilated": ((2, 9, 9), [Axis(9, 9, 3, 1, 2, 2), Axis(9, 5, 3, 1, 2, 0)]),
    "cropped": ((2, 9, 9), [Axis(9, 6, 2, 1, 1, -2), Axis(9, 4, 4, 1, 1, -1)]),
    "padding beyond the kernel": ((1, 2, 2), [Axis(2, 9, 2, 1, 1, 4), Axis(2, 8, 2, 1, 1, 3)]),
    "5 × 5": ((2, 6, 11), [Axis(6, 6, 5, 1, 1, 2), Axis(11, 11, 5, 1, 1, 2)]),
    "one axis": ((2, 30), [Axis(30, 28, 5, 1, 1, 1)]),
    "three axes": ((2, 3, 4, 5), [Axis(n, n, 3, 1, 1, 1) for n in (3, 4, 5)]),
    "no samples": ((0, 4, 4), [Axis(4, 4, 3, 1, 1, 1)] * 2),
}


class Memory:
    """The part of a context that algorithms use."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)

    def scratch(self, shape: Any, dtype: Any = None) -> Array:
        return np.full(shape, 7, dtype or self.dtype)

    def constant(self, value: Any, dtype: Any = None) -> Array:
        return np.array(value, dtype or self.dtype)


def of_image(
    random: np.random.Generator, case: str, channels: int, dtype: Any
) -> tuple[Array, Array, Array, list[Axis]]:
    """X and dY with channels last in memory, a kernel, and the axes."""
    (batch, *spatial), axes = IMAGES[case]
    x = np.moveaxis(numbers(random, (batch, *spatial, channels), dtype), -1, 1)
    dy = np.moveaxis(numbers(random, (batch, *[a.out for a in axes], channels), dtype), -1, 1)
    return x, numbers(random, (channels, 1, 1, *[a.kernel for a in axes]), dtype), dy, axes


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", IMAGES)
def test_the_compiled_kernel_gives_the_bits_of_whole_planes(
    case: str, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for channels in CHANNELS:
        x, kernel, dy, axes = of_image(np.random.default_rng(3), case, channels, dtype)
        results = []
        for library in (None, FOUND):
            monkeypatch.setattr(compiled, "LIBRARY", library)
            monkeypatch.setattr("graphspec.graph.kernels.compiled.FAST", True)
            y = np.full_like(dy, 5)
            calls = Depthwise(Memory(dtype), x, axes).forward(kernel, y)
            assert any(hasattr(f, "uses") for f, *_ in calls) == (library is not None and y.size > 0)
            run(calls)
            results.append(y)
        assert_same_bits(*results, f"{channels} channels")


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", IMAGES)
def test_the_compiled_gradient_sums_each_row(case: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It rounds in another way than NumPy's products; without special numbers the sums are nearly equal."""
    random = np.random.default_rng(4)
    for channels in CHANNELS:
        x, kernel, dy, axes = of_image(random, case, channels, dtype)
        order = channel_order(x)
        for a in (x, dy):
            a[...] = random.normal(size=a.shape)
        results = []
        for library in (None, FOUND):
            monkeypatch.setattr(compiled, "LIBRARY", library)
            monkeypatch.setattr("graphspec.graph.kernels.compiled.FAST", True)
            gradient = np.full_like(kernel, 5)
            algorithm = Depthwise(Memory(dtype), x, axes)
            assert algorithm.order == (order if order[-1] == 1 else (0, *range(2, x.ndim), 1))
            run(algorithm.kernel_gradient(dy, gradient))
            results.append(gradient)
        size = max(1, dy.size // max(channels, 1))
        np.testing.assert_allclose(*results, rtol=0, atol=16 * np.finfo(dtype).eps * size**0.5 * 8)


@needs_kernels
@pytest.mark.parametrize("taps", [1, 3, 4, 5])
def test_the_compiled_gradient_is_the_sum_of_rows(taps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bits depend on the order of the sum alone: rows of outputs, each summed column by column."""
    monkeypatch.setattr(compiled, "LIBRARY", FOUND)
    monkeypatch.setattr("graphspec.graph.kernels.compiled.FAST", True)
    random = np.random.default_rng(5)
    x, dy = (random.normal(size=(2, 5, 6, 27)).astype(np.float32) for _ in range(2))
    gradient = np.zeros((27, 1, 1, taps, taps), np.float32)
    begin = taps // 2
    axes = [Axis(n, n, taps, 1, 1, begin) for n in (5, 6)]
    channels_first = (0, 3, 1, 2)
    run(
        Depthwise(Memory(np.float32), x.transpose(channels_first), axes).kernel_gradient(
            dy.transpose(channels_first), gradient
        )
    )
    for down, right in np.ndindex(taps, taps):
        total = np.zeros(27, np.float32)
        for n, o in np.ndindex(2, 5):
            row = np.zeros(27, np.float32)
            for p in range(6):
                if 0 <= o + down - begin < 5 and 0 <= p + right - begin < 6:
                    row = row + x[n, o + down - begin, p + right - begin] * dy[n, o, p]
            total = total + row
        assert_same_bits(gradient[:, 0, 0, down, right], total)


@needs_kernels
def test_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.graph.kernels.compiled.FAST", None)
    x = np.moveaxis(np.zeros((2, 32, 32, 16), np.float32), -1, 1)
    few = np.moveaxis(np.zeros((2, 128, 128, 2), np.float32), -1, 1)
    for library, kinds in ((None, [DepthwiseRows, DepthwiseRows]), (FOUND, [Depthwise, DepthwiseRows])):
        monkeypatch.setattr(compiled, "LIBRARY", library)
        found = []
        for X in (x, few):
            n = X.shape[2]
            axes = [Axis(n, n, 3, 1, 1, 1)] * 2
            found.append(type(correlation(Memory(np.float32), X, (X.shape[1], 1, 1, 3, 3), axes)))
        assert found == kinds


@needs_kernels
def test_the_kernel_refuses_taps_outside_its_operands() -> None:
    x, y, weights = np.zeros((4, 6, 8), np.float32), np.zeros((4, 6, 8), np.float32), np.zeros((1, 1, 8), np.float32)
    steps = np.array([1, 1], np.intc)

    def bind(*tap: int, x: Array = x) -> Any:
        return FOUND.bind("depthwise", x, weights, y, steps, np.array([tap], np.intc))

    assert bind(0, 0, 4, 0, 0, 6, 0) is not None
    for tap in ((1, 0, 4, 0, 0, 6, 0), (0, 0, 4, 1, 0, 6, 0), (0, 0, 5, 0, 0, 6, 0), (0, 0, 4, 0, 0, 6, -1)):
        with pytest.raises(ValueError, match="tap"):
            bind(*tap)
    with pytest.raises(ValueError, match="not contiguous"):
        bind(0, 0, 4, 0, 0, 6, 0, x=np.zeros((8, 6, 4), np.float32).transpose(2, 1, 0))
    with pytest.raises(ValueError, match="channels"):
        bind(0, 0, 4, 0, 0, 6, 0, x=np.zeros((4, 6, 9), np.float32))
    assert depthwise.operands == ("x", "weights", "y", "steps", "taps")
