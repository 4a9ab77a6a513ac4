"""The rows of a part of the data with what the network answers for them: values, masks and losses row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from graphspec.data.batches import Dataset
from graphspec.engine.compiler.objective import mask_of, target_of
from graphspec.engine.runtime.row_values import LOSS, compute_rows
from graphspec.engine.runtime.running_metrics import ResultTable, RunningMetrics
from graphspec.engine.runtime.session import Session
from graphspec.engine.training.copies import evaluate_part, is_out_of_fold, out_of_fold
from graphspec.graph.ir.graph import Array, Value
from graphspec.language.declarations import BOUNDS, LENGTH, STEPS, HeadDecl
from graphspec.show.report.rows import evenly

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
