"""Operations that change the shape, or take a part."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from graphspec.base.budget import demand
from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, MAX_SIZE, IntOrInts, Ints, PositiveInt, described, invalid
from graphspec.graph.kernels.context import need, normalize_axis
from graphspec.vocabulary import Builder, Value, show
from graphspec.vocabulary.layers.layer import LAYERS
from graphspec.vocabulary.operations import operation as base
from graphspec.vocabulary.operations.along_axes import Diagonal, axes_of, placed
from graphspec.vocabulary.operations.operation import Axes, Axis, AxisOrNone, add_row, number, operation, promoted

# Operations that change the shape, or the order of elements.
Sizes = Annotated[
    tuple[Annotated[int, Field(ge=-1, le=MAX_SIZE)], ...],
    FROM_LIST,
    described("The sizes of all axes, the batch first; -1 for one that follows from the others."),
]


@operation
def reshape(g: Builder, x: Value, *, newshape: Sizes) -> Value:
    """X with other axes, in the same order of elements. The batch varies: write -1 for its size."""
    if newshape:
        return g.reshape(x, list(newshape))
    return g.Reshape(x, g.constant([1])) if x.rank == 0 else g.Squeeze(g.reshape(x, [1]), g.constant([0]))


@operation
def ravel(g: Builder, x: Value) -> Value:
    """All elements as one vector."""
    return g.reshape(x, [-1])


@operation
def expand_dims(g: Builder, x: Value, *, axis: Axes) -> Value:
    """X with axes of size 1 at these places of the output."""
    listed = (axis,) if isinstance(axis, int) else axis or ()
    return g.Unsqueeze(x, g.constant(list(listed))) if listed else x


@operation
def squeeze(g: Builder, x: Value, *, axis: Axes = None) -> Value:
    """X without axes of size 1: those of ``axis``, or all."""
    axes = [k for k, d in enumerate(x.shape) if d == 1] if axis is None else axes_of(axis, x)
    return g.Squeeze(x, g.constant(axes)) if axes else x


@operation
def transpose(
    g: Builder,
    x: Value,
    *,
    axes: Annotated[tuple[int, ...] | None, FROM_LIST, described("The order of the axes; null: reversed.")] = None,
) -> Value:
    """X with its axes in another order."""
    order = list(range(x.rank))[::-1] if axes is None else [normalize_axis(k, x.rank) for k in axes]
    return g.Transpose(x, perm=tuple(order))


@operation
def swapaxes(g: Builder, x: Value, *, axis1: Axis, axis2: Axis) -> Value:
    """X with two axes in each other's place."""
    a, b = normalize_axis(axis1, x.rank), normalize_axis(axis2, x.rank)
    order = list(range(x.rank))
    order[a], order[b] = b, a
    return g.transpose(x, order)


@operation
def moveaxis(
    g: Builder,
    x: Value,
    *,
    source: Annotated[IntOrInts, described("The axis, or a list of axes.")],
    destination: Annotated[IntOrInts, described("Where each of them goes.")],
) -> Value:
    """X with axes at other places; the others keep their order."""
    before, after = axes_of(source, x), axes_of(destination, x)
    fits = len(before) == len(after) == len(set(before)) == len(set(after))
    need(fits, "needs one place for each axis", key="source")
    order = [k for k in range(x.rank) if k not in before]
    for place, axis in sorted(zip(after, before, strict=True)):
        order.insert(place, axis)
    return g.transpose(x, order)


@operation
def broadcast_to(g: Builder, x: Value, *, shape: Sizes) -> Value:
    """X repeated along axes of size 1, to this shape; -1 keeps the size of an axis, such as the batch."""
    lead = len(shape) - x.rank
    need(lead >= 0, f"cannot be broadcast from {show(x.shape)} to {len(shape)} axes", key="shape")
    need(-1 not in shape[:lead], "has -1 for a new axis", code=Code.VALUE_NOT_ALLOWED, key="shape")
    return g.Expand(x, g.ints([1 if d == -1 else d for d in shape]))


@operation
def flip(g: Builder, x: Value, *, axis: Axes = None) -> Value:
    """X with the elements of axes in reverse order."""
    return reversed_on(g, x, axes_of(axis, x))


def reversed_on(g: Builder, X: Value, axes: list[int]) -> Value:
    """Emit X with the elements of ``axes`` in reverse order."""
    n = len(axes)
    first, last, step = (g.constant([k] * n) for k in (-1, -(2**31), -1))
    return g.Slice(X, first, last, g.constant(axes), step) if axes else X


def _turned(axis: int, g: Builder, x: Value) -> Value:
    return reversed_on(g, x, axes_of(axis, x))


add_row(__name__, "fliplr", partial(_turned, 1), "X with the elements of axis 1 in reverse order.")
add_row(__name__, "flipud", partial(_turned, 0), "X with the elements of axis 0, the batch, in reverse order.")


@operation
def roll(g: Builder, x: Value, *, shift: Annotated[IntOrInts, described("How far.")], axis: Axes = None) -> Value:
    """X with the elements of an axis moved; those beyond the end come back at the beginning."""
    if axis is None:
        need(isinstance(shift, int), "needs an axis for each shift", key="axis")
        flat = _rolled(g, g.reshape(x, [-1]), int(shift) if isinstance(shift, int) else 0, 0)
        return g.Reshape(flat, g.Shape(x))
    axes = axes_of(axis, x)
    shifts = [shift] * len(axes) if isinstance(shift, int) else list(shift)
    need(len(shifts) == len(axes), "needs an axis for each shift", key="axis")
    for places, at in zip(shifts, axes, strict=True):
        x = _rolled(g, x, places, at)
    return x


def _rolled(g: Builder, X: Value, places: int, axis: int) -> Value:
    size = X.shape[axis]
    places = places % size if isinstance(size, int) and size else places
    if places == 0:
        return X
    at, cut, end = g.constant([axis]), g.constant([-places]), g.constant([2**31])
    return g.Concat(g.Slice(X, cut, end, at), g.Slice(X, g.constant([0]), cut, at), axis=axis)


@operation
def tile(
    g: Builder,
    x: Value,
    *,
    repeats: Annotated[IntOrInts, described("How often along each axis; a list that is shorter has the last axes.")],
) -> Value:
    """X repeated as a whole along its axes."""
    listed = [repeats] if isinstance(repeats, int) else list(repeats)
    need(min(listed, default=1) >= 0, "repeats less than 0 times", code=Code.VALUE_NOT_ALLOWED, key="repeats")
    listed = [1] * (x.rank - len(listed)) + listed
    if len(listed) > x.rank:
        x = g.Unsqueeze(x, g.constant(list(range(len(listed) - x.rank))))
    return g.Tile(x, g.constant(listed)) if any(n != 1 for n in listed) else x


@operation
def repeat(
    g: Builder, x: Value, *, repeats: Annotated[PositiveInt, described("How often.")], axis: AxisOrNone = None
) -> Value:
    """X with each element repeated along an axis."""
    x, at = placed(g, x, axis)
    counts = [repeats if k == at + 1 else 1 for k in range(x.rank + 1)]
    wide = g.Tile(g.Unsqueeze(x, g.constant([at + 1])), g.constant(counts))
    sizes = [g.size(x, k) for k in range(x.rank)]
    sizes[at] = -1
    return g.reshape(wide, sizes)


@operation
def pad(
    g: Builder,
    x: Value,
    *,
    pad_width: Annotated[
        int | tuple[int | Ints, ...],
        FROM_LIST,
        described("One number, [before, after], or one pair for each axis, the batch first."),
    ],
    mode: Annotated[Literal["constant", "reflect", "edge"], described("What is added.")] = "constant",
    constant_values: Annotated[float | None, described("The number that is added; null: 0.")] = None,
) -> Value:
    """X with more elements before and behind each axis."""
    pairs = _pairs(pad_width, x.rank)
    fits = all(n >= 0 for pair in pairs for n in pair)
    need(fits, "cannot cut elements", code=Code.VALUE_NOT_ALLOWED, key="pad_width")
    pads = g.constant([pair[0] for pair in pairs] + [pair[1] for pair in pairs])
    if mode == "reflect" or mode == "edge":
        return g.Pad(x, pads, mode=mode)
    return g.Pad(x, pads, g.constant(constant_values or 0, x.dtype))


def _pairs(width: int | tuple[int | tuple[int, ...], ...], rank: int) -> list[tuple[int, int]]:
    """Return the elements before and behind each axis."""
    if isinstance(width, int):
        return [(width, width)] * rank
    pairs = [(each, each) if isinstance(each, int) else tuple(each) for each in width]
    if len(width) == 2 and all(isinstance(each, int) for each in width):
        pairs = [(int(width[0]), int(width[1]))]  # type: ignore[arg-type]
    pairs = pairs * rank if len(pairs) == 1 else pairs
    fits = len(pairs) == rank and all(len(pair) == 2 for pair in pairs)
    need(fits, f"needs {rank} pairs, one for each axis", key="pad_width")
    return [(int(pair[0]), int(pair[1])) for pair in pairs]


def joined(g: Builder, inputs: tuple[Value, ...], axis: int) -> Value:
    """Emit the inputs joined along an axis, in their common dtype."""
    return g.Concat(*promoted(g, *inputs), axis=normalize_axis(axis, inputs[0].rank))


@operation
def concatenate(g: Builder, *xs: Value, axis: Axis = 0) -> Value:
    """The inputs joined along an axis that they have; axis 0 is the batch."""
    return joined(g, xs, axis)


@operation
def append(g: Builder, x1: Value, x2: Value, *, axis: AxisOrNone = None) -> Value:
    """``x2`` behind ``x1``, along an axis."""
    if axis is None:
        x1, x2, axis = g.reshape(x1, [-1]), g.reshape(x2, [-1]), 0
    return joined(g, (x1, x2), axis)


@operation
def stack(g: Builder, *x: Value, axis: Axis = 0) -> Value:
    """The inputs, which have equal shapes, along a new axis; axis 0 comes before the batch."""
    at = normalize_axis(axis, x[0].rank + 1)
    return joined(g, tuple(g.Unsqueeze(X, g.constant([at])) for X in x), at)


@operation
def hstack(g: Builder, *xs: Value) -> Value:
    """The inputs joined along axis 1; vectors along axis 0."""
    return joined(g, xs, 0 if xs[0].rank == 1 else 1)


@operation
def vstack(g: Builder, *xs: Value) -> Value:
    """The inputs joined along axis 0, the batch; vectors become rows."""
    return joined(g, tuple(g.Unsqueeze(X, g.constant([0])) if X.rank == 1 else X for X in xs), 0)


@operation
def split(
    g: Builder,
    x: Value,
    *,
    indices_or_sections: Annotated[IntOrInts, described("The number of equal parts, or where parts begin.")],
    axis: Axis = 0,
) -> tuple[Value, ...]:
    """The parts of x along an axis of fixed size: several outputs, ``node:0``, ``node:1`` and so on."""
    at = normalize_axis(axis, x.rank)
    size = x.fixed(at)
    if isinstance(indices_or_sections, int):
        count = indices_or_sections
        fits = count > 0 and size % count == 0
        need(fits, f"cannot split {size} elements into {count} equal parts", code=Code.SIZES_DO_NOT_FIT)
        parts = [size // count] * count
    else:
        ends = [*(min(k if k >= 0 else max(size + k, 0), size) for k in indices_or_sections), size]
        need(ends == sorted(ends), "needs ascending places", code=Code.VALUE_NOT_ALLOWED, key="indices_or_sections")
        parts = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    pieces = g.Split(x, g.constant(parts), axis=at)
    return tuple(pieces) if isinstance(pieces, tuple | list) else (pieces,)


@operation
def unstack(
    g: Builder,
    x: Value,
    *,
    num: Annotated[int | None, described("The size of the axis; null: it is known.")] = None,
    axis: Axis = 0,
) -> tuple[Value, ...]:
    """The slices of x along an axis of fixed size, without it: several outputs."""
    at = normalize_axis(axis, x.rank)
    size = x.fixed(at)
    need(num in (None, size), f"has {size} slices, not {num}", code=Code.SIZES_DO_NOT_FIT, key="num")
    return tuple(g.Gather(x, g.constant(k), axis=at) for k in range(size))


# The angle of a point, infinity by its sign, sums of powers of two, triangles of matrices.
def _triangle(upper: int, g: Builder, x: Value, *, k: int) -> Value:
    x = x if x.dtype == "bool" else number(g, x)
    return g.Trilu(x, g.constant(k), upper=upper)


for _name, _upper, _word in (("tril", 0, "lower"), ("triu", 1, "upper")):
    _which = "from diagonal ``k`` on" if _upper else "up to diagonal ``k``"
    _text = f"The {_word} triangle of the matrices on the last two axes, {_which}; 0 elsewhere."
    add_row(__name__, _name, partial(_triangle, _upper), _text, {"k": (Diagonal, 0)})


# A part of a tensor, as Python writes it: ``x[:, 0]``.
Part = int | slice | str | None  # of an axis: an index, a slice, ``"..."`` for all between, or None for a new one
_INTEGER = r"[+-]?\d{1,10}"
_SLICE = re.compile(rf"({_INTEGER})?\s*:\s*({_INTEGER})?\s*(?::\s*({_INTEGER})?)?")
_EXAMPLE = 'write it as Python does, in quotes: `key: "[:, 0]"`, `"[:, 1:-1]"`, `"[..., ::2]"`, `"[:, None]"`'


def parts_of(key: str) -> list[Part]:
    """Return the parts of a key, such as ``[:, 0]``; raise ValueError if it is none."""
    text = key.strip()
    demand(text.startswith("[") and text.endswith("]"), "has no brackets")
    written = [part.strip() for part in text[1:-1].split(",")]
    if written[-1] == "" and len(written) > 1:  # `[0,]`
        written.pop()
    parts = [_part(part) for part in written]
    demand(parts.count("...") <= 1, "has `...` twice")
    return parts


def _part(text: str) -> Part:
    if text in ("...", "Ellipsis"):
        return "..."
    if text in ("None", "newaxis", "np.newaxis"):
        return None
    if re.fullmatch(_INTEGER, text):
        return _bounded(text)
    if (match := _SLICE.fullmatch(text)) is None:
        raise ValueError(f"has the part '{text}', which is no integer, slice, `...` or `None`")
    start, stop, step = (None if end is None else _bounded(end) for end in match.groups())
    demand(step != 0, "has a slice with the step 0")
    return slice(start, stop, step)


def _bounded(text: str) -> int:
    number = int(text)
    demand(abs(number) <= MAX_SIZE, f"has {number:,}, which no axis is as long as")
    return number


def _checked(key: str) -> str:
    try:
        parts_of(key)
    except ValueError as error:
        raise invalid(f"is no part of a tensor, since it {error}", _EXAMPLE, show_value=True) from None
    return key


Key = Annotated[
    str,
    AfterValidator(_checked),
    described(
        "The part, in brackets, as Python writes it: numbers, slices, `...` and `None`, the batch first.",
        max_length=400,
    ),
]


def get_item(g: Builder, x: Value, *, key: Key) -> Value:
    """A part of the input, as ``x[:, 0]`` in Python: a number removes its axis, None adds one of size 1.

    The first part is for the batch, so most keys begin with ``:``. Slices may have steps, also negative ones.
    """
    axis = 0
    removed: list[int] = []
    added: list[int] = []
    slices: list[tuple[int, slice]] = []
    for part in _for_axes(parts_of(key), x):
        if part is None:
            added.append(axis - len(removed) + len(added))
            continue
        if isinstance(part, int):
            size, text = x.shape[axis], f"has no element {part} along axis {axis} of {show(x.shape)}"
            if isinstance(size, int):
                hint = f"it has the elements 0 to {size - 1}, or -{size} to -1 from the end"
                need.sizes(-size <= part < size, text, hint=hint, key="key")
            removed.append(axis)
            slices.append((axis, slice(part, part + 1 if part != -1 else None)))
        else:
            assert isinstance(part, slice)
            if part != slice(None) and part != slice(None, None, 1):
                slices.append((axis, part))
        axis += 1
    x = _sliced(g, x, slices)
    x = g.Squeeze(x, g.constant(removed)) if removed else x
    return g.Unsqueeze(x, g.constant(added)) if added else x


def _for_axes(parts: Sequence[Part], x: Value) -> list[Part]:
    """Return a part for each axis of ``x``: ``...`` and what is missing at the end are ``:``."""
    count = sum(part is not None and part != "..." for part in parts)
    text, hint = f"has {count} parts for the {x.rank} axes of {show(x.shape)}", "the first part is for the batch"
    need(count <= x.rank, text, hint=hint, key="key")
    at = parts.index("...") if "..." in parts else len(parts)
    return [*parts[:at], *([slice(None)] * (x.rank - count)), *parts[at + 1 :]]


def _sliced(g: Builder, x: Value, slices: Sequence[tuple[int, slice]]) -> Value:
    """Emit one Slice for all axes. Its ends are clamped, as Python's."""
    if not slices:
        return x
    axes, steps = [axis for axis, _ in slices], [part.step or 1 for _, part in slices]
    whole = [(0, MAX_SIZE) if step > 0 else (MAX_SIZE, -MAX_SIZE - 1) for step in steps]
    starts = [first if part.start is None else part.start for (_, part), (first, _) in zip(slices, whole, strict=True)]
    ends = [last if part.stop is None else part.stop for (_, part), (_, last) in zip(slices, whole, strict=True)]
    columns = [starts, ends, axes] if all(step == 1 for step in steps) else [starts, ends, axes, steps]
    return g.Slice(x, *map(g.constant, columns))


GetItem = LAYERS.add("GetItem")(base.layer_class("GetItem", get_item))
