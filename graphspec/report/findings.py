"""What a report shows of a run: its model, its history, its records, and its rows with the network's answers."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.report.scored import Scored, score
from graphspec.runtime.records import read_json
from graphspec.training.prepare import part_rows

if TYPE_CHECKING:
    from graphspec.runtime.session import Session

PARTS = ("test", "validation", "train")


@dataclass(frozen=True)
class Findings:
    """What was found out about a run.

    Attributes:
        model: the trained network, with its spec.
        directory: its run directory.
        history: one value per epoch for each loss and metric, as in ``history.csv``.
        record: the content of ``run.json``.
        judged: the rows on which the network is judged: test rows, else validation rows, else training rows; None if the
            run has no data, or they cannot be read any more.
        missing: why there are no judged rows.
    """

    model: Session
    directory: Path
    history: Mapping[str, list[float]]
    record: Mapping[str, Any] = field(default_factory=dict)
    judged: Scored | None = None
    missing: str = ""


def find(model: Session, directory: Path) -> Findings:
    """Collect what a report shows of a run.

    Raises:
        SpecError: GS5, the data do not fit.
        RunError: GS6, the run is damaged.
    """
    path = directory / "run.json"
    record = read_json(path) if path.is_file() else {}
    history = read_history(directory / "history.csv")
    spec = model.spec
    part = next((p for p in PARTS if p in spec.data), None)
    if part is None:
        return Findings(model, directory, history, record, None, "the spec names no data")
    return Findings(model, directory, history, record, score(model, part_rows(model, part), part))


def read_history(path: Path) -> dict[str, list[float]]:
    """Return the values of ``history.csv`` by key; nothing if the run has none."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    keys = rows[0][1:] if rows else []
    return {key: [float(row[k + 1]) for row in rows[1:]] for k, key in enumerate(keys)}
