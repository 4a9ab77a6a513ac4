"""A head that answers yes or no: one unit, compared with a threshold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Block, Element, Facts, Figure, Group, Legend, Text
from graphspec.show.drawing.curves import linear
from graphspec.show.html import text
from graphspec.show.report.charts import Plot, amount, share
from graphspec.show.report.kinds import Flat
from graphspec.show.report.scores import Counts, Curve, at_thresholds, both_curves
from graphspec.show.report.sections.matrix import matrix_table
from graphspec.show.report.sections.one_against_rest import sample
from graphspec.show.report.sections.probabilities import Wording, reliability_chart
from graphspec.vocabulary.metrics.curves import AUC

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array
    from graphspec.show.report.findings import HeadAnswers

_THRESHOLDS = 200
_MOVING = (  # in the order of heads.js
    "Precision",
    "Recall",
    "F1",
    "Accuracy",
    "True positives",
    "False positives",
    "False negatives",
    "True negatives",
)
_BARS = 20


def binary_head(head: HeadAnswers, flat: Flat, anchor: str) -> list[Block]:
    """Return the values at a threshold that can be moved, the curves, and the scores by class.

    Args:
        anchor: begins the ids of its elements.
    """
    default = 0.5 if flat.probabilities else 0.0
    grid_of = thresholds(flat.scores, default, probabilities=flat.probabilities)
    counts = at_thresholds(flat.true, flat.scores, grid_of)
    at = int(np.flatnonzero(grid_of == default)[0])
    tp, fp, fn, tn = (int(x[at]) for x in (counts.tp, counts.fp, counts.fn, counts.tn))
    fewer, part = sample(flat)
    curves = both_curves(fewer.true, fewer.scores)
    charts: list[Block] = [_histogram(flat, default)]
    charts += [_curve(curve, k, (tp, fp, fn, tn), anchor) for k, curve in enumerate(curves) if curve is not None]
    if flat.probabilities:
        words = Wording(f"'{flat.labels[1]}'", f"Share that is '{flat.labels[1]}'")
        charts.append(reliability_chart(flat.scores.clip(0, 1), flat.true, words, flat.noun))
    slider = [_slider(flat, grid_of, counts, at, anchor)] if curves[0] is not None else []
    return [
        _values(flat, (tp, fp, fn, tn), curves),
        *(Text(f"{note}.", "note") for note in _notes(head, flat, default)),
        Group("beside", [matrix_table(np.array([[tn, fp], [fn, tp]]), flat.labels, anchor), *slider]),
        *part,
        Group("charts", charts),
    ]


def thresholds(scores: Array, default: float, *, probabilities: bool) -> Array:
    """Return at most 200 thresholds in rising order: round ones, with ``default``, and where the scores are dense.

    Args:
        scores: finite, ``(n,)``, n at least 1.
    """
    if probabilities:
        even = np.arange(101) / 100
    else:
        scale = linear([float(scores.min()), float(scores.max()), default], count=70)
        even = np.array([round(tick, 9) for tick in scale.ticks])
    dense = np.quantile(scores, np.linspace(0, 1, _THRESHOLDS - len(even) - 1))
    found = [*even.tolist(), *(float(f"{value:.4g}") for value in dense.tolist()), default]
    return np.unique(found) + 0.0  # no -0


def _values(flat: Flat, counts: tuple[int, int, int, int], curves: tuple[Curve | None, Curve | None]) -> Facts:
    """Return the values of the whole head at its default threshold."""
    tp, fp, fn, tn = counts
    n, positive = tp + fp + fn + tn, tp + fn
    most = int(positive > n - positive)
    shown = [
        ("Accuracy", amount((tp + tn) / n)),
        (f"Always '{flat.labels[most]}'", amount(max(positive, n - positive) / n)),
        ("Precision", amount(_part(tp, tp + fp))),
        ("Recall", amount(_part(tp, positive))),
        ("F1", amount(_part(2 * tp, 2 * tp + fp + fn))),
        ("ROC AUC", _area(curves[0])),
        ("Average precision", _area(curves[1])),
    ]
    if flat.probabilities:
        shown.append(("Brier score", amount(float(np.mean((flat.scores - flat.true) ** 2)))))
    return Facts(shown)


def _part(a: float, b: float) -> float:
    return a / b if b else float("nan")


def _area(curve: Curve | None) -> str:
    return "not defined" if curve is None else amount(curve.area)


def _notes(head: HeadAnswers, flat: Flat, default: float) -> list[str]:
    """Return what the values above are, and where the metrics of the spec are others by definition."""
    yes, no = flat.labels[1], flat.labels[0]
    of = "probability" if flat.probabilities else "score"
    notes = [
        f"'{yes}' is predicted where its {of} is above {default:g}, else '{no}'; precision, recall and F1 are of '{yes}'"
    ]
    if flat.true.all() or not flat.true.any():
        alone = flat.labels[int(flat.true.all())]
        notes.append(f"Only '{alone}' occurs in these {flat.noun}s: the areas below curves are not defined")
    elif any(isinstance(metric, AUC) for metric in head.head.metrics):
        notes.append("The areas are exact; the metric `AUC` of the spec is computed from some thresholds, as in Keras")
    compared = {
        metric.key: limit
        for metric in head.head.metrics
        if isinstance(
            limit := getattr(metric.resolve(head.head.loss, head.value, head.head.labels), "threshold", None), float
        )
    }
    of_head = 0.0 if getattr(head.head.loss, "from_logits", False) and flat.probabilities else default
    notes += [
        f"The metric '{key}' of the spec compares the head's values with {limit:g}, so it may be another value"
        for key, limit in compared.items()
        if limit != of_head
    ]
    return notes


def _slider(flat: Flat, grid_of: Array, counts: Counts, at: int, anchor: str) -> Element:
    """Return the control that moves the threshold, with the counts for all thresholds as data."""
    with np.errstate(invalid="ignore"):
        f1 = np.nan_to_num(2 * counts.tp / np.maximum(2 * counts.tp + counts.fp + counts.fn, 1))
    best = int(f1.argmax())
    data = {
        "t": grid_of.tolist(),
        "tp": counts.tp.tolist(),
        "fp": counts.fp.tolist(),
        "positive": int(flat.true.sum()),
        "negative": int((~flat.true).sum()),
    }
    packed = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    shown = "".join(f"<div><dt>{name}</dt><dd>–</dd></div>" for name in _MOVING)
    hint = (
        f'<p class="note">F1 is largest, {share(float(f1[best]))}, above {grid_of[best]:.3g}. '
        f"A threshold that is chosen on these {text(flat.noun)}s looks a little better on them than it is.</p>"
    )
    return Element(
        f'<div class="threshold"><h4>Another threshold</h4><div class="js-only" data-threshold="{anchor}">'
        f'<p class="slide"><label for="{anchor}-range">Threshold</label>'
        f'<input type="range" id="{anchor}-range" min="0" max="{len(grid_of) - 1}" step="1" value="{at}">'
        f'<output for="{anchor}-range">{grid_of[at]:g}</output></p><dl class="values">{shown}</dl></div>{hint}'
        f'<script type="application/json" id="{anchor}-thresholds">{packed}</script></div>'
    )


def _curve(curve: Curve, which: int, counts: tuple[int, int, int, int], anchor: str) -> Figure:
    """Return the chart of a curve, with a dot at the threshold."""
    tp, fp, fn, tn = counts
    recall, rate, precision = tp / (tp + fn), fp / (fp + tn), _part(tp, tp + fp)
    base = (tp + fn) / (tp + fp + fn + tn)
    if which == 0:
        title, x, y, point = "ROC", "False positive rate", "True positive rate", (rate, recall)
        summary = f"ROC curve: area {share(curve.area)}"
        below = f"Area {share(curve.area)}; a guess has 0.5."
    else:
        title, x, y, point = "Precision and recall", "Recall", "Precision", (recall, precision)
        summary = f"Precision over recall: average precision {share(curve.area)}"
        below = f"Average precision {share(curve.area)}; a guess has {share(base)}."
    point = (point[0], 1.0 if np.isnan(point[1]) else point[1])
    summary += f". At the default threshold {x.lower()} {share(point[0])}, {y.lower()} {share(point[1])}"
    plot = Plot(linear([0, 1]), linear([0, 1]), x, y, summary)
    plot.line([(0, 0), (1, 1)] if which == 0 else [(0, base), (1, base)], "soft")
    plot.line(curve.points(), "a")
    plot.dots([point], [f"At the threshold: {x.lower()} {share(point[0])}, {y.lower()} {share(point[1])}"], "b", 5)
    moves = f'data-moves="{anchor}" data-curve-kind="{which}" data-width="{plot.width:g}" data-height="{plot.height:g}"'
    plot.marks[-1] = plot.marks[-1].replace("<circle ", f"<circle {moves} ", 1)
    return Figure(title, plot.drawing(), [Text(f"{below} The dot is at the threshold.", "note")])


def _histogram(flat: Flat, default: float) -> Figure:
    """Return the chart of how the scores of both classes are spread, each as shares of its class."""
    low, high = (0.0, 1.0) if flat.probabilities else (float(flat.scores.min()), float(flat.scores.max()))
    across = linear([low, high])
    edges = np.linspace(across.low, across.high, _BARS + 1)
    shares = []
    for k in (0, 1):
        own = flat.scores[flat.true == bool(k)]
        shares.append(np.histogram(own, edges)[0] / max(len(own), 1))
    name = f"{'Probability' if flat.probabilities else 'Score'} of '{flat.labels[1]}'"
    groups = [(flat.labels[k], flat.scores[flat.true == bool(k)]) for k in (0, 1)]
    means = [f"mean {amount(float(own.mean()))} for '{label}'" for label, own in groups if len(own)]
    up = linear([0.0, max(float(max(s.max() for s in shares)), 0.05)])
    plot = Plot(across, up, name, "Share of the class", f"{name}: {', '.join(means)}")
    plot.halves(edges, shares, [f"'{label}'" for label in flat.labels], ".3g")
    if across.low <= default <= across.high:
        plot.line([(default, plot.up.low), (default, plot.up.high)], "soft")
    lines = [(f"line {kind}", f"{flat.labels[k]}, the {('left', 'right')[k]} bar") for k, kind in enumerate("ba")]
    note = Text(f"Each class adds up to 1. The line is the threshold {default:g}.", "note")
    return Figure(f"{name}, by true class", plot.drawing(), [Legend(lines), note])
