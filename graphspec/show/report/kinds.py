"""The kinds of heads, and the values of each one that count, as flat arrays: masks applied, logits as probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from graphspec.base.text import count, shorten_end
from graphspec.data.batches import Dataset
from graphspec.engine.compiler.objective import mask_of, target_of
from graphspec.engine.runtime.row_values import LOSS, compute_rows
from graphspec.engine.runtime.running_metrics import ResultTable, RunningMetrics
from graphspec.engine.runtime.session import Session
from graphspec.engine.training.copies import evaluate_part, is_out_of_fold, out_of_fold
from graphspec.graph.ir.graph import Array, Value
from graphspec.language.declarations import BOUNDS, LENGTH, STEPS, HeadDecl
from graphspec.show.report.rows import evenly
from graphspec.vocabulary.losses.loss import gives_probabilities, producer
from graphspec.vocabulary.metrics.metric import aligned, has_logits, ids, visible

OUT_OF_FOLD = "each answered by the copy that was trained without it"
MAX_ROWS = 20_000  # rows whose answers are kept; of more, as many, spread evenly


@dataclass(frozen=True)
class HeadAnswers:
    """What a head answers for the kept rows."""

    head: HeadDecl  # its declaration
    value: Value  # its type and mask in the graph
    answers: Array  # its values, ``(n, …)``; of several quantiles the middle one
    # as the loss reads them: class ids, one-hot rows, numbers or label sequences; None without a loss
    targets: Array | None
    mask: Array | None  # bool, ``(n, time)``, False where a time step does not count; None without a mask
    # one value per row, ``(n,)``: the mean over the row's own values that count; None if the loss has no value per row
    losses: Array | None
    bounds: tuple[Array, Array] | None  # the ends of its interval or of its quantiles, ``(n, …)``, if it has them
    lengths: Mapping[str, Array]  # for CTC, ``length`` and ``input_length`` of every row, if the data have them
    quantiles: Array | None = None  # all its values, if the answers are one of several quantiles
    scale: Array | None = None  # of forecasts, by what errors are divided for MASE, ``(n, …)``; NaN where unknown


@dataclass(frozen=True)
class Scored:
    """A part of the data with the network's answers."""

    part: str  # ``train``, ``validation`` or ``test``
    raw: Dataset  # its checked raw rows, as apps feed them; index ``raw.chosen`` first where it is not None
    total: int  # the number of its rows
    rows: Array  # which of them were kept, ``(n,)``, rising, counted from 0
    heads: Mapping[str, HeadAnswers]  # by name
    results: Mapping[str, float]  # all losses and metrics over all rows: the values of ``graphspec evaluate``
    meanings: Mapping[str, str]  # the meaning of each value of a metric with several values, by key
    tables: list[ResultTable]  # the metrics that are tables
    out_of_fold: bool = False  # whether they are training rows, each answered by the copy that has not seen it

    @property
    def places(self) -> Array:
        """The indices of the kept rows in their source; of windows, where they begin in the order of time."""
        return np.asarray(self.rows if self.raw.chosen is None else self.raw.chosen[self.rows])

    def index(self, row: int) -> int:
        """Return the index of a kept row, ``row``, in its source."""
        return int(self.places[row])

    def inputs(self, row: int) -> dict[str, Array]:
        """Return the raw inputs of a kept row, given by its place among these: arrays without the batch axis."""
        index = self.index(row)
        return {name: array[index] for name, array in self.raw.inputs.items()}


def score(model: Session, raw: Dataset, part: str, running: RunningMetrics | None = None) -> Scored:
    """Evaluate checked raw rows, unless that has just been done, and keep the answers for up to ``MAX_ROWS`` of them."""
    prepared, found, heads = model.prepared(raw), dict[str, Array](), {}
    total = len(prepared)
    rows = evenly(total, MAX_ROWS)
    kept = prepared if len(rows) == total else prepared.select(rows)
    if is_out_of_fold(model, part):
        running = running or evaluate_part(model, raw, part)
        for member, own, places in out_of_fold(model, raw, rows):
            compute_rows(member, own, found, places, len(rows))
    else:
        running = running or model.evaluate_prepared(prepared, model.spec.training.batch_size)
        compute_rows(model, kept, found, np.arange(len(rows)), len(rows))
    tagged = model.tags(model.whole)
    for name, cutoff in model.cutoffs.items():
        head = replace(model.spec.heads[name], cutoff=cutoff)
        lengths = {s[1:]: a for s in (LENGTH, STEPS) if (a := _of(kept, name + s)) is not None}
        losses = found.get(LOSS + name)
        value = model.graph.outputs[name]
        target = found.get(target_of(name), _of(kept, name))
        mask = found.get(mask_of(name))
        if losses is not None:
            losses = _per_row(losses, mask if head.loss is not None and head.loss.uses_mask else None)
        answers = found[name] if head.loss is None else head.loss.point(found[name])
        bounds = None if head.interval is None else (found[name + BOUNDS[0]], found[name + BOUNDS[1]])
        if head.loss is not None and bounds is None:
            bounds = head.loss.ends(found[name])
        if target is not None and name in tagged:  # lists of the rows, which are padded to the longest of them
            target = target[:, : answers.shape[1]]
        quantiles = found[name] if answers.ndim < found[name].ndim else None
        heads[name] = HeadAnswers(head, value, answers, target, mask, losses, bounds, lengths, quantiles)
    values = running.logs(), running.meanings(), running.tables()
    return Scored(part, raw, total, rows, heads, *values, is_out_of_fold(model, part))


def _of(rows: Dataset, name: str) -> Array | None:
    array = rows.targets.get(name, rows.lengths.get(name))
    if array is None:
        return None
    return np.asarray(array if rows.chosen is None else array[rows.chosen])


def _per_row(losses: Array, mask: Array | None) -> Array:
    """Return the mean of the values of each row that count, ``(n,)``; 0 for a row without any."""
    flat = losses.reshape(len(losses), -1).astype(np.float64)
    if mask is None or mask.shape != losses.shape[: mask.ndim] or mask.ndim == 1:
        return np.asarray(flat.mean(axis=1))
    shape = mask.shape + (1,) * (losses.ndim - mask.ndim)
    counts = np.broadcast_to(mask.reshape(shape), losses.shape).reshape(flat.shape)
    return np.asarray((flat * counts).sum(axis=1) / np.maximum(counts.sum(axis=1), 1))


_Form = Literal["ids", "like", "single"]  # targets: class ids, values of the head's shape, or those of a single unit
Kind = Literal["classes", "binary", "labels", "numbers", "sequences", "groups", "values"]

_LONGEST = 40  # characters of a label


@dataclass(frozen=True)
class Flat:
    """What a head answers and what is true, one entry for each position that counts."""

    # what the head predicts: one of several ``classes``; whether or not (``binary``); which of several ``labels``
    # apply; ``numbers``; ``sequences`` of labels; a place near its group (``groups``); ``values`` without targets
    kind: Kind
    # class ids ``(n,)``, bool ``(n,)`` for ``binary``, bool ``(n, units)`` for ``labels``, float ``(n, units)`` for
    # ``numbers``
    true: Array
    scores: Array  # ``(n, units)``, for ``binary`` ``(n,)``
    probabilities: bool  # whether the scores are probabilities
    labels: Sequence[str]  # the names of the classes, two for ``binary``; of the units for ``numbers``
    noun: str  # what a position is: ``row``, ``time step``, ``pixel``, ``position``
    notes: tuple[str, ...] = ()  # which positions do not count, and why, in sentences


def flatten(head: HeadAnswers) -> Flat:
    """Return the values of a head that count. Heads without targets, of sequences and of groups keep their rows."""
    loss, answers, targets = head.head.loss, head.answers, head.targets
    if loss is None or targets is None or loss.targets == "times":
        return _whole(head, "values")
    if loss.targets in ("labels", "groups"):
        return _whole(head, "sequences" if loss.targets == "labels" else "groups")
    axis = loss.class_axis(head.value)
    if axis not in (None, answers.ndim - 1) and answers.ndim > 1:
        answers = np.moveaxis(answers, axis, -1)
        targets = np.moveaxis(targets, axis, -1) if targets.ndim == answers.ndim else targets
    units = answers.shape[-1] if answers.ndim > 1 else 1
    if loss.targets == "ids":
        return _classes(head, answers, ids(targets, answers))
    targets, answers = _common(*aligned(targets, answers))
    if loss.targets == "one_hot" and units > 1:
        soft = not ((targets == 0) | (targets == 1)).all()
        note = ("the targets are distributions; the likeliest class counts as the true one",) if soft else ()
        return _classes(head, answers, targets.argmax(-1), note)
    if loss.fits != "numbers" and _is_binary(targets):
        alone = units == 1
        if not alone and producer(head.value).activation == "softmax" and (targets == 1).sum(-1).max(initial=1) == 1:
            return _classes(head, answers, targets.argmax(-1))
        flat, scores, notes = _counted(head, targets, answers, "single" if alone else "like")
        labels, noun = with_labels(head, 2 if alone else units), _noun(head)
        return Flat("binary" if alone else "labels", flat == 1, *_judged_alone(head, scores), labels, noun, notes)
    return _numbers(head, answers, targets)


def with_labels(head: HeadAnswers, units: int) -> list[str]:
    """Return the names of ``units`` classes: the head's labels if they fit, else their ids; long ones are shortened."""
    return [shorten_end(label, _LONGEST) or "(empty)" for label in labels_of(head, units)]


def labels_of(head: HeadAnswers, units: int) -> list[str]:
    """Return the names of ``units`` classes: the head's labels if they fit, else their ids."""
    labels = head.head.labels
    return list(labels) if labels is not None and len(labels) == units else [str(k) for k in range(units)]


def softmax(logits: Array) -> Array:
    """Return the probabilities of logits over the last axis, float64."""
    z = logits.astype(np.float64)
    e = np.exp(z - z.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def sigmoid(logits: Array) -> Array:
    """Return the probabilities of logits, float64."""
    z = logits.astype(np.float64)
    e = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1, e) / (1 + e))


def _whole(head: HeadAnswers, kind: Kind) -> Flat:
    units = head.answers.shape[-1] if head.answers.ndim > 1 else 1
    targets = np.zeros(len(head.answers)) if head.targets is None else head.targets
    return Flat(kind, targets, head.answers, False, with_labels(head, units), "row")


def _classes(head: HeadAnswers, answers: Array, true: Array, notes: tuple[str, ...] = ()) -> Flat:
    """Return the flat values of a head with one class per position; ``true`` are class ids."""
    true, answers = _common(true, answers)
    flat, scores, seen = _counted(head, true, answers, "ids")
    units, loss = answers.shape[-1], head.head.loss
    ignored = getattr(loss, "ignore_class", None)
    flat, noun, labels = flat.astype(np.int64), _noun(head), with_labels(head, units)
    if ignored is not None:
        name = labels[ignored] if 0 <= ignored < units else str(ignored)
        why = f"are of the class '{name}', which the loss ignores"
        flat, scores, note = _kept(flat, scores, flat != ignored, why, noun)
        notes += note
    inside = (flat >= 0) & (flat < units)
    flat, scores, note = _kept(flat, scores, inside, "have a class that the head does not have", noun)
    probable = units > 1 and _is_distribution(scores)
    if has_logits(loss) and not gives_probabilities(producer(head.value)):  # type: ignore[arg-type]
        scores, probable = softmax(scores), True
    return Flat("classes", flat, scores, probable, labels, noun, seen + notes + note)


def _numbers(head: HeadAnswers, answers: Array, targets: Array) -> Flat:
    if answers.ndim == 1:
        answers, targets = answers[:, None], targets[:, None]
    flat, scores, notes = _counted(head, targets, answers, "like")
    loss, probable = head.head.loss, False
    if has_logits(loss) and not gives_probabilities(producer(head.value)):  # type: ignore[arg-type]
        scores, probable = sigmoid(scores), True
    names = with_labels(head, answers.shape[-1])
    return Flat("numbers", flat.astype(np.float64), scores.astype(np.float64), probable, names, _noun(head), notes)


def _judged_alone(head: HeadAnswers, scores: Array) -> tuple[Array, bool]:
    """Return the scores of independent units, as probabilities if they are logits, and whether they are probabilities."""
    probable = gives_probabilities(producer(head.value))
    if has_logits(head.head.loss) and not probable:  # type: ignore[arg-type]
        return sigmoid(scores), True
    return scores.astype(np.float64), probable


def cutoff_of(head: HeadAnswers, default: float) -> float:
    """Return the score, a probability for logits, above which a head with a threshold answers its second class."""
    cutoff, logits = np.asarray(head.head.cutoff, np.float32), getattr(head.head.loss, "from_logits", False)
    return default if head.head.threshold is None else float(sigmoid(cutoff) if logits else cutoff)


def _counted(head: HeadAnswers, true: Array, answers: Array, form: _Form) -> tuple[Array, Array, tuple[str, ...]]:
    """Return targets and answers, flat, without positions that are masked or not finite, and sentences about these."""
    mask, noun = head.mask, _noun(head)
    notes: tuple[str, ...] = ()
    if mask is not None:
        if mask.ndim > 1:
            mask = mask[(slice(None), *(slice(n) for n in answers.shape[1 : mask.ndim]))]
        if mask.shape == answers.shape[: mask.ndim]:
            hidden = int(mask.size - np.count_nonzero(mask))
            what = count(hidden, "time step" if mask.ndim > 1 else "row")
            notes = (f"{what} hidden by the mask {'does' if hidden == 1 else 'do'} not count",) if hidden else ()
            true, answers = visible(true, mask), visible(answers, mask)
    units = answers.shape[-1] if answers.ndim > 1 else 1
    answers = answers.reshape(-1) if form == "single" else answers.reshape(-1, units)
    true = true.reshape(-1, units) if form == "like" else true.reshape(-1)
    for values, why in ((answers, "have an answer that is no finite number"), (true, "have no finite target")):
        if np.issubdtype(values.dtype, np.floating):
            finite = np.asarray(np.isfinite(values if values.ndim > 1 else values[:, None]).all(-1))
            true, answers, note = _kept(true, answers, finite, why, noun)
            notes += note
    return true, answers, notes


def _kept(true: Array, answers: Array, keep: Array, why: str, noun: str) -> tuple[Array, Array, tuple[str, ...]]:
    """Return the positions to keep, and a sentence about the others."""
    lost = int(len(keep) - np.count_nonzero(keep))
    if not lost:
        return true, answers, ()
    why = why.replace("are ", "is ", 1).replace("have ", "has ", 1) if lost == 1 else why
    note = f"{count(lost, noun)} {why}, and {'does' if lost == 1 else 'do'} not count here"
    return true[keep], answers[keep], (note,)


def _noun(head: HeadAnswers) -> str:
    rank = head.answers.ndim - 1
    if rank == 2 and head.head.loss is not None:
        return "time step" if head.mask is not None or head.value.shape[1] is None else "position"
    return {3: "pixel"}.get(rank, "row" if rank < 2 else "position")


def _common(true: Array, answers: Array) -> tuple[Array, Array]:
    """Return targets and answers cut to their common number of time steps: answers end with the longest sequence."""
    axes = min(true.ndim, answers.ndim)
    cut = tuple(slice(min(a, b)) for a, b in zip(true.shape[:axes], answers.shape[:axes], strict=True))
    return true[cut], answers[cut]


def _is_distribution(scores: Array) -> bool:
    if not len(scores):
        return True
    return bool(scores.min() >= 0 and np.abs(scores.sum(-1, dtype=np.float64) - 1).max() < 1e-3)


def _is_binary(targets: Array) -> bool:
    some = targets if targets.size < 1 << 22 else targets[:: max(len(targets) * targets[:1].size >> 22, 1)]
    values: Any = np.unique(some[np.isfinite(some)] if np.issubdtype(some.dtype, np.floating) else some).tolist()
    return 0 < len(values) <= 2 and set(map(float, values)) <= {-1.0, 0.0, 1.0} and set(values) != {-1, 0}


def some(flat: Flat, most: int) -> Flat:
    """Return at most ``most`` positions, spread evenly: for what needs a sort."""
    if len(flat.scores) <= most:
        return flat
    rows = evenly(len(flat.scores), most)
    return replace(flat, true=flat.true[rows], scores=flat.scores[rows])
