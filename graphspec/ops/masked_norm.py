"""BatchNormalization whose statistics leave masked elements out: in training only, ONNX has no such operator."""

from __future__ import annotations

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.dims import show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.channels import channel_count
from graphspec.kernels.context import Bound, Context, broadcast, need, need_float
from graphspec.ops.base import Inference, Op, op
from graphspec.ops.batch_norm import Moments, by_channel, moving_average, normalize

_FUZZ = 1e-7  # Keras's epsilon, which it adds to the number of elements


@op
class MaskedBatchNormalization(Op):
    """``Y = (X - mean) / sqrt(var + epsilon) · scale + B`` for each channel of X (N, C, …).

    In training ``mean = Σ W·X / n`` and ``var = Σ W·(X - mean)² / n`` over the whole batch, ``n = Σ W + 1e-7``, and the
    moving statistics, which are parameters, are updated in place; else those are used. W is 0 where X is masked and 1
    elsewhere, and broadcasts to X. In the graph that predicts this is BatchNormalization without W.
    """

    inference = Inference("BatchNormalization", (0, 2, 3, 4, 5), {"training_mode": 0}, outputs=1)
    keeps_in, keeps_out = (0, 1, 4, 5), False
    exported = False

    epsilon: float = 1e-05
    momentum: float = 0.9

    def infer(self, X: Value, W: Value, scale: Value, B: Value, input_mean: Value, input_var: Value) -> Type:
        need_float(W)
        channel_count(X, scale=scale, B=B, input_mean=input_mean, input_var=input_var)
        need(broadcast(W.shape, X.shape) == X.shape, f"has a mask {show(W.shape)}, which does not fit {show(X.shape)}")
        return X.type

    def bind(
        self, ctx: Context, X: Array, W: Array, scale: Array, B: Array, input_mean: Array, input_var: Array
    ) -> Bound:
        count = X.shape[1]
        axes = (0, *range(2, X.ndim))
        mean, var, share = input_mean, input_var, None
        calls: Calls = []

        def total(terms: Array, out: Array) -> Calls:
            return [(np.add.reduce, terms, axes, None, out), *ctx.all_reduce(out)]

        if ctx.training:
            t, fuzz = ctx.scratch(X.shape), ctx.constant(_FUZZ)
            mean, var, share = (
                ctx.save_for_backward((count,)),
                ctx.scratch((count,)),
                ctx.save_for_backward((count,)),
            )
            calls = [
                (np.copyto, t, np.broadcast_to(W, X.shape)),
                *total(t, share),
                (np.add, share, fuzz, share),
                (np.reciprocal, share, share),
                (np.multiply, X, W, t),
                *total(t, mean),
                (np.multiply, mean, share, mean),
                (np.subtract, X, mean.reshape(count, *(1,) * (X.ndim - 2)), t),
                (np.multiply, t, t, t),
                (np.multiply, t, W, t),
                *total(t, var),
                (np.multiply, var, share, var),
            ]
            if ctx.group.rank == 0:  # rank 0 alone writes shared state
                for batch, moving in ((mean, input_mean), (var, input_var)):
                    calls += moving_average(ctx, moving, batch, moving, self.momentum)
        data, copied = by_channel(ctx, X)
        Y, moments = ctx.out(order=data.order), Moments(mean, var, share, W=W)
        more, backward = normalize(ctx, data, Y, moments, scale, B, first=2, epsilon=self.epsilon)
        return Y, calls + copied + more, backward
