"""A drawing as SVG: text, boxes and curves, without scripts or embedded fonts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape as escape_markup

from graphspec.show.drawing.layered import Placement, layered
from graphspec.show.drawing.outline import Box, Panel

LINE, PAD, MARGIN, TITLE = 17.0, 10.0, 28.0, 62.0  # pixels
COLOURS = {
    "input": ("#ffffff", "#334155"),
    "head": ("#1e293b", "#1e293b"),
    "block": ("#f1f5f9", "#475569"),
}
FAMILIES = (
    ("#dbeafe", "#2563eb"),
    ("#dcfce7", "#16a34a"),
    ("#fef9c3", "#ca8a04"),
    ("#fce7f3", "#db2777"),
    ("#ede9fe", "#7c3aed"),
    ("#ffedd5", "#ea580c"),
    ("#cffafe", "#0891b2"),
    ("#fee2e2", "#dc2626"),
    ("#ecfccb", "#65a30d"),
    ("#e2e8f0", "#64748b"),
)
STYLE = """text { font-family: system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; font-size: 12px; fill: #334155 }
.title { font-size: 13px; font-weight: 600; fill: #0f172a }
.heading { font-size: 18px; font-weight: 700; fill: #0f172a }
.head text { fill: #f8fafc }
.arrow { fill: none; stroke: #94a3b8; stroke-width: 1.4 }"""


def svg(panels: Sequence[Panel]) -> str:
    """Return the panels side by side, the network first, as one SVG document."""
    families = sorted({box.family for panel in panels for box in panel.boxes.values() if box.family})
    colours = {name: FAMILIES[k % len(FAMILIES)] for k, name in enumerate(families)}
    parts: list[str] = []
    columns = arrange(
        [(panel, layered({k: size(b) for k, b in panel.boxes.items()}, panel.arrows)) for panel in panels]
    )
    x, height = MARGIN, 0.0
    for column in columns:
        y, widest = MARGIN, 0.0
        for panel, layout in column:
            width = max(layout.width, *(text_width(line) * 1.25 for line in wrapped(panel)), 180.0)
            parts += draw(panel, layout, x, y, width, colours)
            y += TITLE + LINE * len(wrapped(panel)[1:]) + layout.height + MARGIN * 1.6
            widest = max(widest, width)
        x += widest + MARGIN * 2
        height = max(height, y)
    parts += legend(colours, height)
    height += LINE + MARGIN
    width = max(x - MARGIN, MARGIN * 2 + sum(text_width(name) + 44 for name in colours))
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
                f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">'
            ),
            f"<title>{escape(panels[0].title)}</title>",
            f"<style>{STYLE}</style>",
            (
                '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
                '<path d="M0 0 8 4 0 8z" fill="#94a3b8"/></marker></defs>'
            ),
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(text: str) -> str:
    """Escape ``text`` for XML 1.0; characters that XML does not allow are removed."""
    return escape_markup(_NO_XML.sub("", text))


Drawn = tuple[Panel, Placement]


def arrange(drawn: Sequence[Drawn]) -> list[list[Drawn]]:
    """Return columns of panels: the network is the first; blocks fill the next columns up to its height."""
    columns, filled = [[drawn[0]]], 0.0
    limit = max(drawn[0][1].height, 700.0)
    for item in drawn[1:]:
        needed = item[1].height + TITLE + MARGIN * 2
        if len(columns) == 1 or filled + needed > limit:
            columns.append([])
            filled = 0.0
        columns[-1].append(item)
        filled += needed
    return columns


def text_width(text: str) -> float:
    """Return the approximate width of ``text`` at 12 px, in pixels."""
    return sum(4.6 if c in "iljtfI.,:;'|()[] " else 10.4 if c in "mwMW@—" else 7.4 for c in text)


def size(box: Box) -> tuple[float, float]:
    """Return width and height of a box in pixels."""
    width = max([text_width(box.title) * 1.12, *(text_width(line) for line in box.lines)])
    return max(width + 2 * PAD, 70.0), LINE * (1 + len(box.lines)) + PAD


def wrapped(panel: Panel, limit: int = 76) -> list[str]:
    """Return the lines of a heading: the title, then the wrapped description."""
    lines = [""]
    for word in panel.about.split():
        if lines[-1] and len(lines[-1]) + len(word) > limit:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [panel.title, *filter(None, lines)]


def draw(
    panel: Panel, layout: Placement, x: float, y: float, width: float, colours: dict[str, tuple[str, str]]
) -> Iterator[str]:
    """Yield the SVG elements of a panel at (x, y)."""
    title, *about = wrapped(panel)
    yield f'<text class="heading" x="{x:.0f}" y="{y + 16:.0f}">{escape(title)}</text>'
    for k, line in enumerate(about):
        yield f'<text x="{x:.0f}" y="{y + 36 + LINE * k:.0f}">{escape(line)}</text>'
    left, top = x + (width - layout.width) / 2, y + TITLE + LINE * max(len(about) - 1, 0)
    yield f'<g transform="translate({left:.1f} {top:.1f})">'
    for points in layout.arrows:
        yield f'<path class="arrow" d="{curve(points)}" marker-end="url(#tip)"/>'
    for key, box in panel.boxes.items():
        yield from draw_box(box, layout, key, colours)
    yield "</g>"


def curve(points: Sequence[tuple[float, float]]) -> str:
    """Return a path that leaves and enters every point vertically."""
    x, y = points[0]
    parts = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in points[1:]:
        middle = (y + to_y) / 2
        parts.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return " ".join(parts)


def draw_box(box: Box, layout: Placement, key: str, colours: dict[str, tuple[str, str]]) -> Iterator[str]:
    """Yield the SVG elements of a box."""
    place = layout.places[key]
    fill, stroke = COLOURS.get(box.kind) or colours.get(box.family, FAMILIES[-1])
    corner = min(place.height / 2, 18) if box.kind in ("input", "head") else 5
    dash = ' stroke-dasharray="4 3"' if box.kind == "shared" else ""
    x, y = place.x - place.width / 2, place.y - place.height / 2
    yield f'<g class="{box.kind}">'
    if box.kind == "block":
        for shift in (6, 3):
            yield (
                f'<rect x="{x + shift:.1f}" y="{y + shift:.1f}" width="{place.width:.1f}" height="{place.height:.1f}" '
                f'rx="5" fill="{fill}" stroke="{stroke}" stroke-opacity="0.5"/>'
            )
    yield (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{place.width:.1f}" height="{place.height:.1f}" '
        f'rx="{corner:.0f}" fill="{fill}" stroke="{stroke}"{dash}/>'
    )
    for k, line in enumerate([box.title, *box.lines]):
        name = ' class="title"' if k == 0 and box.kind != "head" else ""
        weight = ' font-weight="600"' if k == 0 and box.kind == "head" else ""
        base = y + PAD / 2 + LINE * k + 13
        yield f'<text{name}{weight} x="{place.x:.1f}" y="{base:.1f}" text-anchor="middle">{escape(line)}</text>'
    yield "</g>"


def legend(colours: dict[str, tuple[str, str]], y: float) -> Iterator[str]:
    """Yield the SVG elements of a legend of the families' colours."""
    x = MARGIN
    for name, (fill, stroke) in colours.items():
        yield f'<rect x="{x:.0f}" y="{y:.0f}" width="14" height="14" rx="3" fill="{fill}" stroke="{stroke}"/>'
        yield f'<text x="{x + 20:.0f}" y="{y + 12:.0f}">{escape(name)}</text>'
        x += text_width(name) + 44
