"""Drawings of the size of a line of text: series, and histograms of one or two samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Drawing
from graphspec.show.html import text
from graphspec.show.report.sampling import evenly

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array

POINTS = 120
"""Points of a line; of longer series, as many, spread evenly."""
_HIGH = 100  # the height of a drawing in its own units
_WIDE = 10  # the width of a bin


def spark(lines: Sequence[tuple[str, Array]], summary: str, *, tall: bool = False) -> Drawing:
    """Return series as lines with a common scale; NaN and infinite values are gaps.

    Args:
        lines: the class that gives the colour (``a``, ``b``, ``soft``), and the values ``(time,)``.
        summary: what is to be seen, as plain text: shown on hover, and read to those who do not see it.
    """
    finite = [values[np.isfinite(values)] for _, values in lines]
    known = np.concatenate(finite) if finite else np.zeros(0)
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    longest = max((len(values) for _, values in lines), default=0)
    parts = [_opening("spark tall" if tall else "spark", max(longest - 1, 1), _HIGH, summary, tip=True)]
    for kind, values in lines:
        for piece in _pieces(values.astype(np.float64), low, high):
            parts.append(f'<polyline class="line {kind}" points="{" ".join(piece)}"/>')
    return Drawing("".join([*parts, "</svg>"]), summary)


def _pieces(values: Array, low: float, high: float) -> list[list[str]]:
    """Return the points of each stretch without gaps, in whole numbers; a single point is a short line."""
    places = evenly(len(values), POINTS)
    pieces: list[list[str]] = [[]]
    for place in places.tolist():
        value = float(values[place])
        if not np.isfinite(value):
            pieces.append([])
            continue
        share = (value - low) / (high - low) if high > low else 0.5
        pieces[-1].append(f"{place},{4 + (1 - share) * (_HIGH - 8):.0f}")
    return [piece if len(piece) > 1 else [piece[0], f"{piece[0]}".replace(",", ".5,", 1)] for piece in pieces if piece]


def histogram(samples: Sequence[tuple[str, Array]], tips: Sequence[str], summary: str, *, each: bool = True) -> Drawing:
    """Return the shares of one or two samples in the same bins: the first as bars, the second as a line over them.

    Args:
        samples: the class that gives the colour, and the shares by bin.
        tips: the text of each bin.
        summary: what is to be seen, as plain text.
        each: whether each bin shows its text; else the whole drawing shows the summary.
    """
    top = max((float(shares.max()) for _, shares in samples if shares.size), default=0.0) or 1.0
    parts = [_opening("spark histogram", len(tips) * _WIDE, _HIGH, summary, tip=not each)]
    for k, (kind, shares) in enumerate(samples[:2]):
        heights = np.rint(shares / top * (_HIGH - 6)).astype(int).tolist()
        if k == 0:
            drawn = "".join(f"M{j * _WIDE + 1} {_HIGH}v{-h}h{_WIDE - 2}v{h}z" for j, h in enumerate(heights) if h)
            parts.append(f'<path class="bar {kind}" d="{drawn}"/>')
        else:
            drawn = " ".join(
                f"{j * _WIDE},{_HIGH - 2 - h} {(j + 1) * _WIDE},{_HIGH - 2 - h}" for j, h in enumerate(heights)
            )
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
