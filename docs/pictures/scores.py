"""The picture of metrics: a confusion matrix, precision and recall, and the ROC curve."""

from __future__ import annotations

import numpy as np

from docs.pictures.canvas import Array, Canvas, Line, number
from docs.pictures.compute import network
from graphspec.show.drawing.curves import Scale

CUTS = tuple(round(0.02 * k, 2) for k in range(51))


def patients() -> tuple[Array, Array]:
    """Probabilities and truths of 100 people, of whom 30 are ill."""
    spread = np.linspace(-1.6, 1.6, 30)
    ill = 1 / (1 + np.exp(-(0.7 + 1.3 * spread)))
    well = 1 / (1 + np.exp(-(-1.5 + 1.1 * np.linspace(-2, 2, 70))))
    truth = np.repeat([1.0, 0.0], [30, 70])
    return np.concatenate([ill, well])[:, None].astype(np.float32), truth[:, None].astype(np.float32)


def metrics() -> str:
    scores, truth = patients()
    cuts = [c for c in CUTS if 0 <= c <= 1]
    asked = ["accuracy", "Precision", "Recall", "AUC", "confusion_matrix"]
    asked_of_cuts = [{"type": kind, "thresholds": cuts} for kind in ("TruePositives", "FalsePositives")]
    model = network(
        {"x": {"shape": [1]}},
        [{"name": "ill", "type": "Identity"}],
        {"ill": {"loss": "binary_crossentropy", "metrics": [*asked, *asked_of_cuts]}},
    )
    found = model.evaluate(scores, truth)
    matrix = np.asarray(found["confusion_matrix"])
    canvas = Canvas(
        "Metrics of 100 answers to: is this person ill?",
        f"A confusion matrix: of 70 people who are well, {matrix[0, 1]} are called ill; of 30 who are ill, "
        f"{matrix[1, 1]} are called ill. Precision {found['Precision']:.2f} is a share of the column, recall "
        f"{found['Recall']:.2f} a share of the row. Right: the ROC curve, the true positive rate over the false "
        f"positive rate for all thresholds, with the area {found['AUC']:.2f}.",
    )
    confusion(canvas, matrix, {key: float(found[key]) for key in ("accuracy", "Precision", "Recall")})
    hits = np.array([found[f"true_positives_{k}"] for k in range(len(cuts))]) / 30
    alarms = np.array([found[f"false_positives_{k}"] for k in range(len(cuts))]) / 70
    ends = Scale(0, 1, (0, 0.5, 1))
    lines = [Line("this network", alarms, hits, 0), Line("guessing", [0, 1], [0, 1], 1)]
    at = canvas.chart((488, 92, 220, 220), lines, ends, ends, title="ROC curve", below="false positive rate")
    canvas.text(444, 202, "true positive rate (recall)", "m", "middle", turned=True)
    half = cuts.index(0.5)
    x, y = at(float(alarms[half]), float(hits[half]))
    canvas.circle(x, y, 5, "mark")
    canvas.text(x + 12, y + 16, "at 0.5", "b")
    canvas.text(at(0.97, 0)[0], at(0, 0.1)[1], f"AUC {found['AUC']:.2f}", "h", "end")
    canvas.legend(500, 376, lines, across=130)
    return canvas.svg(404)


def confusion(canvas: Canvas, matrix: Array, found: dict[str, float]) -> None:
    x, y, w, h = 100.0, 124.0, 118.0, 64.0
    canvas.text(20, 66, "confusion_matrix, threshold 0.5", "h")
    canvas.text(x + w, y - 32, "predicted", "m", "middle")
    for k, name in enumerate(("well", "ill")):
        canvas.text(x + w * (k + 0.5), y - 10, name, "b", "middle")
        canvas.text(x - 10, y + h * (k + 0.5) + 4, name, "b", "end")
    canvas.text(36, y + h, "true", "m", "middle", turned=True)
    canvas.cells(x, y, matrix, (w, h), top=120, show=lambda _: "")
    for (r, c), count in np.ndenumerate(matrix):
        canvas.text(x + w * (c + 0.5), y + h * (r + 0.5) - 3, f"{count:.0f}", "t", "middle")
        name = (("true negatives", "false positives"), ("false negatives", "true positives"))[r][c]
        canvas.text(x + w * (c + 0.5), y + h * (r + 0.5) + 20, name, "m", "middle")
    canvas.rect(x + w + 4, y + 4, w - 8, 2 * h - 8, "line s1")
    canvas.rect(x + 7, y + h + 7, 2 * w - 14, h - 14, "line s2")
    right, wrong, missed = matrix[1, 1], matrix[0, 1], matrix[1, 0]
    sums = (
        (
            "s1",
            f"Precision = {right} / ({right} + {wrong}) = {number(found['Precision'])}",
            "of those called ill, how many are",
        ),
        (
            "s2",
            f"Recall = {right} / ({right} + {missed}) = {number(found['Recall'])}",
            "of those who are ill, how many are called so",
        ),
        (
            "",
            f"accuracy = ({matrix[0, 0]} + {right}) / 100 = {number(found['accuracy'])}",
            "calling everybody well would give 0.7",
        ),
    )
    for k, (kind, text, about) in enumerate(sums):
        up = 292 + 38 * k
        if kind:
            canvas.path([(20, up - 4), (44, up - 4)], f"line {kind}")
        canvas.text(52, up, text, "b")
        canvas.text(52, up + 17, about, "m")
