"""Curves of a training as SVG: one small panel for the loss and one for each metric, without scripts or fonts.

The drawing paints its own background, light or dark as the reader's system is, so that it is readable on any page.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from graphspec.base.arguments import path_of
from graphspec.base.errors import UsageError, shorten
from graphspec.base.files import write_atomic
from graphspec.base.text import printable, significant
from graphspec.show.drawing.svg import escape, on_card, text_width
from graphspec.vocabulary.metrics import direction


# Axes with round numbers: ticks of a linear or logarithmic scale, and their labels.
class Scale(NamedTuple):
    """An axis."""

    low: float  # low and high: the values at its ends
    high: float
    ticks: tuple[float, ...]  # the values with a label, in rising order
    log: bool = False  # whether equal distances are equal ratios
    names: tuple[str, ...] = ()  # of the ticks; their numbers by default

    def position(self, value: float) -> float:
        """Return the position of a value: 0 at the low end, 1 at the high end."""
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return (at - low) / (high - low)

    def labels(self) -> list[str]:
        """Return the labels of the ticks: names, numbers that have the same number of decimals, or powers of ten."""
        if self.names:
            return [escape(printable(name)) for name in self.names]
        return [f"{tick:g}" for tick in self.ticks] if self.log else _decimals(self.ticks)


def linear(values: Sequence[float], *, count: int = 5) -> Scale:
    """Return a linear scale around ``values``, which are finite, with about ``count`` ticks."""
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # one value: some room around it
        room = abs(high) * 0.1 or 1.0
        low, high = low - room, high + room
    step = _round_step((high - low) / count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(k * step for k in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def logarithmic(values: Sequence[float]) -> Scale:
    """Return a logarithmic scale around ``values``, which are positive and finite."""
    low, high = min(values), max(values)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low <= 200 else (1,)
    every = -(-len(decades) // 8)
    ticks = [f * 10.0**k for k in decades for f in factors if (k - decades[0]) % every == 0]
    start = max((t for t in ticks if t <= low * (1 + 1e-9)), default=10.0 ** decades[0])
    end = min((t for t in ticks if t >= high * (1 - 1e-9)), default=10.0 ** decades[-1])
    return Scale(start, end, tuple(t for t in ticks if start <= t <= end), log=True)


def for_values(values: Sequence[float]) -> Scale:
    """Return a logarithmic scale for positive values that span more than a factor of 50, else a linear one."""
    return logarithmic(values) if min(values) > 0 and max(values) / min(values) > 50 else linear(values)


def epochs(count: int) -> Scale:
    """Return the scale of the epochs 1 to ``count``, with whole numbers."""
    if count == 1:
        return Scale(0.5, 1.5, (1.0,))
    step = max(1, round(_round_step(count / 6)))
    ticks = [float(k) for k in range(step, count + 1, step)]
    return Scale(1.0, float(count), (*([] if step == 1 else [1.0]), *ticks))


def _round_step(step: float) -> float:
    """Return the next step that is 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(f * power for f in (1, 2, 2.5, 5, 10) if f * power >= step * (1 - 1e-9))


def _decimals(ticks: Sequence[float]) -> list[str]:
    largest = max(abs(t) for t in ticks)
    if largest >= 1e5 or 0 < largest < 1e-3:
        return [f"{tick:.3g}" for tick in ticks]
    decimals = next(d for d in range(9) if all(abs(round(t, d) - t) <= 1e-6 * largest for t in ticks) or d == 8)
    return [f"{tick:.{decimals}f}" for tick in ticks]


PANEL, HEIGHT, GAP, MARGIN, TOP = 360.0, 190.0, 28.0, 20.0, 66.0  # pixels: a panel's plot area, and what is around it
LEFT, BELOW = 52.0, 50.0  # room for the labels of the axes
MAX_PANELS = 24
History = Mapping[str, Sequence[float]]  # one value per epoch for each key
MAX_POINTS = 1500  # of a line; the others are left out evenly


class Best(NamedTuple):
    """The best epoch of a training, from 1, with the loss or metric that decides, and its value in that epoch."""

    epoch: int
    key: str
    value: float


def best_epoch(history: History, key: str | None = None, better: str | None = None) -> Best | None:
    """Return the epoch in which ``key`` is best; None if no value is finite or neither high nor low values are better.

    Args:
        key: a key of the history; by default ``val_loss``, or without validation ``loss``.
        better: ``min`` or ``max``; by default what suits the key.
    """
    key = key or ("val_loss" if "val_loss" in history else "loss")
    better = better or direction(key)
    finite = [(value, k) for k, value in enumerate(history.get(key, ())) if math.isfinite(value)]
    if better is None or not finite:
        return None
    value, index = min(finite) if better == "min" else max(finite, key=lambda pair: (pair[0], -pair[1]))
    return Best(index + 1, key, value)


@dataclass(frozen=True)
class Curves:
    """The drawing of a history. A notebook shows it; ``save`` writes an SVG file.

    Attributes:
        history: one value per epoch for each key.
        title: the heading.
    """

    history: History = field(repr=False)
    title: str

    def svg(self) -> str:
        """Return the SVG document."""
        return draw_curves(self.history, self.title)

    def save(self, path: Any) -> Path:
        """Write an SVG file and return its path.

        Raises:
            UsageError: the name does not end in ``.svg``.
        """
        file = path_of("path", path)
        if file.suffix.lower() != ".svg":
            raise UsageError(f"'{file}' must end in .svg: curves are written as SVG, which every browser shows")
        write_atomic(file, self.svg())
        return file

    def _repr_svg_(self) -> str:
        return self.svg()


def panels_of(history: History) -> dict[str, list[str]]:
    """Return the keys of each panel by its name: ``loss`` has ``loss`` and ``val_loss``."""
    panels: dict[str, list[str]] = {}
    for key, values in history.items():
        base = key.removeprefix("val_")
        name = base if key != base and base in history else key
        if any(math.isfinite(v) for v in values):
            panels.setdefault(name, []).append(key)
    return panels


def draw_curves(history: History, title: str) -> str:
    """Return the curves of ``history`` as one SVG document: two panels in a row."""
    panels, best = panels_of(history), best_epoch(history)
    shown = dict(list(panels.items())[:MAX_PANELS])
    count = max(map(len, history.values()), default=0)
    per_row = 1 if len(shown) <= 1 else 2
    rows = max(1, -(-len(shown) // per_row))
    wide, high = LEFT + PANEL + GAP, HEIGHT + BELOW + GAP  # of a panel with what is around it
    heading = shorten(" ".join(title.split()), 90)
    width = max(MARGIN * 2 + per_row * wide - GAP, MARGIN * 2 + text_width(heading) * 1.45)
    height = TOP + rows * high + 4
    parts = list(_heading(heading, history, count, best, len(panels) - len(shown)))
    for k, (name, keys) in enumerate(shown.items()):
        x, y = MARGIN + LEFT + (k % per_row) * wide, TOP + 22 + (k // per_row) * high
        panel = _panel(name, {key: history[key] for key in keys}, epochs(max(count, 1)), best)
        parts += [f'<g transform="translate({x:.1f} {y:.1f})">', *panel, "</g>"]
    return on_card("gs-curves", width, height, heading, parts)


def _heading(title: str, history: History, count: int, best: Best | None, hidden: int) -> Iterator[str]:
    yield f'<text class="gs-title" x="{MARGIN:.0f}" y="30">{escape(title)}</text>'
    about = f"{count:,} epoch{'' if count == 1 else 's'}" if count else "no epoch has ended"
    if best is not None and count > 1:
        about += f", best: epoch {best.epoch:,} ({best.key} {significant(best.value)})"
    if hidden and count:
        about += f"; {hidden:,} further metrics are not drawn"
    x = MARGIN
    if any(key.startswith("val_") for key in history):
        for name, kind in (("training", "train"), ("validation", "val")):
            yield f'<line class="gs-{kind}" x1="{x:.1f}" x2="{x + 18:.1f}" y1="48" y2="48" stroke-width="2.5"/>'
            yield f'<text x="{x + 24:.1f}" y="52">{name}</text>'
            x += 24 + text_width(name) + 20
    yield f'<text x="{x:.1f}" y="52">{escape(about)}</text>'


def _panel(name: str, lines: Mapping[str, Sequence[float]], across: Scale, best: Best | None) -> Iterator[str]:
    """Yield the elements of one panel, whose plot area begins at (0, 0)."""
    up = for_values([v for values in lines.values() for v in values if math.isfinite(v)])

    def at(epoch: float, value: float) -> tuple[float, float]:
        return across.position(epoch) * PANEL, (1 - up.position(value)) * HEIGHT

    note = " (log scale)" if up.log else ""
    yield f'<text class="gs-name" x="0" y="-8">{escape(shorten(name, 26))}{note}</text>'
    yield from axes(across, up, (PANEL, HEIGHT), "gs-")
    yield f'<text x="{PANEL / 2:.0f}" y="{HEIGHT + 34:.0f}" text-anchor="middle">epoch</text>'
    if best is not None and across.high > 1.5:
        x = across.position(best.epoch) * PANEL
        yield f'<line class="gs-best" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{HEIGHT:.0f}" stroke-dasharray="4 4"/>'
    for key, values in lines.items():
        kind = "val" if key.startswith("val_") else "train"
        kept = {*range(0, len(values), -(-len(values) // MAX_POINTS) or 1), len(values) - 1}  # of very many, some
        for piece in pieces(values, kept):
            points = [at(epoch, value) for epoch, value in piece]
            if len(points) == 1:
                yield f'<circle class="gs-{kind}" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="3"/>'
            else:
                yield f'<polyline class="gs-{kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
    key = f"val_{name}" if f"val_{name}" in lines else name
    found = best_epoch(lines, key) if key in lines else None
    if found is not None and across.high > 1.5:
        x, y = at(found.epoch, found.value)
        label = f"{significant(found.value)} in epoch {found.epoch:,}"
        yield f'<circle class="gs-best" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
        yield f'<text x="{PANEL:.0f}" y="-8" text-anchor="end">best {label}</text>'


def axes(across: Scale, up: Scale, size: tuple[float, float], prefix: str = "") -> Iterator[str]:
    """Yield the grid and the axes of a plot area of ``size`` pixels, with the labels of their ticks."""
    width, height = size
    for tick, label in zip(up.ticks, up.labels(), strict=True):
        y = (1 - up.position(tick)) * height
        yield f'<line class="{prefix}grid" x1="0" x2="{width:.0f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="-7" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    yield f'<line class="{prefix}axis" x1="0" x2="{width:.0f}" y1="{height:.0f}" y2="{height:.0f}"/>'
    for tick, label in zip(across.ticks, across.labels(), strict=True):
        x = across.position(tick) * width
        yield f'<line class="{prefix}axis" x1="{x:.1f}" x2="{x:.1f}" y1="{height:.0f}" y2="{height + 4:.0f}"/>'
        yield f'<text x="{x:.1f}" y="{height + 17:.0f}" text-anchor="middle">{label}</text>'


def pieces(values: Sequence[float], kept: Collection[int]) -> list[list[tuple[float, float]]]:
    """Return the points of a line at some epochs, from 0, cut where a value is not finite; epochs count from 1 in them."""
    found: list[list[tuple[float, float]]] = [[]]
    for k, value in enumerate(values):
        if not math.isfinite(value):
            found.append([])
        elif k in kept:
            found[-1].append((k + 1.0, value))
    return [piece for piece in found if piece]
