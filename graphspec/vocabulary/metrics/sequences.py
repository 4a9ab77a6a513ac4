"""Metrics of sequences: edit distances between labels, for CTC, and spans of tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field, PrivateAttr

from graphspec.base.config import setting
from graphspec.base.errors import Code, Diagnostic, Problem, SpecError, shorten
from graphspec.vocabulary import Array, Value
from graphspec.vocabulary.losses.loss import Loss
from graphspec.vocabulary.metrics.metric import METRICS, Average, Compute, Metric, MetricState, ids


@METRICS.add("EditDistance", "edit_distance")
class EditDistance(Average, label="edit_distance", direction="down", targets=("labels",)):
    """Edits divided by reference labels, over the whole pass, for CTC heads.

    The prediction is the greedy decoding: the best class of every time step, with repeats collapsed, then blanks (class
    0) removed. Edits are insertions, deletions and substitutions.

    Shapes: head (N, time, classes), targets (N, labels), class ids padded with 0. Without ``input_length`` and
    ``length`` in the data, the head's mask and the padding of the labels define the lengths.

    Source: Levenshtein, 1966.
    """

    def check(self, y_pred: Value, loss: Loss | None, labels: Sequence[str] | None = None) -> list[Problem]:
        if loss is None or loss.targets != "labels":
            text = "compares label sequences, but the head's loss is not ctc"
            return self.error(text, "use `loss: ctc`, or another metric")
        return []

    def count(self, y_true: Array | None, y_pred: Array, mask: Array | None, lengths: Mapping[str, Array]) -> Array:
        assert y_true is not None
        labels = y_true.astype(np.int64)
        steps = lengths.get("input_length")
        if steps is None:
            steps = np.full(len(y_pred), y_pred.shape[1]) if mask is None else np.count_nonzero(mask, axis=1)
        counts = lengths.get("length")
        counts = np.count_nonzero(labels, axis=1) if counts is None else counts.reshape(-1).astype(np.int64)
        decoded, decoded_length = greedy_decode(y_pred, steps.reshape(-1).astype(np.int64))
        return self.compare(decoded, decoded_length, labels, counts)

    def compare(self, decoded: Array, decoded_length: Array, labels: Array, counts: Array) -> Array:
        """Return ``[edits, reference labels]`` of padded sequences and their lengths."""
        return np.array([edits(decoded, decoded_length, labels, counts).sum(), counts.sum()], np.float64)


@METRICS.add("CharacterErrorRate", "character_error_rate", "cer")
class CharacterErrorRate(EditDistance, label="character_error_rate"):
    """Edits divided by reference characters, over the whole pass, for CTC heads whose labels are characters.

    The same as :class:`EditDistance`, under another name.

    Shapes: head (N, time, classes), targets (N, labels), class ids padded with 0.
    """


@METRICS.add("WordErrorRate", "word_error_rate", "wer")
class WordErrorRate(EditDistance, label="word_error_rate"):
    """Edits of words divided by reference words, over the whole pass, for CTC heads; decoded like ``edit_distance``.

    ``separator``, a label or its class, separates the words; the default is the head's label ``" "``, if it exists.
    Without a separator every label is a word.

    Shapes: head (N, time, classes), targets (N, labels), class ids padded with 0.
    """

    separator: Annotated[int, Field(ge=1)] | str | None = setting(
        None, "The label between words, or its class; by default the label of a space."
    )

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        """Return the metric with the separator as a class id."""
        name = " " if self.separator is None else self.separator
        if isinstance(name, int) or labels is None or name not in labels:
            return self
        return self.model_copy(update={"separator": list(labels).index(name)})

    def check(self, y_pred: Value, loss: Loss | None, labels: Sequence[str] | None = None) -> list[Problem]:
        if found := super().check(y_pred, loss, labels):
            return found
        resolved = self.resolve(loss, y_pred, labels)
        assert isinstance(resolved, WordErrorRate)
        separator, classes = resolved.separator, y_pred.shape[-1]
        if isinstance(separator, str):
            hint = (
                "give the head `labels`, or the separator's class" if labels is None else "use one of the head's labels"
            )
            return self.error(f"has the separator '{separator}', which is not a label of the head", hint)
        if separator == 0:
            return self.error("has the blank, class 0, as its separator", "use the label between words")
        if separator is not None and isinstance(classes, int) and separator >= classes:
            text = f"has the separator {separator}, but the classes are 0 to {classes - 1}"
            return self.error(text, "use one of them")
        if separator is None and (labels is None or all(len(label) == 1 for label in labels[1:])):
            text = "has no separator: every label counts as a word"
            return self.warning(text, "set `separator` to the label between words, or its class")
        return []

    def compare(self, decoded: Array, decoded_length: Array, labels: Array, counts: Array) -> Array:
        if self.separator is None:
            return super().compare(decoded, decoded_length, labels, counts)
        word_ids: dict[tuple[int, ...], int] = {}
        predicted, reference = (
            [_words(row[:n].tolist(), self.separator, word_ids) for row, n in zip(a, lengths, strict=True)]
            for a, lengths in ((decoded, decoded_length), (labels, counts))
        )
        return super().compare(*_padded(predicted), *_padded(reference))


def _words(labels: list[int], separator: int | str, word_ids: dict[tuple[int, ...], int]) -> list[int]:
    """Return one id per word; equal words have equal ids. New words are added to ``word_ids``."""
    words: list[list[int]] = [[]]
    for label in labels:
        if label == separator:
            words.append([])
        else:
            words[-1].append(label)
    return [word_ids.setdefault(tuple(word), len(word_ids)) for word in words if word]


def _padded(sequences: list[list[int]]) -> tuple[Array, Array]:
    lengths = np.array([len(s) for s in sequences], np.int64)
    padded = np.zeros((len(sequences), int(lengths.max(initial=0))), np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = [word for s in sequences for word in s]
    return padded, lengths


def greedy_decode(y_pred: Array, steps: Array) -> tuple[Array, Array]:
    """Return the greedy decoding of the first ``steps`` time steps, (N, longest), and its lengths (N,).

    The best class of every time step, with repeats collapsed, then blanks (class 0) removed.
    """
    best = y_pred.argmax(-1)
    keep = best != 0
    keep[:, 1:] &= best[:, 1:] != best[:, :-1]
    keep &= np.arange(best.shape[1]) < steps[:, None]
    lengths = np.count_nonzero(keep, axis=1)
    decoded = np.zeros((len(best), int(lengths.max(initial=0))), np.int64)
    decoded[np.arange(decoded.shape[1]) < lengths[:, None]] = best[keep]
    return decoded, lengths


def edits(a: Array, a_length: Array, b: Array, b_length: Array) -> Array:
    """Return the Levenshtein distances of ``a[:a_length]`` and ``b[:b_length]`` in every row: (N,).

    The dynamic programming tables of all rows are filled at once, one table row per element of ``a``.
    """
    offset = np.arange(b.shape[1] + 1)
    table = np.broadcast_to(offset, (len(a), len(offset))).copy()
    for i in range(a.shape[1]):
        new = np.empty_like(table)
        new[:, 0] = i + 1
        np.minimum(table[:, 1:] + 1, table[:, :-1] + (b != a[:, i, None]), out=new[:, 1:])
        new = np.minimum.accumulate(new - offset, axis=1) + offset  # insertions
        table = np.where((i < a_length)[:, None], new, table)
    return np.take_along_axis(table, b_length[:, None], 1)[:, 0]


# The F-score of spans, such as names of several words, that tags of tokens describe.
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
        table = np.stack([np.array(marks), np.unique(types, return_inverse=True)[1]])
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
