"""Sliding windows: output sizes, padding, and the inputs that each tap of a window reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from graphspec.base.errors import Code, ShapeError
from graphspec.graph.ir.dims import Dim, Shape, add, ceildiv, floordiv
from graphspec.graph.kernels.context import need

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@dataclass(frozen=True, slots=True)
class Axis:
    """One spatial axis of a window operator: tap ``k`` of output ``o`` reads input ``o·stride + k·dilation - begin``."""

    size: int
    out: int
    kernel: int
    stride: int
    dilation: int
    begin: int  # the padding in front; negative if the input is cropped

    @property
    def trivial(self) -> bool:
        """Whether each output is the input with the same index."""
        return self.kernel == 1 and self.stride == 1 and self.begin == 0 and self.out == self.size

    @property
    def reach(self) -> int:
        """The number of inputs, with padding, from the first to the last that a window reads."""
        return (self.out - 1) * self.stride + (self.kernel - 1) * self.dilation + 1

    @property
    def inside(self) -> slice:
        """Where in this reach the inputs are that are no padding."""
        start = min(max(self.begin, 0), self.reach)
        return slice(start, max(start, min(self.begin + self.size, self.reach)))

    @property
    def overlaps(self) -> bool:
        """Whether two taps may read the same input."""
        return self.kernel > 1 and self.stride < (self.kernel - 1) * self.dilation + 1

    def every(self, step: int, first: int) -> Axis:
        """Return the axis of the outputs ``first``, ``first + step``, …; ``out`` must be a multiple of ``step``."""
        begin = self.begin - first * self.stride
        return Axis(self.size, self.out // step, self.kernel, self.stride * step, self.dilation, begin)

    def tap(self, k: int) -> tuple[slice, slice]:
        """Return the outputs for which tap ``k`` is inside the input, and the inputs that it reads."""
        offset = k * self.dilation - self.begin
        lo = min(max(0, -(offset // self.stride)), self.out)
        hi = max(lo, min(self.out, (self.size - 1 - offset) // self.stride + 1))
        if hi == lo:
            return slice(0, 0), slice(0, 0)
        first = lo * self.stride + offset
        return slice(lo, hi), slice(first, first + (hi - lo - 1) * self.stride + 1, self.stride)

    def segments(self) -> list[tuple[int, int, int, int]]:
        """Return runs ``(o, o_end, k, k_end)`` of outputs for which the same taps, ``k`` to ``k_end``, are in the input."""
        runs: list[tuple[int, int, int, int]] = []
        for o in range(self.out):
            start = o * self.stride - self.begin
            lo = min(max(0, ceil(-start, self.dilation)), self.kernel)
            hi = max(lo, min(self.kernel, (self.size - 1 - start) // self.dilation + 1))
            if runs and runs[-1][2:] == (lo, hi):
                runs[-1] = (runs[-1][0], o + 1, lo, hi)
            else:
                runs.append((o, o + 1, lo, hi))
        return runs


class Window(NamedTuple):
    """The windows along one spatial axis."""

    stride: int
    extent: int  # the number of inputs from a window's first tap to its last
    begin: int  # the padding in front


def ceil(a: int, b: int) -> int:
    """Return ``a / b``, rounded up."""
    return -(-a // b)


def per_axis(values: Sequence[int] | None, rank: int, default: int, name: str) -> tuple[int, ...]:
    """Return an attribute's value for each spatial axis; ``GS301`` for a wrong length, ``GS105`` for values below 1."""
    if values is None:
        return (default,) * rank
    subject = f"has {name} {list(values)}"
    need(len(values) == rank, f"{subject} for {rank} spatial axes", key=name)
    need(min(values) >= 1, f"{subject}, which must be at least 1", code=Code.VALUE_NOT_ALLOWED, key=name)
    return tuple(values)


Ints = Sequence[int]


def padding(
    spatial: Sequence[Dim], extents: Ints, strides: Ints, pads: Ints | None, auto_pad: str
) -> list[tuple[int, int] | None]:
    """Return the padding at the start and at the end of each axis; None if it depends on a symbolic size."""
    need.value(auto_pad in AUTO_PADS, f"has auto_pad {auto_pad!r}, which is none of {', '.join(AUTO_PADS)}")
    rank = len(spatial)
    if auto_pad == "VALID":
        return [(0, 0)] * rank
    if auto_pad == "NOTSET":
        values = tuple(pads) if pads is not None else (0,) * (2 * rank)
        need(len(values) == 2 * rank, f"has pads {list(values)} for {rank} spatial axes")
        return [(values[k], values[k + rank]) for k in range(rank)]
    result: list[tuple[int, int] | None] = []
    for size, extent, stride in zip(spatial, extents, strides, strict=True):
        if not isinstance(size, int):
            result.append(None)
            continue
        total = max((ceil(size, stride) - 1) * stride + extent - size, 0)
        small, large = total // 2, total - total // 2
        result.append((small, large) if auto_pad == "SAME_UPPER" else (large, small))
    return result


def output_dims(
    spatial: Shape, kernel: Ints, strides: Ints, dilations: Ints, pads: Ints | None, auto_pad: str, ceil_mode: int = 0
) -> Shape:
    """Return the output's spatial shape; ``GS303`` if a window does not fit into its padded input.

    With ``ceil_mode`` a last window may reach beyond the end if it starts in the input or in the padding in front.
    """
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    padded = padding(spatial, extents, strides, pads, auto_pad)
    out: list[Dim] = []
    for size, extent, stride, pad in zip(spatial, extents, strides, padded, strict=True):
        if auto_pad.startswith("SAME"):
            out.append(ceildiv(size, stride))
            continue
        assert pad is not None
        begin, end = pad
        if isinstance(size, int) and size + begin + end < extent:
            text = f"has a window {'×'.join(map(str, extents))}, larger than its input {'×'.join(map(str, spatial))}"
            if any(p not in (None, (0, 0)) for p in padded):
                text += f" with padding {', '.join('+'.join(map(str, p)) for p in padded if p is not None)}"
            hint = "use a smaller window, `padding: same`, or fewer layers that shrink the input"
            raise ShapeError(Code.WINDOW_TOO_LARGE, text, hint=hint)
        room = add(size, begin + end - extent)
        if not ceil_mode:  # without a rest the same size as SAME, so the same symbolic dimension
            same = begin + end - extent == -1
            out.append(ceildiv(size, stride) if same else add(floordiv(room, stride), 1))
            continue
        count = add(ceildiv(room, stride), 1)
        if isinstance(count, int) and isinstance(size, int):
            count -= (count - 1) * stride >= size + begin
        else:
            text = f"has ceil_mode with stride {stride} over an axis that varies ('{size}')"
            hint = "set that axis to a number in `inputs`"
            need(end + stride <= extent, text, code=Code.SIZE_NOT_FIXED, hint=hint)
        out.append(count)
    return tuple(out)


def window_axes(
    spatial: Ints, out: Ints, kernel: Ints, strides: Ints, dilations: Ints, pads: Ints | None, auto_pad: str
) -> list[Axis]:
    """Return the spatial axes of a window operator with output shape ``out``."""
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    begins = [pad[0] for pad in padding(spatial, extents, strides, pads, auto_pad) if pad is not None]
    return list(map(Axis, spatial, out, kernel, strides, dilations, begins))


def windows_along(
    spatial: Shape,
    kernel: Sequence[Dim],
    strides: Ints | None,
    dilations: Ints | None,
    pads: Ints | None,
    auto_pad: str,
) -> list[Window] | None:
    """Return the windows along each spatial axis; None if they depend on a symbolic size."""
    sizes = [k for k in kernel if isinstance(k, int)]
    steps = per_axis(strides, len(spatial), 1, "strides"), per_axis(dilations, len(spatial), 1, "dilations")
    if len(sizes) != len(spatial):
        return None
    extents = [(k - 1) * d + 1 for k, d in zip(sizes, steps[1], strict=True)]
    begins = [p[0] for p in padding(spatial, extents, steps[0], pads, auto_pad) if p is not None]
    return list(map(Window, steps[0], extents, begins)) if len(begins) == len(spatial) else None
