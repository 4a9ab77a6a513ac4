"""Division of a kernel by its largest singular value: training only, since ONNX has no such operator."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.arrays.layout import axis_order
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.context import Bound, Context, need_float
from graphspec.graph.ops.base import Op, op

_EPSILON = 1e-7  # as in Keras: the least divisor when a vector is normalized


@op
class SpectralScale(Op):
    """``Y = W / σ``, where σ is the largest singular value of W as a matrix; power iterations continue from ``u``.

    In training W, a weight, becomes Y, and ``u`` the new singular vector; otherwise Y is W. The gradient treats σ as a
    constant and W as Y, which it is by then. W is unchanged if all its elements are 0. ``sizes`` are the sizes of W's axes
    before they were merged, and ``columns`` is the axis that forms the columns of the matrix. u has no gradient.

    Miyato et al., *Spectral normalization for generative adversarial networks*, 2018.
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
        columns_last = parts.transpose(*(k for k in axis_order(parts) if k != self.columns), self.columns)
        calls: Calls = []
        try:
            matrix = columns_last.reshape(-1, count, copy=False)
        except ValueError:
            copy = ctx.scratch(columns_last.shape)
            calls.append((np.copyto, copy, columns_last))
            matrix = copy.reshape(-1, count)
        right, product, left = ctx.scratch((count,)), ctx.scratch((count,)), ctx.scratch((len(matrix),))
        length, sigma, epsilon = ctx.scratch(()), ctx.scratch(()), ctx.constant(_EPSILON)

        def unit(vector: Array, out: Array) -> Calls:
            return [
                (np.vecdot, vector, vector, length),
                (np.sqrt, length, length),
                (partial(np.maximum, out=length), length, epsilon),
                (np.divide, vector, length, out),
            ]

        calls.append((np.copyto, right, u.reshape(count)))
        for _ in range(self.iterations):
            calls += [(np.dot, matrix, right, left), *unit(left, left)]
            calls += [(np.dot, matrix.T, left, product), *unit(product, right)]
        Y = ctx.out(like=W)
        calls += [(np.vecdot, product, right, sigma), (_divide, W, sigma, Y, u.reshape(count), right)]
        barrier: Calls = [(ctx.group.barrier,)] if ctx.group.size > 1 else []  # other workers may still read W and u
        calls += barrier
        if ctx.group.writes_state:
            calls += [(np.copyto, W, Y), (np.copyto, u.reshape(count), right)]
        return Y, calls + barrier, backward


def _divide(W: Array, sigma: Array, Y: Array, before: Array, after: Array) -> None:
    """Write ``Y = W / sigma``; if W is all zeros, copy W and keep the previous vector."""
    if sigma == 0:
        Y[...] = W
        after[...] = before
    else:
        np.divide(W, sigma, Y)
