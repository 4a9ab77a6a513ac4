"""The base class of elementwise functions of one input."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.blocks import in_blocks
from graphspec.graph.kernels.common import output_for
from graphspec.graph.kernels.context import Bound, Context, need_float
from graphspec.graph.ops.base import Op


class Unary(Op):
    """``Y = f(X)``, element by element.

    A subclass defines ``forward(ctx, X, Y)``, which returns the calls that write Y; Y may be X itself. It may define
    ``gradient(ctx, X, Y, dY)``, which returns the calls that multiply dY by f' in place; without it the operator has no
    gradient. By default backward reads only Y, so X may be overwritten.
    """

    elementwise = True
    keeps_in: ClassVar[tuple[int, ...] | None] = ()
    keeps_out: ClassVar[bool] = True
    blockwise = True
    forward: ClassVar[Callable[..., Calls]]
    gradient: ClassVar[Callable[..., Calls] | None] = None

    def infer(self, X: Value) -> Type:
        need_float(X)
        return X.type

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = output_for(ctx, (0, X))
        calls = in_blocks(ctx, lambda x, y: self.forward(ctx, x, y), X, Y)
        gradient = self.gradient
        if gradient is None:
            return Y, calls, None

        def backward(dY: Array) -> Calls:
            ctx.give_grad(0, dY)
            return in_blocks(ctx, lambda x, y, dy: gradient(ctx, x, y, dy), X, Y, dY)

        return Y, calls, backward
