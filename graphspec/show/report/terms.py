"""What the values of predictions mean, in plain words, for readers who do not know them."""

from __future__ import annotations

from collections.abc import Collection

from graphspec.base.document import Block, Folded, Items, Span
from graphspec.show.report.kinds import Kind

_CHOICES: frozenset[Kind] = frozenset(("classes", "binary", "labels"))
_TERMS: tuple[tuple[frozenset[Kind], str, str], ...] = (
    (
        frozenset(("classes", "binary")),
        "Accuracy",
        "the share of right answers. “Always …” is that of the same answer for all rows.",
    ),
    (_CHOICES, "Precision", "of the rows that are called a class, the share that is of this class."),
    (_CHOICES, "Recall", "of the rows that are of a class, the share that is called so."),
    (_CHOICES, "F1", "the harmonic mean of precision and recall: it is high only if both are."),
    (frozenset(("classes", "labels")), "Macro", "the mean over the classes: each one counts as much, rare or not."),
    (
        _CHOICES,
        "ROC AUC",
        "the area below the ROC curve: how often a row of a class gets a higher score for it than another; 0.5 is a guess.",
    ),
    (
        _CHOICES,
        "AP, average precision",
        "the area below the curve of precision and recall. For rare classes it says more than the ROC AUC.",
    ),
    (
        _CHOICES,
        "Expected calibration error",
        "how far the probabilities are from what comes true: of the answers called 80 % sure, 80 % should be right.",
    ),
    (frozenset(("binary",)), "Brier score", "the mean of the squared error of the probability: 0 is best."),
    (
        frozenset(("numbers",)),
        "MAE, RMSE",
        "the mean of the absolute errors; the root of the mean of the squared errors.",
    ),
    (
        frozenset(("numbers",)),
        "R²",
        "the share of the variance that is explained: 1 is best, 0 is the answer of a constant.",
    ),
    (frozenset(("sequences",)), "Edits", "letters that are wrong, missing or too many: the Levenshtein distance."),
)


def terms(kinds: Collection[Kind]) -> list[Block]:
    """Return the words of these kinds of heads with their meanings; nothing if they need none."""
    shown = [(Span(name, "b"), f": {meaning}") for of, name, meaning in _TERMS if of.intersection(kinds)]
    return [Folded("What these values mean", [Items(shown, "note")])] if shown else []
