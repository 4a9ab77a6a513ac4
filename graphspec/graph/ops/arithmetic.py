"""Elementwise operators on several inputs, with broadcasting: arithmetic, comparisons, choices, bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from typing import ClassVar

import numpy as np

from graphspec.graph import expressions as ex
from graphspec.graph.expressions import Formula, Function, leaf, record
from graphspec.graph.ir.dims import Dim, add, floordiv, mul, subtract
from graphspec.graph.ir.graph import Array, Node, Type, Value, numpy_dtype
from graphspec.graph.ir.ranges import ANY, Range, may_wrap_into
from graphspec.graph.kernels import common
from graphspec.graph.kernels.channels import broadcast_rows
from graphspec.graph.kernels.context import Bound, Calls, Context, broadcast, need, same_dtype
from graphspec.graph.ops.op import Inference, Memoryless, Op, in_place, variants


# Ranges of the operands of a sum or a product that keep the result in a range.
def _is_bounded(term: Range, out: Range) -> bool:
    """Whether an operand's range is finite and not wider than ``out``: such an operand needs no bound of its own."""
    return term.finite and term.high - term.low <= out.high - out.low


def _root(out: Range) -> int:
    return math.isqrt(int(out.high))


def term_ranges(
    out: Range, ranges: Sequence[Range], dtype: str, exact: bool, *, difference: bool = False
) -> dict[int, Range]:
    """Bounds for the terms of a sum that keep it in ``out``, by index; unconstrained terms are absent.

    The terms have the known ``ranges``; the sum may wrap around in its dtype. With ``exact`` these are the bounds that
    every sum in ``out`` implies; else they keep every sum in it. With ``difference`` the second of two terms is a
    negated subtrahend, which its bounds keep at 0 or above.
    """
    if exact:
        if may_wrap_into(sum(ranges, Range(0, 0)), dtype, out):
            return {}
        others = [sum((r for k, r in enumerate(ranges) if k != i), Range(0, 0)) for i in range(len(ranges))]
        bounds = {i: Range(out.low - other.high, out.high - other.low) for i, other in enumerate(others)}
        return {i: r for i, r in bounds.items() if r != ANY}
    free = [i for i, r in enumerate(ranges) if not _is_bounded(r, out)]
    bounded = sum((r for i, r in enumerate(ranges) if i not in free), Range(0, 0))
    room = Range(out.low - bounded.low, out.high - bounded.high)
    if not free or not room.finite:
        return {}
    if difference and len(free) == 2:
        half = (room.high - room.low) // 2
        return {0: Range(room.low + half, room.high), 1: Range(-half, 0)}
    return dict.fromkeys(free, Range(math.ceil(room.low / len(free)), math.floor(room.high / len(free))))


def factor_ranges(out: Range, ranges: Sequence[Range], dtype: str, exact: bool) -> dict[int, Range]:
    """Bounds for the two factors of a product that keep it in ``out``; see :func:`term_ranges`."""
    if exact and may_wrap_into(ranges[0].times(ranges[1]), dtype, out):
        return {}
    if not out.low <= 0 <= out.high:
        smallest = math.isqrt(int(max(out.low, 1)) - 1) + 1
        return {} if exact or not out.finite or out.high < 0 else dict.fromkeys((0, 1), Range(smallest, _root(out)))
    bounds: dict[int, Range] = {}
    for i in (0, 1):
        other = ranges[1 - i]
        if exact:
            if other.finite and other.low > 0:
                bounds[i] = Range(-(-out.low // other.low), out.high // other.low)
        elif not _is_bounded(ranges[i], out):
            if _is_bounded(other, out) and other.low >= 0:
                if other.high > 0:
                    bounds[i] = Range(0, out.high // other.high)
            elif out.finite:
                bounds[i] = Range(0, _root(out))
    return bounds


class Arithmetic(Op):
    """An elementwise operator on operands of one numeric dtype, which broadcast."""

    elementwise = True
    of_sizes: ClassVar[Callable[..., Dim | None] | None] = None  # the function of two sizes, which may be symbolic

    def infer(self, *operands: Value) -> Type:
        need(len(operands) > 0, "needs an input")
        dtype = same_dtype(*operands)
        need.dtype(dtype != "bool", "needs numbers, got bool tensors")
        return Type(dtype, broadcast(*(X.shape for X in operands)))

    def dims(self, *operands: Value) -> tuple[Dim, ...] | None:
        vectors = [elements for X in operands if (elements := X.known()) is not None]
        if self.of_sizes is None or len(vectors) < len(operands):
            return None
        size = max(map(len, vectors))
        pairs = zip(*(v * size if len(v) == 1 else v for v in vectors), strict=True)
        results = [self.of_sizes(*pair) for pair in pairs]
        return None if any(r is None for r in results) else tuple(r for r in results if r is not None)


spread_product = Function(
    lambda ctx, operands, out: broadcast_rows(ctx, np.multiply, operands[0], operands[1], out), "Mul"
)
"""The product of two arrays; a vector is spread over many rows."""


class Binary(Op):
    """An operator on two operands that is a formula of them."""

    elementwise = True
    formula: ClassVar[Formula]  # returns C of A and B
    # Of the operands, in the order in which they are computed, the last one in place: the operand's index, and the
    # function that returns its gradient of A, B, C and C's gradient. What backward reads follows from these.
    gradients: ClassVar[Sequence[tuple[int, Formula]]] = ()

    def __init_subclass__(cls) -> None:
        read: set[str] = set().union(*(ex.letters(f, ("A", "B", "C", "d"), {}) for _, f in cls.gradients))
        cls.keeps_in, cls.keeps_out = tuple(k for k, name in enumerate("AB") if name in read), "C" in read

    def bind(self, ctx: Context, A: Array, B: Array) -> Bound:
        C = common.output_for(ctx, (0, A), (1, B))

        def backward(dC: Array) -> Calls:
            def write(gradient: Formula, out: Array) -> Calls:
                return record(ctx, (out, gradient(*map(leaf, (A, B, C, dC)))))

            return common.give_each(
                ctx, dC, {k: ((A, B)[k], partial(write, gradient)) for k, gradient in self.gradients}
            )

        return C, record(ctx, (C, self.formula(leaf(A), leaf(B)))), backward


class Terms(Arithmetic):
    """A sum of operands."""

    keeps_in, keeps_out = (), False

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        return sum(ranges, Range(0, 0))

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        return term_ranges(out, ranges, node.outputs[0].dtype, exact)


class Add(Terms):
    """``C = A + B``."""

    neutral, commutes = 0.0, True
    activation = "linear"
    blockwise = True
    of_sizes = staticmethod(add)

    def bind(self, ctx: Context, A: Array, B: Array) -> Bound:
        C = common.output_for(ctx, (0, A), (1, B))
        return C, broadcast_rows(ctx, np.add, A, B, C), lambda dC: common.give_sum(ctx, dC, (A, B), (1.0, 1.0))


class Sub(Terms):
    """``C = A - B``."""

    neutral = 0.0
    activation = "linear"
    of_sizes = staticmethod(subtract)

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        return ranges[0] + -ranges[1]

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        bounds = term_ranges(out, (ranges[0], -ranges[1]), node.outputs[0].dtype, exact, difference=True)
        return {i: -r if i else r for i, r in bounds.items()}

    def bind(self, ctx: Context, A: Array, B: Array) -> Bound:
        C = common.output_for(ctx, (0, A), (1, B))
        return C, broadcast_rows(ctx, np.subtract, A, B, C), lambda dC: common.give_sum(ctx, dC, (A, B), (1.0, -1.0))


class Mul(Binary, Arithmetic):
    """``C = A · B``."""

    neutral, commutes = 1.0, True
    formula = spread_product
    gradients = ((0, lambda A, B, C, d: spread_product(d, B)), (1, lambda A, B, C, d: d * A))
    of_sizes = staticmethod(mul)

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        return ranges[0].times(ranges[1])

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        return factor_ranges(out, ranges, node.outputs[0].dtype, exact)


class Div(Binary, Arithmetic):
    """``C = A / B``; the quotient of integers is rounded towards 0 and has no gradient."""

    neutral = 1.0
    formula = ex.divide
    gradients = ((1, lambda A, B, C, d: -(d * C / B)), (0, lambda A, B, C, d: d / B))
    of_sizes = staticmethod(lambda a, b: floordiv(a, b) if isinstance(b, int) and b > 0 else None)

    def bind(self, ctx: Context, A: Array, B: Array) -> Bound:
        if A.dtype.kind == "f":
            return super().bind(ctx, A, B)
        C = ctx.out()
        if A.dtype.kind == "u":
            return C, [(np.floor_divide, A, B, C)], None
        # A - fmod(A, B) is a multiple of B; fmod has A's sign, so the quotient is truncated
        t = ctx.scratch(C.shape, C.dtype)
        return C, [(np.fmod, A, B, t), (np.subtract, A, t, t), (np.floor_divide, t, B, C)], None


class Mod(Arithmetic):
    """``C = A mod B`` with the sign of B, or with the sign of A if ``fmod`` is 1. No gradient."""

    keeps_in, keeps_out, piecewise_constant = (), False, True

    fmod: int = 0

    def infer(self, *operands: Value) -> Type:
        need.dtype(self.fmod == 1 or not operands[0].type.is_float, "needs fmod=1 for floats")
        return super().infer(*operands)

    def bind(self, ctx: Context, A: Array, B: Array) -> Bound:
        C = ctx.out()
        return C, [(np.fmod if self.fmod else np.remainder, A, B, C)], None


power = ex.ufunc(np.power)
POWERS: Mapping[float, Formula] = {2.0: ex.square, 3.0: lambda X: X * X * X, 0.5: ex.sqrt, -1.0: ex.reciprocal}
"""Powers that are computed faster in another way."""


class Pow(Op):
    """``Z = X ** Y``. X and Y may differ in dtype; Z has the dtype of X. The gradient of Y is 0 where X ≤ 0."""

    elementwise = True

    def infer(self, X: Value, Y: Value) -> Type:
        need.dtype("bool" not in (X.dtype, Y.dtype), "needs numbers, got bool tensors")
        return Type(X.dtype, broadcast(X.shape, Y.shape))

    def bind(self, ctx: Context, X: Array, Y: Array) -> Bound:
        constant, same_shape = ctx.known(1), X.shape == ctx.shape()
        exponent = float(constant.item()) if constant is not None and constant.size == 1 and same_shape else None
        Z = ctx.out(like=X) if same_shape else ctx.out()
        calls, E, is_float = list[tuple[object, ...]](), Y, X.dtype.kind == "f"
        if is_float and Y.dtype != X.dtype:
            E = ctx.save_for_backward(Y.shape, X.dtype)
            calls.append((common.copy_cast, E, Y))
        x, e, z = map(leaf, (X, E, Z))
        if is_float and exponent is not None and exponent in POWERS:
            calls += record(ctx, (Z, POWERS[exponent](x)))
        elif not is_float and Y.dtype != X.dtype:
            calls.append((partial(np.power, out=Z, casting="unsafe"), X, Y))
        else:
            calls.append((np.power, X, E, Z))

        def backward(dZ: Array) -> Calls:
            d = leaf(dZ)
            tiny = float(np.finfo(X.dtype).tiny)
            twice = d * x
            to_X = twice + twice if exponent == 2.0 else d * (power(x, e - 1.0) * e)
            to_Y = d * z * ex.log(ex.maximum(x, tiny))
            writers = {1: (Y, lambda out: record(ctx, (out, to_Y))), 0: (X, lambda out: record(ctx, (out, to_X)))}
            return common.give_each(ctx, dZ, writers)

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
        Y = common.output_for(ctx, *list(enumerate(operands))[:2])  # the third operand is read after Y is written

        def backward(dY: Array) -> Calls:
            def write(X: Array, out: Array) -> Calls:
                selected = common.scratch_like(ctx, dY, np.bool_)
                if out is dY:  # the last operand
                    return [(np.equal, X, Y, selected), (np.multiply, dY, selected, dY)]
                # Subtracting leaves 0 for later operands that also equal Y.
                return [(np.equal, X, Y, selected), (np.multiply, dY, selected, out), (np.subtract, dY, out, dY)]

            return common.give_each(ctx, dY, {k: (X, partial(write, X)) for k, X in enumerate(operands)})

        return Y, common.fold(self.choose, operands, Y), backward


variants(
    Extremum,
    "``Y = {}(X₀, X₁, …)``.",
    {
        "Max": ("max", {"choose": np.maximum, "smallest": False}),
        "Min": ("min", {"choose": np.minimum, "smallest": True}),
    },
)


def scaled_sum(ctx: Context, operands: tuple[Array, ...], scale: float) -> Bound:
    """``Y = scale · Σ operands``."""
    Y = common.output_for(ctx, *list(enumerate(operands))[:2])
    calls = common.fold(np.add, operands, Y)
    if scale != 1.0:
        calls.append((np.multiply, Y, ctx.constant(scale), Y))
    return Y, calls, lambda dY: common.give_sum(ctx, dY, operands, [scale] * len(operands))


class Sum(Terms):
    """``Y = X₀ + X₁ + …``."""

    variadic = True

    def bind(self, ctx: Context, *operands: Array) -> Bound:
        return scaled_sum(ctx, operands, 1.0)


class Mean(Arithmetic):
    """``Y = (X₀ + … + Xₙ₋₁) / n``."""

    variadic = True
    keeps_in, keeps_out = (), False

    def bind(self, ctx: Context, *operands: Array) -> Bound:
        return scaled_sum(ctx, operands, 1.0 / len(operands))


class MeanAtInference(Mean):
    """``Y = (X + Z) / 2``; in training Y is X, and the pass `drop_inference` removes the node and what only Z needs."""

    inference = Inference("Mean", (0, 1))
    exported, variadic, inference_only = False, False, True


class PRelu(Binary):
    """``Y = X if X > 0 else slope · X``. He et al., *Delving deep into rectifiers*, ICCV 2015.

    The slope broadcasts to X's shape. The gradient of X at 0 is 0, as in Keras's layer.
    """

    activation, vectors_at = "PReLU", (1,)
    formula = staticmethod(lambda X, slope: ex.minimum(X, 0) * slope + ex.maximum(X, 0))
    gradients = (
        (1, lambda X, slope, Y, d: d * ex.minimum(X, 0)),
        (0, lambda X, slope, Y, d: d * ((X < 0) * slope + ex.number(X > 0))),
    )

    def infer(self, X: Value, slope: Value) -> Type:
        need.float(X, slope)
        need(broadcast(X.shape, slope.shape) == X.shape, f"needs a slope that broadcasts to {X.type}, got {slope.type}")
        return X.type


class Clip(Op):
    """``Y = min(max(X, min), max)``, with scalar bounds that may be absent; the gradient is 0 where Y is at a bound."""

    elementwise = blockwise = True
    keeps_in, keeps_out = (1, 2), True

    def infer(self, X: Value, minimum: Value | None = None, maximum: Value | None = None) -> Type:
        need.dtype(X.dtype != "bool", f"needs a numeric tensor, got {X.type}")
        same_dtype(X, minimum, maximum)
        for bound in (minimum, maximum):
            need(bound is None or bound.rank == 0, "needs scalar bounds")
        return X.type

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        X, minimum, maximum = (*ranges, ANY, ANY)[:3]
        if output.type.is_float and not X.finite:
            return ANY  # NaN passes through
        return Range(min(max(X.low, minimum.low), maximum.high), min(max(X.high, minimum.high), maximum.high))

    def bind(self, ctx: Context, X: Array, minimum: Array | None = None, maximum: Array | None = None) -> Bound:
        Y = common.output_for(ctx, (0, X))
        smallest, largest = (-inf, inf) if X.dtype.kind == "f" else (np.iinfo(X.dtype).min, np.iinfo(X.dtype).max)
        low = ctx.constant(smallest, X.dtype) if minimum is None else minimum
        high = ctx.constant(largest, X.dtype) if maximum is None else maximum
        calls = common.in_blocks(ctx, lambda x, y: [common.clip(x, low, high, y)], X, Y)

        @in_place(ctx)
        def backward(dY: Array) -> Calls:
            return common.in_blocks(ctx, lambda y, dy: common.within(ctx, y, minimum, maximum, dy), Y, dY)

        return Y, calls, backward


class Predicate(Memoryless):
    """An elementwise function of two operands of one dtype; its result is bool. No gradient."""

    elementwise = True
    function: ClassVar[np.ufunc]
    dtype_kinds: ClassVar[str] = "fiu"  # NumPy's kind codes of the supported dtypes

    def infer(self, A: Value, B: Value) -> Type:
        dtype = same_dtype(A, B)
        need.dtype(numpy_dtype(dtype).kind in self.dtype_kinds, f"does not support {dtype} tensors")
        return Type("bool", broadcast(A.shape, B.shape))

    def bind(self, ctx: Context, A: Array, B: Array) -> Bound:
        C = common.output_for(ctx, (0, A), (1, B), dtype=np.dtype(np.bool_))
        return C, [(self.function, A, B, C)], None


variants(
    Predicate,
    "``C = A {} B``.",
    {
        "Equal": ("==", {"function": np.equal, "dtype_kinds": "fiub"}),
        "Greater": (">", {"function": np.greater}),
        "GreaterOrEqual": (">=", {"function": np.greater_equal}),
        "Less": ("<", {"function": np.less}),
        "LessOrEqual": ("<=", {"function": np.less_equal}),
        "And": ("and", {"function": np.logical_and, "dtype_kinds": "b"}),
        "Or": ("or", {"function": np.logical_or, "dtype_kinds": "b"}),
        "Xor": ("xor", {"function": np.logical_xor, "dtype_kinds": "b"}),
    },
)


class Where(Op):
    """``Y = A`` if ``condition``, else ``B``, elementwise with broadcasting. The condition has no gradient.

    Selects on the bits of the elements: ``B ^ ((A ^ B) & mask)``.
    """

    elementwise = True
    keeps_in, keeps_out = (0,), False
    copied_inputs, drops_elements, takes_texts = slice(1, 3), True, True

    def infer(self, condition: Value, A: Value, B: Value) -> Type:
        need.dtype(condition.dtype == "bool", f"needs a bool condition, got {condition.type}")
        return Type(same_dtype(A, B), broadcast(condition.shape, A.shape, B.shape))

    def bind(self, ctx: Context, condition: Array, A: Array, B: Array) -> Bound:
        Y = common.output_for(ctx, (1, A))

        def backward(dY: Array) -> Calls:
            mask, mask_calls = common.bit_mask(ctx, condition, dY.dtype)
            d = common.as_words(dY)
            gradients: dict[int, tuple[Array, Callable[[Array], Calls]]] = {
                1: (A, lambda out: [(np.bitwise_and, d, mask, common.as_words(out))]),
                2: (B, lambda out: [(np.invert, mask, mask), (np.bitwise_and, d, mask, common.as_words(out))]),
            }
            return mask_calls + common.give_each(ctx, dY, gradients)

        return Y, ex.choose.calls(ctx, (condition, A, B), Y), backward
