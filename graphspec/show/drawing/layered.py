"""The layout of an acyclic graph: one row per rank, few crossings, straight long arrows.

Sugiyama, Tagawa and Toda, *Methods for visual understanding of hierarchical system structures*, 1981: ranks by longest
paths, a bend in each row that an arrow passes, orders by barycentres, positions by least squares.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

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


@dataclass
class Placement:
    """The layout: places by box, the points of every arrow, and the total size."""

    places: dict[str, Place] = field(default_factory=dict)
    arrows: list[list[tuple[float, float]]] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def layered(sizes: Mapping[str, tuple[float, float]], arrows: Sequence[tuple[str, str]]) -> Placement:
    """Lay out boxes of these sizes (width, height); ``arrows`` are pairs of boxes, without cycles."""
    ranks = rank(list(sizes), arrows)
    places = {key: Place(width=w, height=h, row=ranks[key]) for key, (w, h) in sizes.items()}
    chains = bend(places, arrows)
    links = {(a, b) for chain in chains for a, b in itertools.pairwise(chain)}
    rows = order(places, links)
    position(rows, places, links)
    layout = Placement({key: places[key] for key in sizes})
    left = min((p.x - p.width / 2 for p in places.values()), default=0.0)
    y = 0.0
    for row in rows:
        tallest = max(places[key].height for key in row)
        for key in row:
            places[key].x -= left
            places[key].y = y + tallest / 2
        y += tallest + GAP_Y
    layout.arrows = [route([places[key] for key in chain]) for chain in chains]
    layout.width = max((p.x + p.width / 2 for p in places.values()), default=0.0)
    layout.height = max(y - GAP_Y, 0.0)
    return layout


def rank(keys: Sequence[str], arrows: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return the length of the longest path to every box; a box without predecessors is one above its first successor."""
    into: dict[str, list[str]] = {key: [] for key in keys}
    out: dict[str, list[str]] = {key: [] for key in keys}
    for a, b in arrows:
        into[b].append(a)
        out[a].append(b)
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
            centre = {
                key: sum(at[n] for n in beside[key]) / len(beside[key]) if beside[key] else at[key] for key in row
            }
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
            targets = [
                sum(places[n].x for n in beside[key]) / len(beside[key]) if beside[key] else places[key].x
                for key in row
            ]
            weights = [8.0 if key.endswith("\0") else 1.0 for key in row]
            widths = [places[key].width for key in row]
            for key, x in zip(row, apart(targets, weights, widths), strict=True):
                places[key].x = x


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
    points = [(first.x, first.y + first.height / 2)]
    points += [(p.x, p.y) for p in bends]
    return [*points, (last.x, last.y - last.height / 2)]
