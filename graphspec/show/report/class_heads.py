"""Heads that answer classes: one of several, yes or no, or which of several labels apply."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np

from graphspec.base import document as doc
from graphspec.base.text import count, few, percent, shorten_end
from graphspec.graph.ir.graph import Array
from graphspec.show.drawing.curves import linear
from graphspec.show.html import text
from graphspec.show.report import scores as measures
from graphspec.show.report.charts import amount, halves, share, table, unit_plot
from graphspec.show.report.kinds import Flat, HeadAnswers, cutoff_of, some
from graphspec.vocabulary.metrics.classes import pairs
from graphspec.vocabulary.metrics.thresholds import AUC

# Curves of each class, or label, against all others.
MOST_CURVES = 10  # classes with a curve each
_SCORES = 2_000_000  # that are sorted; of more, as many, spread evenly
_KINDS = (
    ("ROC", "False positive rate", "True positive rate", "AUC"),
    ("Precision and recall", "Recall", "Precision", "AP"),
)

Both = tuple[measures.Curve | None, measures.Curve | None]  # ROC, and precision over recall; None where not defined
Areas = list[Both]  # those of each class


def sample(flat: Flat) -> tuple[Flat, list[doc.Text]]:
    """Return as many positions as curves are computed from, and a note if these are not all."""
    units = flat.scores.shape[1] if flat.scores.ndim > 1 else 1
    fewer = some(flat, max(_SCORES // units, 1000))
    if fewer is flat:
        return flat, []
    part = f"{len(fewer.scores):,} of {len(flat.scores):,} {flat.noun}s"
    return fewer, [doc.Text(f"Curves and the areas below them are of {part}, spread evenly.", "note")]


def areas(positive: Array, scores: Array) -> Areas:
    """Return the curves of each class; ``positive`` are class ids ``(n,)``, or bool ``(n, classes)`` as the scores."""
    own = positive[:, None] == np.arange(scores.shape[1]) if positive.ndim == 1 else positive
    return [measures.both_curves(own[:, k], scores[:, k]) for k in range(scores.shape[1])]


def means(found: Areas) -> list[float]:
    """Return the mean areas of both kinds of curves over the classes that have them; NaN if none has."""
    both = [[c.area for pair in found if (c := pair[which]) is not None] for which in (0, 1)]
    return [float(np.mean(each)) if each else float("nan") for each in both]


def area_cells(pair: Both) -> list[str]:
    """Return the areas of a class as cells of a table."""
    return [doc.UNDEFINED if curve is None else share(curve.area) for curve in pair]


def curve_charts(found: Areas, labels: Sequence[str], what: str) -> list[doc.Block]:
    """Return the charts of both kinds of curves, ``each class against the rest``: one of each, or their mean if many."""
    charts: list[doc.Block] = []
    for which, (title, x, y, area) in enumerate(_KINDS):
        curves = {k: curve for k, pair in enumerate(found) if (curve := pair[which]) is not None}
        if not curves:
            continue
        mean, lowest = means(found)[which], min(curves, key=lambda k: curves[k].area)
        low = f"lowest {share(curves[lowest].area)} for '{labels[lowest]}'"
        plot = unit_plot(x, y, f"{title}, {what}: mean {area} {share(mean)} of {count(len(curves), 'curve')}, {low}")
        if which == 0:
            plot.line([(0, 0), (1, 1)], "soft")
        if len(labels) <= MOST_CURVES:
            for k, curve in curves.items():
                plot.line(curve.points(), f"k{k}", tip=f"{labels[k]}: {area} {share(curve.area)}")
            shown = [(f"line k{k}", f"{labels[k]}, {area} {share(c.area)}") for k, c in curves.items()]
            below: doc.Block = doc.Legend(shown)
        else:
            plot.line(measures.macro(list(curves.values())).points(), "a", tip=f"mean: {area} {share(mean)}")
            below = doc.Text(f"Mean of {len(curves):,} curves: {area} {share(mean)}; {low}.", "note")
        charts.append(doc.Figure(f"{title}, {' '.join(what.split()[:2])}", plot.drawing(), [below]))
    return charts


def score_table(
    flat: Flat, scores: measures.ClassScores, curves: Areas, what: str, captions: tuple[str, str]
) -> doc.Table:
    """Return the scores of each class, or label; of very many, of the most frequent, with the other caption."""
    chosen, caption = np.arange(len(flat.labels)), captions[0]
    if len(chosen) > _ROWS:
        chosen, caption = np.sort(np.argsort(-scores.support, kind="stable")[:_ROWS]), captions[1]
    rows = []
    for k in chosen.tolist():
        sizes = (f"{int(each[k]):,}" for each in (scores.support, scores.called))
        shares = (share(each[k]) for each in (scores.precision, scores.recall, scores.f1))
        rows.append((flat.labels[k], *sizes, *shares, *area_cells(curves[k])))
    columns = (what, f"{flat.noun.capitalize()}s", "Predicted", "Precision", "Recall", "F1", "ROC AUC", "AP")
    return table(caption, columns, rows)


# Whether the probabilities of a head can be believed: a reliability diagram.
TOP = ("the predicted class", "Share predicted right")


def reliability_chart(probabilities: Array, right: Array, words: tuple[str, str], noun: str) -> doc.Figure:
    """Return the chart of how often something is so against its probability, with the expected calibration error.

    There is at least one position, which is called ``noun``. The words are what the probabilities are of, and what the
    share of positions is that are so.
    """
    of, name_of_share = words
    bins = measures.reliability(probabilities, right)
    error = measures.calibration_error(bins)
    mean, hits = float(probabilities.mean()), float(right.mean())
    direction = "high" if mean > hits else "low"
    gap = f" is {share(abs(mean - hits))} too {direction}" if abs(mean - hits) >= 0.0005 else " fits"
    verdict = f"The mean probability, {share(mean)},{gap}: the {name_of_share.lower()} is {share(hits)}."
    measured = f"expected calibration error {share(error)} in {measures.BINS} equal bins"
    summary = f"Reliability of the probability of {of}: {measured}. {verdict}"
    plot = unit_plot(f"Probability of {of}", name_of_share, summary)
    plot.line([(0, 0), (1, 1)], "soft")
    for b in bins:
        tip = f"{b.low:.2f} to {b.high:.2f}: {count(b.size, noun)}, mean probability {b.probability:.3f}, "
        tip += f"{name_of_share.lower()} {b.share:.3f}{'' if b.size >= measures.FEW else ', too few to say much'}"
        plot.cells([(b.low, b.high, 0.0, b.share, 0.3 if b.size >= measures.FEW else 0.1)], [tip])
    sure = [(b.probability, b.share) for b in bins if b.size >= measures.FEW]
    few = [(b.probability, b.share) for b in bins if b.size < measures.FEW]
    plot.line(sure, "a")
    for points, kind in ((sure, "a"), (few, "hollow")):
        plot.dots(points, [""] * len(points), kind)
    below = f"{measured[:1].upper()}{measured[1:]}. {verdict}"
    if few:
        which = "A hollow dot is a bin" if len(few) == 1 else f"{len(few)} hollow dots are bins"
        below += f" {which} with fewer than {measures.FEW} {noun}s."
    return doc.Figure(f"Reliability: {of}", plot.drawing(), [doc.Text(below, "note")])


# A confusion matrix: counts, and with a switch the shares of each row.
MOST_CLASSES = 30
_NARROW = 8  # classes from which on the headers of the columns are written upwards


def matrix_table(counts: Array, labels: Sequence[str], anchor: str) -> doc.Block:
    """Return the table: true classes are rows, predicted classes are columns.

    The colour is the share of the row. ``heads.js`` adds the switch between counts and shares, and tooltips. Ids begin with
    ``anchor``.
    """
    shares = (counts / np.maximum(counts.sum(1, keepdims=True), 1)).tolist()
    names = [shorten_end(label, 24) for label in labels]

    def cell(k: int, c: int, n: int) -> doc.Cell:
        return doc.Cell(str(n), kind="right" if k == c else "", style=f"--s:{shares[k][c]:.2f}" if n else "")

    rows: list[list[str | doc.Cell]] = [
        [names[k], *(cell(k, c, n) for c, n in enumerate(row))] for k, row in enumerate(counts.tolist())
    ]
    columns = [doc.Column("true ↓ predicted →"), *(doc.Column(doc.Span(name)) for name in names)]
    kind = "matrix upwards" if len(counts) >= _NARROW else "matrix"
    control = (
        f'<p class="controls js-only"><button type="button" data-shares="{anchor}-matrix" aria-pressed="false">'
        "Shares of each row</button></p>"
    )
    matrix = doc.Table(columns, rows, "Confusion matrix", kind=kind, id=f"{anchor}-matrix")
    return doc.Group("", [matrix, doc.Element(control)])


# A head that answers one of several classes.
NARROW = "\u00a0%"  # no line break before the sign
_PAIRS = 25
_ROWS = 150  # of the table of classes


def classes_head(flat: Flat, anchor: str) -> list[doc.Block]:
    """Return the matrix, the scores of each class, the curves and the reliability of a head; ids begin with ``anchor``."""
    classes = flat.scores.shape[1]
    called = flat.scores.argmax(-1)
    counts = pairs(flat.true, called, classes).astype(np.int64)
    scores = measures.of_matrix(counts)
    fewer, part = sample(flat)
    curves = areas(fewer.true, fewer.scores)
    charts = curve_charts(curves, flat.labels, "each class against the rest")
    if flat.probabilities:
        top = flat.scores.max(-1).astype(np.float64).clip(0, 1)
        charts.append(reliability_chart(top, called == flat.true, TOP, flat.noun))
    mistakes = [matrix_table(counts, flat.labels, anchor)] if classes <= MOST_CLASSES else _pairs(counts, flat)
    cut = f"The {_ROWS} most frequent of {classes:,} classes, each against the rest"
    by_class = score_table(flat, scores, curves, "Class", ("Each class against the rest", cut))
    each: doc.Block = by_class if len(by_class.rows) <= MOST_CLASSES else doc.Folded(by_class.caption, [by_class])
    said: list[doc.Block] = [_values(flat, counts, scores, curves), _sentence(counts, flat), *_never(scores, flat)]
    return [*said, doc.Group("beside", [*mistakes, each]), *part, doc.Group("charts", charts)]


def _values(flat: Flat, counts: Array, scores: measures.ClassScores, curves: Areas) -> doc.Facts:
    n, largest = counts.sum(), int(scores.support.argmax())
    tops = (3, 5) if len(flat.labels) >= 10 else ()
    shown = [("Accuracy", amount(counts.trace() / n))]
    shown += [(f"Top-{k} accuracy", amount(measures.top_k(flat.true, flat.scores, k))) for k in tops]
    shown.append((f"Always '{flat.labels[largest]}'", amount(scores.support[largest] / n)))
    shown += zip(("Macro precision", "Macro recall", "Macro F1"), map(amount, scores.macro()), strict=True)
    for name, mean in zip(("Macro ROC AUC", "Macro average precision"), means(curves), strict=True):
        shown.append((name, "not defined" if math.isnan(mean) else amount(mean)))
    return doc.Facts(shown)


def _sentence(counts: Array, flat: Flat) -> doc.Text:
    """Return the most confused pairs in words."""
    worst = measures.confused(counts, 3)
    if not worst:
        return doc.Text(f"Every {flat.noun} is predicted right.")
    support = counts.sum(1)
    shown = [
        f"'{flat.labels[t]}' predicted as '{flat.labels[c]}' ({n:,} of {support[t]:,}, {percent(n / support[t])})"
        for t, c, n in worst
    ]
    wrong, n = int(counts.sum() - counts.trace()), int(counts.sum())
    first = f"{wrong:,} of {count(n, flat.noun)} {'is' if wrong == 1 else 'are'} wrong"
    if n > 1 and n - wrong <= support.max():
        first += f", no fewer than with the answer '{flat.labels[int(support.argmax())]}' for all"
    return doc.Text(f"{first}. Most often confused: {'; '.join(shown).replace(' %', NARROW)}.")


def _never(scores: measures.ClassScores, flat: Flat) -> list[doc.Text]:
    unseen = [flat.labels[k] for k in np.flatnonzero(scores.support == 0).tolist()]
    if not unseen:
        return []
    shown = few([f"'{label}'" for label in unseen], 8)
    which, whose = ("This class does", "its") if len(unseen) == 1 else (f"These {len(unseen):,} classes do", "their")
    said = f"{which} not occur in these {flat.noun}s, so {whose} recall is not known: {shown}."
    return [doc.Text(said, "note")]


def _pairs(counts: Array, flat: Flat) -> list[doc.Block]:
    support, called = counts.sum(1), counts.sum(0)
    rows = [
        (flat.labels[t], flat.labels[c], f"{n:,}", percent(n / support[t]), percent(n / called[c]))
        for t, c, n in measures.confused(counts, _PAIRS)
    ]
    columns = ("True", "Predicted", flat.noun.capitalize() + "s", "Of the true class", "Of the predicted")
    return [table(f"The {len(rows)} pairs that are confused most", columns, rows, texts=2)] if rows else []


# A head that answers yes or no: one unit, compared with a threshold.
_THRESHOLDS = 200
_COUNTED = ("True positives", "False positives", "False negatives", "True negatives")
_MOVING = ("Precision", "Recall", "F1", "Accuracy", *_COUNTED)  # in the order of heads.js
_BARS = 20


def binary_head(head: HeadAnswers, flat: Flat, anchor: str) -> list[doc.Block]:
    """Return the values at a threshold that can be moved, and the curves; ids of elements begin with ``anchor``."""
    default = cutoff_of(head, 0.5 if flat.probabilities else 0.0)
    grid_of = thresholds(flat.scores, default, probabilities=flat.probabilities)
    counts = measures.at_thresholds(flat.true, flat.scores, grid_of)
    at = int(np.flatnonzero(grid_of == default)[0])
    tp, fp, fn, tn = (int(x[at]) for x in counts)
    fewer, part = sample(flat)
    curves = measures.both_curves(fewer.true, fewer.scores)
    charts: list[doc.Block] = [_histogram(flat, default)]
    charts += [_curve(curve, k, (tp, fp, fn, tn), anchor) for k, curve in enumerate(curves) if curve is not None]
    if flat.probabilities:
        words = (f"'{flat.labels[1]}'", f"Share that is '{flat.labels[1]}'")
        charts.append(reliability_chart(flat.scores.clip(0, 1), flat.true, words, flat.noun))
    slider = [_slider(flat, grid_of, counts, at, anchor)] if curves[0] is not None else []
    notes = [doc.Text(f"{note}.", "note") for note in _notes(head, flat, default)]
    beside = doc.Group("beside", [matrix_table(np.array([[tn, fp], [fn, tp]]), flat.labels, anchor), *slider])
    return [_binary_values(flat, (tp, fp, fn, tn), curves), *notes, beside, *part, doc.Group("charts", charts)]


def thresholds(scores: Array, default: float, *, probabilities: bool) -> Array:
    """Return at most 200 thresholds in rising order: round ones, with ``default``, and where the finite scores are dense."""
    even: list[float] = (np.arange(101) / 100).tolist()
    if not probabilities:
        scale = linear([float(scores.min()), float(scores.max()), default], count=70)
        even = [round(tick, 9) for tick in scale.ticks]
    dense = np.quantile(scores, np.linspace(0, 1, _THRESHOLDS - len(even) - 1))
    return np.unique([*even, *(float(f"{value:.4g}") for value in dense.tolist()), default]) + 0.0  # no -0


def _binary_values(flat: Flat, counts: tuple[int, int, int, int], curves: Both) -> doc.Facts:
    tp, fp, fn, tn = counts
    n, positive = tp + fp + fn + tn, tp + fn
    most = int(positive > n - positive)
    shown = [("Accuracy", amount((tp + tn) / n))]
    shown.append((f"Always '{flat.labels[most]}'", amount(max(positive, n - positive) / n)))
    parts = {"Precision": (tp, tp + fp), "Recall": (tp, positive), "F1": (2 * tp, 2 * tp + fp + fn)}
    shown += [(name, amount(_part(*part))) for name, part in parts.items()]
    for name, curve in zip(("ROC AUC", "Average precision"), curves, strict=True):
        shown.append((name, "not defined" if curve is None else amount(curve.area)))
    if flat.probabilities:
        shown.append(("Brier score", amount(float(np.mean((flat.scores - flat.true) ** 2)))))
    return doc.Facts(shown)


def _part(a: float, b: float) -> float:
    return a / b if b else float("nan")


def _notes(head: HeadAnswers, flat: Flat, default: float) -> list[str]:
    """Return what the values above are, and where the metrics of the spec are others by definition."""
    yes, no = flat.labels[1], flat.labels[0]
    of = "probability" if flat.probabilities else "score"
    where = f"where its {of} is above {default:g}, else '{no}'"
    notes = [f"'{yes}' is predicted {where}; precision, recall and F1 are of '{yes}'"]
    if flat.true.all() or not flat.true.any():
        alone = flat.labels[int(flat.true.all())]
        notes.append(f"Only '{alone}' occurs in these {flat.noun}s: the areas below curves are not defined")
    elif any(isinstance(metric, AUC) for metric in head.head.metrics):
        notes.append("The areas are exact; the metric `AUC` of the spec is computed from some thresholds, as in Keras")
    of_head = head.head.cutoff if getattr(head.head.loss, "from_logits", False) and flat.probabilities else default
    for metric in head.head.metrics:
        limit = getattr(metric.resolve(head.head.loss, head.value, head.head.labels), "threshold", None)
        if isinstance(limit, float) and limit != of_head:
            compared = f"The metric '{metric.key}' of the spec compares the head's values with {limit:g}"
            notes.append(f"{compared}, so it may be another value")
    return notes


def _slider(flat: Flat, grid_of: Array, counts: measures.Counts, at: int, anchor: str) -> doc.Element:
    """Return the control that moves the threshold, with the counts for all thresholds as data."""
    with np.errstate(invalid="ignore"):
        f1 = np.nan_to_num(2 * counts.tp / np.maximum(2 * counts.tp + counts.fp + counts.fn, 1))
    best = int(f1.argmax())
    data: dict[str, object] = {"t": grid_of.tolist(), "tp": counts.tp.tolist(), "fp": counts.fp.tolist()}
    data |= {"positive": int(flat.true.sum()), "negative": int((~flat.true).sum())}
    packed = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    shown = "".join(f"<div><dt>{name}</dt><dd>–</dd></div>" for name in _MOVING)
    hint = (
        f'<p class="note">F1 is largest, {share(float(f1[best]))}, above {grid_of[best]:.3g}. '
        f"A threshold that is chosen on these {text(flat.noun)}s looks a little better on them than it is.</p>"
    )
    return doc.Element(
        f'<div class="threshold"><h4>Another threshold</h4><div class="js-only" data-threshold="{anchor}">'
        f'<p class="slide"><label for="{anchor}-range">Threshold</label>'
        f'<input type="range" id="{anchor}-range" min="0" max="{len(grid_of) - 1}" step="1" value="{at}">'
        f'<output for="{anchor}-range">{grid_of[at]:g}</output></p><dl class="values">{shown}</dl></div>{hint}'
        f'<script type="application/json" id="{anchor}-thresholds">{packed}</script></div>'
    )


def _curve(curve: measures.Curve, which: int, counts: tuple[int, int, int, int], anchor: str) -> doc.Figure:
    """Return the chart of a curve, with a dot at the threshold."""
    tp, fp, fn, tn = counts
    base = (tp + fn) / (tp + fp + fn + tn)
    title, x, y, _ = _KINDS[which]
    recall, precision = tp / (tp + fn), tp / (tp + fp) if tp + fp else 1.0
    if which == 0:
        point, chance, guess = (fp / (fp + tn), recall), "0.5", [(0.0, 0.0), (1.0, 1.0)]
        summary, area = "ROC curve: area", "Area"
    else:
        point, chance, guess = (recall, precision), share(base), [(0.0, base), (1.0, base)]
        summary, area = "Precision over recall: average precision", "Average precision"
    there = f"{x.lower()} {share(point[0])}, {y.lower()} {share(point[1])}"
    plot = unit_plot(x, y, f"{summary} {share(curve.area)}. At the default threshold {there}")
    plot.line(guess, "soft")
    plot.line(curve.points(), "a")
    plot.dots([point], [f"At the threshold: {there}"], "b", 5)
    moves = f'data-moves="{anchor}" data-curve-kind="{which}" data-width="{plot.width:g}" data-height="{plot.height:g}"'
    plot.marks[-1] = plot.marks[-1].replace("<circle ", f"<circle {moves} ", 1)
    below = f"{area} {share(curve.area)}; a guess has {chance}. The dot is at the threshold."
    return doc.Figure(title, plot.drawing(), [doc.Text(below, "note")])


def _histogram(flat: Flat, default: float) -> doc.Figure:
    """Return the chart of how the scores of both classes are spread, each as shares of its class."""
    low, high = (0.0, 1.0) if flat.probabilities else (float(flat.scores.min()), float(flat.scores.max()))
    across = linear([low, high])
    name = f"{'Probability' if flat.probabilities else 'Score'} of '{flat.labels[1]}'"
    groups = [(f"'{label}'", flat.scores[flat.true == bool(k)]) for k, label in enumerate(flat.labels)]
    plot = halves(groups, across, _BARS, (name, "Share of the class", name), ".3g", 0.05)
    if across.low <= default <= across.high:
        plot.line([(default, plot.up.low), (default, plot.up.high)], "soft")
    lines = [(f"line {kind}", f"{flat.labels[k]}, the {('left', 'right')[k]} bar") for k, kind in enumerate("ba")]
    note = doc.Text(f"Each class adds up to 1. The line is the threshold {default:g}.", "note")
    return doc.Figure(f"{name}, by true class", plot.drawing(), [doc.Legend(lines), note])


# A head of several units, each of which answers whether its label applies.
def labels_head(flat: Flat) -> list[doc.Block]:
    """Return the scores of each label at the default threshold, the curves, and the pooled reliability."""
    limit = 0.5 if flat.probabilities else 0.0
    called = flat.scores > limit
    scores = measures.class_scores((called & flat.true).sum(0).astype(np.float64), flat.true.sum(0), called.sum(0))
    fewer, part = sample(flat)
    curves = areas(fewer.true, fewer.scores)
    tp, both = float((called & flat.true).sum()), float(called.sum() + flat.true.sum())
    area, precision = means(curves)
    values = {
        "Accuracy of all values": float((called == flat.true).mean()),
        f"{flat.noun.capitalize()}s entirely right": float((called == flat.true).all(1).mean()),
        "Micro F1": _part(2 * tp, both),
        "Macro F1": scores.macro()[2],
        "Mean ROC AUC": area,
        "Mean average precision": precision,
    }
    charts = curve_charts(curves, flat.labels, "each label by itself")
    if flat.probabilities:
        all_of = flat.scores.reshape(-1).clip(0, 1)
        words = ("a label", "Share to which it applies")
        charts.append(reliability_chart(all_of, flat.true.reshape(-1), words, "value"))
    captions = "Each label", f"Each label: the {_ROWS} most frequent of {len(flat.labels):,}"
    each = score_table(flat, scores, curves, "Label", captions)
    of = "probability" if flat.probabilities else "score"
    note = f"A label is predicted where its {of} is above {limit:g}."
    unseen = int((scores.support == 0).sum())
    note += f" {unseen:,} of {len(flat.labels):,} labels never occur here." if unseen else ""
    facts = doc.Facts([(name, amount(value)) for name, value in values.items()])
    return [facts, doc.Text(note, "note"), each, *part, doc.Group("charts", charts)]
