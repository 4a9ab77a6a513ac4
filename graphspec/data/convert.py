"""One array against the type that the graph expects: conversions, shapes, and what its values may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.arrays.memory_maps import map_of
from graphspec.codes import Code
from graphspec.data.source import DataError
from graphspec.errors import did_you_mean
from graphspec.ir.dims import evaluate, show

if TYPE_CHECKING:
    from graphspec.ir.graph import Array, Type
    from graphspec.ir.ranges import Range

_CHUNK = 1 << 18  # elements looked at together: the temporaries of a check stay small
LABELS = "give the head its `labels`"
FILL_IN = "fill it in, or leave the row out"
_ROUND = "round it, or use a float input"
_MISSING = ("", "na", "n/a", "nan", "null", "none", "?")


def _chunks(array: Array) -> Iterator[tuple[int, Array]]:
    """Blocks of rows with the number of their first row."""
    rows = max(_CHUNK // max(math.prod(array.shape[1:]), 1), 1)
    for start in range(0, len(array), rows):
        yield start, array[start : start + rows]


def as_array(value: Any) -> Array:
    """What was given from Python, as an array without holes.

    Raises:
        DataError: GS503 for ragged lists, GS505 for a mask that hides something.
    """
    if isinstance(value, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(value)
        if hidden.any():
            row = int(np.argmax(hidden.reshape(len(hidden), -1).any(1))) if hidden.ndim else 0
            raise DataError(Code.MISSING_VALUE, f"has a masked value in row {row}", FILL_IN)
    try:
        return np.asarray(value)
    except ValueError:
        raise DataError(
            Code.WRONG_ARRAY_SHAPE, "is a list of lists that differ in length", "pad them to one length"
        ) from None


def first_bad(array: Array, bad: Callable[[Array], Array]) -> tuple[int, Any] | None:
    """Row and value of the first element for which ``bad`` holds."""
    for start, block in _chunks(array):
        found = bad(block)
        if found.any():
            place = int(found.reshape(-1).argmax())
            return start + place // max(block[0].size, 1), block.reshape(-1)[place]
    return None


def convert(array: Array, kind: Type, labels: Sequence[str] | None = None, first: int = 0) -> Array:
    """``array`` with a dtype that becomes ``kind``'s without loss when a batch is copied; narrow ones and maps are kept.

    Booleans, integers and float64 become float32, rounded to its 24 bits as all that is computed. Floats become integers
    where they are integers and so small that they cannot have been rounded to be one. Text becomes ids through ``labels``.

    Args:
        first: the number of the first row, where the array is a part of one.

    Raises:
        DataError: GS504 what cannot be converted, GS505 a missing value, GS506 an unknown label.
    """
    if array.dtype.kind in "OUS":
        array = _text(array, kind, labels, first)
    have = array.dtype.kind
    if kind.is_float:
        if have not in "fiub":
            raise DataError(
                Code.LOSSY_CONVERSION, f"has dtype {array.dtype}, which does not become float32", _dtype_hint(array)
            )
        if have != "f":
            return array
        check_finite(array, first)
        if array.dtype.itemsize <= 4:
            return array
        with np.errstate(over="ignore"):
            bad = first_bad(array, lambda x: ~np.isfinite(x.astype(np.float32)))
        if bad is not None:
            raise DataError(
                Code.LOSSY_CONVERSION,
                f"is too large for float32: row {first + bad[0]} has {bad[1]}",
                "scale the values",
            )
        return _as(array, np.float32)
    dtype = np.dtype(kind.dtype)
    if dtype.kind == "b" or have == "b":
        if have == dtype.kind:
            return array
    elif have in "iu":
        return _integers(array, dtype, first)
    elif have == "f":
        check_finite(array, first)
        bad = first_bad(array, lambda x: np.rint(x) != x)
        if bad is None:
            info = np.iinfo(dtype)
            least, beyond = np.float64(info.min), np.float64(info.max) + 1  # not in the array's type, if that is narrow
            bad = first_bad(array, lambda x: (x < least) | (x >= beyond))
        if bad is None:
            limit = 2.0 ** (np.finfo(array.dtype).nmant + 1)  # beyond which integers are rounded to floats
            bad = first_bad(array, lambda x: np.abs(x) >= limit)
            if bad is None:
                return _as(array, dtype)
            text = f"holds a float too large to be sure of the integer: row {first + bad[0]} has {bad[1]:.0f}"
            raise DataError(Code.LOSSY_CONVERSION, text, f"store integers as {dtype}")
        raise DataError(Code.LOSSY_CONVERSION, f"is no exact {dtype}: row {first + bad[0]} has {bad[1]}", _ROUND)
    raise DataError(
        Code.LOSSY_CONVERSION, f"has dtype {array.dtype}, which does not become {dtype}", _dtype_hint(array)
    )


def _dtype_hint(array: Array) -> str:
    if array.dtype.kind == "b":
        return "booleans become floats only; store 0 and 1 as integers"
    return "store numbers"


def _integers(array: Array, dtype: np.dtype[Any], first: int) -> Array:
    if np.can_cast(array.dtype, dtype, "safe"):
        return array
    info = np.iinfo(dtype)
    bad = first_bad(array, lambda x: (x < info.min) | (x > info.max))
    if bad is not None:
        raise DataError(Code.LOSSY_CONVERSION, f"does not fit {dtype}: row {first + bad[0]} has {bad[1]}")
    return _as(array, dtype)


def _as(array: Array, dtype: Any) -> Array:
    """The array as ``dtype``; a memory map stays as it is, and its batches are converted."""
    return array if map_of(array) is not None else array.astype(dtype)


def _text(array: Array, kind: Type, labels: Sequence[str] | None, first: int) -> Array:
    """Ids of text through ``labels``; ``true`` and ``false`` as booleans."""
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    values = array.reshape(-1).tolist()
    per_row = max(len(values) // max(len(array), 1), 1)
    for place, value in enumerate(values):
        if value is None or (labels is None and isinstance(value, str) and is_missing(value)):
            raise DataError(Code.MISSING_VALUE, f"has no value in row {first + place // per_row}", FILL_IN)
    if not all(isinstance(v, str) for v in values):
        raise DataError(Code.LOSSY_CONVERSION, "holds values that are neither numbers nor text")
    if labels is None:
        truth = {"true": True, "false": False}
        if values and all(v.lower() in truth for v in values):
            return np.array([truth[v.lower()] for v in values]).reshape(array.shape)
        place = next((k for k, v in enumerate(values) if not is_number(v)), 0)
        raise holds_text(first + place // per_row, values[place] if values else "")
    ids = {label: k for k, label in enumerate(labels)}
    for place, value in enumerate(values):
        if value not in ids:
            hint = did_you_mean(value, labels) or f"the labels are {', '.join(labels[:12])}"
            raise DataError(
                Code.OUT_OF_RANGE, f"has '{value}' in row {first + place // per_row}, which is no label", hint
            )
    return _one_hot(np.array([ids[v] for v in values], np.int64).reshape(array.shape), kind, len(labels))


def is_missing(text: str) -> bool:
    """Whether a cell of text says that there is no value."""
    return text.strip().lower() in _MISSING


def holds_text(row: int, value: str) -> DataError:
    return DataError(Code.LOSSY_CONVERSION, f"holds text: row {row} has '{value}'", LABELS)


def is_number(text: str) -> bool:
    """Whether a table's cell would be read as a number: ``1_000`` is text."""
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def exact_integers(values: Sequence[str | None], dtype: np.dtype[Any], first: int) -> Array:
    """Integers of any size as they are written: ``9007199254740993`` and ``1e18`` are, ``1.5`` is none.

    Raises:
        DataError: GS504 what is no integer or does not fit, GS505 a missing value.
    """
    info = np.iinfo(dtype)
    found = np.empty(len(values), dtype)
    for place, text in enumerate(values):
        row = first + place
        if text is None or is_missing(text):
            raise DataError(Code.MISSING_VALUE, f"has no value in row {row}", FILL_IN)
        if not is_number(text):
            raise holds_text(row, text)
        try:
            number = Decimal(text.strip())
        except ArithmeticError:  # an exponent of twenty digits
            number = Decimal("inf")
        if not number.is_finite() or number != number.to_integral_value():
            raise DataError(Code.LOSSY_CONVERSION, f"is no exact {dtype}: row {row} has {text}", _ROUND)
        if not info.min <= number <= info.max:
            raise DataError(Code.LOSSY_CONVERSION, f"does not fit {dtype}: row {row} has {text}")
        found[place] = int(number)
    return found


def _one_hot(ids: Array, kind: Type, classes: int) -> Array:
    """One-hot rows where the target is a distribution over the classes."""
    if kind.is_float and kind.shape[-1] == classes > 1 and ids.ndim == len(kind.shape) - 1:
        return np.eye(classes, dtype=np.uint8)[ids]
    return ids


def check_finite(array: Array, first: int = 0) -> None:
    """GS505 where a float is NaN or infinite."""
    bad = first_bad(array, lambda x: ~np.isfinite(x))
    if bad is not None:
        what = "a missing value or NaN" if np.isnan(bad[1]) else str(bad[1])
        raise DataError(Code.MISSING_VALUE, f"has {what} in row {first + bad[0]}", FILL_IN)


def check_range(array: Array, limits: Range, what: str, hint: str | None = None, spare: int | None = None) -> None:
    """GS506 where an id is not within ``limits`` (nor ``spare``)."""

    def bad(x: Array) -> Array:
        below = False if limits.low == -math.inf else x < limits.low
        outside: Array = below | (x > limits.high)
        return outside if spare is None else outside & (x != spare)

    if spare is None and all(limits.low <= b.min() and b.max() <= limits.high for _, b in _chunks(array) if b.size):
        return
    found = first_bad(array, bad)
    if found is not None:
        raise DataError(Code.OUT_OF_RANGE, f"has {what} {found[1]} in row {found[0]}, {limits.outside()}", hint)


def same_numbers(value: Any, kind: Type, sizes: dict[str, int], limits: Range | None = None) -> Array:
    """``value`` as an array that becomes ``kind`` without loss, of ids within ``limits``; NaN in floats may pass.

    Raises:
        DataError: GS503 another shape, GS504 what cannot be converted, GS505 what is missing, GS506 an id out of range.
    """
    array = as_array(value)
    if array.ndim == 0:
        raise DataError(Code.WRONG_ARRAY_SHAPE, "is a single value, not an array", "give it a row for each sample")
    if array.dtype.name != kind.dtype:
        array = convert(array, kind)
    array = reshape(array, kind, sizes, squeeze=False)
    if limits is not None:
        check_range(array, limits, "id")
    return array


def check_probabilities(array: Array) -> None:
    """GS506 where a target of a cross-entropy is not in 0 … 1."""
    found = first_bad(array, lambda x: (x < 0) | (x > 1))
    if found is not None:
        hint = "binary classes are 0 and 1; for class ids use sparse_categorical_crossentropy"
        raise DataError(Code.OUT_OF_RANGE, f"has {found[1]:.9g} in row {found[0]}, outside 0 … 1", hint)


def reshape(array: Array, kind: Type, sizes: dict[str, int], *, squeeze: bool) -> Array:
    """A view of ``array`` with ``kind``'s rank; symbolic dimensions are looked up in ``sizes``, new ones added.

    ``(N,)`` fits ``(N, 1)``; with ``squeeze``, ``(N, …, 1)`` fits ``(N, …)``.

    Raises:
        DataError: GS503 another shape.
    """
    rank = len(kind.shape)
    if array.ndim == 1 and rank == 2 and kind.shape[1] == 1:
        array = array[:, None]
    elif squeeze and array.ndim == rank + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != rank:
        raise DataError(
            Code.WRONG_ARRAY_SHAPE, f"has shape {show(array.shape)}, not {show(kind.shape)}", _shape_hint(array, kind)
        )
    for axis in range(1, rank):
        size, have = evaluate(kind.shape[axis], sizes), array.shape[axis]
        if size is None:
            sizes[str(kind.shape[axis])] = have
        elif size != have:
            known = "" if isinstance(kind.shape[axis], int) else f", where '{kind.shape[axis]}' is {size}"
            text = f"has shape {show(array.shape)}, not {show(kind.shape)}{known}: axis {axis} has {have}"
            raise DataError(Code.WRONG_ARRAY_SHAPE, text, _shape_hint(array, kind))
    return array


def _shape_hint(array: Array, kind: Type) -> str:
    fixed = [d for d in kind.shape[1:] if isinstance(d, int)]
    if len(fixed) == len(kind.shape) - 1 and array.ndim >= 1:
        need, have = int(np.prod(fixed)), int(np.prod(array.shape[1:]))
        if need == have and array.shape[1:] != tuple(fixed):
            return f"reshape it to (-1, {', '.join(map(str, fixed))}), or change the spec"
    if array.ndim == 1 and len(kind.shape) == 2 and kind.is_float and isinstance(kind.shape[1], int):
        return "for class ids use sparse_categorical_crossentropy"
    return "reshape the array, or change the shape in the spec"
