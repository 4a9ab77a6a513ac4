"""Division of a kernel by its largest singular value: in training only, ONNX has no such operator."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.arrays.layout import axis_order
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.context import Bound, Context, need_float
from graphspec.ops.base import Op, op

_LEAST = 1e-7  # Keras's epsilon: vectors are divided by their length, or by this


@op
class SpectralScale(Op):
    """``Y = W / σ``; σ is the largest singular value of W as a matrix, from power iterations that go on from ``u``.

    In training W, a weight, becomes Y and ``u`` the new vector; else Y is W. The gradient goes through as if σ were
    constant and W were Y, which it is by then. A W of zeros stays. Miyato et al., *Spectral normalization for generative
    adversarial networks*, 2018.

    ``sizes`` are W's axes before they were joined, ``columns`` the one that is the matrix's columns.
    """

    keeps_in, keeps_out = (), False
    exported, identity_in_inference = False, True

    sizes: Sequence[int]
    columns: int
    iterations: int = 1

    def infer(self, W: Value, u: Value) -> Type:
        need_float(W, u)
        return W.type

    def bind(self, ctx: Context, W: Array, u: Array) -> Bound:
        def backward(dY: Array) -> Calls:
            ctx.give_grad(0, dY)
            return []

        if not ctx.training:
            return W, [], backward
        count = self.sizes[self.columns]
        parts = W.reshape(self.sizes, copy=False)
        moved = parts.transpose(*(k for k in axis_order(parts) if k != self.columns), self.columns)
        calls: Calls = []
        try:
            matrix = moved.reshape(-1, count, copy=False)
        except ValueError:
            copy = ctx.scratch(moved.shape)
            calls.append((np.copyto, copy, moved))
            matrix = copy.reshape(-1, count)
        right, product, left = ctx.scratch((count,)), ctx.scratch((count,)), ctx.scratch((len(matrix),))
        length, sigma, least = ctx.scratch(()), ctx.scratch(()), ctx.constant(_LEAST)

        def unit(vector: Array, out: Array) -> Calls:
            return [
                (np.vecdot, vector, vector, length),
                (np.sqrt, length, length),
                (partial(np.maximum, out=length), length, least),
                (np.divide, vector, length, out),
            ]

        calls.append((np.copyto, right, u.reshape(count)))
        for _ in range(self.iterations):
            calls += [(np.dot, matrix, right, left), *unit(left, left)]
            calls += [(np.dot, matrix.T, left, product), *unit(product, right)]
        Y = ctx.out(like=W)
        calls += [(np.vecdot, product, right, sigma), (_divide, W, sigma, Y, u.reshape(count), right)]
        meet: Calls = [(ctx.group.barrier,)] if ctx.group.size > 1 else []  # others may still be reading W and u
        calls += meet
        if ctx.group.rank == 0:  # rank 0 alone writes shared state
            calls += [(np.copyto, W, Y), (np.copyto, u.reshape(count), right)]
        return Y, calls + meet, backward


def _divide(W: Array, sigma: Array, Y: Array, before: Array, after: Array) -> None:
    """``Y = W / sigma``; where W is all zeros, W and the vector as they were."""
    if sigma == 0:
        Y[...] = W
        after[...] = before
    else:
        np.divide(W, sigma, Y)
