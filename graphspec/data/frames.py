"""Data frames, tables and columns of any library with the Arrow C stream interface (``__arrow_c_stream__``)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from graphspec.data.source import DataError, Problems, Request
from graphspec.data.typed import Typed
from graphspec.errors import UsageError

if TYPE_CHECKING:
    from graphspec.arrays.strings import Strings
    from graphspec.ir.graph import Array

_EXPORTS = ("__arrow_c_stream__", "__arrow_c_array__")


class Chunks:
    """Record batches that can be streamed again and again; nothing is copied."""

    def __init__(self, schema: Any, batches: Sequence[Any]) -> None:
        self._schema, self._batches = schema, batches

    @classmethod
    def of(cls, value: Any) -> Chunks:
        """Return the record batches of a frame, or of a column as a frame with one column ``""``."""
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
        if schema.format != "+s":
            row = c_schema(struct({"": schema}))
            batches = [c_array_from_buffers(row, len(b), [None], children=[b]) for b in batches]
            schema = row
        return cls(schema, batches)

    def names(self) -> list[str]:
        """Return the names of the columns."""
        return [child.name for child in self._schema.children]

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        from nanoarrow.c_array_stream import CArrayStream

        return CArrayStream.from_c_arrays(self._batches, self._schema).__arrow_c_stream__()


class Frame(Typed):
    """Record batches in memory, read like a table in a file."""

    hint = "give the columns as NumPy arrays"

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        super().__init__(Path(os.devnull))

    def open(self, connection: Any) -> Any:
        return connection.from_arrow(self._chunks)


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
        table = Frame(Chunks.of(frame_part))
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
        return FrameColumn(Frame(Chunks.of(value)), "")
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
