"""The rows that a report looks at: the parts of the data, their fields, their places, and which of them if not all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arrays.strings import Strings
from graphspec.base.document import Inline, Span
from graphspec.base.text import shorten_middle
from graphspec.data.batches import Dataset
from graphspec.data.files import open_rows
from graphspec.data.source import DataError
from graphspec.data.targets import places_of, with_class_ids
from graphspec.data.text_files import row_from_1
from graphspec.engine.runtime.prepared_rows import prepare_rows
from graphspec.engine.runtime.session import Session
from graphspec.graph.ir.graph import MISSING_INTEGER, Array
from graphspec.language.declarations import DataSource, InputDecl, Spec


# Which rows are looked at, if not all of them.
def evenly(total: int, count: int) -> Array:
    """Return at most ``count`` indices below ``total``, rising, spread evenly."""
    if total <= 0 or count <= 0:
        return np.zeros(0, np.int64)
    return np.unique(np.linspace(0, total - 1, min(total, count)).astype(np.int64))


def taken(data: Dataset, rows: Array) -> Dataset:
    """Return copies of some rows, so that they can be changed."""
    places = rows if data.chosen is None else data.chosen[rows]

    def of(arrays: Mapping[str, Any]) -> dict[str, Any]:
        return {name: a.select(places) if isinstance(a, Strings) else a[places] for name, a in arrays.items()}

    return Dataset(of(data.inputs), of(data.targets), of(data.weights), of(data.lengths))


# The fields of a row, as its readers know them: columns of a record, features of an array, whole pictures and texts.
MAX_FEATURES = 100  # features of an array that are fields of their own; one with more is one field
_FEWEST_PIXELS = 16


@dataclass(frozen=True)
class Field:
    """A field of a row."""

    name: str  # its column in the data, else its input, with the place of a feature that has no name: ``x[3]``
    input: str  # the input of the network that reads it
    place: int | None = None  # for a feature of an array, its place on the last axis; None for a whole input
    absent: frozenset[str] = frozenset()  # texts that mean missing; the empty text does, too

    def of(self, inputs: Mapping[str, Any]) -> Array:
        """Return the values of this field among those of all inputs, with or without a batch axis."""
        array = inputs[self.input]
        if isinstance(array, Strings):
            array = array[:]
        return np.asarray(array if self.place is None else array[..., self.place])

    def missing(self, values: Array) -> Array:
        """Return the mask of missing values: NaN, empty texts and those that mean missing, and missing integers."""
        if values.dtype == object:
            absent = self.absent | {""}
            return np.fromiter((v in absent for v in values.reshape(-1)), bool, values.size).reshape(values.shape)
        if values.dtype.kind == "f":
            return np.isnan(values)
        if values.dtype == np.int64:
            return np.asarray(values == MISSING_INTEGER)
        return np.zeros(values.shape, bool)


def fields(spec: Spec) -> list[Field]:
    """Return the fields of a row, in the order of the inputs."""
    absent: dict[str, frozenset[str]] = {}  # texts that mean missing, by the input that a lookup layer reads directly
    for node in spec.nodes:
        if tokens := getattr(node.layer, "missing_tokens", None):
            inputs = [ref.name for ref in node.inputs if ref is not None and ref.name in spec.inputs]
            absent |= dict.fromkeys(inputs, frozenset(map(str, tokens)))
    return [field for decl in spec.inputs.values() for field in _of(decl, spec, absent.get(decl.name, frozenset()))]


def _of(declared: InputDecl, spec: Spec, absent: frozenset[str]) -> list[Field]:
    name, shape = declared.name, declared.shape
    columns = next((c for s in spec.data.values() if (c := (s.inputs or {}).get(name)) is not None), None)
    title = columns if isinstance(columns, str) else declared.column or name
    width = shape[-1] if shape else 1
    if declared.dtype == "string" or not isinstance(width, int) or not 1 < width <= MAX_FEATURES or len(shape) > 2:
        return [Field(title, name, None, absent)]
    if isinstance(columns, list) and len(columns) == width:
        return [Field(column, name, k, absent) for k, column in enumerate(columns)]
    if declared.dtype != "float32" or as_wide_as_pictures(shape):
        return [Field(title, name, None, absent)]
    return [Field(f"{title}[{k}]", name, k, absent) for k in range(width)]


def as_wide_as_pictures(shape: tuple[int | str, ...]) -> bool:
    """Return whether rows of this shape may be pictures without an axis of channels: no axis is as short as features are."""
    return len(shape) == 2 and all(isinstance(n, int) and n >= _FEWEST_PIXELS for n in shape)


# Where a person finds a row: its line in a file, its file in a folder, its number in a table; and where a run.
def source_of(spec: Spec, part: str) -> DataSource | None:
    """Return the source whose rows a part has: the training data, for a split; None if the spec has no such data."""
    source = spec.data.get(part)
    return spec.data.get("train") if source is not None and not source.has_rows else source


def places(spec: Spec, part: str) -> Callable[[int], str]:
    """Return the words for a row of a part's source, given by its index from 0: ``line 5``, ``'coat/7.png'``."""
    source = source_of(spec, part)
    if source is None:
        return row_from_1
    if source.windows is not None:
        try:
            return open_rows(source).place
        except DataError:
            return row_from_1
    return places_of(source)


def run_name(directory: Path | None) -> str:
    """Return a run directory as commands name it: relative to the current folder, if it is inside; RUN without one."""
    if directory is None:
        return "RUN"
    whole, here = directory.absolute(), Path.cwd()
    inside = whole.is_relative_to(here) and whole != here
    return (whole.relative_to(here) if inside else directory).as_posix()


def shown_part(part: str) -> str:
    """Return the word for a part of the data: ``training`` for ``train``, else its name."""
    return "training" if part == "train" else part


def file_name(path: Path) -> str:
    """Return a file by its name, and a folder with the one that it is in: many are called ``train``."""
    return "/".join(path.parts[-2:]) if path.is_dir() else path.name


def source_name(spec: Spec, part: str) -> Inline:
    """Return the name of a part's source: its file, folder or query."""
    source = source_of(spec, part)
    if source is None:
        return ""
    if source.query is not None:
        return Span(shorten_middle(" ".join(source.query.split()), 160), "code")
    names = [Span(file_name(path), "code") for path in source.paths]
    return tuple((", " if k else "", name) for k, name in enumerate(names))


# The parts of a run's data as checked raw rows: those that can still be read.
MAX_ROWS = 50_000  # rows that are looked at; of more, as many, spread evenly
_MAX_BYTES = 1 << 26  # of an input that are looked at
_BLOCK = 4096  # rows that are compared at a time


def some_rows(data: Dataset, name: str, limit: int = MAX_ROWS) -> tuple[Array, Array]:
    """Return the values of an input for at most ``limit`` rows, spread evenly, and the indices of these rows.

    Texts are an object array. Of wide inputs, fewer rows are read.
    """
    array: Any = data.inputs[name]
    size = max(array.nbytes // max(len(array), 1), 1)
    count = min(len(data), limit, max(_MAX_BYTES // size, 1))
    rows = evenly(len(data), count)
    return np.asarray(array[rows if data.chosen is None else data.chosen[rows]]), rows


def prepared_in_memory(model: Session, rows: Dataset) -> Dataset:
    """Return a few raw rows as the trained graph reads them, without a trace in the cache of the run."""
    rows = with_class_ids(rows, model.labels, model.needed.targets, model.needed.ctc)
    names = list(model.graph.inputs)
    if model.prelude is None:
        return replace(rows, inputs={name: rows.inputs[name] for name in names})
    return prepare_rows(model.prelude, rows, names, None, lambda done, total: None)


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
