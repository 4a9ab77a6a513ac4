"""Record batches of the Arrow C stream interface as NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.codes import Code
from graphspec.data.filling import ragged
from graphspec.data.source import DataError

if TYPE_CHECKING:
    from graphspec.ir.graph import Array

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
    offsets = _buffer(view.buffer(1), np.int32 if view.storage_type == "list" else np.int64, first, count + 1)
    if count == 0:
        return np.empty((0, 0))
    lengths = np.diff(offsets)
    if valid is not None:
        length = int(lengths[valid][0]) if valid.any() else 0
        raise ragged(length, row + int((~valid).argmax()) // per_row, None)
    if (lengths != lengths[0]).any():
        other = int((lengths != lengths[0]).argmax())
        raise ragged(int(lengths[0]), row + other // per_row, int(lengths[other]))
    start, length = int(offsets[0]), int(lengths[0])
    inner = _values(view.child(0), start, count * length, row, per_row * length)
    return inner.reshape(count, length, *inner.shape[1:])
