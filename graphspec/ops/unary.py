"""Elementwise functions of one input: what all of them share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from graphspec.arrays.calls import Calls
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.blocks import in_blocks
from graphspec.kernels.common import output_for
from graphspec.kernels.context import Bound, Context, need_float
from graphspec.ops.base import Op


def of_float(X: Value, **attributes: Any) -> Type:
    need_float(X)
    return X.type


class Unary(Op):
    """``Y = f(X)``, element by element.

    A subclass states ``forward(ctx, X, Y, **attributes)``, calls that write Y, which may be X itself, and
    ``gradient(ctx, X, Y, dY, **attributes)``, calls that multiply dY in place by f'; without that there is no gradient.
    By default it reads Y alone, so that X may be overwritten.
    """

    keeps_in: ClassVar[tuple[int, ...] | None] = ()
    keeps_out: ClassVar[bool] = True
    blockwise = True
    forward: ClassVar[Callable[..., Calls]]
    gradient: ClassVar[Callable[..., Calls] | None] = None

    infer: ClassVar[Callable[..., Type]] = of_float

    @classmethod
    def bind(cls, ctx: Context, X: Array, **attributes: Any) -> Bound:
        Y = output_for(ctx, (0, X))
        calls = in_blocks(ctx, lambda x, y: cls.forward(ctx, x, y, **attributes), X, Y)
        gradient = cls.gradient
        if gradient is None:
            return Y, calls, None

        def backward(dY: Array) -> Calls:
            ctx.give_grad(0, dY)
            return in_blocks(ctx, lambda x, y, dy: gradient(ctx, x, y, dy, **attributes), X, Y, dY)

        return Y, calls, backward
