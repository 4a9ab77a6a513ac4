"""What is kept of a run to compare it with others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.graph.ir.learnt_size import LearntSize
from graphspec.language.parse import parse
from graphspec.show.report.differences import Flat, flattened
from graphspec.show.report.task import kind

if TYPE_CHECKING:
    from graphspec.engine.training.timing import Times
    from graphspec.language.declarations import Spec
    from graphspec.show.report.findings import Findings
    from graphspec.show.report.verdicts import Interval


@dataclass(frozen=True)
class Compared:
    """What is kept of a run to compare it with others.

    Attributes:
        name: the shortest end of its path that no other run has.
        spec_name: the name of its spec.
        kind: the kind of its task.
        task: what its heads are trained for: runs with another task answer another question.
        rows: what its values were computed on, as hashes: two runs with other rows cannot be compared.
        part, total: the judged rows, and how many there are; no part if there are none.
        missing: why there are none.
        results, intervals: on these rows.
        meanings: the meaning of each value of a metric with several values.
        spec: the keys of its spec.
        history, times, stopped, record: as :class:`graphspec.show.report.findings.Findings` has them.
        epochs: how many were trained.
        parameters: their number.
    """

    name: str
    spec_name: str
    kind: str
    task: str
    rows: str
    part: str
    total: int
    missing: str
    results: Mapping[str, float]
    intervals: Mapping[str, Interval]
    spec: Flat
    history: Mapping[str, list[float]]
    times: Times | None
    stopped: str | None
    record: Mapping[str, Any]
    epochs: int
    parameters: int
    meanings: Mapping[str, str] = field(default_factory=dict)


def compared(found: Findings, name: str) -> Compared:
    """Return what is kept of a run."""
    spec, judged = found.model.spec, found.judged
    hashes = found.record.get("data_sha256")
    hashes = {str(k): str(v) for k, v in hashes.items()} if isinstance(hashes, dict) else {}
    part = "" if judged is None else judged.part
    heads = [(h.name, type(h.loss).__name__, found.model.graph.outputs[h.name].shape[1:]) for h in spec.heads.values()]
    validation = spec.data.get("validation")
    split = part != "test" and validation is not None and validation.split is not None
    rows = [part, hashes.get("train" if split else part, ""), 0 if judged is None else judged.total]
    if split and validation is not None:
        rows += [validation.split, spec.training.seed, validation.stratify]
    size = sum(p.size for p in found.model.graph.params.values())
    return Compared(
        name=name,
        spec_name=spec.name,
        kind=kind(found.model),
        task=repr(sorted(heads)),
        rows=repr(rows),
        part=part,
        total=0 if judged is None else judged.total,
        missing=found.missing,
        results={} if judged is None else judged.results,
        intervals=found.intervals,
        spec=flattened(_as_written(found), hashes),
        history=found.history,
        times=found.times,
        stopped=found.stopped,
        record=found.record,
        epochs=max(map(len, found.history.values()), default=0),
        parameters=0 if isinstance(size, LearntSize) else size,
        meanings={} if judged is None else judged.meanings,
    )


def _as_written(found: Findings) -> Spec:
    """Return the spec of a run without what its layers have learnt."""
    directory = found.directory
    spec = None if directory is None else parse(str(directory / "spec.json"))[0]
    return spec or found.model.spec


def names_of(runs: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths that tell them apart."""
    tails = [run.resolve().parts for run in runs]
    length = 1
    while len({tail[-length:] for tail in tails}) < len({*tails}):
        length += 1
    names = ["/".join(tail[-length:]) for tail in tails]
    return [name if names.count(name) == 1 else f"{name} ({k + 1})" for k, name in enumerate(names)]
