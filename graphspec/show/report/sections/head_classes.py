"""A head that answers one of several classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Block, Facts, Folded, Group, Text
from graphspec.base.text import count, percent
from graphspec.show.report.charts import amount, share, table
from graphspec.show.report.kinds import Flat
from graphspec.show.report.scores import ClassScores, confused, of_matrix, top_k
from graphspec.show.report.sections.matrix import MOST_CLASSES, matrix_table
from graphspec.show.report.sections.one_against_rest import Areas, area_cells, areas, curve_charts, means, sample
from graphspec.show.report.sections.probabilities import TOP, reliability_chart
from graphspec.vocabulary.metrics.matrix import pairs

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array

NARROW = "\u00a0%"  # no line break before the sign
_PAIRS = 25
_ROWS = 150  # of the table of classes


def classes_head(flat: Flat, anchor: str) -> list[Block]:
    """Return the matrix, the scores of each class, the curves and the reliability of a head.

    Args:
        anchor: a word that begins the ids of its elements.
    """
    classes = flat.scores.shape[1]
    called = flat.scores.argmax(-1)
    counts = pairs(flat.true, called, classes).astype(np.int64)
    scores = of_matrix(counts)
    fewer, part = sample(flat)
    curves = areas(fewer.true, fewer.scores)
    charts = curve_charts(curves, flat.labels, "each class against the rest")
    if flat.probabilities:
        top = flat.scores.max(-1).astype(np.float64).clip(0, 1)
        charts.append(reliability_chart(top, called == flat.true, TOP, flat.noun))
    unseen = [flat.labels[k] for k in np.flatnonzero(scores.support == 0).tolist()]
    mistakes = [matrix_table(counts, flat.labels, anchor)] if classes <= MOST_CLASSES else _pairs(counts, flat)
    return [
        _values(flat, counts, scores, curves),
        _sentence(counts, flat),
        *_never(unseen, flat),
        Group("beside", [*mistakes, _table(flat, scores, curves)]),
        *part,
        Group("charts", charts),
    ]


def _values(flat: Flat, counts: Array, scores: ClassScores, curves: Areas) -> Facts:
    """Return the values of the whole head."""
    n = counts.sum()
    precision, recall, f1 = scores.macro()
    largest = int(scores.support.argmax())
    shown = [
        ("Accuracy", amount(counts.trace() / n)),
        (f"Always '{flat.labels[largest]}'", amount(scores.support[largest] / n)),
        ("Macro precision", amount(precision)),
        ("Macro recall", amount(recall)),
        ("Macro F1", amount(f1)),
    ]
    if len(flat.labels) >= 10:
        shown[1:1] = [(f"Top-{k} accuracy", amount(top_k(flat.true, flat.scores, k))) for k in (3, 5)]
    for name, mean in zip(("Macro ROC AUC", "Macro average precision"), means(curves), strict=True):
        shown.append((name, "not defined" if math.isnan(mean) else amount(mean)))
    return Facts(shown)


def _sentence(counts: Array, flat: Flat) -> Text:
    """Return the most confused pairs in words."""
    worst = confused(counts, 3)
    if not worst:
        return Text(f"Every {flat.noun} is predicted right.")
    support = counts.sum(1)
    shown = [
        f"'{flat.labels[t]}' predicted as '{flat.labels[c]}' ({n:,} of {support[t]:,}, {percent(n / support[t])})"
        for t, c, n in worst
    ]
    wrong, n = int(counts.sum() - counts.trace()), int(counts.sum())
    first = f"{wrong:,} of {count(n, flat.noun)} {'is' if wrong == 1 else 'are'} wrong"
    if n > 1 and n - wrong <= support.max():
        first += f", no fewer than with the answer '{flat.labels[int(support.argmax())]}' for all"
    return Text(f"{first}. Most often confused: {'; '.join(shown).replace(' %', NARROW)}.")


def _never(unseen: list[str], flat: Flat) -> list[Text]:
    if not unseen:
        return []
    shown = ", ".join(f"'{label}'" for label in unseen[:8]) + (", …" if len(unseen) > 8 else "")
    which, whose = ("This class does", "its") if len(unseen) == 1 else (f"These {len(unseen):,} classes do", "their")
    said = f"{which} not occur in these {flat.noun}s, so {whose} recall is not known: {shown}."
    return [Text(said, "note")]


def _pairs(counts: Array, flat: Flat) -> list[Block]:
    support, called = counts.sum(1), counts.sum(0)
    rows = [
        (flat.labels[t], flat.labels[c], f"{n:,}", percent(n / support[t]), percent(n / called[c]))
        for t, c, n in confused(counts, _PAIRS)
    ]
    columns = ("True", "Predicted", flat.noun.capitalize() + "s", "Of the true class", "Of the predicted")
    return [table(f"The {len(rows)} pairs that are confused most", columns, rows, texts=2)] if rows else []


def _table(flat: Flat, scores: ClassScores, curves: Areas) -> Block:
    """Return the scores of each class; of very many classes, of the largest."""
    chosen = np.arange(len(flat.labels))
    caption = "Each class against the rest"
    if len(chosen) > _ROWS:
        chosen = np.sort(np.argsort(-scores.support, kind="stable")[:_ROWS])
        caption = f"The {_ROWS} most frequent of {len(flat.labels):,} classes, each against the rest"
    rows = []
    for k in chosen.tolist():
        values = (scores.precision[k], scores.recall[k], scores.f1[k])
        rows.append(
            (
                flat.labels[k],
                f"{int(scores.support[k]):,}",
                f"{int(scores.called[k]):,}",
                *map(share, values),
                *area_cells(curves[k]),
            )
        )
    columns = ("Class", f"{flat.noun.capitalize()}s", "Predicted", "Precision", "Recall", "F1", "ROC AUC", "AP")
    shown = table(caption, columns, rows)
    return shown if len(rows) <= MOST_CLASSES else Folded(caption, [shown])
