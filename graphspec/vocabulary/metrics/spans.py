"""The F-score of spans, such as names of several words, that tags of tokens describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import PrivateAttr

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, Problem, SpecError, shorten
from graphspec.vocabulary import Array, Value
from graphspec.vocabulary.losses.loss import Loss
from graphspec.vocabulary.metrics.metric import METRICS, Compute, Metric, MetricState, ids

_OUTSIDE, _BEGIN, _INSIDE, _END, _SINGLE = range(5)
_MARKS = {"B": _BEGIN, "I": _INSIDE, "E": _END, "L": _END, "S": _SINGLE, "U": _SINGLE}


@METRICS.add("SpanF1", "span_f1")
class SpanF1(Metric, label="span_f1", by_class=True, targets=("ids", "one_hot")):
    """The harmonic mean of the precision and the recall of spans: ``2 · right / (predicted + true)``, over the whole pass.

    A span is right if its type, its first and its last token are. The head's labels name them, in the form of IOB2, BIOES
    or BILOU: ``B-PER``, ``I-PER``, ``E-PER`` (or ``L-``), ``S-PER`` (or ``U-``), and ``O`` outside. As in CoNLL's script,
    and in seqeval without its strict mode, a span also begins where an ``I-`` follows ``O`` or another type.

    Shapes: head (N, time, classes), targets (N, time), class ids, or one-hot rows. Masked tokens are outside.

    Source: Tjong Kim Sang and Buchholz, *Introduction to the CoNLL-2000 shared task*, 2000.
    """

    _labels: Sequence[str] | None = PrivateAttr(None)

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        found = self.model_copy()
        found._labels = labels
        return found

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if y_pred.rank == 3:
            return []
        return self.error("needs a head of shape (batch, time, classes)", "use `f1_score` for one class a row")

    def check(self, y_pred: Value, loss: Loss | None, labels: Sequence[str] | None = None) -> list[Problem]:
        if found := super().check(y_pred, loss, labels):
            return found
        wrong = next((label for label in labels or () if _parsed(label) is None), None)
        if wrong is None:
            return []
        text = f"needs labels such as B-PER, I-PER and O, but '{shorten(wrong, 40)}' begins no span and is not O"
        return self.error(text, "use `accuracy` for tags of single tokens")

    def start(self, y_pred: Value, compute: Compute) -> MetricState:
        if self._labels is None:
            text, hint = "span_f1 needs the names of the classes", "give the head its `labels`, or texts as targets"
            raise SpecError([Diagnostic(Code.METRIC_MISMATCH, text, hint=hint)])
        return super().start(y_pred, compute)

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (3,)

    def count(self, y_true: Array | None, y_pred: Array, mask: Array | None, lengths: Mapping[str, Array]) -> Array:
        assert y_true is not None
        assert self._labels is not None
        true = y_true.argmax(-1) if y_true.shape == y_pred.shape else ids(y_true, y_pred)
        marks, types = zip(*(_parsed(label) or (_OUTSIDE, "") for label in self._labels), strict=True)
        numbers = np.unique(types, return_inverse=True)[1]
        table = np.stack([np.array(marks), numbers])
        marked, said = (_spans(table[:, each.astype(np.int64)], mask) for each in (true, y_pred.argmax(-1)))
        right = np.intersect1d(marked, said, assume_unique=True)
        return np.array([len(right), len(marked), len(said)], np.float64)

    def finish(self, counters: Array) -> float | Array:
        right, true, predicted = counters
        return float(2 * right / (true + predicted)) if true + predicted else 0.0


def _parsed(label: str) -> tuple[int, str] | None:
    """Return the mark and the type of a label; None if it is of no such form.

    >>> _parsed("B-PER"), _parsed("O"), _parsed("NN")
    ((1, 'PER'), (0, ''), None)
    """
    if label in ("O", ""):
        return _OUTSIDE, ""
    mark, dash, kind = label.partition("-")
    return (_MARKS[mark], kind) if mark in _MARKS and dash and kind else None


def _spans(tags: Array, mask: Array | None) -> Array:
    """Return a number for each span, by its type, its first and its last token: of marks and types ``(2, N, time)``."""
    if mask is not None and mask.shape == tags.shape[1:]:
        tags = np.where(mask, tags, [[[_OUTSIDE]], [[0]]])
    flat = np.pad(tags, ((0, 0), (0, 0), (1, 1))).reshape(2, -1)  # no span goes from one row to the next
    (before, mark), (was, kind) = ((row[:-1], row[1:]) for row in flat)
    last = np.isin(before, (_END, _SINGLE))
    other = was != kind
    begins = (mark != _OUTSIDE) & (np.isin(mark, (_BEGIN, _SINGLE)) | last | (before == _OUTSIDE) | other)
    ends = (before != _OUTSIDE) & (last | np.isin(mark, (_OUTSIDE, _BEGIN, _SINGLE)) | other)
    first, end = np.flatnonzero(begins), np.flatnonzero(ends)
    first = first[np.searchsorted(first, end) - 1]
    size = flat.shape[1]
    return np.asarray((was[end] * size + first) * size + end)
