"""Max pooling for ``benchmarks.kernels``: as an operator, and of a ConvPool's planes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.kernel_operators import RANDOM, Memory
from graphspec.base.arrays.calls import Calls
from graphspec.base.arrays.layout import axis_order
from graphspec.graph.kernels import compiled
from graphspec.graph.kernels.max_pool import max_pool, max_pool_gradient
from graphspec.graph.ops.convolution import Pooled, conv_pool, conv_pool_gradient
from graphspec.graph.ops.pooling import MaxPool

Array = np.ndarray[Any, Any]


class Pooling(Memory):
    """What an operator with a gradient asks of its context."""

    def __init__(self, shape: tuple[int, ...] = (), dX: Array | None = None) -> None:
        self._shape, self._dX = shape, dX

    save_for_backward = Memory.scratch

    def out(self, k: int = 0, *, like: Array) -> Array:
        order = axis_order(like)
        return self.scratch([self._shape[k] for k in order]).transpose(np.argsort(order))

    def shape(self, k: int = 0) -> tuple[int, ...]:
        return self._shape

    def wants(self, i: int) -> bool:
        return True

    def grad(self, i: int) -> Array | None:
        return self._dX

    def mark(self) -> int:
        return 0

    def reset(self, mark: int) -> None:
        pass


def channels_last(*shape: int) -> Array:
    """Numbers (N, C, …), of which many are 0, as after ReLU."""
    return np.moveaxis(
        np.maximum(RANDOM.standard_normal((shape[0], *shape[2:], shape[1])), 0).astype(np.float32), -1, 1
    )


def both(twin: Any, calls: Callable[[], Calls]) -> tuple[Any, Callable[[Any], Calls]]:
    """The calls, bound with the compiled kernels for the twin, and without for its NumPy part."""

    def bound(f: Any) -> Calls:
        before = compiled.LIBRARY
        compiled.LIBRARY = before if f is twin else None
        try:
            return calls()
        finally:
            compiled.LIBRARY = before

    return twin, bound


def pooling() -> dict[str, tuple[Any, Callable[[Any], Calls]]]:
    """By what they compute: a twin, and the calls of it or of its NumPy part."""
    found: dict[str, tuple[Any, Callable[[Any], Calls]]] = {}
    for size, step, count, pad in ((3, 1, 16, 1), (2, 2, 56, 0), (3, 2, 64, 1)):
        op = MaxPool(kernel_shape=(size, size), strides=(step, step), pads=(pad,) * 4)
        X, dY = channels_last(32, count, 32, 32), channels_last(32, count, 32 // step, 32 // step)

        def bind(op: MaxPool = op, X: Array = X, dY: Array = dY) -> tuple[Calls, Calls]:
            ctx: Any = Pooling(dY.shape, np.zeros_like(X))
            _, calls, backward = op.bind(ctx, X)
            assert backward is not None
            return calls, backward(dY)

        shape = f"{size} × {size}, stride {step}, 32 × 32 × 32 × {count}"
        found[f"MaxPool {shape}"] = both(max_pool, lambda bind=bind: bind()[0])
        found[f"its gradient, {shape}"] = both(max_pool_gradient, lambda bind=bind: bind()[1])
    planes, y = RANDOM.standard_normal((2, 16, 26, 13, 32)).astype(np.float32), channels_last(16, 32, 13, 13)

    def pooled() -> tuple[Pooled, Any]:
        ctx: Any = Pooling()
        return Pooled(ctx, planes, y, (0, 2, 3, 1), 2), ctx

    def gradient() -> Calls:
        of_planes, ctx = pooled()
        dP = channels_last(16, 32, 26, 13)
        return [call for k in range(2) for call in of_planes.gradient(ctx, y.copy(order="K"), dP, k)]

    found["Maxima of a ConvPool, 16 × 13 × 13 × 32"] = both(conv_pool, lambda: pooled()[0].calls)
    found["the gradient of its planes"] = both(conv_pool_gradient, gradient)
    return found
