"""Elementwise arithmetic on several inputs, with broadcasting; comparisons and choices are in logic.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.dims import Dim, add, floordiv, mul, subtract
from graphspec.graph.ir.graph import Array, Node, Type, Value
from graphspec.graph.ir.ranges import ANY, Range
from graphspec.graph.kernels.channels import broadcast_rows
from graphspec.graph.kernels.common import copy_cast, fold, give_each, give_sum, negate, output_for, scratch_like
from graphspec.graph.kernels.context import Bound, Context, broadcast, need, same_dtype
from graphspec.graph.ops.base import Op, op
from graphspec.graph.ops.intervals import factor_ranges, term_ranges


class Arithmetic(Op):
    """An elementwise operator on operands of one numeric dtype, which broadcast."""

    elementwise = True

    def infer(self, *operands: Value) -> Type:
        need(len(operands) > 0, "needs an input")
        dtype = same_dtype(*operands)
        need(dtype != "bool", "needs numbers, got bool tensors", code=Code.WRONG_DTYPE)
        return Type(dtype, broadcast(*(X.shape for X in operands)))


def combine(A: Value | None, B: Value | None, function: Callable[[Dim, Dim], Dim | None]) -> tuple[Dim, ...] | None:
    """``function`` of two small integer vectors, element by element; None if a vector or a result is unknown."""
    left, right = (None if v is None else v.known() for v in (A, B))
    if left is None or right is None:
        return None
    size = max(len(left), len(right))
    left, right = (v * size if len(v) == 1 else v for v in (left, right))
    results = [function(a, b) for a, b in zip(left, right, strict=True)]
    return None if any(r is None for r in results) else tuple(r for r in results if r is not None)


@op
class Add(Arithmetic):
    """``C = A + B``."""

    neutral, commutes = 0.0, True
    activation = "linear"
    keeps_in, keeps_out = (), False
    blockwise = True

    def dims(self, A: Value | None, B: Value | None) -> tuple[Dim, ...] | None:
        return combine(A, B, add)

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        return ranges[0] + ranges[1]

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        return term_ranges(out, ranges, node.outputs[0].dtype, exact)

    def bind(self, ctx: Context, A: Array, B: Array) -> Bound:
        C = output_for(ctx, (0, A), (1, B))
        return C, broadcast_rows(ctx, np.add, A, B, C), lambda dC: give_sum(ctx, dC, (A, B), (1.0, 1.0))


@op
class Sub(Arithmetic):
    """``C = A - B``."""

    neutral = 0.0
    activation = "linear"
    keeps_in, keeps_out = (), False

    def dims(self, A: Value | None, B: Value | None) -> tuple[Dim, ...] | None:
        return combine(A, B, subtract)

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        return ranges[0] + -ranges[1]

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        bounds = term_ranges(out, (ranges[0], -ranges[1]), node.outputs[0].dtype, exact, difference=True)
        return {i: -r if i else r for i, r in bounds.items()}

    def bind(self, ctx: Context, A: Array, B: Array) -> Bound:
        C = output_for(ctx, (0, A), (1, B))
        return C, broadcast_rows(ctx, np.subtract, A, B, C), lambda dC: give_sum(ctx, dC, (A, B), (1.0, -1.0))


@op
class Mul(Arithmetic):
    """``C = A · B``."""

    neutral, commutes = 1.0, True
    keeps_in, keeps_out = (0, 1), False

    def dims(self, A: Value | None, B: Value | None) -> tuple[Dim, ...] | None:
        return combine(A, B, mul)

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        return ranges[0].times(ranges[1])

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        return factor_ranges(out, ranges, node.outputs[0].dtype, exact)

    def bind(self, ctx: Context, A: Array, B: Array) -> Bound:
        C = output_for(ctx, (0, A), (1, B))

        def backward(dC: Array) -> Calls:
            return give_each(
                ctx,
                dC,
                {
                    0: (A, lambda out: broadcast_rows(ctx, np.multiply, dC, B, out)),
                    1: (B, lambda out: [(np.multiply, dC, A, out)]),
                },
            )

        return C, broadcast_rows(ctx, np.multiply, A, B, C), backward


@op
class Div(Arithmetic):
    """``C = A / B``; the quotient of integers is rounded towards 0 and has no gradient."""

    neutral = 1.0
    keeps_in, keeps_out = (1,), True

    def dims(self, A: Value | None, B: Value | None) -> tuple[Dim, ...] | None:
        return combine(A, B, lambda a, b: floordiv(a, b) if isinstance(b, int) and b > 0 else None)

    def bind(self, ctx: Context, A: Array, B: Array) -> Bound:
        if A.dtype.kind != "f":
            return integer_quotient(ctx, A, B)
        C = output_for(ctx, (0, A), (1, B))

        def backward(dC: Array) -> Calls:  # dA = dC / B, dB = -C · dC / B
            return give_each(
                ctx,
                dC,
                {
                    1: (
                        B,
                        lambda out: [(np.multiply, dC, C, out), (np.divide, out, B, out), negate(out, out)],
                    ),
                    0: (A, lambda out: [(np.divide, dC, B, out)]),
                },
            )

        return C, [(np.divide, A, B, C)], backward


def integer_quotient(ctx: Context, A: Array, B: Array) -> Bound:
    """``C = A / B`` of integers, rounded towards 0."""
    C = ctx.out()
    if A.dtype.kind == "u":
        return C, [(np.floor_divide, A, B, C)], None
    t = ctx.scratch(
        C.shape, C.dtype
    )  # A - fmod(A, B) is a multiple of B; fmod has A's sign, so the quotient is truncated
    return C, [(np.fmod, A, B, t), (np.subtract, A, t, t), (np.floor_divide, t, B, C)], None


@op
class Mod(Arithmetic):
    """``C = A mod B`` with the sign of B, or with the sign of A if ``fmod`` is 1. No gradient."""

    keeps_in, keeps_out, piecewise_constant = (), False, True

    fmod: int = 0

    def infer(self, *operands: Value) -> Type:
        need(self.fmod == 1 or not operands[0].type.is_float, "needs fmod=1 for floats", code=Code.WRONG_DTYPE)
        return super().infer(*operands)

    def bind(self, ctx: Context, A: Array, B: Array) -> Bound:
        C = ctx.out()
        return C, [(np.fmod if self.fmod else np.remainder, A, B, C)], None


@op
class Pow(Op):
    """``Z = X ** Y``. X and Y may differ in dtype; Z has the dtype of X. The gradient of Y is 0 where X ≤ 0."""

    elementwise = True

    def infer(self, X: Value, Y: Value) -> Type:
        need("bool" not in (X.dtype, Y.dtype), "needs numbers, got bool tensors", code=Code.WRONG_DTYPE)
        return Type(X.dtype, broadcast(X.shape, Y.shape))

    def bind(self, ctx: Context, X: Array, Y: Array) -> Bound:
        constant = ctx.known(1)
        same_shape = X.shape == ctx.shape()
        exponent = float(constant.reshape(())) if constant is not None and constant.size == 1 and same_shape else None
        Z = ctx.out(like=X) if same_shape else ctx.out()
        calls: Calls = []
        E = Y
        if X.dtype.kind == "f" and Y.dtype != X.dtype:
            E = ctx.save_for_backward(Y.shape, X.dtype)
            calls.append((copy_cast, E, Y))
        fast: dict[float, Calls] = {
            2.0: [(np.square, X, Z)],
            3.0: [(np.multiply, X, X, Z), (np.multiply, Z, X, Z)],
            0.5: [(np.sqrt, X, Z)],
            -1.0: [(np.reciprocal, X, Z)],
        }
        if X.dtype.kind == "f" and exponent in fast:
            calls += fast[exponent]
        elif X.dtype.kind != "f" and Y.dtype != X.dtype:
            calls.append((partial(np.power, out=Z, casting="unsafe"), X, Y))
        else:
            calls.append((np.power, X, E, Z))

        def to_X(out: Array, dZ: Array) -> Calls:  # dZ · Y · X ** (Y - 1)
            if exponent == 2.0:
                return [(np.multiply, dZ, X, out), (np.add, out, out, out)]
            lower, t = ctx.scratch(E.shape), scratch_like(ctx, dZ)
            return [
                (np.subtract, E, ctx.constant(1.0), lower),
                (np.power, X, lower, t),
                (np.multiply, t, E, t),
                (np.multiply, dZ, t, out),
            ]

        def to_Y(out: Array, dZ: Array) -> Calls:  # dZ · Z · log(X)
            t = ctx.scratch(X.shape)
            tiny = ctx.constant(np.finfo(X.dtype).tiny)
            return [
                (partial(np.maximum, out=t), X, tiny),
                (np.log, t, t),
                (np.multiply, dZ, Z, out),
                (np.multiply, out, t, out),
            ]

        def backward(dZ: Array) -> Calls:
            return give_each(ctx, dZ, {1: (Y, lambda out: to_Y(out, dZ)), 0: (X, lambda out: to_X(out, dZ))})

        return Z, calls, backward


class Extremum(Arithmetic):
    """The elementwise maximum or minimum of the operands; the gradient goes to the first operand that attains it."""

    variadic = True
    choose: ClassVar[np.ufunc]
    copied_inputs, drops_elements = slice(None), True
    smallest: ClassVar[bool]

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        if output.type.is_float and not all(r.finite for r in ranges):
            return ANY  # the result is NaN if an operand is
        pick = min if self.smallest else max
        return Range(pick(r.low for r in ranges), pick(r.high for r in ranges))

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        one_side = ANY._replace(low=out.low) if self.smallest else ANY._replace(high=out.high)
        return dict.fromkeys(range(len(ranges)), one_side if exact else out)

    def bind(self, ctx: Context, *operands: Array) -> Bound:
        Y = output_for(ctx, *list(enumerate(operands))[:2])  # the third operand is read after Y is written

        def backward(dY: Array) -> Calls:
            def writer(X: Array) -> Callable[[Array], Calls]:
                def write(out: Array) -> Calls:
                    selected = scratch_like(ctx, dY, np.bool_)
                    if out is dY:  # the last operand
                        return [(np.equal, X, Y, selected), (np.multiply, dY, selected, dY)]
                    # Subtracting leaves 0 for later operands that also equal Y.
                    return [(np.equal, X, Y, selected), (np.multiply, dY, selected, out), (np.subtract, dY, out, dY)]

                return write

            return give_each(ctx, dY, {k: (X, writer(X)) for k, X in enumerate(operands)})

        return Y, fold(self.choose, operands, Y), backward


@op
class Max(Extremum):
    """``Y = max(X₀, X₁, …)``."""

    choose, smallest = np.maximum, False


@op
class Min(Extremum):
    """``Y = min(X₀, X₁, …)``."""

    choose, smallest = np.minimum, True


def scaled_sum(ctx: Context, operands: tuple[Array, ...], scale: float) -> Bound:
    """``Y = scale · Σ operands``."""
    Y = output_for(ctx, *list(enumerate(operands))[:2])
    calls = fold(np.add, operands, Y)
    if scale != 1.0:
        calls.append((np.multiply, Y, ctx.constant(scale), Y))
    return Y, calls, lambda dY: give_sum(ctx, dY, operands, [scale] * len(operands))


@op
class Sum(Arithmetic):
    """``Y = X₀ + X₁ + …``."""

    variadic = True
    keeps_in, keeps_out = (), False

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        return sum(ranges, Range(0, 0))

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        return term_ranges(out, ranges, node.outputs[0].dtype, exact)

    def bind(self, ctx: Context, *operands: Array) -> Bound:
        return scaled_sum(ctx, operands, 1.0)


@op
class Mean(Arithmetic):
    """``Y = (X₀ + … + Xₙ₋₁) / n``."""

    variadic = True
    keeps_in, keeps_out = (), False

    def bind(self, ctx: Context, *operands: Array) -> Bound:
        return scaled_sum(ctx, operands, 1.0 / len(operands))
