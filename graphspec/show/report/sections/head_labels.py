"""A head of several units, each of which answers whether its label applies."""

from __future__ import annotations

import numpy as np

from graphspec.base.document import Block, Facts, Group, Text
from graphspec.show.report.charts import amount, share, table
from graphspec.show.report.kinds import Flat
from graphspec.show.report.scores import class_scores
from graphspec.show.report.sections.one_against_rest import area_cells, areas, curve_charts, means, sample
from graphspec.show.report.sections.probabilities import Wording, reliability_chart

_ROWS = 150
_LABEL = Wording("a label", "Share to which it applies")


def labels_head(flat: Flat) -> list[Block]:
    """Return the scores of each label at the default threshold, the curves, and the pooled reliability."""
    limit = 0.5 if flat.probabilities else 0.0
    called = flat.scores > limit
    scores = class_scores((called & flat.true).sum(0).astype(np.float64), flat.true.sum(0), called.sum(0))
    fewer, part = sample(flat)
    curves = areas(fewer.true, fewer.scores)
    tp = float((called & flat.true).sum())
    both = float(called.sum() + flat.true.sum())
    area, precision = means(curves)
    values = Facts(
        [
            ("Accuracy of all values", amount(float((called == flat.true).mean()))),
            (f"{flat.noun.capitalize()}s entirely right", amount(float((called == flat.true).all(1).mean()))),
            ("Micro F1", amount(2 * tp / both if both else float("nan"))),
            ("Macro F1", amount(scores.macro()[2])),
            ("Mean ROC AUC", amount(area)),
            ("Mean average precision", amount(precision)),
        ]
    )
    charts = curve_charts(curves, flat.labels, "each label by itself")
    if flat.probabilities:
        all_of = flat.scores.reshape(-1).clip(0, 1)
        charts.append(reliability_chart(all_of, flat.true.reshape(-1), _LABEL, "value"))
    chosen = np.arange(len(flat.labels))
    caption = "Each label"
    if len(chosen) > _ROWS:
        chosen = np.sort(np.argsort(-scores.support, kind="stable")[:_ROWS])
        caption += f": the {_ROWS} most frequent of {len(flat.labels):,}"
    rows = [
        (
            flat.labels[k],
            f"{int(scores.support[k]):,}",
            f"{int(scores.called[k]):,}",
            *map(share, (scores.precision[k], scores.recall[k], scores.f1[k])),
            *area_cells(curves[k]),
        )
        for k in chosen.tolist()
    ]
    columns = ("Label", f"{flat.noun.capitalize()}s", "Predicted", "Precision", "Recall", "F1", "ROC AUC", "AP")
    of = "probability" if flat.probabilities else "score"
    note = f"A label is predicted where its {of} is above {limit:g}."
    unseen = int((scores.support == 0).sum())
    note += f" {unseen:,} of {len(flat.labels):,} labels never occur here." if unseen else ""
    return [values, Text(note, "note"), table(caption, columns, rows), *part, Group("charts", charts)]
