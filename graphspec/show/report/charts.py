"""Small charts of a report as SVG inside the page: they take their colours from the page's styles, light or dark.

A mark with ``data-tip`` shows that text while the pointer is on it, or while it has the focus (``report.js``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphspec.base.document import UNDEFINED, Column, Drawing, Inline, Table
from graphspec.base.text import significant
from graphspec.graph.ir.graph import Array
from graphspec.show.drawing.curves import Scale, axes, linear
from graphspec.show.html import text
from graphspec.show.report.rows import evenly


def _tip(text_of_mark: str) -> str:
    """Return the attribute with the text that the pointer shows, if there is one."""
    return f' data-tip="{text(text_of_mark)}"' if text_of_mark else ""


LEFT, RIGHT, TOP, BOTTOM = 56.0, 14.0, 24.0, 44.0  # pixels around the plot area
Point = tuple[float, float]


@dataclass
class Plot:
    """A chart with two axes. Marks are added in the order in which they are drawn."""

    across: Scale
    up: Scale
    x_name: str
    y_name: str
    summary: str  # what the chart shows, in a sentence, for readers who do not see it
    width: float = 360.0  # width, height: of the plot area, in pixels
    height: float = 240.0
    marks: list[str] = field(default_factory=list)

    def at(self, point: Point) -> Point:
        """Return the place of a point of data, in pixels from the corner of the plot area."""
        return self.across.position(point[0]) * self.width, (1 - self.up.position(point[1])) * self.height

    def line(self, points: Iterable[Point], kind: str = "a", tip: str = "") -> None:
        """Add a line; ``kind`` is the class that gives its colour: ``a``, ``b``, ``good``, ``bad``, ``soft``."""
        shown = " ".join("{:.1f},{:.1f}".format(*self.at(p)) for p in points)
        self.marks.append(f'<polyline class="line {kind}" points="{shown}"{_tip(tip)}/>')

    def dots(self, points: Iterable[Point], tips: Iterable[str], kind: str = "a", radius: float = 3) -> None:
        """Add a dot for each point, with the text that the pointer shows."""
        for point, tip in zip(points, tips, strict=True):
            x, y = self.at(point)
            self.marks.append(f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"{_tip(tip)}/>')

    def bars(self, bars: Iterable[tuple[float, float, float]], tips: Iterable[str], kind: str = "a") -> None:
        """Add bars ``(left, right, height)`` that stand on the lower end of the axis."""
        for (left, right, top), tip in zip(bars, tips, strict=True):
            (x, y), (end, base) = self.at((left, top)), self.at((right, self.up.low))
            box = f'x="{x:.1f}" y="{y:.1f}" width="{max(end - x - 1, 0.5):.1f}" height="{max(base - y, 0):.1f}"'
            self.marks.append(f'<rect class="bar {kind}" {box}{_tip(tip)}/>')

    def cells(self, cells: Iterable[tuple[float, float, float, float, float]], tips: Iterable[str]) -> None:
        """Add rectangles ``(left, right, bottom, top, strength)``; a strength is the opacity, from 0 to 1."""
        for (left, right, bottom, top, strength), tip in zip(cells, tips, strict=True):
            (x, y), (end, base) = self.at((left, top)), self.at((right, bottom))
            box = f'x="{x:.1f}" y="{y:.1f}" width="{end - x:.1f}" height="{base - y:.1f}"'
            self.marks.append(f'<rect class="bar a" {box} fill-opacity="{strength:.2f}"{_tip(tip)}/>')

    def many(self, points: Iterable[Point]) -> None:
        """Add many small dots as one mark."""
        shown = "".join("M{:.1f} {:.1f}h0".format(*self.at(p)) for p in points)
        self.marks.append(f'<path class="many a" d="{shown}"/>')

    def area(self, cells: Iterable[tuple[float, float, float, float]], strength: float, tip: str) -> None:
        """Add rectangles ``(left, right, bottom, top)`` of one opacity as one mark."""
        shown = []
        for left, right, bottom, top in cells:
            (x, y), (end, base) = self.at((left, top)), self.at((right, bottom))
            shown.append(f"M{x:.1f} {y:.1f}H{end:.1f}V{base:.1f}H{x:.1f}z")
        if shown:
            tipped = f'fill-opacity="{strength:.2f}" data-tip="{text(tip)}"'
            self.marks.append(f'<path class="bar a" d="{"".join(shown)}" {tipped}/>')

    def band(self, tip: str, *ends: Sequence[Point]) -> None:
        """Add the area between two lines."""
        shown = "L".join("{:.1f} {:.1f}".format(*self.at(p)) for p in [*ends[0], *reversed(ends[1])])
        self.marks.append(f'<path class="band" d="M{shown}z"{_tip(tip)}/>')

    def box(self, at: float, half: float, spread: Sequence[float], tip: str) -> None:
        """Add a box from the second to the fourth of five rising values, a line at the third, and whiskers to the others."""
        low, q1, middle, q3, high = ((1 - self.up.position(v)) * self.height for v in spread)
        x, wide = self.across.position(at) * self.width, half
        self.marks.append(
            f'<g class="box" data-tip="{text(tip)}"><path d="M{x:.1f} {low:.1f}V{high:.1f}"/>'
            f'<rect x="{x - wide:.1f}" y="{q3:.1f}" width="{2 * wide:.1f}" height="{max(q1 - q3, 0.5):.1f}"/>'
            f'<path class="middle" d="M{x - wide:.1f} {middle:.1f}H{x + wide:.1f}"/></g>'
        )

    def drawing(self) -> Drawing:
        wide, high = self.width + LEFT + RIGHT, self.height + TOP + BOTTOM
        size = f'viewBox="0 0 {wide:.0f} {high:.0f}" style="max-width: {wide:.0f}px"'
        x_name, y_name = text(self.x_name), text(self.y_name)
        parts = [
            f'<svg class="chart" {size} role="img" aria-label="{text(self.summary)}">',
            f'<g transform="translate({LEFT:.0f} {TOP:.0f})">',
            *axes(self.across, self.up, (self.width, self.height)),
            f'<text x="{self.width / 2:.0f}" y="{self.height + 36:.0f}" text-anchor="middle">{x_name}</text>',
            f'<text class="name" x="0" y="-11">{y_name}</text>',
        ]
        return Drawing("".join([*parts, *self.marks, "</g></svg>"]), self.summary)


def unit_plot(x_name: str, y_name: str, summary: str) -> Plot:
    """Return an empty chart of shares against shares."""
    return Plot(linear([0, 1]), linear([0, 1]), x_name, y_name, summary)


def halves(
    groups: Sequence[tuple[str, Array]], across: Scale, bins: int, names: tuple[str, str, str], form: str, least: float
) -> Plot:
    """Return the histograms of two groups as bars side by side, each as shares of its group.

    The names are those of both axes and of the chart. Tips write the ends of bins in a form. The axis of the shares ends at
    ``least`` or above.
    """
    edges = np.linspace(across.low, across.high, bins + 1)
    shares = [np.histogram(own, edges)[0] / max(len(own), 1) for _, own in groups]
    means = [f"mean {amount(float(own.mean()))} for {name}" for name, own in groups if len(own)]
    up = linear([0.0, max(float(max(each.max() for each in shares)), least)])
    plot = Plot(across, up, *names[:2], f"{names[2]}: {', '.join(means)}")
    for k, (name, _) in enumerate(groups):
        for left, right, part in zip(edges[:-1], edges[1:], shares[k], strict=True):
            if part:
                middle = (left + right) / 2
                bar = (left, middle, float(part)) if k == 0 else (middle, right, float(part))
                tip = f"{name}: {100 * part:.1f} % are from {left:{form}} to {right:{form}}"
                plot.bars([bar], [tip], "ba"[k])
    return plot


# Drawings of the size of a line of text: series, and histograms of one or two samples.
POINTS = 120  # points of a line; of longer series, as many, spread evenly
_HIGH = 100  # the height of a drawing in its own units
_WIDE = 10  # the width of a bin


def spark(lines: Sequence[tuple[str, Array]], summary: str, *, tall: bool = False) -> Drawing:
    """Return series, each with the class of its colour, as lines with a common scale; NaN and infinite values are gaps.

    The summary says what is to be seen, as plain text: shown on hover, and read to those who do not see it.
    """
    known = np.concatenate([np.zeros(0), *(values[np.isfinite(values)] for _, values in lines)])
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    longest = max((len(values) for _, values in lines), default=0)
    parts = [_opening("spark tall" if tall else "spark", max(longest - 1, 1), _HIGH, summary, tip=True)]
    for kind, values in lines:
        for piece in _pieces(values.astype(np.float64), low, high):
            parts.append(f'<polyline class="line {kind}" points="{" ".join(piece)}"/>')
    return Drawing("".join([*parts, "</svg>"]), summary)


def _pieces(values: Array, low: float, high: float) -> list[list[str]]:
    """Return the points of each stretch without gaps, in whole numbers; a single point is a short line."""
    pieces: list[list[str]] = [[]]
    for place in evenly(len(values), POINTS).tolist():
        value = float(values[place])
        if not np.isfinite(value):
            pieces.append([])
            continue
        share = (value - low) / (high - low) if high > low else 0.5
        pieces[-1].append(f"{place},{4 + (1 - share) * (_HIGH - 8):.0f}")
    return [piece if len(piece) > 1 else [piece[0], f"{piece[0]}".replace(",", ".5,", 1)] for piece in pieces if piece]


def histogram(samples: Sequence[tuple[str, Array]], tips: Sequence[str], summary: str, *, each: bool = True) -> Drawing:
    """Return samples, as classes of colours and shares by bin: the first as bars, the second as a line over them.

    If ``each`` bin shows its text, it is one of ``tips``; else the whole drawing shows the summary.
    """
    top = max((float(shares.max()) for _, shares in samples if shares.size), default=0.0) or 1.0
    parts = [_opening("spark histogram", len(tips) * _WIDE, _HIGH, summary, tip=not each)]
    for k, (kind, shares) in enumerate(samples[:2]):
        heights = np.rint(shares / top * (_HIGH - 6)).astype(int).tolist()
        if k == 0:
            drawn = "".join(f"M{j * _WIDE + 1} {_HIGH}v{-h}h{_WIDE - 2}v{h}z" for j, h in enumerate(heights) if h)
            parts.append(f'<path class="bar {kind}" d="{drawn}"/>')
        else:
            drawn = " ".join(f"{(j + end) * _WIDE},{_HIGH - 2 - h}" for j, h in enumerate(heights) for end in (0, 1))
            parts.append(f'<polyline class="line {kind}" points="{drawn}"/>')
    if each:
        parts += [
            f'<path class="over" d="M{j * _WIDE} 0h{_WIDE}v{_HIGH}h-{_WIDE}z" data-tip="{text(tip)}"/>'
            for j, tip in enumerate(tips)
        ]
    return Drawing("".join([*parts, "</svg>"]), summary)


def _opening(kind: str, width: int, height: int, summary: str, *, tip: bool) -> str:
    about = text(summary)
    shown = f' data-tip="{about}"' if tip else ""
    box = f'viewBox="0 0 {width} {height}" preserveAspectRatio="none"'
    return f'<svg class="{kind}" {box} role="img" aria-label="{about}"{shown}>'


# Tables of a report, and its numbers as text.
def table(
    caption: str, columns: Sequence[str], rows: Iterable[Sequence[Inline]], *, sort: bool = True, texts: int = 1
) -> Table:
    """Return a table of numbers; ``texts`` is how many of the columns, from the left, are text."""
    described = [Column(name, "" if k < texts else "number") for k, name in enumerate(columns)]
    return Table(described, list(rows), caption, sort=sort)


def share(value: float) -> str:
    """Return a share from 0 to 1 with three decimals; ``–`` if it is not defined."""
    return UNDEFINED if math.isnan(value) else f"{value:.3f}"


def amount(value: float) -> str:
    """Return a measure with four significant digits; ``–`` if it is not defined."""
    return UNDEFINED if math.isnan(value) else significant(value).replace("-", "−", int(value < 0))
