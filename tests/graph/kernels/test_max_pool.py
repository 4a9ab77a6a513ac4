"""Max pooling by NumPy's calls and by the compiled kernels: the same bits, also of special numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bits import FOUND, assert_same_bits, needs_kernels, numbers, run

from graphspec.base.arrays.layout import axis_order
from graphspec.graph.ir.graph import Type, Value
from graphspec.graph.kernels import compiled
from graphspec.graph.ops.pooling import MaxPool

Array = np.ndarray[Any, Any]
WINDOWS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "apart": ((3, 9, 8, 6), {"kernel_shape": (2, 2), "strides": (2, 2)}),
    "a rest": ((2, 8, 7, 9), {"kernel_shape": (2, 2), "strides": (2, 2)}),
    "same": ((2, 5, 6, 7), {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1)}),
    "many channels": ((1, 600, 3, 4), {"kernel_shape": (2, 2), "strides": (1, 2)}),
    "long rows": ((1, 2, 4, 700), {"kernel_shape": (3, 3), "strides": (1, 1)}),
    "strided": ((2, 12, 9, 8), {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}),
    "gaps": ((2, 3, 9, 11), {"kernel_shape": (2, 2), "strides": (4, 3)}),
    "cropped": ((2, 3, 6, 7), {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, -2, 0, -1)}),
    "dilated": ((2, 4, 9, 9), {"kernel_shape": (3, 3), "dilations": (2, 3), "pads": (2, 3, 2, 3)}),
    "five rows": ((2, 4, 12, 6), {"kernel_shape": (5, 2), "strides": (1, 1), "pads": (2, 1, 2, 0)}),
    "one column": ((2, 8, 6, 5), {"kernel_shape": (1, 1), "strides": (2, 1)}),
    "some empty windows": ((2, 3, 2), {"kernel_shape": (3,), "dilations": (5,), "pads": (8, 8)}),
    "one axis": ((3, 8, 50), {"kernel_shape": (3,), "strides": (1,), "pads": (1, 1)}),
    "three axes": ((2, 8, 5, 6, 7), {"kernel_shape": (3, 2, 3), "strides": (1, 2, 1), "pads": (1, 0, 1, 1, 1, 1)}),
    "no samples": ((0, 3, 6, 6), {"kernel_shape": (2, 2), "strides": (2, 2)}),
}
ORDERS = ("channels second", "channels last", "rows first")


class Memory:
    """The part of a context that the operator uses."""

    def __init__(self, shape: tuple[int, ...], dX: Array | None) -> None:
        self.dtype, self.saved = np.dtype(np.float32 if dX is None else dX.dtype), 0
        self._shape, self._dX = shape, dX

    def scratch(self, shape: Any, dtype: Any = None) -> Array:
        return np.full(shape, 7, dtype or self.dtype)

    def save_for_backward(self, shape: Any, dtype: Any = None) -> Array:
        array = self.scratch(shape, dtype)
        self.saved += array.nbytes
        return array

    def out(self, k: int = 0, *, like: Array) -> Array:
        order = axis_order(like)
        return np.full([self._shape[k] for k in order], 5, like.dtype).transpose(np.argsort(order))

    def shape(self, k: int = 0) -> tuple[int, ...]:
        return self._shape

    def wants(self, i: int) -> bool:
        return self._dX is not None

    def grad(self, i: int) -> Array | None:
        return self._dX

    def mark(self) -> int:
        return 0

    def reset(self, mark: int) -> None:
        pass


def axes_of(name: str, rank: int) -> tuple[int, ...]:
    spatial = tuple(range(2, rank))
    return {
        "channels second": (0, 1, *spatial),
        "channels last": (0, *spatial, 1),
        "rows first": (2, 0, *spatial[1:], 1),
    }[name]


def pooled(op: MaxPool, X: Array, dY: Array, dtype: Any, *, back: bool) -> tuple[list[Array], list[Any], int]:
    """Return the outputs and the gradient, what the calls call, and the bytes saved for backward."""
    dX = np.full_like(X, 3)
    context = Memory(dY.shape, dX if back else None)
    Y, calls, backward = op.bind(context, X)
    if back:
        calls = [*calls, *backward(dY.copy(order="K"))]
    run(calls)
    return [Y, *([dX] if back else [])], [f for f, *_ in calls], context.saved


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("case", WINDOWS)
def test_the_kernels_give_the_bits_of_numpy(case: str, order: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, attrs = WINDOWS[case]
    op, axes = MaxPool(**attrs), axes_of(order, len(shape))
    out = outputs(op, shape)
    random = np.random.default_rng(6)
    monkeypatch.setattr("graphspec.graph.kernels.compiled.FAST", True)
    for values in ("special", "equal"):
        lying = [numbers(random, [s[k] for k in axes], dtype).transpose(np.argsort(axes)) for s in (shape, out)]
        if values == "equal":
            lying = [np.round(np.where(np.isfinite(a), a, 0)) for a in lying]  # keeps the order of memory; with -0
        for back in (False, True):
            results = []
            for library in (None, FOUND):
                monkeypatch.setattr(compiled, "LIBRARY", library)
                arrays, functions, saved = pooled(op, *lying, dtype, back=back)
                assert any(hasattr(f, "uses") for f in functions) == (library is not None and 0 not in out)
                results.append(arrays)
            for name, *pair in zip(("Y", "dX"), *results, strict=False):
                assert_same_bits(*pair, f"{name} of {values} numbers")
        assert saved == np.prod(out), "a byte for each output"


def outputs(op: MaxPool, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(op.infer(Value("x", Type("float32", shape), "input")).shape)


@needs_kernels
def test_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.graph.kernels.compiled.FAST", None)
    op = MaxPool(kernel_shape=(2, 2), strides=(2, 2))
    images = {
        "channels": (2, 6, 6, 16),
        "few channels": (2, 6, 6, 3),
        "rows": (2, 6, 200, 1),
        "short rows": (2, 6, 8, 1),
    }
    for library, served in ((None, []), (FOUND, ["channels", "rows"])):
        monkeypatch.setattr(compiled, "LIBRARY", library)
        found = []
        for name, shape in images.items():
            X = np.moveaxis(np.zeros(shape, np.float32), -1, 1)
            dY = np.zeros((2, shape[3], 3, shape[2] // 2), np.float32)
            _, functions, _ = pooled(op, X, dY, np.float32, back=True)
            if all(hasattr(f, "uses") or f is np.copyto for f in functions):
                found.append(name)
        assert found == served


@needs_kernels
def test_the_kernels_refuse_wrong_windows(library: Any) -> None:
    x, y = np.zeros((2, 8, 1, 4, 4), np.float32), np.zeros((2, 8, 1, 2, 2), np.float32)
    rows = [[0, 1, 1, 0, 0], [1, 2, 2, 0, 1], [2, 2, 2, 0, 1]]

    def bind(rows: Any = rows, y: Array = y, largest: Array | None = None) -> Any:
        return library.bind("max_pool", x, y, largest, np.array(rows, np.intc))

    assert bind() is not None
    for wrong in (rows[:2], [*rows[:2], rows[1]], [*rows[:2], [3, *rows[2][1:]]], [*rows[:2], [2, 0, 2, 0, 1]]):
        with pytest.raises(ValueError, match="windows"):
            bind(wrong)
    for count in (0, 3, 65):
        with pytest.raises(ValueError, match="windows"):
            bind([*rows[:2], [2, 2, count, 0, 1]])
    with pytest.raises(ValueError, match="samples and channels"):
        bind(y=y[:1])
    with pytest.raises(ValueError, match="shape of y"):
        bind(largest=np.zeros((2, 8, 1, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="contiguous"):
        bind(y=np.zeros((2, 8, 1, 2, 4), np.float32)[..., ::2])
    largest = np.zeros((2, 8, 1, 2, 2), np.uint8)
    with pytest.raises(ValueError, match="in their order"):
        library.bind("max_pool_gradient", largest, y, x, np.array(rows[::-1], np.intc))
