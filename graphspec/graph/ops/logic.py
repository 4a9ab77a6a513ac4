"""Comparisons, boolean operators, IsNaN, IsInf and Where."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.graph import Array, Type, Value, numpy_dtype
from graphspec.graph.kernels.common import as_words, bit_mask, give_each, output_for
from graphspec.graph.kernels.context import Bound, Context, broadcast, need, need_float, same_dtype
from graphspec.graph.ops.base import Op, op


class Predicate(Op):
    """An elementwise function of two operands of one dtype; its result is bool. No gradient."""

    elementwise = True
    keeps_in, keeps_out = (), False
    function: ClassVar[np.ufunc]
    dtype_kinds: ClassVar[str] = "fiu"
    """NumPy's kind codes of the supported dtypes."""

    def infer(self, A: Value, B: Value) -> Type:
        dtype = same_dtype(A, B)
        need(numpy_dtype(dtype).kind in self.dtype_kinds, f"does not support {dtype} tensors", code=Code.WRONG_DTYPE)
        return Type("bool", broadcast(A.shape, B.shape))

    def bind(self, ctx: Context, A: Array, B: Array) -> Bound:
        C = output_for(ctx, (0, A), (1, B), dtype=np.dtype(np.bool_))
        return C, [(self.function, A, B, C)], None


@op
class Equal(Predicate):
    """``C = A == B``."""

    function, dtype_kinds = np.equal, "fiub"


@op
class Greater(Predicate):
    """``C = A > B``."""

    function = np.greater


@op
class GreaterOrEqual(Predicate):
    """``C = A >= B``."""

    function = np.greater_equal


@op
class Less(Predicate):
    """``C = A < B``."""

    function = np.less


@op
class LessOrEqual(Predicate):
    """``C = A <= B``."""

    function = np.less_equal


@op
class And(Predicate):
    """``C = A and B``."""

    function, dtype_kinds = np.logical_and, "b"


@op
class Or(Predicate):
    """``C = A or B``."""

    function, dtype_kinds = np.logical_or, "b"


@op
class Xor(Predicate):
    """``C = A xor B``."""

    function, dtype_kinds = np.logical_xor, "b"


@op
class IsNaN(Op):
    """``Y`` is true where X is NaN; no gradient."""

    elementwise = True
    keeps_in, keeps_out = (), False

    def infer(self, X: Value) -> Type:
        need_float(X)
        return Type("bool", X.shape)

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = output_for(ctx, (0, X), dtype=np.dtype(np.bool_))
        return Y, [(np.isnan, X, Y)], None


@op
class IsInf(Op):
    """``Y`` is true where X is infinite, if the sign is among those to be detected; no gradient."""

    elementwise = True
    keeps_in, keeps_out = (), False

    detect_negative: int = 1
    detect_positive: int = 1

    def infer(self, X: Value) -> Type:
        need_float(X)
        return Type("bool", X.shape)

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = output_for(ctx, (0, X), dtype=np.dtype(np.bool_))
        if self.detect_negative and self.detect_positive:
            return Y, [(np.isinf, X, Y)], None
        if not (self.detect_negative or self.detect_positive):
            return Y, [(Y.fill, False)], None
        return Y, [(np.equal, X, ctx.constant(np.inf if self.detect_positive else -np.inf), Y)], None


@op
class Where(Op):
    """``Y = A`` if ``condition``, else ``B``, elementwise with broadcasting. The condition has no gradient.

    Selects on the bits of the elements: ``B ^ ((A ^ B) & mask)``.
    """

    elementwise = True
    keeps_in, keeps_out = (0,), False
    copied_inputs, drops_elements, takes_texts = slice(1, 3), True, True

    def infer(self, condition: Value, A: Value, B: Value) -> Type:
        need(condition.dtype == "bool", f"needs a bool condition, got {condition.type}", code=Code.WRONG_DTYPE)
        return Type(same_dtype(A, B), broadcast(condition.shape, A.shape, B.shape))

    def bind(self, ctx: Context, condition: Array, A: Array, B: Array) -> Bound:
        Y = output_for(ctx, (1, A))
        mask, mask_calls = bit_mask(ctx, condition, A.dtype)
        y, b = as_words(Y), as_words(B)
        calls: Calls = [
            *mask_calls,
            (np.bitwise_xor, as_words(A), b, y),
            (np.bitwise_and, y, mask, y),
            (np.bitwise_xor, y, b, y),
        ]

        def backward(dY: Array) -> Calls:
            mask, mask_calls = bit_mask(ctx, condition, dY.dtype)
            d = as_words(dY)
            gradients: dict[int, tuple[Array, Callable[[Array], Calls]]] = {
                1: (A, lambda out: [(np.bitwise_and, d, mask, as_words(out))]),
                2: (B, lambda out: [(np.invert, mask, mask), (np.bitwise_and, d, mask, as_words(out))]),
            }
            return mask_calls + give_each(ctx, dY, gradients)

        return Y, calls, backward
