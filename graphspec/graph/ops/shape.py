"""Operators that change a shape or a dtype, mostly views, and that split and join: Concat, Split, Slice, Pad, Tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Literal

import numpy as np

from graphspec.base.arrays.layout import axis_order
from graphspec.base.codes import Code
from graphspec.graph.ir.dims import Dim, add, ceildiv, mul, product, quotient, show, subtract
from graphspec.graph.ir.graph import STRING, Array, Node, Type, Value
from graphspec.graph.ir.ranges import ANY, Range, hull
from graphspec.graph.kernels.common import BLOCK_ELEMENTS, copy_cast, copy_rows, reduce_to, scratch_like, sum_axes
from graphspec.graph.kernels.context import Bound, Calls, Context, broadcast, need, normalize_axis, same_dtype
from graphspec.graph.ops.op import Memoryless, as_shape, in_shape, into_gradient, known_numbers

NUMBERS = frozenset(
    ["bool", "float16", "float32", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
)  # the dtypes of numbers that a value may have
_EXACT = 1 << 24  # float32 represents all integers up to here


def elements_of(value: Value, name: str) -> tuple[Dim, ...]:
    """Return the elements of a small integer vector; raise ShapeError (GS305) if they are not known when building."""
    elements = value.known()
    need.fixed(elements is not None, f"needs {name} known when building")
    return elements or ()


def single(value: Value, name: str) -> Dim:
    """Return the one element of an integer vector; raise ShapeError if it is not known (GS305) or not one."""
    elements = elements_of(value, name)
    need.value(len(elements) == 1, f"needs one {name}, got {len(elements)} numbers")
    return elements[0]


def integer(value: Value, name: str) -> int:
    """Return the value of an integer vector with one element; raise ShapeError (GS305) if it is not known."""
    only = single(value, name)
    need.fixed(isinstance(only, int), f"needs a fixed {name}, got '{only}'")
    return int(only)


def reshaped(ctx: Context, X: Array) -> Bound:
    """Bind X with the output's shape: a view if the memory layout of X allows it, else a copy."""
    shape, calls = ctx.shape(), list[tuple[object, ...]]()
    if (Y := as_shape(X, shape)) is None:
        Y = ctx.out()
        calls = [(np.copyto, Y.reshape(X.shape, copy=False), X)]

    def backward(dY: Array) -> Calls:
        if (dX := as_shape(dY, X.shape)) is not None:
            ctx.give_grad(0, dX)
            return []
        if (dX := ctx.grad(0)) is None:
            return []
        if (target := as_shape(dX, shape)) is not None:
            return [(np.copyto, target, dY)]
        flat = ctx.scratch(shape)
        return [(np.copyto, flat, dY), (np.copyto, dX, flat.reshape(X.shape, copy=False))]

    return Y, calls, backward


class View(Memoryless):
    """An operator that neither reads nor changes elements."""

    copied_inputs = slice(1)
    is_view = takes_texts = blockwise = True

    def dims(self, X: Value, *_: Value | None) -> tuple[Dim, ...] | None:
        return X.known()

    def bind(self, ctx: Context, X: Array, *_: Array | None) -> Bound:
        return reshaped(ctx, X)


class Identity(View):
    """``Y = X``, as a view."""

    elementwise = True

    def infer(self, X: Value) -> Type:
        return X.type


class StopGradient(Identity):
    """``Y = X``, as a view through which no gradient flows. ONNX has no such operator."""

    exported, identity_in_inference, stops_gradient = False, True, True

    def bind(self, ctx: Context, X: Array, *_: Array | None) -> Bound:
        return X, [], None


class Reshape(View):
    """X with another shape, in C order. A size of -1 is inferred; 0 copies X's size unless ``allowzero``."""

    rows, takes_sizes, rearranges = "reshaped", True, True

    allowzero: int = 0

    def infer(self, X: Value, shape: Value) -> Type:
        sizes = list(elements_of(shape, "sizes"))
        free = [k for k, d in enumerate(sizes) if d == -1]
        need.sizes(len(free) <= 1, f"has {len(free)} sizes of -1 in {show(tuple(sizes))}")
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
            need.sizes(size is not None, f"{message}: the sizes do not divide")
            sizes[free[0]] = -1 if size is None else size
        else:
            empty = product(X.shape) == 0 == product(tuple(sizes))  # a computed size of 0 can mean no rows, not a copy
            need.sizes(remaining == fixed or empty, f"{message}: the numbers of elements differ")
        return Type(X.dtype, tuple(sizes))


class Flatten(View):
    """X as a matrix: the axes before ``axis`` become its rows, the others its columns."""

    rows, rearranges = "reshaped", True

    axis: int = 1

    def infer(self, X: Value) -> Type:
        need(-X.rank <= self.axis <= X.rank, f"has axis {self.axis}, which does not exist in rank {X.rank}", key="axis")
        at = self.axis % X.rank if self.axis < 0 else self.axis
        return Type(X.dtype, (product(X.shape[:at]), product(X.shape[at:])))


def unit_axes(axes: Value, rank: int) -> list[int]:
    """Return ``axes`` counted from the front; raise ShapeError if one is listed twice."""
    elements = elements_of(axes, "axes")
    out = [normalize_axis(int(k), rank) for k in elements]
    need(len(set(out)) == len(out), f"has an axis twice in {show(elements)}", key="axis")
    return out


class Squeeze(View):
    """X without the ``axes`` of size 1; without ``axes``, all axes of size 1 are removed."""

    rows, rearranges = "squeezed", True

    def infer(self, X: Value, axes: Value | None = None) -> Type:
        removed = unit_axes(axes, X.rank) if axes is not None else [k for k, d in enumerate(X.shape) if d == 1]
        for k in removed:
            need.sizes(X.shape[k] == 1, f"cannot remove axis {k} of {show(X.shape)}: its size is not 1")
        return Type(X.dtype, tuple(d for k, d in enumerate(X.shape) if k not in removed))


class Unsqueeze(View):
    """X with additional axes of size 1 at ``axes``, which count in the output."""

    rows, rearranges = "unsqueezed", True

    def infer(self, X: Value, axes: Value) -> Type:
        new = unit_axes(axes, X.rank + len(elements_of(axes, "axes")))
        remaining = iter(X.shape)
        return Type(X.dtype, tuple(1 if k in new else next(remaining) for k in range(X.rank + len(new))))


class Transpose(View):
    """X with its axes in the order ``perm``, by default reversed; a view."""

    rows, rearranges = "transposed", True
    perm: Sequence[int] | None = None

    def dims(self, X: Value, *_: Value | None) -> None:
        return None

    def order(self, rank: int) -> list[int]:
        """Return the axes of X in the order of the output's."""
        return list(range(rank))[::-1] if self.perm is None else list(self.perm)

    def infer(self, X: Value) -> Type:
        order = self.order(X.rank)
        fits = sorted(order) == list(range(X.rank))
        need(fits, f"cannot order the axes of {show(X.shape)} by {order}", key="dims")
        return Type(X.dtype, tuple(X.shape[k] for k in order))

    def bind(self, ctx: Context, X: Array, *_: Array | None) -> Bound:
        order = self.order(X.ndim)

        def backward(dY: Array) -> Calls:
            ctx.give_grad(0, dY.transpose([order.index(k) for k in range(X.ndim)]))
            return []

        return X.transpose(order), [], backward


class Expand(Memoryless):
    """X broadcast with ``shape``: repeated along axes of size 1."""

    rows, takes_sizes, foldable = "broadcast", True, True
    takes_texts = True
    copied_inputs = slice(1)

    def infer(self, X: Value, shape: Value) -> Type:
        return Type(X.dtype, broadcast(X.shape, elements_of(shape, "sizes")))

    def dims(self, X: Value, shape: Value) -> tuple[Dim, ...] | None:
        elements = X.known()
        (size,) = elements_of(shape, "sizes") if shape.shape == (1,) else (1,)
        return elements * int(size) if elements is not None and len(elements) == 1 else elements

    def bind(self, ctx: Context, X: Array, shape: Array) -> Bound:
        if X.shape == ctx.shape():
            return reshaped(ctx, X)
        Y = ctx.out(like=X)
        return Y, [(np.copyto, Y, X)], lambda dY: reduce_to(ctx, 0, dY, X)


class OfShape(Memoryless):
    """Integers that X's shape determines: :meth:`dims` of X."""

    foldable = is_view = takes_texts = True

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = ctx.out()
        return Y, [(np.copyto, Y, ctx.constant(self.dims(X), np.int64).reshape(Y.shape))], None


class Shape(OfShape):
    """The sizes of X from axis ``start`` up to ``end``, as an int64 vector; no gradient."""

    start: int = 0
    end: int | None = None

    def infer(self, X: Value) -> Type:
        return Type("int64", (len(self.dims(X)),))

    def dims(self, X: Value | Array) -> tuple[Dim, ...]:
        return X.shape[self.start : self.end]


class Size(OfShape):
    """The number of elements of X, an int64 scalar; no gradient."""

    def infer(self, X: Value) -> Type:
        return Type("int64", ())

    def dims(self, X: Value | Array) -> tuple[Dim, ...]:
        return (product(X.shape),)


class Cast(Memoryless):
    """X converted to the dtype ``to``, by name; ONNX files contain ONNX's number of the dtype. No gradient.

    Floats are truncated towards 0. Integers that the dtype cannot represent wrap around; for floats the result is undefined.
    Texts are read as float32 or int64, and integers written as texts, by onnxruntime alone; it stops at a text that is no
    number.
    """

    elementwise, takes_texts = True, True

    to: str

    def infer(self, X: Value) -> Type:
        if X.type.is_string:
            supported = self.to in ("float32", "int64")
        elif self.to == STRING:
            supported = X.dtype in ("int32", "int64")
        else:
            supported = self.to in NUMBERS or self.to == "float64"  # of scalars in a written training step alone
        need.dtype(supported, f"does not cast {X.dtype} to {self.to}")
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


# Operators that split and join tensors: Concat, Split, Slice, Pad, Tile.
_FAR = 1 << 30  # ONNX writes "up to the end" as a very large number


def on_axis(axis: int, start: int | None, stop: int | None, step: int | None = None) -> tuple[slice, ...]:
    """Return the index that selects ``start:stop:step`` on ``axis``."""
    return (*[slice(None)] * axis, slice(start, stop, step))


class Concat(Memoryless):
    """The inputs joined along ``axis``; they have equal sizes on the other axes."""

    rows = "along_shared_axis"
    foldable = keeps_channels = variadic = takes_texts = True
    copied_inputs = slice(None)

    axis: int

    def infer(self, *inputs: Value) -> Type:
        first = inputs[0]
        at = normalize_axis(self.axis, first.rank)
        total: Dim = 0
        for X in inputs:
            need(X.rank == first.rank, f"joins shapes of different rank: {show(first.shape)} and {show(X.shape)}")
            same = all(d == e for k, (d, e) in enumerate(zip(X.shape, first.shape, strict=True)) if k != at)
            need.shapes(same, f"joins shapes that differ outside axis {self.axis}")
            total = add(total, X.shape[at])
        return Type(same_dtype(*inputs), (*first.shape[:at], total, *first.shape[at + 1 :]))

    def dims(self, *inputs: Value) -> tuple[Dim, ...] | None:
        known = [elements for X in inputs if (elements := X.known()) is not None]
        return tuple(chain(*known)) if len(known) == len(inputs) else None

    def bind(self, ctx: Context, *inputs: Array) -> Bound:
        at = self.axis % inputs[0].ndim
        Y = ctx.out(like=inputs[0])
        stops = np.cumsum([X.shape[at] for X in inputs]).tolist()
        slices = [on_axis(at, stop - X.shape[at], stop) for X, stop in zip(inputs, stops, strict=True)]
        calls: Calls = []
        for y, *parts in aligned_blocks(Y, at, inputs):
            calls += [copy_rows(y[index], x) for index, x in zip(slices, parts, strict=True) if x.size]

        def backward(dY: Array) -> Calls:
            if all(dY[index].transpose(axis_order(dY)).flags.c_contiguous for index in slices):
                for k, index in enumerate(slices):
                    ctx.give_grad(k, dY[index])
                return []
            # Views with gaps would slow down every call that reads them.
            requested = [(index, dX) for k, index in enumerate(slices) if (dX := ctx.grad(k)) is not None]
            blocks = aligned_blocks(dY, at, [dX for _, dX in requested])
            pairs = ((dx, dy[index]) for dy, *parts in blocks for (index, _), dx in zip(requested, parts, strict=True))
            return [copy_rows(dx, dy) for dx, dy in pairs]

        return Y, calls, backward


def aligned_blocks(Y: Array, at: int, parts: Sequence[Array]) -> Iterator[tuple[Array, ...]]:
    """Yield Y and its parts along axis ``at`` in corresponding blocks along another axis.

    A cache line that several parts share is then still in the cache for the next part.
    """
    axis = next((k for k in axis_order(Y) if k != at), None)
    if axis is None or Y.size <= BLOCK_ELEMENTS:
        yield Y, *parts
        return
    step = max(1, BLOCK_ELEMENTS * Y.shape[axis] // Y.size)
    for start in range(0, Y.shape[axis], step):
        block = on_axis(axis, start, start + step)
        yield tuple(A[block] for A in (Y, *parts))


class Split(Memoryless):
    """The pieces of X with the sizes ``split`` along ``axis``, as views."""

    rows, rearranges = "along_axis", True
    is_view = True
    copied_inputs, drops_elements = slice(1), True

    axis: int = 0

    def infer(self, X: Value, split: Value) -> tuple[Type, ...]:
        at = normalize_axis(self.axis, X.rank)
        sizes = elements_of(split, "sizes")
        need.value(len(sizes) > 0, "needs a size")
        total: Dim = 0
        for size in sizes:
            total = add(total, size)
        message = f"cannot split axis {self.axis} of {show(X.shape)} into {show(sizes)}"
        need.sizes(total == X.shape[at], f"{message}: the sizes do not add up")
        return tuple(Type(X.dtype, (*X.shape[:at], size, *X.shape[at + 1 :])) for size in sizes)

    def bind(self, ctx: Context, X: Array, split: Array) -> Bound:
        at, stops = self.axis % X.ndim, np.cumsum(known_numbers(ctx, 1)).tolist()
        slices = [on_axis(at, start, stop) for start, stop in zip([0, *stops], stops, strict=False)]

        def backward(*dYs: Array | None) -> Calls:
            if (dX := ctx.grad(0)) is None:
                return []
            pairs = [(dX[index], dY) for index, dY in zip(slices, dYs, strict=True)]
            return [(part.fill, 0) if dY is None else (np.copyto, part, dY) for part, dY in pairs]

        return tuple(X[index] for index in slices), [], backward


def slice_length(size: Dim, start: Dim, stop: Dim, step: int) -> Dim:
    """Return the number of elements that ``start:stop:step`` selects on an axis of ``size``.

    A symbolic axis is assumed to be longer than any constant offset from its ends.

    Raises:
        ShapeError: ``GS305`` if the number cannot be determined.
    """
    if isinstance(size, int) and isinstance(start, int) and isinstance(stop, int):
        return len(range(*as_slice(start, stop, step, size).indices(size)))

    def from_front(bound: Dim) -> Dim:
        if not isinstance(bound, int) or 0 <= bound <= _FAR:
            return bound
        return size if bound > _FAR else -1 if bound < -_FAR else add(size, bound)

    first, last = from_front(start), from_front(stop)
    if step < 0:
        first, last = last, add(size, -1) if first == size else first
    return steps_in(subtract(last, first), step, f"how many of '{size}' elements {start}:{stop}:{step} selects")


def steps_in(span: Dim | None, step: int, text: str) -> Dim:
    """Return how many steps a span has; raise ShapeError (GS305) with this text if it is not known."""
    need.fixed(span is not None, f"cannot determine {text}")
    count = ceildiv(0 if span is None else span, abs(step))
    return max(count, 0) if isinstance(count, int) else count


def as_slice(start: int, stop: int, step: int, size: int) -> slice:
    """Return a slice as ONNX reads it: backwards from before the first element begins at the first element.

    ONNX writes "past the front" as a very negative number.
    """
    return slice(start, stop, step) if step > 0 else slice(max(start, -size), None if stop < -_FAR else stop, step)


def slices_by_axis(
    X: Value, starts: Value, ends: Value, axes: Value | None, steps: Value | None
) -> list[tuple[int, Dim, Dim, int]]:
    """Return (axis, start, end, step) for every axis that is sliced."""
    begins, stops = elements_of(starts, "starts"), elements_of(ends, "ends")
    listed = elements_of(axes, "axes") if axes is not None else tuple(range(len(begins)))
    increments = elements_of(steps, "steps") if steps is not None else (1,) * len(begins)
    fits = len(begins) == len(stops) == len(listed) == len(increments)
    need(fits, "has starts, ends, axes and steps of different lengths")
    slices = []
    for a, s, e, step in zip(listed, begins, stops, increments, strict=True):
        need.value(isinstance(step, int) and step != 0, f"needs a fixed step other than 0, got {step}")
        slices.append((normalize_axis(int(a), X.rank), s, e, int(step)))
    return slices


class Slice(Memoryless):
    """``X[starts:ends:steps]`` on ``axes``, as a view.

    Negative bounds count from the end, and bounds are clipped, as in Python.
    """

    rows = "sliced"
    copied_inputs = slice(1)
    takes_sizes = rearranges = keeps_channels = is_view = takes_texts = drops_elements = True

    def infer(
        self, X: Value, starts: Value, ends: Value, axes: Value | None = None, steps: Value | None = None
    ) -> Type:
        shape = list(X.shape)
        for axis, start, end, step in slices_by_axis(X, starts, ends, axes, steps):
            shape[axis] = slice_length(X.shape[axis], start, end, step)
        return Type(X.dtype, tuple(shape))

    def dims(self, X: Value, starts: Value, ends: Value, *optional: Value | None) -> tuple[Dim, ...] | None:
        if (elements := X.known()) is None:
            return None
        axes, steps = (*optional, None, None)[:2]
        for _, start, end, step in slices_by_axis(X, starts, ends, axes, steps):
            if not (isinstance(start, int) and isinstance(end, int)):
                return None
            elements = elements[as_slice(start, end, step, len(elements))]
        return elements

    def bind(
        self, ctx: Context, X: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None
    ) -> Bound:
        first, last = known_numbers(ctx, 1), known_numbers(ctx, 2)
        listed = range(len(first)) if axes is None else known_numbers(ctx, 3)
        increments = [1] * len(first) if steps is None else known_numbers(ctx, 4)
        slices = [slice(None)] * X.ndim
        for axis, start, end, step in zip(listed, first, last, increments, strict=True):
            slices[axis] = as_slice(start, end, step, X.shape[axis])
        index = tuple(slices)

        def backward(dY: Array) -> Calls:
            if dY.shape == X.shape and all(s.step in (None, 1) for s in index):
                ctx.give_grad(0, dY)
                return []
            return into_gradient(ctx)(lambda dY, dX: [(dX.fill, 0), (np.copyto, dX[index], dY)])(dY)

        return X[index], [], backward


class Pad(Memoryless):
    """X with ``pads`` (all begins, then all ends) additional elements: a constant, the mirror image, or the edge.

    Negative pads of mode ``constant`` crop.
    """

    rows, takes_sizes = "padded", True
    keeps_channels = True

    mode: Literal["constant", "reflect", "edge"] = "constant"

    def infer(self, X: Value, pads: Value, constant: Value | None = None) -> Type:
        need.value(self.mode in ("constant", "reflect", "edge"), f"has no mode '{self.mode}'")
        pads_ = elements_of(pads, "pads")
        need(len(pads_) == 2 * X.rank, f"has {len(pads_)} pads for rank {X.rank}")
        same_dtype(X, constant)
        shape: list[Dim] = []
        for d, *both in zip(X.shape, pads_[: X.rank], pads_[X.rank :], strict=True):
            need.fixed(all(isinstance(n, int) for n in both), "needs fixed pads")
            low, high = map(int, both)
            largest = max(low, high)
            need.value(self.mode == "constant" or min(low, high) >= 0, f"cannot crop in mode {self.mode}")
            if isinstance(d, int) and largest > 0 and self.mode != "constant":
                room = d - 1 if self.mode == "reflect" else largest if d else 0
                text = f"cannot {self.mode} {largest} elements of an axis of {d}"
                need(largest <= room, text, code=Code.WINDOW_TOO_LARGE)
            size = add(add(d, low), high)
            text = f"cannot crop {show(X.shape)} by {show(pads_)}: an axis is too short"
            need(not isinstance(size, int) or size >= 0, text, code=Code.WINDOW_TOO_LARGE)
            shape.append(size)
        return Type(X.dtype, tuple(shape))

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        return hull(r for i, r in enumerate(ranges) if i != 1) | (ranges[0] if len(ranges) > 2 else Range(0, 0))

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        numbers = node.inputs[1].known() if node.inputs[1] is not None else None
        crops = numbers is None or any(not isinstance(d, int) or d < 0 for d in numbers)
        filled = numbers is not None and any(isinstance(d, int) and d > 0 for d in numbers)
        demanded = {} if exact and crops else {0: out}
        return demanded | ({2: out} if len(ranges) > 2 and (filled or not exact) else {})

    def bind(self, ctx: Context, X: Array, pads: Array, constant: Array | None = None) -> Bound:
        numbers = known_numbers(ctx, 1)
        if not any(numbers):
            return reshaped(ctx, X)
        low, high = numbers[: X.ndim], numbers[X.ndim :]
        source = tuple(slice(max(-a, 0), n - max(-b, 0)) for a, b, n in zip(low, high, X.shape, strict=True))
        inner = tuple(slice(max(a, 0), n - max(b, 0)) for a, b, n in zip(low, high, ctx.shape(), strict=True))
        Y = ctx.out(like=X)
        calls: Calls = []
        if self.mode == "constant":
            calls.append((Y.fill, 0) if constant is None else (np.copyto, Y, constant))
        calls.append((np.copyto, Y[inner], X[source]))
        borders = [] if self.mode == "constant" else border_copies(Y.shape, low, high, self.mode)
        calls += [(np.copyto, Y[border], Y[inside]) for border, inside in borders]

        def backward(dY: Array) -> Calls:
            calls: Calls = []
            for border, inside in reversed(borders):
                if self.mode == "edge":
                    axis = len(inside) - 1
                    edge = scratch_like(ctx, dY[inside])
                    calls += [*sum_axes(ctx, dY[border], (axis,), edge), (np.add, dY[inside], edge, dY[inside])]
                else:
                    calls.append((np.add, dY[inside], dY[border], dY[inside]))
            if X[source].size == X.size:
                ctx.give_grad(0, dY[inner])
            elif (dX := ctx.grad(0)) is not None:
                calls += [(dX.fill, 0), (np.copyto, dX[source], dY[inner])]
            return calls

        return Y, calls, backward


def border_copies(
    shape: Sequence[int], low: Sequence[int], high: Sequence[int], mode: str
) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Return (border, its source) for each padded side, one axis after the other.

    A later axis copies the borders of earlier ones, too.
    """
    pairs = []
    for axis, (a, b, n) in enumerate(zip(low, high, shape, strict=True)):
        end = n - b
        if a:
            inside = on_axis(axis, a, a + 1) if mode == "edge" else on_axis(axis, 2 * a, a, -1)
            pairs.append((on_axis(axis, 0, a), inside))
        if b:
            before = end - b - 2
            mirror = on_axis(axis, end - 2, before if before >= 0 else None, -1)
            pairs.append((on_axis(axis, end, n), on_axis(axis, end - 1, end) if mode == "edge" else mirror))
    return pairs


class Tile(Memoryless):
    """X repeated ``repeats`` times along each axis."""

    rows, takes_sizes, foldable = "tiled", True, True
    copied_inputs = slice(1)

    def infer(self, X: Value, repeats: Value) -> Type:
        times = elements_of(repeats, "repeats")
        need(len(times) == X.rank, f"has {len(times)} repeats for rank {X.rank}")
        return Type(X.dtype, tuple(mul(d, n) for d, n in zip(X.shape, times, strict=True)))

    def bind(self, ctx: Context, X: Array, repeats: Array) -> Bound:
        Y = ctx.out()
        blocks = [n for pair in zip(known_numbers(ctx, 1), X.shape, strict=True) for n in pair]
        unit_blocks = [n for size in X.shape for n in (1, size)]

        @into_gradient(ctx)
        def backward(dY: Array, dX: Array) -> Calls:
            parts, copies = in_shape(ctx, dY, blocks)
            return [*copies, *sum_axes(ctx, parts, range(0, len(blocks), 2), dX)]

        return Y, [(np.copyto, Y.reshape(blocks, copy=False), X.reshape(unit_blocks, copy=False))], backward
