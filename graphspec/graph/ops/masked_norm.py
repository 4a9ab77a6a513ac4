"""BatchNormalization whose statistics ignore masked elements: training only, since ONNX has no such operator."""

from __future__ import annotations

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.channels import channel_count
from graphspec.graph.kernels.context import Bound, Context, broadcast, need, need_float
from graphspec.graph.ops.base import Inference, Op, op
from graphspec.graph.ops.batch_norm import Moments, by_channel, moving_average, normalize

_COUNT_EPSILON = 1e-7  # as in Keras, which adds its epsilon to the number of elements


@op
class MaskedBatchNormalization(Op):
    """``Y = (X - mean) / sqrt(var + epsilon) · scale + B`` per channel; masked elements do not affect the statistics.

    In training, ``mean = Σ W·X / n`` and ``var = Σ W·(X - mean)² / n`` over the whole batch with ``n = Σ W + 1e-7``; the
    moving statistics, which are parameters, are updated in place. Otherwise the moving statistics are used. W is 0 where
    X is masked and 1 elsewhere. At inference the operator is BatchNormalization without W.

    Shapes: X (N, C, …), W broadcasts to X, the other inputs (C,) → Y (N, C, …). W has no gradient.
    """

    rows = "all_in_front"
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
        mean, var, one_over_count = input_mean, input_var, None
        calls: Calls = []

        def channel_sums(terms: Array, out: Array) -> Calls:
            return [(np.add.reduce, terms, axes, None, out), *ctx.all_reduce(out)]

        if ctx.training:
            t, count_epsilon = ctx.scratch(X.shape), ctx.constant(_COUNT_EPSILON)
            mean, var, one_over_count = (
                ctx.save_for_backward((count,)),
                ctx.scratch((count,)),
                ctx.save_for_backward((count,)),
            )
            calls = [
                (np.copyto, t, np.broadcast_to(W, X.shape)),
                *channel_sums(t, one_over_count),
                (np.add, one_over_count, count_epsilon, one_over_count),
                (np.reciprocal, one_over_count, one_over_count),
                (np.multiply, X, W, t),
                *channel_sums(t, mean),
                (np.multiply, mean, one_over_count, mean),
                (np.subtract, X, mean.reshape(count, *(1,) * (X.ndim - 2)), t),
                (np.multiply, t, t, t),
                (np.multiply, t, W, t),
                *channel_sums(t, var),
                (np.multiply, var, one_over_count, var),
            ]
            if ctx.group.writes_state:
                for batch, moving in ((mean, input_mean), (var, input_var)):
                    calls += moving_average(ctx, moving, batch, moving, self.momentum)
        data, copies = by_channel(ctx, X)
        Y, moments = ctx.out(order=data.order), Moments(mean, var, one_over_count, W=W)
        normalize_calls, backward = normalize(ctx, data, Y, moments, scale, B, first=2, epsilon=self.epsilon)
        return Y, calls + copies + normalize_calls, backward
