"""What a run has written about itself: its history, its best epoch, and its weights beside another run's."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from graphspec.engine.runtime.records import damaged

_MAX_BYTES = 1 << 26
_MAX_NAMED = 5  # arrays that differ and are named


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


def best_epoch(history: Mapping[str, list[float]]) -> int | None:
    """Return the epoch, from 1, with the lowest ``val_loss``, or ``loss`` without validation; None without epochs."""
    values = history.get("val_loss") or history.get("loss") or []
    finite = [(value, k) for k, value in enumerate(values, 1) if math.isfinite(value)]
    return min(finite)[1] if finite else None


def weight_differences(old: Path, new: Path) -> dict[str, Any] | None:
    """Compare the weights of two runs: ``{compared, different, names, largest}``; None if a run has none.

    Arrays of different shapes, and arrays that only one run has, are left out: the networks differ there.

    Raises:
        RunError: GS603, a file is damaged.
    """
    import numpy as np

    paths = [directory / "weights.safetensors" for directory in (old, new)]
    if not all(path.is_file() for path in paths):
        return None
    different, compared, largest = list[str](), 0, 0.0
    with ExitStack() as stack:
        first, second = (_opened(stack, path) for path in paths)
        for name in sorted({*first.keys()} & {*second.keys()}):
            a, b = first.get_tensor(name), second.get_tensor(name)
            if a.shape != b.shape:
                continue
            compared += 1
            if not np.array_equal(a, b, equal_nan=True):
                different.append(name)
                with np.errstate(all="ignore"):
                    distance = np.abs(a.astype(np.float64) - b.astype(np.float64))
                largest = max(largest, float(np.max(distance, initial=0.0, where=np.isfinite(distance))))
    return {"compared": compared, "different": len(different), "names": different[:_MAX_NAMED], "largest": largest}


def _opened(stack: ExitStack, path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return stack.enter_context(safe_open(path, "numpy"))
    except (SafetensorError, OSError) as error:
        raise damaged(path, str(error)) from None


def result_differences(old: Path, new: Path) -> dict[str, Any]:
    """Compare the results of two runs: ``{epochs, best, final}``.

    ``best`` are the best epochs (:func:`best_epoch`) with the compared loss, ``final`` all losses and metrics of the last
    epochs, each with the difference if both runs have it.

    Raises:
        RunError: GS603, a history is damaged.
    """
    a, b = history_of(old), history_of(new)
    final = []
    for name in dict.fromkeys((*a, *b)):
        x, y = (history.get(name, [None])[-1] for history in (a, b))
        final.append({"key": name, "old": x, "new": y, "difference": None if x is None or y is None else y - x})
    return {
        "epochs": {side: len(next(iter(h.values()), [])) for side, h in (("old", a), ("new", b))},
        "best": {side: _best(h) for side, h in (("old", a), ("new", b))},
        "final": final,
    }


def _best(history: Mapping[str, list[float]]) -> dict[str, Any] | None:
    epoch = best_epoch(history)
    if epoch is None:
        return None
    key = "val_loss" if history.get("val_loss") else "loss"
    return {"epoch": epoch, "key": key, "value": history[key][epoch - 1]}
