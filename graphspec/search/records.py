"""What is known of a trial: its values as ``--set`` takes them, and ``trial.json`` in its run directory."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite, prod
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from graphspec.base.files import write_atomic
from graphspec.language.search_space import Range, Search, Space
from graphspec.language.search_values import Chooser, drawn
from graphspec.language.tree import format_value

Params = dict[str, int | float]
TRIAL = "trial.json"
State = Literal["running", "complete", "pruned", "failed", "infeasible"]
_PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
_WORDS = frozenset(("null", "true", "false"))


@dataclass(frozen=True)
class Trial:
    """A trial.

    Attributes:
        number: from 1.
        params: the sampled number of each range, and the index of each choice, by the names of spaces.
        sets: what it changes in the spec, as ``--set`` takes it.
        state: ``infeasible`` if it could not be built, ``failed`` if its training went wrong.
        value: the objective, of the weights that the run keeps; None without one.
        values: the objective after each epoch.
        problem: why it is infeasible or failed.
        starts, reached: how many processes have begun it since an epoch ended, and how many epochs had ended before.
    """

    __pydantic_config__ = ConfigDict(extra="ignore")

    number: int
    params: dict[str, int | float] = field(default_factory=dict)
    sets: list[str] = field(default_factory=list)
    state: State = "running"
    value: float | None = None
    values: list[float] = field(default_factory=list)
    problem: str = ""
    starts: int = 1
    reached: int = 0

    @property
    def name(self) -> str:
        """The name of its run directory."""
        return f"{self.number:04d}"

    @property
    def judged(self) -> bool:
        """Whether it was trained to its end."""
        return self.state == "complete" and self.value is not None

    def write(self, folder: Path) -> None:
        """Write the record into its run directory, which is in ``folder``."""
        record = asdict(self)
        for key in ("values", "value"):  # JSON has no nan
            given = record[key]
            record[key] = [v if isfinite(v) else None for v in given] if isinstance(given, list) else given
        write_atomic(folder / self.name / TRIAL, json.dumps(record, indent=1, ensure_ascii=False))


_ADAPTER = TypeAdapter(Trial)


def read_trial(directory: Path, metric: str) -> Trial | None:
    """Return the trial of a run directory; None if it was killed before its record was written.

    Args:
        metric: the objective; the values of a trial that is running are in its history.
    """
    try:
        record: dict[str, Any] = json.loads((directory / TRIAL).read_text(encoding="utf-8"))
        record["values"] = [float("nan") if v is None else v for v in record.get("values", [])]
        trial = _ADAPTER.validate_python(record)
    except (OSError, ValueError, TypeError, AttributeError, ValidationError):
        return None
    if trial.state != "running":
        return trial
    return Trial(**asdict(trial) | {"values": _column(directory / "history.csv", metric)})


def _column(path: Path, metric: str) -> list[float]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [float(row[metric]) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def ranked(trials: Iterable[Trial], goal: str) -> list[Trial]:
    """Return the trials that were trained to their end, the best first; of equal ones, the earlier first."""
    sign = -1 if goal == "max" else 1
    return sorted((t for t in trials if t.judged), key=lambda t: (sign * (t.value or 0.0), t.number))


# Values.


def sampled(search: Search, choose: Chooser) -> Params:
    """Return the values of a trial. Spaces inside choices that were not taken have none."""
    params: Params = {}

    def remember(space: Space) -> float:
        params[space.name] = value = choose(space)
        return value

    for setting in search.settings:
        drawn(setting.space, remember)
    return params


def grid_size(search: Search) -> int:
    """Return the number of combinations of a space without endless ranges."""
    return prod(_size(setting.space) for setting in search.settings)


def _size(space: Space) -> int:
    if isinstance(space, Range):
        assert space.count is not None
        return space.count
    return sum(prod(_size(inner) for _, inner in item.inner) for item in space.items)


def sets_of(search: Search, params: Mapping[str, int | float]) -> list[str]:
    """Return the values of a trial as ``--set`` takes them, in the order of the spec."""
    return [f"{s.path}={written(drawn(s.space, lambda space: params[space.name]).plain())}" for s in search.settings]


def written(value: Any) -> str:
    """Return a plain value in YAML's flow style, complete and exact."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {written(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value) if value == value and abs(value) != float("inf") else format_value(value)
    return format_value(value)


def _text(value: str) -> str:
    return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else json.dumps(value, ensure_ascii=False)
