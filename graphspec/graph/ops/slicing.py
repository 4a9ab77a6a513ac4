"""Operators that split and join tensors: Concat, Split, Slice, Pad, Tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.arrays.layout import axis_order
from graphspec.base.codes import Code
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import Dim, add, ceildiv, mul, show, subtract
from graphspec.graph.ir.graph import Array, Node, Type, Value
from graphspec.graph.ir.ranges import Range, hull
from graphspec.graph.kernels.blocks import BLOCK_ELEMENTS
from graphspec.graph.kernels.common import copy_rows, scratch_like, sum_axes
from graphspec.graph.kernels.context import Bound, Context, need, normalize_axis, same_dtype
from graphspec.graph.ops.base import Op, op
from graphspec.graph.ops.shape import known, reshaped

_FAR = 1 << 30  # ONNX writes "up to the end" as a very large number


def on_axis(axis: int, start: int | None, stop: int | None, step: int | None = None) -> tuple[slice, ...]:
    """Return the index that selects ``start:stop:step`` on ``axis``."""
    return (*[slice(None)] * axis, slice(start, stop, step))


@op
class Concat(Op):
    """The inputs joined along ``axis``; they have equal sizes on the other axes."""

    rows, foldable = "along_shared_axis", True
    keeps_channels = True
    variadic, takes_texts = True, True
    keeps_in, keeps_out = (), False
    copied_inputs = slice(None)

    axis: int

    def infer(self, *inputs: Value) -> Type:
        first = inputs[0]
        at = normalize_axis(self.axis, first.rank)
        total: Dim = 0
        for X in inputs:
            need(X.rank == first.rank, f"joins shapes of different rank: {show(first.shape)} and {show(X.shape)}")
            same = all(d == e for k, (d, e) in enumerate(zip(X.shape, first.shape, strict=True)) if k != at)
            need(same, f"joins shapes that differ outside axis {self.axis}", code=Code.SHAPES_DIFFER)
            total = add(total, X.shape[at])
        return Type(same_dtype(*inputs), (*first.shape[:at], total, *first.shape[at + 1 :]))

    def dims(self, *inputs: Value) -> tuple[Dim, ...] | None:
        out: tuple[Dim, ...] = ()
        for X in inputs:
            if (elements := X.known()) is None:
                return None
            out += elements
        return out

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
            calls: Calls = []
            for dy, *parts in aligned_blocks(dY, at, [dX for _, dX in requested]):
                calls += [copy_rows(dx, dy[index]) for (index, _), dx in zip(requested, parts, strict=True)]
            return calls

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


@op
class Split(Op):
    """The pieces of X with the sizes ``split`` along ``axis``, as views."""

    rows, rearranges = "along_axis", True
    is_view = True
    keeps_in, keeps_out = (), False
    copied_inputs, drops_elements = slice(1), True

    axis: int = 0

    def infer(self, X: Value, split: Value) -> tuple[Type, ...]:
        at = normalize_axis(self.axis, X.rank)
        sizes = known(split, "sizes")
        need(len(sizes) > 0, "needs a size", code=Code.VALUE_NOT_ALLOWED)
        total: Dim = 0
        for size in sizes:
            total = add(total, size)
        message = f"cannot split axis {self.axis} of {show(X.shape)} into {show(sizes)}"
        need(total == X.shape[at], f"{message}: the sizes do not add up", code=Code.SIZES_DO_NOT_FIT)
        return tuple(Type(X.dtype, (*X.shape[:at], size, *X.shape[at + 1 :])) for size in sizes)

    def bind(self, ctx: Context, X: Array, split: Array) -> Bound:
        known_sizes = ctx.known(1)
        assert known_sizes is not None
        at, stops = self.axis % X.ndim, np.cumsum(known_sizes).tolist()
        slices = [on_axis(at, start, stop) for start, stop in zip([0, *stops], stops, strict=False)]

        def backward(*dYs: Array | None) -> Calls:
            dX = ctx.grad(0)
            if dX is None:
                return []
            pairs = [(dX[index], dY) for index, dY in zip(slices, dYs, strict=True)]
            return [(part.fill, 0) if dY is None else (np.copyto, part, dY) for part, dY in pairs]

        return tuple(X[index] for index in slices), [], backward


def start_index(start: int, step: int, size: int) -> int:
    """Return ``start`` as ONNX reads it: backwards from before the first element begins at the first element."""
    return max(start, -size) if step < 0 else start


def slice_length(size: Dim, start: Dim, stop: Dim, step: int) -> Dim:
    """Return the number of elements that ``start:stop:step`` selects on an axis of ``size``.

    A symbolic axis is assumed to be longer than any constant offset from its ends.

    Raises:
        ShapeError: ``GS305`` if the number cannot be determined.
    """
    if isinstance(size, int) and isinstance(start, int) and isinstance(stop, int):
        return len(range(*slice(start_index(start, step, size), stop_index(stop, step), step).indices(size)))

    def from_front(bound: Dim) -> Dim:
        if not isinstance(bound, int) or 0 <= bound <= _FAR:
            return bound
        return size if bound > _FAR else -1 if bound < -_FAR else add(size, bound)

    first, last = from_front(start), from_front(stop)
    if step < 0:
        first, last = last, add(size, -1) if first == size else first
    span = subtract(last, first)
    if span is None:
        raise ShapeError(
            Code.SIZE_NOT_FIXED, f"cannot determine how many of '{size}' elements {start}:{stop}:{step} selects"
        )
    count = ceildiv(span, abs(step))
    return max(count, 0) if isinstance(count, int) else count


def stop_index(stop: int, step: int) -> int | None:
    """Convert ONNX's end of a slice to Python's: ONNX writes "past the front" as a very negative number."""
    return None if step < 0 and stop < -_FAR else stop


def slices_by_axis(
    X: Value, starts: Value, ends: Value, axes: Value | None, steps: Value | None
) -> list[tuple[int, Dim, Dim, int]]:
    """Return (axis, start, end, step) for every axis that is sliced."""
    begins, stops = known(starts, "starts"), known(ends, "ends")
    listed = known(axes, "axes") if axes is not None else tuple(range(len(begins)))
    increments = known(steps, "steps") if steps is not None else (1,) * len(begins)
    need(
        len(begins) == len(stops) == len(listed) == len(increments),
        "has starts, ends, axes and steps of different lengths",
    )
    slices = []
    for a, s, e, step in zip(listed, begins, stops, increments, strict=True):
        need(
            isinstance(step, int) and step != 0,
            f"needs a fixed step other than 0, got {step}",
            code=Code.VALUE_NOT_ALLOWED,
        )
        slices.append((normalize_axis(int(a), X.rank), s, e, int(step)))
    return slices


@op
class Slice(Op):
    """``X[starts:ends:steps]`` on ``axes``, as a view.

    Negative bounds count from the end, and bounds are clipped, as in Python.
    """

    rows, takes_sizes, rearranges = "sliced", True, True
    keeps_channels = True
    is_view = True
    takes_texts = True
    keeps_in, keeps_out = (), False
    copied_inputs, drops_elements = slice(1), True

    def infer(
        self, X: Value, starts: Value, ends: Value, axes: Value | None = None, steps: Value | None = None
    ) -> Type:
        shape = list(X.shape)
        for axis, start, end, step in slices_by_axis(X, starts, ends, axes, steps):
            shape[axis] = slice_length(X.shape[axis], start, end, step)
        return Type(X.dtype, tuple(shape))

    def dims(self, X: Value, *bounds: Value | None) -> tuple[Dim, ...] | None:
        elements = X.known()
        (starts, ends), optional = bounds[:2], [*bounds[2:], None, None]
        if elements is None or starts is None or ends is None:
            return None
        for _, start, end, step in slices_by_axis(X, starts, ends, optional[0], optional[1]):
            if not (isinstance(start, int) and isinstance(end, int)):
                return None
            elements = elements[start_index(start, step, len(elements)) : stop_index(end, step) : step]
        return elements

    def bind(
        self, ctx: Context, X: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None
    ) -> Bound:
        known_starts, known_ends, known_axes, known_steps = (
            None if (s := ctx.known(k)) is None else s.tolist() for k in (1, 2, 3, 4)
        )
        assert known_starts is not None
        assert known_ends is not None
        slices = [slice(None)] * X.ndim
        for k, (start, end) in enumerate(zip(known_starts, known_ends, strict=True)):
            step = known_steps[k] if known_steps is not None else 1
            axis = known_axes[k] if known_axes is not None else k
            slices[axis] = slice(start_index(start, step, X.shape[axis]), stop_index(end, step), step)
        index = tuple(slices)

        def backward(dY: Array) -> Calls:
            if dY.shape == X.shape and all(s.step in (None, 1) for s in index):
                ctx.give_grad(0, dY)
                return []
            dX = ctx.grad(0)
            return [] if dX is None else [(dX.fill, 0), (np.copyto, dX[index], dY)]

        return X[index], [], backward


@op
class Pad(Op):
    """X with ``pads`` (all begins, then all ends) additional elements: a constant, the mirror image, or the edge.

    Negative pads of mode ``constant`` crop.
    """

    rows, takes_sizes = "padded", True
    keeps_channels = True
    keeps_in, keeps_out = (), False

    mode: Literal["constant", "reflect", "edge"] = "constant"

    def infer(self, X: Value, pads: Value, constant: Value | None = None) -> Type:
        need(self.mode in ("constant", "reflect", "edge"), f"has no mode '{self.mode}'", code=Code.VALUE_NOT_ALLOWED)
        known_pads = known(pads, "pads")
        need(len(known_pads) == 2 * X.rank, f"has {len(known_pads)} pads for rank {X.rank}")
        same_dtype(X, constant)
        shape: list[Dim] = []
        for d, low, high in zip(X.shape, known_pads[: X.rank], known_pads[X.rank :], strict=True):
            need(isinstance(low, int) and isinstance(high, int), "needs fixed pads", code=Code.SIZE_NOT_FIXED)
            largest = max(int(low), int(high))
            need(
                self.mode == "constant" or min(int(low), int(high)) >= 0,
                f"cannot crop in mode {self.mode}",
                code=Code.VALUE_NOT_ALLOWED,
            )
            if isinstance(d, int) and largest > 0 and self.mode != "constant":
                room = d - 1 if self.mode == "reflect" else largest if d else 0
                need(
                    largest <= room,
                    f"cannot {self.mode} {largest} elements of an axis of {d}",
                    code=Code.WINDOW_TOO_LARGE,
                )
            size = add(add(d, int(low)), int(high))
            need(
                not isinstance(size, int) or size >= 0,
                f"cannot crop {show(X.shape)} by {show(known_pads)}: an axis is too short",
                code=Code.WINDOW_TOO_LARGE,
            )
            shape.append(size)
        return Type(X.dtype, tuple(shape))

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        return hull(r for i, r in enumerate(ranges) if i != 1) | (ranges[0] if len(ranges) > 2 else Range(0, 0))

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        known_pads = node.inputs[1].known() if node.inputs[1] is not None else None
        crops = known_pads is None or any(not isinstance(d, int) or d < 0 for d in known_pads)
        filled = known_pads is not None and any(isinstance(d, int) and d > 0 for d in known_pads)
        demanded = {} if exact and crops else {0: out}
        return demanded | ({2: out} if len(ranges) > 2 and (filled or not exact) else {})

    def bind(self, ctx: Context, X: Array, pads: Array, constant: Array | None = None) -> Bound:
        known_pads = ctx.known(1)
        assert known_pads is not None
        low, high = known_pads.tolist()[: X.ndim], known_pads.tolist()[X.ndim :]
        source = tuple(slice(max(-a, 0), n - max(-b, 0)) for a, b, n in zip(low, high, X.shape, strict=True))
        inner = tuple(slice(max(a, 0), n - max(b, 0)) for a, b, n in zip(low, high, ctx.shape(), strict=True))
        if not known_pads.any():
            return reshaped(ctx, X)
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


@op
class Tile(Op):
    """X repeated ``repeats`` times along each axis."""

    rows, takes_sizes, foldable = "tiled", True, True
    keeps_in, keeps_out = (), False
    copied_inputs = slice(1)

    def infer(self, X: Value, repeats: Value) -> Type:
        times = known(repeats, "repeats")
        need(len(times) == X.rank, f"has {len(times)} repeats for rank {X.rank}")
        return Type(X.dtype, tuple(mul(d, n) for d, n in zip(X.shape, times, strict=True)))

    def bind(self, ctx: Context, X: Array, repeats: Array) -> Bound:
        known_repeats = ctx.known(1)
        assert known_repeats is not None
        Y = ctx.out()
        blocks = [n for pair in zip(known_repeats.tolist(), X.shape, strict=True) for n in pair]
        single = [n for size in X.shape for n in (1, size)]
        calls: Calls = [(np.copyto, Y.reshape(blocks, copy=False), X.reshape(single, copy=False))]

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            if dX is None:
                return []
            calls: Calls = []
            try:
                parts = dY.reshape(blocks, copy=False)
            except ValueError:
                flat = ctx.scratch(dY.shape)
                calls, parts = [(np.copyto, flat, dY)], flat.reshape(blocks)
            return calls + sum_axes(ctx, parts, range(0, len(blocks), 2), dX)

        return Y, calls, backward
