"""Record batches of the Arrow C stream interface as NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.strings import Strings, StringsBuilder, TextError
from graphspec.base.codes import Code
from graphspec.data.source import DataError, ragged
from graphspec.data.texts import as_data_error

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array

_NUMBERS = {
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "uint64": np.uint64,
    "half_float": np.float16,
    "float": np.float32,
    "double": np.float64,
}


def batches(stream: Any) -> Iterator[tuple[int, list[Any]]]:
    """Yield the row count of each batch of a stream (a capsule), and its columns for :func:`values`."""
    from nanoarrow.c_array_stream import c_array_stream

    for batch in c_array_stream(stream):
        view = batch.view()
        yield batch.length, [view.child(k) for k in range(batch.n_children)]


def values(column: Any, row: int) -> Array:
    """Return a column of a batch: missing numbers are NaN, missing text is None, lists of equal length are rows.

    Args:
        row: the index of the batch's first row.

    Raises:
        DataError: GS503 for lists of different lengths, GS504 for values that are neither numbers nor text.
    """
    return _values(column, 0, column.length, row, 1)


def texts(column: Any, row: int) -> Strings:
    """Return a column of texts of a batch, packed: missing texts are empty, lists of equal length are rows.

    Args:
        row: the index of the batch's first row.

    Raises:
        DataError: GS503 for lists of different lengths, GS504 for bytes that are not UTF-8.
    """
    try:
        return _texts(column, 0, column.length, row, 1)
    except TextError as error:
        raise as_data_error(error) from None


def first_null(column: Any) -> int | None:
    """Return the first row of a batch in which a column has no value."""
    if column.storage_type == "na":
        return 0 if column.length else None
    valid = _valid(column, column.offset, column.length)
    return None if valid is None else int((~valid).argmax())


def _texts(view: Any, first: int, count: int, row: int, per_row: int) -> Strings:
    storage, first = view.storage_type, view.offset + first
    valid = _valid(view, first, count)
    if storage in ("list", "large_list"):
        start, length = _lists(view, first, count, valid, row, per_row)
        inner = _texts(view.child(0), start, count * length, row, per_row * length)
        return inner.reshape((count, length, *inner.shape[1:]))
    builder = StringsBuilder()
    if storage in ("string", "large_string"):
        offsets = _buffer(view.buffer(1), np.int32 if storage == "string" else np.int64, first, count + 1)
        data = _buffer(view.buffer(2), np.uint8, 0, int(offsets[-1])) if count else offsets
        builder.add(data, offsets, valid)
    elif storage == "na":
        builder.add_texts([""] * count)
    else:
        raise DataError(Code.LOSSY_CONVERSION, f"contains {storage.replace('_', ' ')} values, which are not text")
    return builder.finish()


def _values(view: Any, first: int, count: int, row: int, per_row: int) -> Array:
    storage, first = view.storage_type, view.offset + first
    valid = _valid(view, first, count)
    if storage in ("list", "large_list"):
        return _rows(view, first, count, valid, row, per_row)
    if storage in ("string", "large_string"):
        return _text(view, first, count, valid)
    if storage == "bool":
        array: Array = _bits(view.buffer(1), first, count)
    elif storage in _NUMBERS:
        array = _buffer(view.buffer(1), _NUMBERS[storage], first, count)
    elif storage == "na":
        array = np.full(count, np.nan)
    else:
        raise DataError(
            Code.LOSSY_CONVERSION,
            f"contains {storage.replace('_', ' ')} values, which are not numbers",
            "store numbers",
        )
    return array if valid is None else np.where(valid, array.astype(np.float64), np.nan)


def _buffer(buffer: Any, dtype: Any, first: int, count: int) -> Array:
    if count == 0:
        return np.empty(0, dtype)
    return np.frombuffer(buffer, dtype, count, first * np.dtype(dtype).itemsize)


def _bits(buffer: Any, first: int, count: int) -> Array:
    octets = _buffer(buffer, np.uint8, first // 8, (first + count + 7) // 8 - first // 8)
    return np.unpackbits(octets, bitorder="little")[first % 8 :][:count].view(np.bool_)


def _valid(view: Any, first: int, count: int) -> Array | None:
    """Return the mask of values that are not missing, None if none is missing."""
    if view.null_count == 0 or view.storage_type == "na" or not view.buffer(0).size_bytes:
        return None
    valid = _bits(view.buffer(0), first, count)
    return None if valid.all() else valid


def _text(view: Any, first: int, count: int, valid: Array | None) -> Array:
    offsets = _buffer(view.buffer(1), np.int32 if view.storage_type == "string" else np.int64, first, count + 1)
    array = np.empty(count, object)
    if count:
        data = memoryview(view.buffer(2)) if offsets[-1] > offsets[0] else b""
        array[:] = [str(data[a:b], "utf-8", "replace") for a, b in pairwise(offsets.tolist())]
    if valid is not None:
        array[~valid] = None
    return array


def _rows(view: Any, first: int, count: int, valid: Array | None, row: int, per_row: int) -> Array:
    """Return lists as rows of an array; each row of the table contributes ``per_row`` of them."""
    if count == 0:
        return np.empty((0, 0))
    start, length = _lists(view, first, count, valid, row, per_row)
    inner = _values(view.child(0), start, count * length, row, per_row * length)
    return inner.reshape(count, length, *inner.shape[1:])


def _lists(view: Any, first: int, count: int, valid: Array | None, row: int, per_row: int) -> tuple[int, int]:
    """Return where the elements of lists begin, and the length of all of them."""
    offsets = _buffer(view.buffer(1), np.int32 if view.storage_type == "list" else np.int64, first, count + 1)
    if count == 0:
        return 0, 0
    lengths = np.diff(offsets)
    if valid is not None:
        length = int(lengths[valid][0]) if valid.any() else 0
        raise ragged(length, row + int((~valid).argmax()) // per_row, None)
    if (lengths != lengths[0]).any():
        other = int((lengths != lengths[0]).argmax())
        raise ragged(int(lengths[0]), row + other // per_row, int(lengths[other]))
    return int(offsets[0]), int(lengths[0])
