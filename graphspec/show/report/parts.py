"""The parts of a run's data as checked raw rows: those that can still be read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.errors import GraphspecError, SpecError
from graphspec.data.batches import Dataset
from graphspec.data.targets import with_class_ids
from graphspec.engine.runtime.prepared import prepare_rows
from graphspec.engine.training.prepare import part_rows, train_and_validation
from graphspec.show.report.sampling import evenly

if TYPE_CHECKING:
    from graphspec.engine.runtime.session import Session
    from graphspec.graph.ir.graph import Array
    from graphspec.show.report.findings import Findings

PARTS = ("train", "validation", "test")
MAX_ROWS = 50_000
"""Rows that are looked at; of more, as many, spread evenly."""
_MAX_BYTES = 1 << 26  # of an input that are looked at
_BLOCK = 4096  # rows that are compared at a time


@dataclass(frozen=True)
class Parts:
    """The parts of the data.

    Attributes:
        rows: the checked raw rows by part, in the order of ``PARTS``; judged rows that are no part come last.
        problems: why other parts cannot be read, by part.
    """

    rows: Mapping[str, Dataset]
    problems: Mapping[str, str] = field(default_factory=dict)


def read_parts(found: Findings) -> Parts:
    """Return the parts of a run's data."""
    rows: dict[str, Dataset] = {}
    problems: dict[str, str] = {}
    split = cache(lambda: train_and_validation(found.model))  # one file has both
    source = found.model.spec.data.get("validation")
    both = source is not None and not source.has_rows
    for part in PARTS:
        if found.judged is not None and part == found.judged.part:
            rows[part] = found.judged.raw
        elif part == "train" and found.train is not None:
            rows[part] = found.train
        elif part in found.model.spec.data:
            try:
                own = split()[PARTS.index(part)] if both and part != "test" else None
                rows[part] = part_rows(found.model, part) if own is None else own
            except GraphspecError as error:  # moved or changed since the training
                first = error.diagnostics[0].message if isinstance(error, SpecError) else str(error)
                problems[part] = first.splitlines()[0]
    if found.judged is not None and found.judged.part not in rows:
        rows[found.judged.part] = found.judged.raw
    return Parts(rows, problems)


def some_rows(data: Dataset, name: str, limit: int = MAX_ROWS) -> tuple[Array, Array]:
    """Return the values of an input for at most ``limit`` rows, spread evenly, and the indices of these rows.

    Texts are an object array. Of wide inputs, fewer rows are read.
    """
    array: Any = data.inputs[name]
    size = max(array.nbytes // max(len(array), 1), 1)
    count = min(len(data), limit, max(_MAX_BYTES // size, 1))
    rows = evenly(len(data), count)
    places = rows if data.chosen is None else data.chosen[rows]
    return np.asarray(array[places]), rows


def prepared_in_memory(model: Session, rows: Dataset) -> Dataset:
    """Return a few raw rows as the trained graph reads them, without a trace in the cache of the run."""
    rows = with_class_ids(rows, model.labels, model.needed.targets, model.needed.ctc)
    names = list(model.graph.inputs)
    if model.prelude is None:
        return replace(rows, inputs={name: rows.inputs[name] for name in names})
    return prepare_rows(model.prelude, rows, names, None, _quiet)


def _quiet(done: int, total: int) -> None:
    """Show no progress."""


def repeated(train: Dataset, other: Dataset, limit: int = MAX_ROWS) -> int | None:
    """Return how many rows of another part have the same inputs as a training row; None if there are too many to compare."""
    if max(len(train), len(other)) > limit or sum(a.nbytes for a in train.inputs.values()) > 4 * _MAX_BYTES:
        return None
    known = set(_keys(train))
    return sum(key in known for key in _keys(other))


def _keys(data: Dataset) -> Iterator[bytes]:
    """Yield a hash of the inputs of each row."""
    names = sorted(data.inputs)
    places = np.arange(len(data)) if data.chosen is None else data.chosen
    for start in range(0, len(data), _BLOCK):
        chosen = places[start : start + _BLOCK]
        blocks: list[Any] = [_contents(data.inputs[name], chosen).reshape(len(chosen), -1) for name in names]
        numbers = [np.ascontiguousarray(b).view(np.uint8) for b in blocks if b.dtype != object]
        joined = np.concatenate(numbers, axis=1) if numbers else np.zeros((len(chosen), 0), np.uint8)
        texts = [b.tolist() for b in blocks if b.dtype == object]
        for k, row in enumerate(joined):
            content = row.tobytes() + (repr([column[k] for column in texts]).encode() if texts else b"")
            yield hashlib.blake2b(content, digest_size=16).digest()


def _contents(array: Any, rows: Array) -> Array:
    """Return rows to compare: pictures, which may have several sizes, as bytes."""
    return np.asarray(array[rows] if array.ndim != 4 else np.array([array[k].tobytes() for k in rows], object))
