"""What a report shows of a run: its model, its history, its records, and its rows with the network's answers."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.calls import settings
from graphspec.base.errors import GraphspecError, RunError, SpecError
from graphspec.data.batches import Dataset
from graphspec.data.check import BatchLoader
from graphspec.data.files import files_of
from graphspec.data.stored import hash_of
from graphspec.engine.compiler.fetches import mask_of, target_of
from graphspec.engine.runtime.build import build_program
from graphspec.engine.runtime.records import read_json
from graphspec.engine.runtime.running_metrics import ResultTable
from graphspec.engine.training.prepare import part_rows, train_and_validation
from graphspec.engine.training.run_directory import provenance
from graphspec.engine.training.timing import Fitted, Times, read_times
from graphspec.graph.target import Target
from graphspec.language.head_arrays import LENGTH, STEPS
from graphspec.show.report.baselines import Baseline, baselines, training_targets
from graphspec.show.report.importance import given_away
from graphspec.show.report.rows import evenly
from graphspec.show.report.verdicts import Interval, Verdict, intervals, verdicts

if TYPE_CHECKING:
    from graphspec.engine.compiler.objective import Objective
    from graphspec.engine.runtime.running_metrics import RunningMetrics
    from graphspec.engine.runtime.session import Session
    from graphspec.graph.ir.graph import Array, Value
    from graphspec.language.declarations import HeadDecl

# The rows of a part of the data with what the network answers for them: values, masks and losses row by row.
MAX_ROWS = 20_000
"""Rows whose answers are kept; of more, as many, spread evenly."""
_LOSS = "each:"  # names of heads contain no colon


@dataclass(frozen=True)
class HeadAnswers:
    """What a head answers for the kept rows.

    Attributes:
        head: its declaration.
        value: its type and mask in the graph.
        answers: its values, ``(n, …)``; of several quantiles the middle one.
        targets: as the loss reads them: class ids, one-hot rows, numbers or label sequences; None without a loss.
        mask: bool, ``(n, time)``, False where a time step does not count; None without a mask.
        losses: one value per row, ``(n,)``: the mean over the row's own values that count; None if the loss has no
            value per row.
        lengths: for CTC, ``length`` and ``input_length`` of every row, if the data have them.
    """

    head: HeadDecl
    value: Value
    answers: Array
    targets: Array | None
    mask: Array | None
    losses: Array | None
    lengths: Mapping[str, Array]


@dataclass(frozen=True)
class Scored:
    """A part of the data with the network's answers.

    Attributes:
        part: ``train``, ``validation`` or ``test``.
        raw: its checked raw rows, as apps feed them; index ``raw.chosen`` first where it is not None.
        total: the number of its rows.
        rows: which of them were kept, ``(n,)``, rising, counted from 0.
        heads: by name.
        results: all losses and metrics over all rows: the values of ``graphspec evaluate``.
        meanings: the meaning of each value of a metric with several values, by key.
        tables: the metrics that are tables.
    """

    part: str
    raw: Dataset
    total: int
    rows: Array
    heads: Mapping[str, HeadAnswers]
    results: Mapping[str, float]
    meanings: Mapping[str, str]
    tables: list[ResultTable]

    def index(self, row: int) -> int:
        """Return the index of a kept row, ``row``, in its source."""
        index = int(self.rows[row])
        return index if self.raw.chosen is None else int(self.raw.chosen[index])

    def inputs(self, row: int) -> dict[str, Array]:
        """Return the raw inputs of a kept row: arrays without the batch axis, by input.

        Args:
            row: its place among the kept rows.
        """
        index = self.index(row)
        return {name: array[index] for name, array in self.raw.inputs.items()}


def score(model: Session, raw: Dataset, part: str, running: RunningMetrics | None = None) -> Scored:
    """Evaluate a part of the data, and keep the answers for up to ``MAX_ROWS`` of its rows.

    Args:
        raw: checked raw rows.
        running: their losses and metrics, if these have just been computed.
    """
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
    whole = collected.get(name)
    shape = (total, *array.shape[1:])
    if whole is None:
        whole = collected[name] = np.zeros(shape, array.dtype)
    elif whole.shape != shape:
        larger = np.zeros((total, *np.maximum(whole.shape[1:], array.shape[1:])), array.dtype)
        larger[tuple(slice(n) for n in whole.shape)] = whole
        whole = collected[name] = larger
    whole[(slice(start, start + len(array)), *(slice(n) for n in array.shape[1:]))] = array


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
        node = reduced.get(objective.losses[name].name) if name in objective.losses else None
        if node is not None and node.inputs[0] is not None and node.inputs[0].rank:
            wanted[_LOSS + name] = node.inputs[0]
    return wanted


_MAX_HISTORY = 1 << 26  # bytes
PARTS = ("test", "validation", "train")


@dataclass(frozen=True)
class Findings:
    """What was found out about a run.

    Attributes:
        model: the trained network, with its spec.
        directory: its run directory; None for a model that is in the memory only.
        history: one value per epoch for each loss and metric, as in ``history.csv``.
        record: the content of ``run.json``.
        judged: the rows on which the network is judged: test rows, else validation rows, else training rows; None if the
            run has no data, or they cannot be read any more.
        missing: why there are no judged rows.
        intervals: the 95 % interval of each loss and metric on the judged rows that has one.
        times: when it was trained, and how long; None if that was not recorded.
        stopped: why a callback ended the training.
        changed: whether the judged rows have changed since the training.
        train: the checked raw training rows, where they were read together with the judged ones.
        baselines: what simple rules answer for the judged rows, by head.
        verdicts: how the heads compare with the best of these.
        given: the fields that alone give away a target in the training rows, each with how.
        kept: what was measured for one section and is shown by others, too.
    """

    model: Session
    directory: Path | None
    history: Mapping[str, list[float]]
    record: Mapping[str, Any] = field(default_factory=dict)
    judged: Scored | None = None
    missing: str = ""
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    times: Times | None = None
    stopped: str | None = None
    changed: bool = False
    train: Dataset | None = None
    baselines: Mapping[str, Sequence[Baseline]] = field(default_factory=dict)
    verdicts: Sequence[Verdict] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict, compare=False)


def find(
    model: Session, directory: Path, part: str | None = None, known: Mapping[str, RunningMetrics] | None = None
) -> Findings:
    """Collect what a report shows of a run. Data that cannot be read are no error, unless a part is named.

    Args:
        part: the rows to judge by; by default the first that the spec has of ``PARTS``.
        known: losses and metrics that have just been computed, by part.

    Raises:
        SpecError: GS5, the rows of ``part`` do not fit.
        UsageError: the spec has no rows of ``part``.
        RunError: GS6, the run is damaged.
    """
    return judged_by_spec(recorded(model, directory), part, known)


def judged_by_spec(
    found: Findings, part: str | None = None, known: Mapping[str, RunningMetrics] | None = None
) -> Findings:
    """Return the findings with rows of the spec's data; arguments and errors as for :func:`find`."""
    model = found.model
    chosen = part or next((p for p in PARTS if p in model.spec.data), None)
    if chosen is None:
        return replace(found, missing="The spec names no data.")
    try:
        changed = known is None and _has_changed(found, chosen)
        if changed and _split(model, chosen):
            return replace(found, missing=f"The data have changed: the {chosen} rows of this run are unknown.")
        rows, train = _read(model, chosen)
        return judge(replace(found, train=train, changed=changed), rows, chosen, (known or {}).get(chosen))
    except GraphspecError as error:
        if part is not None:
            raise
        return replace(found, missing=f"The {chosen} rows could not be read: {_reason(error)}.")


def recorded(model: Session, directory: Path) -> Findings:
    """Return what the files of a run say, without any rows."""
    record = _known(directory / "run.json")
    stopped = _known(directory / "checkpoint.json").get("stopped")
    history, times = read_history(directory / "history.csv"), read_times(directory)
    return Findings(model, directory, history, record, times=times, stopped=str(stopped) if stopped else None)


def of_model(model: Session, fitted: Fitted) -> Findings:
    """Return what is known of a model that is in the memory only, without any rows."""
    record = provenance(model, model.document(), {})
    return Findings(model, None, fitted.history, record, times=fitted.times, stopped=fitted.stopped)


def judge(found: Findings, raw: Dataset, part: str, running: RunningMetrics | None = None) -> Findings:
    """Return the findings with rows, with the network's answers for them, and with those of simple rules.

    Args:
        raw: checked raw rows.
        running: their losses and metrics, if these have just been computed.
    """
    model = found.model
    scored, train = score(model, raw, part, running), training_targets(model, found.train)
    source = model.spec.data.get("train" if _split(model, part) else part) or model.spec.data.get("train")
    rules = {name: baselines(scored, name, source, train.get(name)) for name in scored.heads}
    found = replace(found, judged=scored, intervals=intervals(model, scored), baselines=rules)
    given = {} if found.train is None else given_away(model, found.train)
    return replace(found, verdicts=verdicts(scored, rules, model.seed), given=given)


def _read(model: Session, part: str) -> tuple[Dataset, Dataset | None]:
    """Return the rows of a part, and the training rows if they can be read; a file that has both is read once."""
    if part == "validation" and _split(model, part):
        train, validation = train_and_validation(model)
        return validation or train, train
    rows = part_rows(model, part)
    if part == "train" or "train" not in model.spec.data:
        return rows, rows if part == "train" else None
    try:
        return rows, part_rows(model, "train")
    except GraphspecError:  # moved or changed since the training
        return rows, None


def read_history(path: Path) -> dict[str, list[float]]:
    """Return the values of ``history.csv`` by key; nothing if the run has none that can be read."""
    if not path.is_file() or path.stat().st_size > _MAX_HISTORY:
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        keys = rows[0][1:] if rows else []
        return {key: [float(row[k + 1]) for row in rows[1:]] for k, key in enumerate(keys)}
    except (OSError, ValueError, IndexError, csv.Error):
        return {}


def _known(path: Path) -> dict[str, Any]:
    """Return a file of a run that nothing depends on; nothing if there is none, or if it is damaged."""
    try:
        return read_json(path) if path.is_file() else {}
    except RunError:
        return {}


def _split(model: Session, part: str) -> bool:
    """Return whether the rows of a part are split off the training data."""
    source = model.spec.data.get("validation")
    return part != "test" and source is not None and not source.has_rows


def _has_changed(found: Findings, part: str) -> bool:
    """Return whether the data files of a part are not those of the training."""
    source_part = "train" if _split(found.model, part) else part
    hashes, source = found.record.get("data_sha256"), found.model.spec.data.get(source_part)
    before = hashes.get(source_part) if isinstance(hashes, dict) else None
    files = files_of(source) if source is not None and before is not None else []
    return bool(files) and hash_of(files) != before


def _reason(error: GraphspecError) -> str:
    return error.diagnostics[0].message if isinstance(error, SpecError) else str(error).rstrip(".")
