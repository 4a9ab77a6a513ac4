"""Products over the steps of a recurrence, in blocks of steps that fit the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.blocks import CACHE_ELEMENTS
from graphspec.graph.kernels.context import Context
from graphspec.graph.kernels.matmul import ReusedScratch, batched, worth_transposing


class InputGradient:
    """``dX[s] = rows[s]ᵀ · W`` for the steps of a block.

    With ``masks`` (slots, I, N) it is the sum of the masked products of the slots from ``first`` on.
    """

    def __init__(self, ctx: Context, dX: Array, steps: int, masks: Array | None) -> None:
        self.dX, self.masks = dX, masks
        itemsize = dX.itemsize
        direct = itemsize in dX.strides[1:] or 1 in dX.shape[1:]
        self.buffer = None if direct else ctx.scratch((steps, *dX.shape[1:]))
        self.terms = None if masks is None else ctx.scratch((steps, len(masks), dX.shape[2], dX.shape[1]))

    def __call__(self, rows: Array, W: Array, first: int, start: int, stop: int) -> Calls:
        target = self.dX[start:stop]
        if self.masks is not None and self.terms is not None:
            n = len(self.masks) - first
            t, H = self.terms[: stop - start, :n], len(W) // n
            return [
                (np.matmul, W.reshape(n, H, W.shape[1]).mT, rows.reshape(len(rows), n, H, rows.shape[2]), t),
                (np.multiply, t, self.masks[first:], t),
                (np.add.reduce, t, 1, None, target.mT),
            ]
        if self.buffer is not None:
            t = self.buffer[: stop - start]
            return [(np.matmul, rows.mT, W, t), (np.copyto, target, t)]
        if target.strides[-1] == target.itemsize:
            return [(np.matmul, rows.mT, W, target)]
        return [(np.matmul, W.T, rows, target.mT)]


class OuterSum:
    """``total = Σ A[s] · B[s]ᵀ`` over all steps, in blocks of steps from the last to the first.

    One call computes the products of several steps if their results stay in the cache. If a single result fills the cache,
    the steps of a block are copied side by side and multiplied by one product.
    """

    def __init__(self, ctx: Context, shape: Sequence[int], steps: int) -> None:
        self._ctx, self._scratch = ctx, ReusedScratch(ctx)
        size = min(steps, max(1, CACHE_ELEMENTS // max(math.prod(shape), 1)))
        self._join_steps = size == 1 and steps > 1
        self._size = steps if self._join_steps else size
        self._total, self._part = ctx.scratch(shape), ctx.scratch(shape)
        self._parts = None if self._join_steps else ctx.scratch((size, *shape))
        self._ones = ctx.constant(np.ones(size))
        self.total = self._total.reshape(-1, shape[-1])
        self._sides: list[Array] = []
        self._first = True

    def add(self, A: Array, B: Array) -> Calls:
        """Return calls that add the products of A (steps, …, rows, N) and B (steps, …, columns, N)."""
        calls: Calls = []
        for start in range(0, len(A), self._size):
            a, b = A[start : start + self._size], B[start : start + self._size]
            result = self._total if self._first else self._part
            if len(a) > 1 and self._parts is not None:
                n, parts = len(a), self._parts[: len(a)]
                transposed, copies = self._transposed(b)
                calls += [
                    *copies,
                    (np.matmul, a, transposed, parts),
                    (np.dot, self._ones[:n], parts.reshape(n, -1), result.reshape(-1)),
                ]
            else:
                (a, first), (b, second) = self._side_by_side(0, a), self._side_by_side(1, b)
                calls += [*first, *second, *batched(self._scratch, a, b.mT, result)]
            if not self._first:
                calls.append((np.add, self._total, result, self._total))
            self._first = False
        return calls

    def _transposed(self, B: Array) -> tuple[Array, Calls]:
        """Return B (steps, …, columns, N) as (steps, …, N, columns)."""
        rows, columns = self._total.shape[-2:]
        if not worth_transposing(rows, B.shape[-1], columns):
            return B.mT, []
        buffer = self._scratch.scratch((self._size, *B.mT.shape[1:]))[: len(B)]
        return buffer, [(np.copyto, buffer, B.mT)]

    def _side_by_side(self, k: int, X: Array) -> tuple[Array, Calls]:
        """Return X (steps, …, rows, N) as (…, rows, steps · N)."""
        if len(X) == 1:
            return X[0], []
        if k == len(self._sides):
            self._sides.append(self._ctx.scratch((*X.shape[1:-1], self._size, X.shape[-1])))
        buffer = self._sides[k][..., : len(X), :]
        return buffer.reshape(*buffer.shape[:-2], -1, copy=False), [(np.copyto, np.moveaxis(buffer, -2, 0), X)]
