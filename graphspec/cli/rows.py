"""Encode predictions as NPZ, CSV or JSONL."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.base.errors import UsageError

FORMATS = (".npz", ".csv", ".jsonl")
Words = Mapping[str, Sequence[str]]  # texts by head


def suffix_of(path: Path | None) -> str:
    """Return the format of ``path``, one of ``FORMATS``; CSV for stdout."""
    suffix = ".csv" if path is None else path.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"{path}: predictions are written as {', '.join(FORMATS)}")
    return suffix


def encode_rows(
    outputs: Mapping[str, Array],
    suffix: str,
    *,
    header: bool = True,
    labels: Words | None = None,
    steps: Words | None = None,
) -> bytes:
    """Return the content of a file, or a part of it: of a table without ``header``, the rows.

    In tables, a head of shape ``(N, 1)`` is one column under its name. Other heads become columns ``<head>_0``,
    ``<head>_1``, … in CSV, or ``<head>_<label>`` if there are ``labels``, and lists in JSONL. A forecast with a value for
    each of its ``steps`` becomes ``<head>+1h``, ``<head>+2h``, …. Floats have the digits of
    float32; in JSONL, non-finite floats are null. Other columns are objects: texts stay as they are, and what is missing is
    empty or null.
    """
    if suffix == ".npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **{n: _plain(a) for n, a in outputs.items()})
        return buffer.getvalue()
    if suffix == ".csv":
        return _csv(outputs, header, labels or {}, steps or {}).encode()
    values = [(a[:, 0] if a.shape[1:] == (1,) else a) for a in outputs.values()]
    rows = ({n: _json_value(v) for n, v in zip(outputs, row, strict=True)} for row in zip(*values, strict=True))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _plain(array: Array) -> Array:
    """Return a column of objects as an array that is no pickle: of numbers if all are numbers, else of texts."""
    if array.dtype != object:
        return array
    values = array.tolist()
    if all(isinstance(v, bool) for v in values) or all(type(v) in (int, float) for v in values):
        numbers = np.array(values)
        if numbers.dtype != object:
            return numbers
    return np.array([_cell(v) for v in values], str)


def _csv(outputs: Mapping[str, Array], header: bool, labels: Words, steps: Words) -> str:
    columns: dict[str, list[Any]] = {}
    for name, array in outputs.items():
        shape = array.shape[1:]
        flat = array.reshape(len(array), -1)
        for k, index in enumerate(np.ndindex(*shape)):
            classes = labels.get(name, ()) if shape and shape[-1] > 1 else ()
            key = name if shape in ((), (1,)) else "_".join([name, *map(str, index[:-1]), _class(classes, index[-1])])
            if shape[:1] == (len(steps.get(name, ())),):
                rest = [*map(str, index[1:-1]), *([_class(classes, index[-1])] if shape[1:] not in ((), (1,)) else [])]
                key = "_".join([name + steps[name][index[0]], *rest])
            while key in columns or (key != name and key in outputs):  # another column has this name
                key += "_"
            columns[key] = [_cell(v) for v in flat[:, k]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def _class(labels: Sequence[str], index: int) -> str:
    """Return the label of a class as a part of a column's name; its number if there is none that can be shown."""
    label = labels[index] if index < len(labels) else ""
    return label if label.strip() and label.isprintable() else str(index)


def _cell(value: Any) -> str:
    """Return a value as a cell: JSON's values other than texts and numbers as JSON, what is missing as nothing."""
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, bool | list | dict) else str(value)


def _json_value(value: Any) -> Any:
    if isinstance(value, np.ndarray | list):
        return [_json_value(v) for v in value]
    if isinstance(value, dict):
        return {key: _json_value(v) for key, v in value.items()}
    if isinstance(value, np.floating):
        return float(str(value)) if math.isfinite(value) else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, bool | int | str) else str(value)
