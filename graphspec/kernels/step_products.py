"""Products over the steps of a recurrence, which come in blocks that fit the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.graph import Array
from graphspec.kernels.context import Context
from graphspec.kernels.matmul import Repeated, batched, worth_turning

BLOCK = 1 << 17
"""Numbers in a block of gradients: it stays in a core's cache."""


class InputGradient:
    """``dX[s] = rows[s]ᵀ · W`` for the steps of a block; with masks (places, I, N) a sum over the last places."""

    def __init__(self, ctx: Context, dX: Array, steps: int, masks: Array | None) -> None:
        self.dX, self.masks = dX, masks
        itemsize = dX.itemsize
        direct = itemsize in dX.strides[1:] or 1 in dX.shape[1:]
        self.copy = None if direct else ctx.scratch((steps, *dX.shape[1:]))
        self.parts = None if masks is None else ctx.scratch((steps, len(masks), dX.shape[2], dX.shape[1]))

    def __call__(self, rows: Array, W: Array, first: int, start: int, stop: int) -> Calls:
        out = self.dX[start:stop]
        if self.masks is not None and self.parts is not None:
            n = len(self.masks) - first
            t, H = self.parts[: stop - start, :n], len(W) // n
            return [
                (np.matmul, W.reshape(n, H, W.shape[1]).mT, rows.reshape(len(rows), n, H, rows.shape[2]), t),
                (np.multiply, t, self.masks[first:], t),
                (np.add.reduce, t, 1, None, out.mT),
            ]
        if self.copy is not None:
            t = self.copy[: stop - start]
            return [(np.matmul, rows.mT, W, t), (np.copyto, out, t)]
        if out.strides[-1] == out.itemsize:
            return [(np.matmul, rows.mT, W, out)]
        return [(np.matmul, W.T, rows, out.mT)]


class OuterSum:
    """``total = Σ A[s] · B[s]ᵀ`` over all steps, which come in blocks from the last one on.

    Products of several steps go into one call as long as their results stay in the cache; where one result fills it, the
    steps of a block are copied side by side and make one product.
    """

    def __init__(self, ctx: Context, shape: Sequence[int], steps: int) -> None:
        self._ctx, self._room = ctx, Repeated(ctx)
        size = min(steps, max(1, BLOCK // max(math.prod(shape), 1)))
        self._joined = size == 1 and steps > 1
        self._size = steps if self._joined else size
        self._total, self._part = ctx.scratch(shape), ctx.scratch(shape)
        self._parts = None if self._joined else ctx.scratch((size, *shape))
        self._ones = ctx.constant(np.ones(size))
        self.total = self._total.reshape(-1, shape[-1])
        self._sides: list[Array] = []
        self._first = True

    def add(self, A: Array, B: Array) -> Calls:
        """Calls that add the products of A (steps, …, rows, N) and B (steps, …, columns, N)."""
        calls: Calls = []
        for start in range(0, len(A), self._size):
            a, b = A[start : start + self._size], B[start : start + self._size]
            into = self._total if self._first else self._part
            if len(a) > 1 and self._parts is not None:
                n, parts = len(a), self._parts[: len(a)]
                turned, more = self._turned(b)
                calls += [
                    *more,
                    (np.matmul, a, turned, parts),
                    (np.dot, self._ones[:n], parts.reshape(n, -1), into.reshape(-1)),
                ]
            else:
                (a, first), (b, second) = self._side_by_side(0, a), self._side_by_side(1, b)
                calls += [*first, *second, *batched(self._room, a, b.mT, into)]
            if not self._first:
                calls.append((np.add, self._total, into, self._total))
            self._first = False
        return calls

    def _turned(self, B: Array) -> tuple[Array, Calls]:
        """B (steps, …, columns, N) as (steps, …, N, columns)."""
        rows, columns = self._total.shape[-2:]
        if not worth_turning(rows, B.shape[-1], columns):
            return B.mT, []
        copy = self._room.scratch((self._size, *B.mT.shape[1:]))[: len(B)]
        return copy, [(np.copyto, copy, B.mT)]

    def _side_by_side(self, k: int, X: Array) -> tuple[Array, Calls]:
        """X (steps, …, rows, N) as (…, rows, steps · N)."""
        if len(X) == 1:
            return X[0], []
        if k == len(self._sides):
            self._sides.append(self._ctx.scratch((*X.shape[1:-1], self._size, X.shape[-1])))
        copy = self._sides[k][..., : len(X), :]
        return copy.reshape(*copy.shape[:-2], -1, copy=False), [(np.copyto, np.moveaxis(copy, -2, 0), X)]
