"""The drawing of a network for a page: boxes that can be chosen, with colours from the page's styles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from graphspec.show.drawing.outline import Box, Panel
from graphspec.show.drawing.svg import (
    FAMILIES,
    LINE,
    MARGIN,
    PAD,
    TITLE,
    Placement,
    arrange,
    curve,
    layered,
    size,
    text_width,
    wrapped,
)
from graphspec.show.html import text


def drawing(panels: Sequence[Panel], numbers: Mapping[str, int], flagged: Mapping[str, str]) -> str:
    """Return the panels beside each other as an SVG element.

    A box with nodes is a button whose ``data-nodes`` has their numbers.

    Args:
        numbers: of the nodes, by name; boxes of others are no buttons.
        flagged: nodes with a problem, and what it is.
    """
    names = sorted({box.family for panel in panels for box in panel.boxes.values() if box.family})
    families = {name: k % len(FAMILIES) for k, name in enumerate(names)}
    parts: list[str] = []
    x, height = MARGIN, 0.0
    for column in arrange([(p, layered({k: size(b) for k, b in p.boxes.items()}, p.arrows)) for p in panels]):
        y, widest = 4.0, 0.0
        for panel, layout in column:
            lines = wrapped(panel) if panel is not panels[0] else [""]
            width = max(layout.width, *(text_width(line) * 1.25 for line in lines), 120.0)
            top = y + (TITLE + LINE * max(len(lines) - 2, 0) if lines != [""] else 8.0)
            parts += _heading(lines, x, y)
            left = x + (width - layout.width) / 2
            parts.append(f'<g transform="translate({left:.1f} {top:.1f})">')
            parts += [f'<path class="arrow" d="{curve(p)}" marker-end="url(#network-tip)"/>' for p in layout.arrows]
            for key, box in panel.boxes.items():
                parts += _box(box, layout, key, families, numbers, flagged)
            parts.append("</g>")
            y = top + layout.height + MARGIN
            widest = max(widest, width)
        x += widest + MARGIN * 2
        height = max(height, y)
    width = x - MARGIN
    return (
        f'<svg class="network" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'role="group" aria-label="The network: boxes from inputs to heads"><defs><marker id="network-tip" '
        'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>{"".join(parts)}</svg>'
    )


def legend(panels: Sequence[Panel]) -> str:
    """Return the families of the layers with their colours."""
    names = sorted({box.family for panel in panels for box in panel.boxes.values() if box.family})
    items = "".join(
        f'<li><span class="swatch family-{k % len(FAMILIES)}"></span>{text(name)}</li>' for k, name in enumerate(names)
    )
    return f'<ul class="legend">{items}</ul>' if len(names) > 1 else ""


def _heading(lines: Sequence[str], x: float, y: float) -> Iterator[str]:
    title, *about = lines
    if title:
        yield f'<text class="heading" x="{x:.0f}" y="{y + 16:.0f}">{text(title)}</text>'
    for k, line in enumerate(about):
        yield f'<text x="{x:.0f}" y="{y + 36 + LINE * k:.0f}">{text(line)}</text>'


def _box(
    box: Box,
    layout: Placement,
    key: str,
    families: Mapping[str, int],
    numbers: Mapping[str, int],
    flagged: Mapping[str, str],
) -> Iterator[str]:
    place = layout.places[key]
    left, top = -place.width / 2, -place.height / 2
    corner = min(place.height / 2, 18) if box.kind in ("input", "head") else 5
    known = [str(numbers[name]) for name in box.nodes if name in numbers]
    family = f" family-{families[box.family]}" if box.family else ""
    problem = next((flagged[name] for name in box.nodes if name in flagged), "")
    button = f' role="button" tabindex="0" aria-pressed="false" data-nodes="{" ".join(known)}"' if known else ""
    named = f' aria-description="{text(problem)}"' if problem and known else ""
    kinds = f"box {box.kind}{family}{' flagged' if problem else ''}"
    yield f'<g class="{kinds}"{button}{named} transform="translate({place.x:.0f} {place.y:.0f})">'
    size_of = f'width="{place.width:.0f}" height="{place.height:.0f}"'
    if box.kind == "block":
        for shift in (6, 3):
            yield f'<rect class="behind" x="{left + shift:.0f}" y="{top + shift:.0f}" {size_of} rx="5"/>'
    yield f'<rect x="{left:.0f}" y="{top:.0f}" {size_of} rx="{corner:.0f}"/>'
    for k, line in enumerate([box.title, *box.lines]):
        name = ' class="title"' if k == 0 else ""
        yield f'<text{name} y="{top + PAD / 2 + LINE * k + 13:.0f}">{text(line)}</text>'
    if problem:
        yield f'<circle class="flag" cx="{place.width / 2:.0f}" cy="{top:.0f}" r="6"/>'
    yield "</g>"
