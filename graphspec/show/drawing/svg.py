"""A drawing as SVG: text, boxes and curves, without scripts or embedded fonts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape as escape_markup
from importlib.resources import files
from math import fsum
from typing import NamedTuple

from graphspec.show.drawing.outline import Box, Panel

# The layout of an acyclic graph: one row per rank, few crossings, straight long arrows.
#
# Sugiyama, Tagawa and Toda, *Methods for visual understanding of hierarchical system structures*, 1981: ranks by longest
# paths, a bend in each row that an arrow passes, orders by barycentres, positions by least squares.
SWEEPS = 24  # over all rows, for orders and for positions
GAP_X, GAP_Y, BEND = 28.0, 46.0, 12.0  # pixels between boxes and between rows, and the width of a bend
BENDS = 10  # at most this many bends per box


@dataclass
class Place:
    """Centre and size of a box or bend; ``row`` is its rank."""

    x: float = 0.0
    y: float = 0.0
    width: float = BEND
    height: float = 0.0
    row: int = 0


class Placement(NamedTuple):
    """The layout: places by box, the points of every arrow, and the total size."""

    places: dict[str, Place]
    arrows: list[list[tuple[float, float]]]
    width: float
    height: float


def layered(sizes: Mapping[str, tuple[float, float]], arrows: Sequence[tuple[str, str]]) -> Placement:
    """Lay out boxes of these sizes (width, height); ``arrows`` are pairs of boxes, without cycles."""
    ranks = rank(list(sizes), arrows)
    places = {key: Place(width=w, height=h, row=ranks[key]) for key, (w, h) in sizes.items()}
    chains = bend(places, arrows)
    links = {(a, b) for chain in chains for a, b in itertools.pairwise(chain)}
    rows = order(places, links)
    position(rows, places, links)
    left = min((p.x - p.width / 2 for p in places.values()), default=0.0)
    y = 0.0
    for row in rows:
        tallest = max(places[key].height for key in row)
        for key in row:
            places[key].x -= left
            places[key].y = y + tallest / 2
        y += tallest + GAP_Y
    routes = [route([places[key] for key in chain]) for chain in chains]
    width = max((p.x + p.width / 2 for p in places.values()), default=0.0)
    return Placement({key: places[key] for key in sizes}, routes, width, max(y - GAP_Y, 0.0))


def rank(keys: Sequence[str], arrows: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return the length of the longest path to every box; a box without predecessors is one above its first successor."""
    into, out = neighbours(keys, arrows)
    ranks: dict[str, int] = {}
    waiting = {key: len(into[key]) for key in keys}
    ready = [key for key in keys if not waiting[key]]
    while ready:
        key = ready.pop()
        ranks[key] = max((ranks[a] + 1 for a in into[key]), default=0)
        for b in out[key]:
            waiting[b] -= 1
            if not waiting[b]:
                ready.append(b)
    for key in keys:
        if not into[key] and out[key]:
            ranks[key] = min(ranks[b] for b in out[key]) - 1
    return ranks


def bend(places: dict[str, Place], arrows: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return each arrow as a chain of boxes and bends, one per row; the bends are added to ``places``.

    If there are too many, the longest arrows have no bends: n boxes that all lead to the last one would need n²/2.
    """
    chains = [[a, b] for a, b in arrows]
    left = BENDS * (len(places) + 100)
    for n in sorted(range(len(arrows)), key=lambda n: places[arrows[n][1]].row - places[arrows[n][0]].row):
        a, b = arrows[n]
        between = range(places[a].row + 1, places[b].row)
        left -= len(between)
        if left < 0:
            break
        chains[n][1:1] = bends = [f"{n}@{row}\0" for row in between]
        places.update((key, Place(row=row)) for key, row in zip(bends, between, strict=True))
    return chains


def order(places: Mapping[str, Place], links: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the boxes of every row from left to right: the best order found in sweeps up and down."""
    rows: list[list[str]] = [[] for _ in range(max((p.row for p in places.values()), default=-1) + 1)]
    for key, place in places.items():
        rows[place.row].append(key)
    above, below = neighbours(places, links)
    best, least = [list(row) for row in rows], crossings(rows, below)
    at = {key: k for row in rows for k, key in enumerate(row)}
    for sweep in range(SWEEPS if least else 0):
        down = sweep % 2 == 0
        beside = above if down else below
        for row in rows if down else reversed(rows):
            centre = {key: _mean([at[n] for n in beside[key]], at[key]) for key in row}
            row.sort(key=centre.__getitem__)
            at.update((key, k) for k, key in enumerate(row))
        if (count := crossings(rows, below)) < least:
            best, least = [list(row) for row in rows], count
    return best


def crossings(rows: Sequence[Sequence[str]], below: Mapping[str, Sequence[str]]) -> int:
    """Count the crossings of arrows between neighbouring rows."""
    count = 0
    for upper, lower in itertools.pairwise(rows):
        at = {key: k for k, key in enumerate(lower)}
        ends = [sorted(at[b] for b in below[a] if b in at) for a in upper]
        count += inversions([end for group in ends for end in group])
    return count


def inversions(numbers: Sequence[int]) -> int:
    """Count the pairs in the wrong order, by merge sort."""
    count, width = 0, 1
    while width < len(numbers):
        merged: list[int] = []
        for start in range(0, len(numbers), 2 * width):
            left, right = numbers[start : start + width], numbers[start + width : start + 2 * width]
            k = 0
            for number in right:
                while k < len(left) and left[k] <= number:
                    merged.append(left[k])
                    k += 1
                count += len(left) - k
                merged.append(number)
            merged += left[k:]
        numbers, width = merged, 2 * width
    return count


def position(rows: Sequence[Sequence[str]], places: Mapping[str, Place], links: Iterable[tuple[str, str]]) -> None:
    """Set the horizontal positions: each box moves towards the mean of its neighbours, as far as its row allows."""
    above, below = neighbours(places, links)
    for row in rows:
        x = 0.0
        for key in row:
            places[key].x = x + places[key].width / 2
            x += places[key].width + GAP_X
        for key in row:
            places[key].x -= (x - GAP_X) / 2
    for sweep in range(SWEEPS + 1):  # the last one goes down: a box with one predecessor is directly below it
        beside = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            targets = [_mean([places[n].x for n in beside[key]], places[key].x) for key in row]
            weights = [8.0 if key.endswith("\0") else 1.0 for key in row]
            widths = [places[key].width for key in row]
            for key, x in zip(row, apart(targets, weights, widths), strict=True):
                places[key].x = x


def _mean(values: Sequence[float], otherwise: float) -> float:
    return fsum(values) / len(values) if values else otherwise


def neighbours(
    keys: Iterable[str], links: Iterable[tuple[str, str]]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the neighbours above and below every box."""
    above: dict[str, list[str]] = {key: [] for key in keys}
    below: dict[str, list[str]] = {key: [] for key in keys}
    for a, b in sorted(links):
        below[a].append(b)
        above[b].append(a)
    return above, below


def apart(targets: Sequence[float], weights: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Return the positions nearest to ``targets`` (weighted squares) that keep the order and the distances of a row.

    Subtracting the distances leaves an isotonic regression, solved by pooling adjacent violators.
    """
    offsets = [0.0]
    for a, b in itertools.pairwise(widths):
        offsets.append(offsets[-1] + (a + b) / 2 + GAP_X)
    pools: list[tuple[float, float, int]] = []  # mean, weight, number of boxes
    for x, weight, offset in zip(targets, weights, offsets, strict=False):
        mean, total, count = x - offset, weight, 1
        while pools and pools[-1][0] > mean:
            left, mass, n = pools.pop()
            mean, total, count = (left * mass + mean * total) / (mass + total), mass + total, count + n
        pools.append((mean, total, count))
    flat = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(flat, offsets, strict=False)]


def route(chain: Sequence[Place]) -> list[tuple[float, float]]:
    """Return the points from the lower edge of the first box through the bends to the upper edge of the last."""
    first, *bends, last = chain
    ends = (first.x, first.y + first.height / 2), (last.x, last.y - last.height / 2)
    return [ends[0], *((p.x, p.y) for p in bends), ends[1]]


LINE, PAD, MARGIN, TITLE = 17.0, 10.0, 28.0, 62.0  # pixels
COLOURS = {"input": ("#ffffff", "#334155"), "head": ("#1e293b", "#1e293b"), "block": ("#f1f5f9", "#475569")}
FAMILIES = (  # the fill and the stroke of layers by family; above, those of boxes by kind
    *(("#dbeafe", "#2563eb"), ("#dcfce7", "#16a34a"), ("#fef9c3", "#ca8a04"), ("#fce7f3", "#db2777")),
    *(("#ede9fe", "#7c3aed"), ("#ffedd5", "#ea580c"), ("#cffafe", "#0891b2"), ("#fee2e2", "#dc2626")),
    *(("#ecfccb", "#65a30d"), ("#e2e8f0", "#64748b")),
)
_TIP = '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'


def svg(panels: Sequence[Panel]) -> str:
    """Return the panels side by side, the network first, as one SVG document."""
    colours = dict(zip(families(panels), itertools.cycle(FAMILIES), strict=False))
    parts, width, height = drawn(panels, lambda box, place: draw_box(box, place, colours), escape, "tip", titled=True)
    parts += legend(colours, height)
    height += LINE + MARGIN
    width = max(width, MARGIN * 2 + sum(text_width(name) + 44 for name in colours))
    tip = f'<defs>{_TIP}<path d="M0 0 8 4 0 8z" fill="#94a3b8"/></marker></defs>'
    paper = f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>'
    return _document("", width, height, panels[0].title, asset("network.css"), [tip, paper, *parts])


def drawn(
    panels: Sequence[Panel],
    draw: Callable[[Box, Place], Iterable[str]],
    write: Callable[[str], str],
    tip: str,
    *,
    titled: bool,
) -> tuple[list[str], float, float]:
    """Return the elements of panels side by side, with arrows of a ``tip`` and escaped texts, and the size of them all.

    The first panel, the network, has no heading unless it is ``titled``: a page has one of its own, and less room.
    """
    parts: list[str] = []
    x, height = MARGIN, 0.0
    for column in arrange(panels):
        y, widest = MARGIN if titled else 4.0, 0.0
        for panel, layout in column:
            lines = wrapped(panel) if titled or panel is not panels[0] else []
            width = max(layout.width, *(text_width(line) * 1.25 for line in lines), 180.0 if titled else 120.0)
            top = y + (TITLE + LINE * max(len(lines) - 2, 0) if lines else 8.0)
            for k, line in enumerate(lines):
                kind, base = (' class="heading"', y + 16) if k == 0 else ("", y + 36 + LINE * (k - 1))
                parts.append(f'<text{kind} x="{x:.0f}" y="{base:.0f}">{write(line)}</text>')
            parts.append(f'<g transform="translate({x + (width - layout.width) / 2:.1f} {top:.1f})">')
            parts += [f'<path class="arrow" d="{curve(p)}" marker-end="url(#{tip})"/>' for p in layout.arrows]
            for key, box in panel.boxes.items():
                parts += draw(box, layout.places[key])
            parts.append("</g>")
            y = top + layout.height + (MARGIN * 1.6 + LINE * (len(lines) > 1) if titled else MARGIN)
            widest = max(widest, width)
        x += widest + MARGIN * 2
        height = max(height, y)
    return parts, x - MARGIN, height


def families(panels: Sequence[Panel]) -> list[str]:
    """Return the families of layers, each of which has a colour."""
    return sorted({box.family for panel in panels for box in panel.boxes.values() if box.family})


_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(text: str) -> str:
    """Escape ``text`` for XML 1.0; characters that XML does not allow are removed."""
    return escape_markup(_NO_XML.sub("", text))


def arrange(panels: Sequence[Panel]) -> list[list[tuple[Panel, Placement]]]:
    """Return columns of panels: the network is the first; blocks fill the next columns up to its height."""
    first, *others = [(p, layered({k: size(b) for k, b in p.boxes.items()}, list(p.arrows))) for p in panels]
    columns, filled = [[first]], 0.0
    limit = max(first[1].height, 700.0)
    for item in others:
        needed = item[1].height + TITLE + MARGIN * 2
        if len(columns) == 1 or filled + needed > limit:
            columns.append([])
            filled = 0.0
        columns[-1].append(item)
        filled += needed
    return columns


def on_card(kind: str, width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """Return elements on a card of their own as an SVG document, with the styles of ``kind`` for light and dark pages."""
    card = f'<rect class="gs-card" width="{width:.0f}" height="{height:.0f}" rx="8"/>'
    return _document(f' class="{kind}"', width, height, title, asset(f"{kind}.css"), [card, *parts])


def asset(name: str) -> str:
    """Return the text of a file beside this one: the styles of a drawing, or a page around it."""
    return files("graphspec.show.drawing").joinpath(name).read_text(encoding="utf-8").strip()


def _document(kind: str, width: float, height: float, title: str, style: str, parts: Sequence[str]) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg"{kind} {size} role="img">'
    return "\n".join([opening, f"<title>{escape(title)}</title>", f"<style>{style}</style>", *parts, "</svg>", ""])


def text_width(text: str) -> float:
    """Return the approximate width of ``text`` at 12 px, in pixels."""
    tenths = sum(46 if c in "iljtfI.,:;'|()[] " else 104 if c in "mwMW@—" else 74 for c in text)
    return tenths / 10  # Python 3.12 and later add floats with less rounding: a sum of them would differ


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


def corner(box: Box, place: Place) -> float:
    """Return the radius of the corners of a box."""
    return min(place.height / 2, 18) if box.kind in ("input", "head") else 5


def curve(points: Sequence[tuple[float, float]]) -> str:
    """Return a path that leaves and enters every point vertically."""
    x, y = points[0]
    parts = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in points[1:]:
        middle = (y + to_y) / 2
        parts.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return " ".join(parts)


def draw_box(box: Box, place: Place, colours: dict[str, tuple[str, str]]) -> Iterator[str]:
    """Yield the SVG elements of a box."""
    fill, stroke = COLOURS.get(box.kind) or colours.get(box.family, FAMILIES[-1])
    dash = ' stroke-dasharray="4 3"' if box.kind == "shared" else ""
    x, y = place.x - place.width / 2, place.y - place.height / 2
    paint, sizes = f'fill="{fill}" stroke="{stroke}"', f'width="{place.width:.1f}" height="{place.height:.1f}"'
    yield f'<g class="{box.kind}">' + (f"<title>{escape(box.tip)}</title>" if box.tip else "")
    for shift in (6, 3) if box.kind == "block" else ():
        yield f'<rect x="{x + shift:.1f}" y="{y + shift:.1f}" {sizes} rx="5" {paint} stroke-opacity="0.5"/>'
    yield f'<rect x="{x:.1f}" y="{y:.1f}" {sizes} rx="{corner(box, place):.0f}" {paint}{dash}/>'
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


# A drawing as Mermaid text (https://mermaid.js.org/syntax/flowchart.html), which GitHub and many editors render.
_CODED = "#`%{}\\"
_STEERING = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"<>&#`%{}\\\\]')
_FORMS = {"input": ("([", "])"), "head": ("([", "])"), "block": ("[[", "]]"), "shared": ("[", "]"), "layer": ("[", "]")}


def mermaid(panels: Sequence[Panel]) -> str:
    """Return a flowchart; with blocks, the network and each block are subgraphs."""
    lines, number, several = ["flowchart TD"], itertools.count(), len(panels) > 1
    for panel in panels:
        names = {key: f"n{next(number)}" for key in panel.boxes}
        if several:
            lines.append(f"    subgraph {names[next(iter(names))]}_[{quoted(panel.title)}]")
        indent = "        " if several else "    "
        for key, box in panel.boxes.items():
            opening, closing = _FORMS[box.kind]
            lines.append(f"{indent}{names[key]}{opening}{quoted(box.title, *box.lines)}{closing}")
        lines += [f"{indent}{names[a]} --> {names[b]}" for a, b in panel.arrows]
        if several:
            lines.append("    end")
    return "\n".join([*lines, ""])


def quoted(*lines: str) -> str:
    """Return the lines as one label; escapes keep them from ending it, or from being markup, links or directives."""
    return '"' + "<br/>".join(_STEERING.sub(_code, line) for line in lines) + '"'


def _code(match: re.Match[str]) -> str:
    """Return Mermaid's code of a character; a space for a control character."""
    character = match[0]
    named = {'"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;"}
    return named.get(character) or (f"#{ord(character)};" if character in _CODED else " ")
