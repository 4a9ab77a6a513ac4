"""What a finished or interrupted run has written about itself for people: its history, and its best epoch."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from graphspec.runtime.records import damaged

_MAX_BYTES = 1 << 26


def history_of(directory: Path) -> dict[str, list[float]]:
    """Return the losses and metrics of every epoch that a run has finished; empty if it has none.

    Raises:
        RunError: GS603, ``history.csv`` is damaged.
    """
    path = directory / "history.csv"
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise damaged(path, f"it is larger than {_MAX_BYTES >> 20} MiB")
    try:
        names, *rows = list(csv.reader(text.splitlines()))
        table = [[float(cell) for cell in row] for row in rows]
        if names[0] != "epoch" or any(len(row) != len(names) for row in table):
            raise ValueError("it is not a table of epochs")
    except (ValueError, csv.Error, IndexError) as error:
        raise damaged(path, str(error)) from None
    return {name: [row[k] for row in table] for k, name in enumerate(names) if k}


def best_epoch(history: dict[str, list[float]]) -> int | None:
    """Return the epoch, from 1, with the lowest ``val_loss``, or ``loss`` without validation; None without epochs."""
    values = history.get("val_loss") or history.get("loss") or []
    finite = [(value, k) for k, value in enumerate(values, 1) if math.isfinite(value)]
    return min(finite)[1] if finite else None
