"""What a report shows of a run: its model, its history, its records, and its rows with the network's answers."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from graphspec.base.errors import GraphspecError, RunError, SpecError
from graphspec.data.batches import Dataset
from graphspec.data.files import files_of
from graphspec.data.stored import hash_of
from graphspec.engine.runtime.records import read_json
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.engine.runtime.session import Session
from graphspec.engine.training.prepare import part_rows, train_and_validation
from graphspec.engine.training.reporting import Fitted, Times, read_times
from graphspec.engine.training.run_directory import provenance
from graphspec.show.report.baselines import Baseline, baselines, linear, scale_of, training_targets
from graphspec.show.report.scored import Scored, score
from graphspec.show.report.verdicts import Interval, Verdict, given_away, intervals, verdicts

_MAX_HISTORY = 1 << 26  # bytes
PARTS = ("test", "validation", "train")
Known = Mapping[str, RunningMetrics]  # losses and metrics that have just been computed, by part


@dataclass(frozen=True)
class Findings:
    """What was found out about a run."""

    model: Session  # the trained network, with its spec
    directory: Path | None  # its run directory; None for a model that is in the memory only
    history: Mapping[str, list[float]]  # one value per epoch for each loss and metric, as in ``history.csv``
    record: Mapping[str, Any] = field(default_factory=dict)  # the content of ``run.json``
    # the rows on which the network is judged: test rows, else validation rows, else training rows; None if the run has
    # no data, or they cannot be read any more
    judged: Scored | None = None
    missing: str = ""  # why there are no judged rows
    intervals: Mapping[str, Interval] = field(default_factory=dict)  # 95 %, of losses and metrics on the judged rows
    times: Times | None = None  # when it was trained, and how long; None if that was not recorded
    stopped: str | None = None  # why a callback ended the training
    changed: bool = False  # whether the judged rows have changed since the training
    train: Dataset | None = None  # the checked raw training rows, where they were read together with the judged ones
    baselines: Mapping[str, Sequence[Baseline]] = field(default_factory=dict)  # for the judged rows, by head
    verdicts: Sequence[Verdict] = ()  # how the heads compare with the best of these
    given: Mapping[str, str] = field(default_factory=dict)  # fields that alone give away a target in training rows: how
    kept: dict[str, Any] = field(default_factory=dict, compare=False)  # measured for a section, shown by others, too


def find(model: Session, directory: Path, part: str | None = None, known: Known | None = None) -> Findings:
    """Collect what a report shows of a run, judged by the rows of ``part``, by default the first of the spec in ``PARTS``.

    Data that cannot be read are no error, unless a part is named.
    """
    return judged_by_spec(recorded(model, directory), part, known)


def judged_by_spec(found: Findings, part: str | None = None, known: Known | None = None) -> Findings:
    """Return the findings with rows of the spec's data; arguments and errors as for :func:`find`."""
    model = found.model
    chosen = part or next((p for p in PARTS if p in model.spec.data), None)
    if chosen is None:
        return replace(found, missing="The spec names no data.")
    try:
        changed = known is None and _has_changed(found, chosen)
        if changed and split_off(model, chosen):
            return replace(found, missing=f"The data have changed: the {chosen} rows of this run are unknown.")
        rows, train = _read(model, chosen)
        return judge(replace(found, train=train, changed=changed), rows, chosen, (known or {}).get(chosen))
    except GraphspecError as error:
        if part is not None:
            raise
        why = error.diagnostics[0].message if isinstance(error, SpecError) else str(error).rstrip(".")
        return replace(found, missing=f"The {chosen} rows could not be read: {why}.")


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
    """Return the findings with checked raw rows, the network's answers for them, and those of simple rules."""
    model = found.model
    scored, train = score(model, raw, part, running), training_targets(model, found.train)
    source = model.spec.data.get("train" if split_off(model, part) else part) or model.spec.data.get("train")
    of_train, after = model.spec.data.get("train"), part == "validation" and split_off(model, part)
    scales = {n: scale_of(scored, n, of_train, found.train, after=after) for n in scored.heads}
    scored = replace(scored, heads={n: replace(h, scale=scales[n]) for n, h in scored.heads.items()})
    fitted = linear(model, scored, found.train, folds=5 if scored.out_of_fold else 0)
    rules = {n: [*baselines(scored, n, source, train.get(n)), *fitted.get(n, ())] for n in scored.heads}
    found = replace(found, judged=scored, intervals=intervals(model, scored), baselines=rules)
    given = {} if found.train is None else given_away(model, found.train)
    return replace(found, verdicts=verdicts(scored, rules, model.seed), given=given)


def _read(model: Session, part: str) -> tuple[Dataset, Dataset | None]:
    """Return the rows of a part, and the training rows if they can be read; a file that has both is read once."""
    if part == "validation" and split_off(model, part):
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


def mapping_in(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a mapping of ``run.json``, such as ``packages``; an empty one if it has none."""
    found = record.get(key)
    return found if isinstance(found, dict) else {}


def _known(path: Path) -> dict[str, Any]:
    """Return a file of a run that nothing depends on; nothing if there is none, or if it is damaged."""
    try:
        return read_json(path) if path.is_file() else {}
    except RunError:
        return {}


def split_off(model: Session, part: str) -> bool:
    """Return whether the rows of a part are split off the training data."""
    source = model.spec.data.get("validation")
    return part != "test" and source is not None and not source.has_rows


def _has_changed(found: Findings, part: str) -> bool:
    """Return whether the data files of a part are not those of the training."""
    source_part = "train" if split_off(found.model, part) else part
    source = found.model.spec.data.get(source_part)
    before = mapping_in(found.record, "data_sha256").get(source_part)
    files = files_of(source) if source is not None and before is not None else []
    return bool(files) and hash_of(files) != before
