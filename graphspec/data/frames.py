"""Data frames, tables and columns of any library with the Arrow C stream interface (``__arrow_c_stream__``)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from graphspec.base.errors import UsageError
from graphspec.data.database import quoted
from graphspec.data.source import DataError, Problems, Request, at
from graphspec.data.typed import Typed

if TYPE_CHECKING:
    from graphspec.base.arrays.strings import Strings
    from graphspec.graph.ir.graph import Array

_ONLY, _COPY = "values", "frame"
_EXPORTS = ("__arrow_c_stream__", "__arrow_c_array__")


class Column:
    """A column of a library as a stream of rows with the single field ``values``; nothing is copied.

    Raises:
        NotImplementedError: the column has a type that nanoarrow does not copy.
    """

    def __init__(self, value: Any) -> None:
        from nanoarrow import struct
        from nanoarrow.c_array import c_array, c_array_from_buffers
        from nanoarrow.c_array_stream import c_array_stream
        from nanoarrow.c_schema import c_schema

        if hasattr(value, "__arrow_c_stream__"):
            stream = c_array_stream(value)
            schema, batches = stream.get_schema(), list(stream)
        else:
            batches = [c_array(value)]
            schema = batches[0].schema
        if schema.format.startswith("v"):
            raise NotImplementedError("nanoarrow 0.9 ends the process when it copies a view of texts")
        self._row = c_schema(struct({_ONLY: schema}))
        self._batches = [c_array_from_buffers(self._row, len(b), [None], children=[b]) for b in batches]

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        from nanoarrow.c_array_stream import CArrayStream

        return CArrayStream.from_c_arrays(self._batches, self._row).__arrow_c_stream__()


class Frame(Typed):
    """A frame in memory, read like a table in a file.

    Args:
        value: what has ``__arrow_c_stream__``.
        wanted: the columns to copy if the value can be exported only once; None if it can be exported again and again.
    """

    hint = "give the columns as NumPy arrays"

    def __init__(self, value: Any, wanted: Sequence[str] | None = None) -> None:
        from nanoarrow.c_array_stream import c_array_stream

        stream = c_array_stream(value)
        self._own, self._wanted = [child.name for child in stream.get_schema().children], wanted
        self._exported = _Exported(value) if wanted is None else stream.__arrow_c_stream__()
        super().__init__(Path(os.devnull))

    def place(self, row: int) -> str:
        return at(row)

    def open(self, connection: Any) -> Any:
        relation = connection.from_arrow(self._exported)
        if self._wanted is not None:
            theirs = dict(zip(self._own, relation.columns, strict=True))
            self._own = [name for name in dict.fromkeys(self._wanted) if name in theirs]
            relation.project(", ".join(quoted(theirs[name]) for name in self._own) or "NULL").create(_COPY)
            relation = connection.table(_COPY)
        self._relation = relation  # queries read the frame only while it is alive
        return relation

    def read_names(self) -> None:
        """Use the names of the frame: the database renames those that differ only in case."""
        if self._own:
            self.columns = {name: self.columns[theirs] for name, theirs in zip(self._own, self.names, strict=True)}
        self.names = self._own


class _Exported:
    """A frame of which the database sees only that it is exported, not of which library it is."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        return self._value.__arrow_c_stream__(requested_schema)


class FrameColumn(NamedTuple):
    """A column that is read when it is checked."""

    frame: Frame
    column: str


def is_frame(value: Any) -> bool:
    """Return whether a value is a data frame or a table: named columns, which it exports as Arrow streams."""
    return hasattr(value, "__arrow_c_stream__") and not _is_column(value)


def _is_column(value: Any) -> bool:
    """Return whether a value is one column, such as a Series: it has a dtype or a type, and no columns."""
    if hasattr(value, "columns") or hasattr(value, "column_names"):
        return False
    if hasattr(value, "dtype") or not hasattr(value, "__arrow_c_stream__"):
        return True
    from nanoarrow.c_schema import c_schema

    kind = getattr(value, "type", None)  # pyarrow's columns; streams have a schema
    if kind is not None and hasattr(kind, "__arrow_c_schema__"):
        return bool(c_schema(kind).format != "+s")
    schema = getattr(value, "schema", None)
    if schema is not None and hasattr(schema, "__arrow_c_schema__"):
        return bool(c_schema(schema).format != "+s")
    return False


def columns_of(frame: Any, wanted: Iterable[str]) -> dict[str, Any]:
    """Return those of the wanted columns that a frame has: for each, a :class:`FrameColumn` or an array.

    Raises:
        UsageError: the frame exports nothing that can be read.
    """
    names = getattr(frame, "column_names", None)
    names = getattr(frame, "columns", None) if names is None else names
    labels = None if names is None or callable(names) else {str(label): label for label in names}
    chosen = list(dict.fromkeys(wanted)) if labels is None else [n for n in dict.fromkeys(wanted) if n in labels]
    if not chosen:
        return {}
    by_label = labels is not None and hasattr(frame, "__getitem__")
    try:
        if by_label and labels is not None:
            frame_part = frame.select(chosen) if hasattr(frame, "select") else frame[[labels[n] for n in chosen]]
        else:
            frame_part = frame
        table = Frame(frame_part, None if hasattr(frame, "__getitem__") else chosen)
    except Exception as error:  # any error of the library, such as ImportError of pandas without pyarrow
        if not by_label or labels is None:
            raise UsageError(f"the data frame cannot be read: {error}") from None
        return {name: np.asarray(frame[labels[name]]) for name in chosen}
    return {name: FrameColumn(table, name) for name in chosen if name in table.names}


def column_or_value(value: Any) -> Any:
    """Return a column of a library, such as a Series, as a :class:`FrameColumn`; other values as they are."""
    if isinstance(value, np.ndarray) or not any(hasattr(value, name) for name in _EXPORTS) or is_frame(value):
        return value
    if isinstance(dtype := getattr(value, "dtype", None), np.dtype) and dtype.kind in "fiub":
        return value
    try:
        return FrameColumn(Frame(Column(value)), _ONLY)
    except Exception:  # any error of the library, such as ImportError of pandas without pyarrow
        return np.asarray(value)


def fill_from_frames(
    wanted: Mapping[str, tuple[Request, FrameColumn]],
) -> dict[str, Array | Strings | Problems]:
    """Return the arrays of requests by name, or their problems; each frame is read once for all its columns."""
    frames = {id(column.frame): column.frame for _, column in wanted.values()}
    found: dict[str, Array | Strings | Problems] = {}
    for key, frame in frames.items():
        requests = [replace(r, columns=[c.column]) for r, c in wanted.values() if id(c.frame) == key]
        try:
            found |= frame.fill(requests)
        except DataError as error:
            found |= {request.name: {0: error} for request in requests}
    return found
