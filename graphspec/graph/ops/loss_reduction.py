"""The reduction of losses to a scalar, and factors of rows: training-only operators, never exported."""

from __future__ import annotations

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.common import as_vector, copy_cast
from graphspec.graph.kernels.context import Bound, Context, need, need_float
from graphspec.graph.ops.base import Op, op


@op
class ReduceLoss(Op):
    """``Y = Σ values · weight · mask / divisor``: this worker's part of the scalar loss; the parts sum to the loss.

    Shapes: values (N, …); weight and mask have the shape of its leading axes → Y (). The ``reduction`` selects the divisor:
    1 (``sum``), the number of unmasked elements (``sum_over_batch_size``, ``mean``), or ``Σ weight · mask``
    (``mean_with_sample_weight``), each counted over the whole batch. If the divisor is 0, Y is 0.
    """

    keeps_in, keeps_out = (), False
    exported = False

    reduction: str = "sum_over_batch_size"

    def infer(self, values: Value, weight: Value | None = None, mask: Value | None = None) -> Type:
        need_float(values, weight)
        for name, factor in (("weight", weight), ("mask", mask)):
            fits = factor is None or factor.shape == values.shape[: factor.rank]
            need(fits, f"has a {name} {show(factor.shape if factor else ())} for losses {show(values.shape)}")
        need(mask is None or mask.dtype == "bool", "needs a bool mask", code=Code.WRONG_DTYPE)
        return Type(values.dtype, ())

    def bind(self, ctx: Context, values: Array, weight: Array | None = None, mask: Array | None = None) -> Bound:
        Y = ctx.out()
        flat, calls = as_vector(ctx, values)
        rows = ctx.rows.stop - ctx.rows.start
        count = ctx.total * (values.size // rows) if rows else 1
        divides_by_weight = self.reduction == "mean_with_sample_weight" and weight is not None
        scale = 1.0 if self.reduction == "sum" or mask is not None or divides_by_weight else 1.0 / max(count, 1)
        if weight is None and mask is None:
            coefficients = ctx.constant(np.full(values.shape, scale))
        else:
            coefficients = ctx.save_for_backward(values.shape)
            calls += write_coefficients(ctx, coefficients, weight, mask, scale, self.reduction)
        calls.append((np.dot, flat, coefficients.reshape(-1), Y))

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            return [] if dX is None else [(np.multiply, dY, coefficients, dX)]

        return Y, calls, backward


def write_coefficients(
    ctx: Context, C: Array, weight: Array | None, mask: Array | None, scale: float, reduction: str
) -> Calls:
    """Return the calls that write the coefficient of each value into C: ``weight · mask / divisor``."""

    def expand(factor: Array) -> Array:
        return factor.reshape(factor.shape + (1,) * (C.ndim - factor.ndim), copy=False)

    divisor = ctx.scratch((1,))
    sum_calls: Calls = [
        (np.dot, C.reshape(-1), ctx.constant(np.ones(C.size)), divisor.reshape(())),
        *ctx.all_reduce(divisor),
    ]
    calls: Calls = []
    if mask is not None:
        calls.append((copy_cast, C, expand(mask)))
        if reduction in ("sum_over_batch_size", "mean"):
            calls += sum_calls
        if weight is not None:
            calls.append((np.multiply, C, expand(weight), C))
    elif weight is not None:
        calls.append((np.multiply, expand(weight), ctx.constant(scale), C))
    if reduction == "mean_with_sample_weight":
        calls += sum_calls
    if reduction == "sum" or (mask is None and reduction != "mean_with_sample_weight"):
        return calls
    zero, is_zero, one = ctx.constant(0.0), ctx.scratch((1,), np.bool_), ctx.constant(1.0)
    return [
        *calls,
        (np.equal, divisor, zero, is_zero),
        (np.add, divisor, is_zero, divisor),
        (np.divide, one, divisor, divisor),
        (np.subtract, divisor, is_zero, divisor),
        (np.multiply, C, divisor, C),
    ]


def bind_scaled(ctx: Context, X: Array, factor: float) -> Bound:
    """Bind ``Y = factor · X``."""
    Y, scale = ctx.out(like=X), ctx.constant(factor)

    def backward(dY: Array) -> Calls:
        ctx.give_grad(0, dY)
        return [(np.multiply, dY, scale, dY)]

    return Y, [(np.multiply, X, scale, Y)], backward


class Scaling(Op):
    """Multiplies X by a factor that depends on the batch. Shapes: X and Y are equal."""

    keeps_in, keeps_out = (), False
    exported = False

    def infer(self, X: Value) -> Type:
        need_float(X)
        return X.type


@op
class PerRow(Scaling):
    """``Y = X / n`` for a batch of n rows: turns a sum over this worker's rows into its part of the mean per row."""

    def bind(self, ctx: Context, X: Array) -> Bound:
        return bind_scaled(ctx, X, 1 / max(ctx.total, 1))


@op
class RowShare(Scaling):
    """``Y = X · m / n`` for the m of the batch's n rows that this worker has.

    A term that all workers compute alike then counts once in the sum over the workers.
    """

    def bind(self, ctx: Context, X: Array) -> Bound:
        return bind_scaled(ctx, X, (ctx.rows.stop - ctx.rows.start) / max(ctx.total, 1))
