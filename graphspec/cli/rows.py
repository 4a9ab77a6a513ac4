"""Encode predictions as NPZ, CSV or JSONL."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.errors import UsageError

if TYPE_CHECKING:
    from graphspec.ir.graph import Array

FORMATS = (".npz", ".csv", ".jsonl")


def suffix_of(path: Path | None) -> str:
    """Return the format of ``path``, one of ``FORMATS``; CSV for stdout."""
    suffix = ".csv" if path is None else path.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"{path}: predictions are written as {', '.join(FORMATS)}")
    return suffix


def encode_rows(outputs: Mapping[str, Array], suffix: str) -> bytes:
    """Return the content of a file.

    In tables, a head of shape ``(N, 1)`` is one column under its name. Other heads become columns ``<head>_0``,
    ``<head>_1``, … in CSV and lists in JSONL. Floats have the digits of float32; in JSONL, non-finite floats are null.
    """
    if suffix == ".npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **outputs)
        return buffer.getvalue()
    return (_csv(outputs) if suffix == ".csv" else _jsonl(outputs)).encode()


def _csv(outputs: Mapping[str, Array]) -> str:
    columns: dict[str, list[Any]] = {}
    for name, array in outputs.items():
        shape = array.shape[1:]
        flat = array.reshape(len(array), -1)
        for k, index in enumerate(np.ndindex(*shape)):
            key = name if shape in ((), (1,)) else "_".join([name, *map(str, index)])
            columns[key] = [str(v) for v in flat[:, k]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def _jsonl(outputs: Mapping[str, Array]) -> str:
    values = [(a[:, 0] if a.shape[1:] == (1,) else a) for a in outputs.values()]
    rows = zip(*values, strict=True)
    return "".join(
        json.dumps({n: _json_value(v) for n, v in zip(outputs, row, strict=True)}, ensure_ascii=False) + "\n"
        for row in rows
    )


def _json_value(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_json_value(v) for v in value]
    if isinstance(value, np.floating):
        return float(str(value)) if math.isfinite(value) else None
    return value.item()
