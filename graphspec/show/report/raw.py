"""Raw values of a row: numbers, texts, pictures, series, sequences of ids; what is missing is said to be."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Drawing, Inline, Rest, Span
from graphspec.base.text import number
from graphspec.graph.ir.graph import MISSING_INTEGER
from graphspec.show.drawing.pictures import is_picture, pixels, small_uri
from graphspec.show.html import text
from graphspec.show.report.charts import spark
from graphspec.show.report.rows import Field, as_wide_as_pictures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphspec.graph.ir.graph import Array

MISSING = Span("missing", "missing")
_EXCERPT, _TEXT = 300, 1500  # characters of a text that are shown at once, and at all
_RUNS = 40  # runs of equal values of a sequence
_TALL = 120  # pixels of the page that a picture is high; it is at most twice as wide
_LISTED = 12  # numbers of an array that are listed; of more, a line is drawn


def shown(field: Field, value: Array, room: int = 4000) -> Inline:
    """Return the value of a field for one row.

    Args:
        value: without the batch axis.
        room: characters for a picture.
    """
    value = np.asarray(value)
    picture = as_picture(value)
    if picture is not None:
        return _picture(field, picture, room)
    if value.size == 0:
        return Span("empty", "missing")
    if value.dtype == object:
        return _texts(field, value)
    if value.size == 1:
        return MISSING if field.missing(value).any() else plain(value.reshape(-1)[0])
    line = value.reshape(-1) if value.size == max(value.shape) else None
    if line is None:
        return _summary(field, value)
    if line.dtype.kind != "f":
        return _runs(["missing" if v == MISSING_INTEGER else str(v) for v in line.tolist()])
    if len(line) <= _LISTED:
        return ", ".join("missing" if np.isnan(v) else plain(v) for v in line)
    return spark([("a", line)], f"{field.name}: {series(line)}")


def as_picture(value: Array) -> Array | None:
    """Return a value as a picture ``(height, width, channels)``; None if it does not look like one."""
    if value.dtype == object or not value.size:
        return None
    if is_picture(value.shape):
        return value
    small = value.dtype in (np.uint8, np.float32) and as_wide_as_pictures(value.shape)
    return value[..., None] if small else None


def is_short(value: Array) -> bool:
    """Return whether a value fits into the cell of a table: a number, or a text of some words."""
    value = np.asarray(value)
    return value.size == 1 and (value.dtype != object or len(str(value.reshape(-1)[0])) <= 60)


def plain(value: object) -> str:
    """Return a number as text, with the digits that a float32 has."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    number = float(value)  # type: ignore[arg-type]
    if not np.isfinite(number):
        return "not a number" if np.isnan(number) else "infinite" if number > 0 else "−infinite"
    return str(int(number)) if number == int(number) and abs(number) < 1e7 else f"{number:.6g}"


def compact(value: float) -> str:
    """Return a number as text with about five significant digits; whole numbers stay."""
    value = float(value)
    if not np.isfinite(value) or (value == int(value) and abs(value) < 1e7):
        return plain(value)
    shown = number(value)
    return shown.rstrip("0").rstrip(".") if "." in shown and "e" not in shown else shown


def series(values: Array) -> str:
    """Return a sentence about a series: its length, its range, and its gaps."""
    finite = values[np.isfinite(values)]
    gaps = len(values) - len(finite)
    about = (
        f", from {compact(finite.min())} to {compact(finite.max())}, last {compact(finite[-1])}" if finite.size else ""
    )
    return f"{len(values):,} values{about}" + (f", {gaps:,} missing" if gaps else "")


def excerpt(value: str) -> Inline:
    """Return a text: its beginning, and the rest behind a click; a very long one is cut."""
    if len(value) <= _EXCERPT + 60:
        return value
    cut = _EXCERPT + len(re.split(r"\s", value[_EXCERPT : _EXCERPT + 40], maxsplit=1)[0])
    rest = value[cut:_TEXT] + (" …" if len(value) > _TEXT else "")
    return f"{value[:cut]} …", Rest(f"{len(value) - cut:,} more characters", rest)


def _picture(field: Field, picture: Array, room: int) -> Drawing:
    height, width = picture.shape[:2]
    small = " small" if max(height, width) <= 64 else ""
    title = f"{field.name}, {width} × {height} pixels"
    scale = min(_TALL / height, 2 * _TALL / width)
    size = f'width="{max(round(width * scale), 1)}" height="{max(round(height * scale), 1)}"'
    source = small_uri(pixels(picture), room)
    return Drawing(f'<img class="picture{small}" {size} src="{source}" alt="{text(title)}">', title)


def _texts(field: Field, value: Array) -> Inline:
    flat = [str(v) for v in value.reshape(-1).tolist()]
    missing = field.missing(value).reshape(-1).tolist()
    if len(flat) == 1:
        return (MISSING if flat[0] == "" else (MISSING, f" ({flat[0]})")) if missing[0] else excerpt(flat[0])
    return excerpt(_runs(["missing" if gone else v for v, gone in zip(flat, missing, strict=True)]))


def _runs(values: Iterable[str]) -> str:
    """Return values with repeated ones counted: ``3, 7, 0 × 40``."""
    runs = [(value, sum(1 for _ in equal)) for value, equal in groupby(values)]
    shown_runs = [f"{value} × {count}" if count > 2 else ", ".join([value] * count) for value, count in runs[:_RUNS]]
    return ", ".join(shown_runs) + (", …" if len(runs) > _RUNS else "")


def _summary(field: Field, value: Array) -> str:
    sizes = " × ".join(map(str, value.shape))
    if value.dtype.kind not in "fiub":
        return f"array {sizes}"
    gone = int(field.missing(value).sum())
    kept = value[np.isfinite(value) & ~field.missing(value)]
    about = f", from {compact(kept.min())} to {compact(kept.max())}, mean {compact(kept.mean())}" if kept.size else ""
    return f"array {sizes}{about}" + (f", {gone:,} missing" if gone else "")
