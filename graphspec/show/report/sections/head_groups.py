"""A head that places rows near the rows of their group: whether neighbours are of one group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Block, Facts, Figure, Group, Legend, Text
from graphspec.base.text import count
from graphspec.show.drawing.curves import linear
from graphspec.show.report.charts import Plot, amount, share
from graphspec.show.report.rows import evenly
from graphspec.show.report.scores import roc

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array
    from graphspec.show.report.findings import HeadAnswers

MOST_ROWS = 1_500  # all pairs of them are compared
_BARS = 24


def groups_head(head: HeadAnswers) -> list[Block]:
    """Return how often nearest rows are of one group, and how alike pairs are."""
    assert head.targets is not None
    points, groups = head.answers.reshape(len(head.answers), -1).astype(np.float64), head.targets.reshape(-1)
    finite = np.isfinite(points).all(1)
    lost = int(len(points) - finite.sum())
    points, groups = points[finite], groups[finite]
    if len(points) > MOST_ROWS:
        rows = evenly(len(points), MOST_ROWS)
        points, groups = points[rows], groups[rows]
    notes = [f"{count(lost, 'row')} with answers that are no finite numbers do not count."] if lost else []
    if len(points) < 2:
        return [*(Text(note, "note") for note in notes), Text("There are too few rows to compare.")]
    alike = _cosines(points)
    same = groups[:, None] == groups[None, :]
    np.fill_diagonal(same, False)
    paired = same.any(1)
    above = np.triu_indices(len(points), 1)
    curve = roc(same[above], alike[above])
    values = [
        ("Rows", f"{len(points):,}"),
        ("Groups", f"{len(np.unique(groups)):,}"),
        ("Nearest row is of the group", _recall(alike, same, paired, 1)),
        ("One of the 5 nearest is", _recall(alike, same, paired, 5)),
        ("ROC AUC of pairs", "not defined" if curve is None else share(curve.area)),
    ]
    alone = int((~paired).sum())
    if alone:
        what = "is the only one of its group, and does" if alone == 1 else "are the only ones of their groups, and do"
        notes.append(f"{count(alone, 'row')} {what} not count in the shares of nearest rows.")
    charts = [Group("charts", [_histogram(alike[above], same[above])])] if curve is not None else []
    return [Facts(values), *(Text(note, "note") for note in notes), *charts]


def _cosines(points: Array) -> Array:
    """Return the cosine of the angle between each two rows; no row is its own neighbour."""
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    unit = points / np.where(norms == 0, 1, norms)
    alike = unit @ unit.T
    np.fill_diagonal(alike, -np.inf)
    return np.asarray(alike)


def _recall(alike: Array, same: Array, paired: Array, k: int) -> str:
    """Return the share of rows with another of their group that find one among their ``k`` nearest rows."""
    if not paired.any():
        return "not defined"
    k = min(k, len(alike) - 1)
    nearest = np.argpartition(-alike, k - 1, axis=1)[:, :k]
    return share(float(np.take_along_axis(same, nearest, 1)[paired].any(1).mean()))


def _histogram(alike: Array, same: Array) -> Figure:
    """Return the chart of how alike pairs of one group and of two groups are."""
    across = linear([float(alike.min()), float(alike.max())])
    edges = np.linspace(across.low, across.high, _BARS + 1)
    both = [alike[~same], alike[same]]
    names = ["two groups", "one group"]
    shares = [np.histogram(own, edges)[0] / len(own) for own in both]
    means = [f"mean {amount(float(own.mean()))} for pairs of {name}" for own, name in zip(both, names, strict=True)]
    up = linear([0.0, float(max(s.max() for s in shares))])
    plot = Plot(across, up, "Cosine of two rows", "Share of the pairs", f"Cosine of pairs of rows: {', '.join(means)}")
    plot.halves(edges, shares, [f"pairs of {name}" for name in names], ".2f")
    below = Legend([("line b", "pairs of two groups, the left bar"), ("line a", "pairs of one group, the right bar")])
    return Figure("How alike pairs of rows are", plot.drawing(), [below])
