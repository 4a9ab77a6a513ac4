"""The maxima of a ConvPool and their gradient by NumPy's calls and by the compiled kernels: the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bits import FOUND, assert_same_bits, needs_kernels, numbers, run

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
