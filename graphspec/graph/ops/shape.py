"""Operators that change a tensor's shape or dtype: mostly views, which cost nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.dims import Dim, product, quotient, show
from graphspec.graph.ir.graph import STRING, Array, Node, Type, Value
from graphspec.graph.ir.ranges import ANY, Range
from graphspec.graph.kernels.common import copy_cast, reduce_to
from graphspec.graph.kernels.context import Bound, Context, broadcast, need, normalize_axis
from graphspec.graph.ops.base import Op, op

NUMBERS = frozenset(
    ["bool", "float16", "float32", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
)
"""The dtypes of numbers that a value may have."""
_EXACT = 1 << 24  # float32 represents all integers up to here


def known(value: Value, name: str) -> tuple[Dim, ...]:
    """Return the elements of a small integer vector; raise ShapeError (GS305) if they are not known when building."""
    elements = value.known()
    need(elements is not None, f"needs {name} known when building", code=Code.SIZE_NOT_FIXED)
    return elements or ()


def single(value: Value, name: str) -> Dim:
    """Return the one element of an integer vector; raise ShapeError if it is not known (GS305) or not one."""
    elements = known(value, name)
    need(len(elements) == 1, f"needs one {name}, got {len(elements)} numbers", code=Code.VALUE_NOT_ALLOWED)
    return elements[0]


def integer(value: Value, name: str) -> int:
    """Return the value of an integer vector with one element; raise ShapeError (GS305) if it is not known."""
    only = single(value, name)
    need(isinstance(only, int), f"needs a fixed {name}, got '{only}'", code=Code.SIZE_NOT_FIXED)
    return int(only)


def reshaped(ctx: Context, X: Array) -> Bound:
    """Bind X with the output's shape: a view if the memory layout of X allows it, else a copy."""
    shape = ctx.shape()
    try:
        Y, calls = X.reshape(shape, copy=False), list[tuple[object, ...]]()
    except ValueError:
        Y = ctx.out()
        calls = [(np.copyto, Y.reshape(X.shape, copy=False), X)]

    def backward(dY: Array) -> Calls:
        try:
            ctx.give_grad(0, dY.reshape(X.shape, copy=False))
            return []
        except ValueError:
            dX = ctx.grad(0)
        if dX is None:
            return []
        try:
            return [(np.copyto, dX.reshape(shape, copy=False), dY)]
        except ValueError:
            flat = ctx.scratch(shape)
            return [(np.copyto, flat, dY), (np.copyto, dX, flat.reshape(X.shape, copy=False))]

    return Y, calls, backward


class View(Op):
    """An operator that neither reads nor changes elements."""

    is_view, takes_texts = True, True
    keeps_in, keeps_out = (), False
    copied_inputs = slice(1)
    blockwise = True


@op
class Identity(View):
    """``Y = X``, as a view."""

    elementwise = True

    def infer(self, X: Value) -> Type:
        return X.type

    def dims(self, X: Value) -> tuple[Dim, ...] | None:
        return X.known()

    def bind(self, ctx: Context, X: Array) -> Bound:
        return reshaped(ctx, X)


@op
class StopGradient(View):
    """``Y = X``, as a view through which no gradient flows. ONNX has no such operator."""

    elementwise = True
    keeps_in = ()
    exported, identity_in_inference, stops_gradient = False, True, True

    def infer(self, X: Value) -> Type:
        return X.type

    def dims(self, X: Value) -> tuple[Dim, ...] | None:
        return X.known()

    def bind(self, ctx: Context, X: Array) -> Bound:
        return X, [], None


@op
class Reshape(View):
    """X with another shape, in C order. A size of -1 is inferred; 0 copies X's size unless ``allowzero``."""

    rows, takes_sizes, rearranges = "reshaped", True, True

    allowzero: int = 0

    def infer(self, X: Value, shape: Value) -> Type:
        sizes = list(known(shape, "sizes"))
        free = [k for k, d in enumerate(sizes) if d == -1]
        need(len(free) <= 1, f"has {len(free)} sizes of -1 in {show(tuple(sizes))}", code=Code.SIZES_DO_NOT_FIT)
        # Copied sizes cancel, even if they are 0.
        copied = [k for k, d in enumerate(sizes) if d == 0 and not self.allowzero]
        need(not copied or copied[-1] < X.rank, f"cannot copy the size of axis {copied[-1:]} of {show(X.shape)}")
        remaining = product(tuple(d for k, d in enumerate(X.shape) if k not in copied))
        fixed = product(tuple(d for k, d in enumerate(sizes) if k not in copied and k not in free))
        for k in copied:
            sizes[k] = X.shape[k]
        message = f"cannot reshape {show(X.shape)} to {show(tuple(sizes))}"
        if free:
            size = 0 if remaining == 0 else quotient(remaining, fixed)
            need(size is not None, f"{message}: the sizes do not divide", code=Code.SIZES_DO_NOT_FIT)
            sizes[free[0]] = -1 if size is None else size
        else:
            empty = product(X.shape) == 0 == product(tuple(sizes))  # a computed size of 0 can mean no rows, not a copy
            need(remaining == fixed or empty, f"{message}: the numbers of elements differ", code=Code.SIZES_DO_NOT_FIT)
        return Type(X.dtype, tuple(sizes))

    def dims(self, X: Value, shape: Value) -> tuple[Dim, ...] | None:
        return X.known()

    def bind(self, ctx: Context, X: Array, shape: Array) -> Bound:
        return reshaped(ctx, X)


@op
class Flatten(View):
    """X as a matrix: the axes before ``axis`` become its rows, the others its columns."""

    rows, rearranges = "reshaped", True

    axis: int = 1

    def infer(self, X: Value) -> Type:
        need(-X.rank <= self.axis <= X.rank, f"has axis {self.axis}, which does not exist in rank {X.rank}", key="axis")
        at = self.axis % X.rank if self.axis < 0 else self.axis
        return Type(X.dtype, (product(X.shape[:at]), product(X.shape[at:])))

    def bind(self, ctx: Context, X: Array) -> Bound:
        return reshaped(ctx, X)


def unit_axes(axes: Value | None, rank: int) -> list[int]:
    """Return ``axes`` counted from the front; raise ShapeError if one is listed twice."""
    elements = known(axes, "axes") if axes is not None else ()
    out = [normalize_axis(int(k), rank) for k in elements]
    need(len(set(out)) == len(out), f"has an axis twice in {show(elements)}", key="axis")
    return out


@op
class Squeeze(View):
    """X without the ``axes`` of size 1; without ``axes``, all axes of size 1 are removed."""

    rows, rearranges = "squeezed", True

    def infer(self, X: Value, axes: Value | None = None) -> Type:
        removed = unit_axes(axes, X.rank) if axes is not None else [k for k, d in enumerate(X.shape) if d == 1]
        for k in removed:
            need(
                X.shape[k] == 1,
                f"cannot remove axis {k} of {show(X.shape)}: its size is not 1",
                code=Code.SIZES_DO_NOT_FIT,
            )
        return Type(X.dtype, tuple(d for k, d in enumerate(X.shape) if k not in removed))

    def dims(self, X: Value, *_: Value | None) -> tuple[Dim, ...] | None:
        return X.known()

    def bind(self, ctx: Context, X: Array, axes: Array | None = None) -> Bound:
        return reshaped(ctx, X)


@op
class Unsqueeze(View):
    """X with additional axes of size 1 at ``axes``, which count in the output."""

    rows, rearranges = "unsqueezed", True

    def infer(self, X: Value, axes: Value) -> Type:
        new = unit_axes(axes, X.rank + len(known(axes, "axes")))
        remaining = iter(X.shape)
        return Type(X.dtype, tuple(1 if k in new else next(remaining) for k in range(X.rank + len(new))))

    def dims(self, X: Value, *_: Value) -> tuple[Dim, ...] | None:
        return X.known()

    def bind(self, ctx: Context, X: Array, axes: Array) -> Bound:
        return reshaped(ctx, X)


@op
class Transpose(View):
    """X with its axes in the order ``perm``, by default reversed; a view."""

    rows, rearranges = "transposed", True

    perm: Sequence[int] | None = None

    def infer(self, X: Value) -> Type:
        order = list(range(X.rank))[::-1] if self.perm is None else list(self.perm)
        need(
            sorted(order) == list(range(X.rank)),
            f"cannot order the axes of {show(X.shape)} by {order}",
            key="dims",
        )
        return Type(X.dtype, tuple(X.shape[k] for k in order))

    def bind(self, ctx: Context, X: Array) -> Bound:
        order = list(range(X.ndim))[::-1] if self.perm is None else list(self.perm)

        def backward(dY: Array) -> Calls:
            ctx.give_grad(0, dY.transpose([order.index(k) for k in range(X.ndim)]))
            return []

        return X.transpose(order), [], backward


@op
class Expand(Op):
    """X broadcast with ``shape``: repeated along axes of size 1."""

    rows, takes_sizes, foldable = "broadcast", True, True
    takes_texts = True
    keeps_in, keeps_out = (), False
    copied_inputs = slice(1)

    def infer(self, X: Value, shape: Value) -> Type:
        return Type(X.dtype, broadcast(X.shape, known(shape, "sizes")))

    def dims(self, X: Value, shape: Value) -> tuple[Dim, ...] | None:
        elements = X.known()
        (size,) = known(shape, "sizes") if shape.shape == (1,) else (1,)
        return elements * int(size) if elements is not None and len(elements) == 1 else elements

    def bind(self, ctx: Context, X: Array, shape: Array) -> Bound:
        if X.shape == ctx.shape():
            return reshaped(ctx, X)
        Y = ctx.out(like=X)
        return Y, [(np.copyto, Y, X)], lambda dY: reduce_to(ctx, 0, dY, X)


@op
class Shape(Op):
    """The sizes of X from axis ``start`` up to ``end``, as an int64 vector; no gradient."""

    foldable = True
    is_view, takes_texts = True, True
    keeps_in, keeps_out = (), False

    start: int = 0
    end: int | None = None

    def infer(self, X: Value) -> Type:
        return Type("int64", (len(X.shape[self.start : self.end]),))

    def dims(self, X: Value) -> tuple[Dim, ...]:
        return X.shape[self.start : self.end]

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = ctx.out()
        return Y, [(np.copyto, Y, ctx.constant(X.shape[self.start : self.end], np.int64))], None


@op
class Size(Op):
    """The number of elements of X, an int64 scalar; no gradient."""

    foldable = True
    is_view, takes_texts = True, True
    keeps_in, keeps_out = (), False

    def infer(self, X: Value) -> Type:
        return Type("int64", ())

    def dims(self, X: Value) -> tuple[Dim, ...]:
        return (product(X.shape),)

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = ctx.out()
        return Y, [(np.copyto, Y, ctx.constant(X.size, np.int64))], None


@op
class Cast(Op):
    """X converted to the dtype ``to``, by name; ONNX files contain ONNX's number of the dtype. No gradient.

    Floats are truncated towards 0. Integers that the dtype cannot represent wrap around; for floats the result is undefined.
    Texts are read as float32 or int64, and integers written as texts, by onnxruntime alone; it stops at a text that is no
    number.
    """

    elementwise, takes_texts = True, True
    keeps_in, keeps_out = (), False

    to: str

    def infer(self, X: Value) -> Type:
        if X.type.is_string:
            supported = self.to in ("float32", "int64")
        elif self.to == STRING:
            supported = X.dtype in ("int32", "int64")
        else:
            supported = self.to in NUMBERS
        need(supported, f"does not cast {X.dtype} to {self.to}", code=Code.WRONG_DTYPE)
        return Type(self.to, X.shape)

    def dims(self, X: Value) -> tuple[Dim, ...] | None:
        return X.known()

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        (X,) = ranges
        if not X.finite:
            return ANY
        if output.type.is_float:  # float32 rounds large integers
            return Range(float(np.float32(X.low)), float(np.float32(X.high)))
        return Range(int(X.low), int(X.high))

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        source = node.inputs[0]
        numeric = source is not None and source.dtype not in ("bool", STRING) and self.to not in ("bool", STRING)
        if source is not None and source.type.is_float and exact:
            return {}  # truncation: an input may exceed the bound by a fraction
        if self.to == "float32" and exact and max(abs(out.low), abs(out.high)) >= _EXACT:
            return {}
        return {0: out} if numeric else {}

    def bind(self, ctx: Context, X: Array) -> Bound:
        if X.dtype == (ctx.dtype if self.to == "float32" else self.to):
            return reshaped(ctx, X)
        Y = ctx.out(like=X)
        return Y, [(copy_cast, Y, X)], None
