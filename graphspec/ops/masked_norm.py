"""BatchNormalization whose statistics leave masked elements out: in training only, ONNX has no such operator."""

from __future__ import annotations

import numpy as np

from graphspec.compiler.dims import show
from graphspec.compiler.ir import Array, Type, Value
from graphspec.ops.base import Bound, Calls, Context, Op, broadcast, need, need_float, op
from graphspec.ops.channels import channel_count

_FUZZ = 1e-7  # Keras's epsilon, which it adds to the number of elements


@op
class MaskedBatchNormalization(Op):
    """``Y = (X - mean) / sqrt(var + epsilon) · scale + B`` for each channel of X (N, C, …).

    In training ``mean = Σ W·X / n`` and ``var = Σ W·(X - mean)² / n`` over the whole batch, ``n = Σ W + 1e-7``, and the
    moving statistics, which are parameters, are updated in place; else those are used. W is 0 where X is masked and 1
    elsewhere, and broadcasts to X. In the graph that predicts this is BatchNormalization without W.
    """

    keeps_in, keeps_out = (0, 1, 2), False
    exported = False

    @staticmethod
    def infer(
        X: Value,
        W: Value,
        scale: Value,
        B: Value,
        input_mean: Value,
        input_var: Value,
        *,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
    ) -> Type:
        need_float(W)
        channel_count(X, scale=scale, B=B, input_mean=input_mean, input_var=input_var)
        need(broadcast(W.shape, X.shape) == X.shape, f"mask {show(W.shape)} does not fit {show(X.shape)}")
        return X.type

    @staticmethod
    def bind(
        ctx: Context,
        X: Array,
        W: Array,
        scale: Array,
        B: Array,
        input_mean: Array,
        input_var: Array,
        *,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
    ) -> Bound:
        count = X.shape[1]
        axes = (0, *range(2, X.ndim))
        weights = np.broadcast_to(W, X.shape)
        Y, t = ctx.out(like=X), ctx.scratch(X.shape)
        mean, inverse, factor, share = (ctx.save((count,)) for _ in range(4))
        small, var, tiny = ctx.scratch((count,)), ctx.scratch((count,)), ctx.constant(epsilon)

        def wide(vector: Array) -> Array:
            return vector.reshape(count, *(1,) * (X.ndim - 2))

        def total(terms: Array, out: Array) -> Calls:
            return [(np.add.reduce, terms, axes, None, out)]

        def everywhere(terms: Array, out: Array) -> Calls:
            return [*total(terms, out), *ctx.all_reduce(out)]

        calls: Calls
        if ctx.training:
            calls = [
                (np.copyto, t, weights),
                *everywhere(t, share),
                (np.add, share, ctx.constant(_FUZZ), share),
                (np.reciprocal, share, share),
                (np.multiply, X, W, t),
                *everywhere(t, mean),
                (np.multiply, mean, share, mean),
                (np.subtract, X, wide(mean), t),
                (np.multiply, t, t, t),
                (np.multiply, t, W, t),
                *everywhere(t, var),
                (np.multiply, var, share, var),
            ]
            if ctx.group.rank == 0:  # rank 0 alone writes shared state
                old, new = ctx.constant(momentum), ctx.constant(1 - momentum)
                for batch, moving in ((mean, input_mean), (var, input_var)):
                    calls += [
                        (np.multiply, batch, new, small),
                        (np.multiply, moving, old, moving),
                        (np.add, moving, small, moving),
                    ]
        else:
            calls = [(np.copyto, mean, input_mean), (np.copyto, var, input_var)]
        calls += [
            (np.add, var, tiny, inverse),
            (np.sqrt, inverse, inverse),
            (np.reciprocal, inverse, inverse),
            (np.multiply, scale, inverse, factor),
            (np.subtract, X, wide(mean), Y),
            (np.multiply, Y, wide(factor), Y),
            (np.add, Y, wide(B), Y),
        ]

        def backward(dY: Array) -> Calls:
            from_mean, product = ctx.scratch(X.shape), ctx.scratch(X.shape)
            plain, tilt = ctx.scratch((count,)), ctx.scratch((count,))
            calls: Calls = [
                *total(dY, plain),
                (np.subtract, X, wide(mean), from_mean),
                (np.multiply, dY, from_mean, product),
                *total(product, tilt),
            ]
            if (dscale := ctx.grad(2)) is not None:
                calls.append((np.multiply, tilt, inverse, dscale))
            if (dB := ctx.grad(3)) is not None:
                calls.append((np.copyto, dB, plain))
            if not ctx.wants(0):
                return calls
            ctx.give(0, dY)
            calls.append((np.multiply, dY, wide(factor), dY))
            if not ctx.training:
                return calls
            # dX = factor · (dY - W / n · (Σ dY + (X - mean) · inverse² · Σ dY (X - mean)))
            calls += [
                *ctx.all_reduce(plain),
                *ctx.all_reduce(tilt),
                (np.multiply, tilt, inverse, tilt),
                (np.multiply, tilt, inverse, tilt),
                (np.multiply, from_mean, wide(tilt), from_mean),
                (np.add, from_mean, wide(plain), from_mean),
                (np.multiply, share, factor, tilt),
                (np.multiply, from_mean, wide(tilt), from_mean),
                (np.multiply, from_mean, W, from_mean),
                (np.subtract, dY, from_mean, dY),
            ]
            return calls

        return Y, calls, backward
