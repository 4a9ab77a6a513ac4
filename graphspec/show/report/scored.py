"""The rows of a part of the data with what the network answers for them: values, masks and losses row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from graphspec.base.arrays.calls import settings
from graphspec.data.batches import BatchLoader, Dataset
from graphspec.engine.compiler.objective import Objective, mask_of, target_of
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.running_metrics import ResultTable, RunningMetrics
from graphspec.engine.runtime.session import Session
from graphspec.graph.ir.graph import Array, Value
from graphspec.graph.target import Target
from graphspec.language.declarations import LENGTH, STEPS, HeadDecl
from graphspec.show.report.rows import evenly

MAX_ROWS = 20_000  # rows whose answers are kept; of more, as many, spread evenly
_LOSS = "each:"  # names of heads contain no colon


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
    lengths: Mapping[str, Array]  # for CTC, ``length`` and ``input_length`` of every row, if the data have them


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
    size = model.spec.training.batch_size
    prepared = model.prepared(raw)
    running = running or model.evaluate_prepared(prepared, size)
    total = len(prepared)
    rows = evenly(total, MAX_ROWS)
    kept = prepared if len(rows) == total else prepared.select(rows)
    found = _computed(model, kept, size)
    heads = {}
    for name, head in model.spec.heads.items():
        lengths = {s[1:]: a for s in (LENGTH, STEPS) if (a := _of(kept, name + s)) is not None}
        losses = found.get(_LOSS + name)
        value = model.graph.outputs[name]
        target = found.get(target_of(name), _of(kept, name))
        mask = found.get(mask_of(name))
        if losses is not None:
            losses = _per_row(losses, mask if head.loss is not None and head.loss.uses_mask else None)
        answers = found[name] if head.loss is None else head.loss.point(found[name])
        heads[name] = HeadAnswers(head, value, answers, target, mask, losses, lengths)
    return Scored(part, raw, total, rows, heads, running.logs(), running.meanings(), running.tables())


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


def _computed(model: Session, rows: Dataset, size: int) -> dict[str, Array]:
    """Return the values, the masks and the losses of all heads for prepared rows, by fetch."""
    objective = model.objective(rows)
    graph = objective.graph.with_outputs(_wanted(model, objective))
    loader = BatchLoader(rows, size, shuffle=False, seed=model.seed)
    collected: dict[str, Array] = {}
    start = 0
    loader.start(0)
    with model.access.reading():
        for batch in range(loader.batches):
            count = loader.rows(batch)
            shapes = loader.shapes(count)
            bound = partial(build_program, graph, model.parameters, Target(shapes), seed=model.seed)
            with model.programs.borrow(("answers", *sorted(shapes.items())), bound) as program:
                loader.copy(batch, program.feeds)
                with settings():
                    program.run()
                for name, array in program.fetches.items():
                    _put(collected, name, array, start, len(rows))
            start += count
    return collected


def _put(collected: dict[str, Array], name: str, array: Array, start: int, total: int) -> None:
    """Copy a batch into the array of all rows, which grows where later batches have longer sequences."""
    whole, sizes = collected.get(name), array.shape[1:]
    if whole is None or whole.shape[1:] != sizes:
        old = np.zeros((0, *sizes), array.dtype) if whole is None else whole
        whole = collected[name] = np.zeros((total, *np.maximum(old.shape[1:], sizes)), array.dtype)
        whole[tuple(map(slice, old.shape))] = old
    whole[(slice(start, start + len(array)), *map(slice, sizes))] = array


def _wanted(model: Session, objective: Objective) -> dict[str, Value]:
    """Return the heads, their masks, and their losses before they are reduced to a scalar, by fetch."""
    wanted: dict[str, Value] = {}
    reduced = {node.outputs[0].name: node for node in objective.graph.nodes if node.op == "ReduceLoss"}
    for name, value in model.graph.outputs.items():
        wanted[name] = value
        if value.mask is not None:
            wanted[mask_of(name)] = value.mask
        if name in objective.targets:
            wanted[target_of(name)] = objective.targets[name]
        loss = objective.answers.losses.get(name)
        node = None if loss is None else reduced.get(loss.name)
        if node is not None and node.inputs[0] is not None and node.inputs[0].rank:
            wanted[_LOSS + name] = node.inputs[0]
    return wanted
