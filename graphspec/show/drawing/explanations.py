"""Explanations as SVG and as a page: bars for columns, marked words for texts, heat maps beside pictures. No scripts.

The drawing paints its own background, light or dark as the reader's system is. A contribution for the answer is blue and has
a plus; one against it is orange and has a minus.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from string import Template
from typing import Any, Protocol

import numpy as np

from graphspec.base.text import number, printable, shorten_end
from graphspec.engine.runtime.explanations import Attributed, Contribution
from graphspec.graph.ir.graph import Array
from graphspec.show.drawing.pictures import data_uri
from graphspec.show.drawing.svg import asset, escape, on_card, text_width

WIDTH, MARGIN, LINE, PICTURE, BAR = 760.0, 20.0, 22.0, 224.0, 212.0  # pixels
NAME, RAW = 250.0, 170.0  # pixels of the columns of a table
TOP = 10  # contributions that are drawn as bars; the others are one more bar
MAX_DRAWN = 50  # rows of a drawing; files of tables have all of them
MAX_WORDS = 600  # words of a text that are drawn
FOR, AGAINST = (37, 99, 235), (234, 88, 12)  # blue, orange


class Explained(Protocol):
    """What is drawn: an explanation."""

    name: str
    values: Array
    baselines: Array
    parts: list[Attributed]

    def answer(self, row: int, /) -> str:
        """Return a row's answer as text."""

    def contributions(self, row: int, /) -> list[Contribution]:
        """Return all contributions of a row, the largest first."""


def page(explained: Explained) -> str:
    """Return a page that needs no other file."""
    rows = len(explained.values)
    more = f" Drawn are the first {MAX_DRAWN} of {rows:,} rows." if rows > MAX_DRAWN else ""
    title = escape(printable(f"Why {explained.name} answers so"))
    text = Template(asset("explanations.html"))
    return text.substitute(title=title, more=more, drawing=drawing(explained, heading=False)) + "\n"


def drawing(explained: Explained, *, heading: bool = True) -> str:
    """Return the rows of an explanation as one SVG document."""
    parts: list[str] = []
    y = MARGIN
    title = f"why {shorten_end(printable(explained.name), 60)} answers so"
    if heading:
        parts.append(f'<text class="gs-title" x="{MARGIN:.0f}" y="{y + 16:.0f}">{escape(title)}</text>')
        y += 30
    for row in range(min(len(explained.values), MAX_DRAWN)):
        for part, height in _row(explained, row, y):
            parts.append(part)
            y += height
        y += 10
    return on_card("gs-why", WIDTH, y + MARGIN, title, parts)


def _row(explained: Explained, row: int, y: float) -> Iterator[tuple[str, float]]:
    """Yield the elements of a row, each with its height."""
    heading = f"row {row + 1}: {explained.answer(row)}"
    about = f"baseline {number(float(explained.baselines[row]))}"
    y += 30
    line = f'<line class="gs-axis" x1="{MARGIN:.0f}" x2="{WIDTH - MARGIN:.0f}" y1="{y - 22:.0f}" y2="{y - 22:.0f}"/>'
    title = f'<text class="gs-name" x="{MARGIN:.0f}" y="{y:.0f}">{escape(shorten_end(printable(heading), 70))}</text>'
    side = f'<text x="{WIDTH - MARGIN:.0f}" y="{y:.0f}" text-anchor="end">{escape(about)}</text>'
    yield line + title + side, 40
    y += 10
    for part in explained.parts:
        if part.picture or (part.words and not part.bag):
            element, height = (_pictures if part.picture else _text)(part, row, y)
            yield element, height
            y += height
    tabled = {p.name for p in explained.parts if not p.picture}
    yield _table([c for c in explained.contributions(row) if c.input in tabled], y)


def _table(contributions: Sequence[Contribution], y: float) -> tuple[str, float]:
    """Return bars of the largest contributions, and one of the sum of the others."""
    rows: list[tuple[str, str, float]] = [(c.name, shown(c), c.value) for c in contributions[:TOP]]
    if others := contributions[TOP:]:
        rows.append((f"{len(others):,} others", "", sum(c.value for c in others)))
    most = max((abs(v) for _, _, v in rows[:TOP]), default=0) or 1.0
    parts = []
    for k, (name, raw, value) in enumerate(rows):
        at = y + k * LINE + 14
        kind = "against" if value < 0 else "for"
        parts.append(f'<text x="{MARGIN:.0f}" y="{at:.1f}">{escape(shorten_end(printable(name), 36))}</text>')
        parts.append(f'<text x="{MARGIN + NAME:.0f}" y="{at:.1f}">{escape(shorten_end(raw, 24))}</text>')
        x = MARGIN + NAME + RAW
        parts.append(f'<text x="{x + 74:.0f}" y="{at:.1f}" text-anchor="end">{signed(value, most)}</text>')
        if k < TOP:  # the sum of many small ones is no single strong one
            size = f'width="{max(1.0, BAR * abs(value) / most):.1f}" height="14"'
            parts.append(f'<rect class="gs-{kind}" x="{x + 84:.0f}" y="{at - 11:.1f}" {size} rx="2"/>')
    return "\n".join(parts), len(rows) * LINE + 6


def shown(contribution: Contribution) -> str:
    """Return a raw value as text: numbers with their digits, texts in quotes."""
    raw = contribution.raw
    if raw is None:
        return ""
    if isinstance(raw, str):
        return printable(f'"{raw}"') if raw else "missing"
    if isinstance(raw, float):
        return "missing" if raw != raw else f"{raw:.6g}"
    return printable(str(raw))


def signed(value: float, largest: float | None = None) -> str:
    """Return an attribution with its sign, with as many decimals as ``largest`` needs for four digits."""
    size = abs(value if largest is None else largest)
    if not 1e-7 <= size < 1e7 or value != value:
        return f"{value:+.3g}"
    return f"{value:+.{max(0, 3 - math.floor(math.log10(size)))}f}"


def _text(part: Attributed, row: int, y: float) -> tuple[str, float]:
    """Return a text whose words have backgrounds, the stronger the more they contribute."""
    words = list(part.contributions(row))
    most = max((abs(c.value) for c in words), default=0) or 1.0
    x, at, parts = MARGIN, y + 14, []
    for c in words[:MAX_WORDS]:
        word = shorten_end(printable(str(c.raw)), 40)
        width = text_width(word) * 1.1 + 8
        if x + width > WIDTH - MARGIN and x > MARGIN:
            x, at = MARGIN, at + LINE
        share = abs(c.value) / most
        if share >= 0.03:
            kind = "against" if c.value < 0 else "for"
            box = f'x="{x:.1f}" y="{at - 14:.1f}" width="{width:.1f}" height="19" rx="3"'
            parts.append(f'<rect class="gs-{kind}" {box} fill-opacity="{0.6 * share:.2f}"/>')
        parts.append(f'<text x="{x + 4:.1f}" y="{at:.1f}">{escape(word)}<title>{signed(c.value)}</title></text>')
        x += width + 2
    if len(words) > MAX_WORDS:
        parts.append(f'<text x="{MARGIN:.0f}" y="{at + LINE:.1f}">and {len(words) - MAX_WORDS:,} further words</text>')
        at += LINE
    return "\n".join(parts), at - y + 18


def _pictures(part: Attributed, row: int, y: float) -> tuple[str, float]:
    """Return a picture and the heat map of its pixels, side by side."""
    assert part.raw is not None
    values = part.values[row]
    height, width = values.shape
    wide = min(PICTURE, (WIDTH - 3 * MARGIN) / 2)
    high = min(wide * height / width, PICTURE)
    wide = high * width / height
    own, map_of = (part.name, _pixels(part.raw[row])), (f"its pixels: {signed(float(values.sum()))}", heat_map(values))
    parts = []
    for k, (title, image) in enumerate((own, map_of)):
        x = MARGIN + k * (max(wide, 150) + MARGIN)
        box = f'x="{x:.1f}" y="{y + 18:.1f}" width="{wide:.1f}" height="{high:.1f}"'
        drawn = f'style="image-rendering: pixelated" href="{data_uri(image)}"'
        parts.append(f'<text x="{x:.1f}" y="{y + 12:.1f}">{escape(shorten_end(printable(title), 30))}</text>')
        parts.append(f'<rect {box} fill="#ffffff"/>')  # white paper on dark pages, too: weak colours stay visible
        parts.append(f'<image {box} preserveAspectRatio="none" {drawn}/>')
        parts.append(f'<rect class="gs-frame" {box}/>')
    return "\n".join(parts), high + 34


def _pixels(array: Any) -> Array:
    """Return a picture as RGBA bytes; numbers that are not bytes are scaled from their range."""
    if array.dtype != np.uint8:
        array = np.nan_to_num(array.astype(np.float64))
        low, high = float(array.min()), float(array.max())
        low, high = (0.0, 1.0) if low >= 0 and 0.5 < high <= 1 else (low, high)
        array = ((array - low) / ((high - low) or 1.0) * 255).clip(0, 255).astype(np.uint8)
    if array.shape[-1] == 4:
        return np.ascontiguousarray(array)
    rgb = np.repeat(array, 3, axis=-1) if array.shape[-1] == 1 else array
    return np.concatenate([rgb, np.full((*rgb.shape[:2], 1), 255, np.uint8)], axis=-1)


def heat_map(values: Array) -> Array:
    """Return attributions ``(height, width)`` as RGBA bytes: blue for, orange against, transparent where there is nothing.

    The colour is full from the 99th percentile of the sizes on: one strong pixel does not hide the others.
    """
    size = np.abs(np.nan_to_num(values))
    full = float(np.percentile(size, 99)) or float(size.max()) or 1.0
    found = np.zeros((*values.shape, 4), np.uint8)
    found[..., :3] = np.where((values < 0)[..., None], AGAINST, FOR)
    found[..., 3] = (np.minimum(size / full, 1) * 255).astype(np.uint8)
    return found
