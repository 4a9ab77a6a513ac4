"""A part of a tensor, as Python writes it: ``x[:, 0]``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from graphspec.base.codes import Code
from graphspec.base.config import MAX_SIZE, invalid
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import show
from graphspec.vocabulary.layers.base import LAYERS
from graphspec.vocabulary.operations.base import layer_class

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

Part = int | slice | str | None
"""What a key has for an axis: an index, a slice, ``"..."`` for all axes between, or None for a new axis."""
_INTEGER = r"[+-]?\d{1,10}"
_SLICE = re.compile(rf"({_INTEGER})?\s*:\s*({_INTEGER})?\s*(?::\s*({_INTEGER})?)?")
_EXAMPLE = 'write it as Python does, in quotes: `key: "[:, 0]"`, `"[:, 1:-1]"`, `"[..., ::2]"`, `"[:, None]"`'


def parts_of(key: str) -> list[Part]:
    """Return the parts of a key, such as ``[:, 0]``.

    Raises:
        ValueError: it is no key.
    """
    text = key.strip()
    if not (text.startswith("[") and text.endswith("]")):
        raise ValueError("has no brackets")
    written = [part.strip() for part in text[1:-1].split(",")]
    if written[-1] == "" and len(written) > 1:  # `[0,]`
        written.pop()
    found = [_part(part) for part in written]
    if found.count("...") > 1:
        raise ValueError("has `...` twice")
    return found


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
    if step == 0:
        raise ValueError("has a slice with the step 0")
    return slice(start, stop, step)


def _bounded(text: str) -> int:
    if abs(number := int(text)) > MAX_SIZE:
        raise ValueError(f"has {number:,}, which no axis is as long as")
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
    Field(
        description="The part, in brackets, as Python writes it: numbers, slices, `...` and `None`, the batch first.",
        max_length=400,
    ),
]


def get_item(g: Builder, x: Value, *, key: Key) -> Value:
    """A part of the input, as ``x[:, 0]`` in Python: a number removes its axis, None adds one of size 1.

    The first part is for the batch, so most keys begin with ``:``. Slices may have steps, also negative ones.
    """
    parts = _for_axes(parts_of(key), x)
    axis, out_axis = 0, 0
    removed: list[int] = []
    added: list[int] = []
    slices: list[tuple[int, slice]] = []
    for part in parts:
        if part is None:
            added.append(out_axis)
            out_axis += 1
            continue
        if isinstance(part, int):
            size = x.shape[axis]
            if isinstance(size, int) and not -size <= part < size:
                text = f"has no element {part} along axis {axis} of {show(x.shape)}"
                raise ShapeError(Code.SIZES_DO_NOT_FIT, text, key="key")
            removed.append(axis)
            slices.append((axis, slice(part, part + 1 if part != -1 else None)))
        else:
            assert isinstance(part, slice)
            out_axis += 1
            if part != slice(None) and part != slice(None, None, 1):
                slices.append((axis, part))
        axis += 1
    x = _sliced(g, x, slices)
    x = g.Squeeze(x, g.constant(removed)) if removed else x
    return g.Unsqueeze(x, g.constant(added)) if added else x


def _for_axes(parts: Sequence[Part], x: Value) -> list[Part]:
    """Return a part for each axis of ``x``: ``...`` and what is missing at the end are ``:``."""
    given = sum(part is not None and part != "..." for part in parts)
    if given > x.rank:
        text = f"has {given} parts for the {x.rank} axes of {show(x.shape)}"
        raise ShapeError(Code.WRONG_RANK, text, hint="the first part is for the batch", key="key")
    rest: list[Part] = [slice(None)] * (x.rank - given)
    if "..." not in parts:
        return [*parts, *rest]
    at = parts.index("...")
    return [*parts[:at], *rest, *parts[at + 1 :]]


def _sliced(g: Builder, x: Value, slices: Sequence[tuple[int, slice]]) -> Value:
    """Emit one Slice for all axes. Its ends are clamped, as Python's."""
    if not slices:
        return x
    axes = [axis for axis, _ in slices]
    steps = [part.step or 1 for _, part in slices]
    far = MAX_SIZE
    starts = [
        (0 if step > 0 else far) if part.start is None else part.start
        for (_, part), step in zip(slices, steps, strict=True)
    ]
    ends = [
        (far if step > 0 else -far - 1) if part.stop is None else part.stop
        for (_, part), step in zip(slices, steps, strict=True)
    ]
    if all(step == 1 for step in steps):
        return g.Slice(x, g.constant(starts), g.constant(ends), g.constant(axes))
    return g.Slice(x, g.constant(starts), g.constant(ends), g.constant(axes), g.constant(steps))


GetItem = LAYERS.add("GetItem")(layer_class("GetItem", get_item))
