"""Conversion of an array to the type that the graph expects, and checks of its shape and values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.memory import map_of
from graphspec.base.codes import Code
from graphspec.base.errors import did_you_mean, shorten
from graphspec.data.problems.tally import CELL, Tally
from graphspec.data.source import DataError, at
from graphspec.graph.ir.dims import evaluate, show
from graphspec.graph.ir.graph import MISSING_INTEGER

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array, Type
    from graphspec.graph.ir.ranges import Range

_CHECK_ELEMENTS = 1 << 18  # elements per step of a check, to keep temporaries small
LABELS = "give the head its `labels`"
FILL_IN = "fill it in, or remove the row"
_ROUND = "round it, or use a float input"
MISSING_TEXTS = ("", "na", "n/a", "nan", "null", "none", "?")


def chunks(array: Array) -> Iterator[tuple[int, Array]]:
    """Yield blocks of rows with the index of their first row."""
    rows = max(_CHECK_ELEMENTS // max(math.prod(array.shape[1:]), 1), 1)
    for start in range(0, len(array), rows):
        yield start, array[start : start + rows]


def as_array(value: Any, *, gaps: bool = False) -> Array:
    """Convert a Python value to an array; with ``gaps``, masked values become None.

    Raises:
        DataError: GS503 for ragged lists, GS505 for masked values.
    """
    if isinstance(value, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(value)
        if gaps and hidden.any():
            objects: Any = value.astype(object)
            filled: Array = objects.filled(None)
            return filled
        if hidden.any():
            rows: Array = np.atleast_1d(hidden.reshape(len(hidden) if hidden.ndim else 1, -1).any(1))
            text = f"has a masked value in {np.count_nonzero(rows):,} of {len(rows):,} rows; first: {at(int(rows.argmax()))}"
            raise DataError(Code.MISSING_VALUE, text, FILL_IN)
    try:
        return np.asarray(value)
    except ValueError:
        raise DataError(
            Code.WRONG_ARRAY_SHAPE, "is a list of lists of different lengths", "pad them to one length"
        ) from None


def first_bad(array: Array, bad: Callable[[Array], Array]) -> tuple[int, Any] | None:
    """Return row and value of the first element for which ``bad`` is true."""
    for start, block in chunks(array):
        found = bad(block)
        if found.any():
            index = int(found.reshape(-1).argmax())
            return start + index // max(block[0].size, 1), block.reshape(-1)[index]
    return None


def convert(
    array: Array, expected: Type, labels: Sequence[str] | None = None, first: int = 0, *, gaps: bool = False
) -> Array:
    """Return ``array`` in a dtype that the copy of a batch converts to ``expected``'s; narrow dtypes and memory maps stay.

    Booleans, integers and float64 become float32, rounded to 24 bits like all computed values. Floats become integers
    if they are whole, and too small to have been rounded to a whole number. ``labels`` map text to ids.

    Args:
        first: the index of the first row, if the array is a part of a longer one.
        gaps: values may be missing: they become NaN, or ``MISSING_INTEGER`` in int64.

    Raises:
        DataError: GS504 if a value cannot be converted, GS505 if one is missing, GS506 for an unknown label.
    """
    if array.dtype.kind in "OUS":
        array = _text(array, expected, labels, first, gaps=gaps)
    source_kind = array.dtype.kind
    if expected.is_float:
        if source_kind not in "fiub":
            raise DataError(
                Code.LOSSY_CONVERSION, f"has dtype {array.dtype}, which cannot become float32", _dtype_hint(array)
            )
        if source_kind != "f":
            return array
        check_finite(array, first, gaps=gaps)
        if array.dtype.itemsize <= 4:
            return array
        with np.errstate(over="ignore"):
            bad = first_bad(array, lambda x: np.isinf(x.astype(np.float32)))
        if bad is not None:
            raise DataError(
                Code.LOSSY_CONVERSION,
                f"is too large for float32: {at(first + bad[0])} has {bad[1]}",
                "scale the values",
            )
        return _cast(array, np.float32)
    dtype = np.dtype(expected.dtype)
    if dtype.kind == "b" or source_kind == "b":
        if source_kind == dtype.kind:
            return array
    elif source_kind in "iu":
        return _integers(array, dtype, first)
    elif source_kind == "f":
        check_finite(array, first, gaps=gaps)
        if gaps and first_bad(array, np.isnan) is not None:
            missing = np.isnan(array)
            found = convert(np.where(missing, 0, array), expected, labels, first).astype(dtype)
            found[missing] = MISSING_INTEGER
            return found
        bad = first_bad(array, lambda x: np.rint(x) != x)
        if bad is None:
            info = np.iinfo(dtype)
            least, beyond = (
                np.float64(info.min),
                np.float64(info.max) + 1,
            )  # float64: a narrow dtype could not represent them
            bad = first_bad(array, lambda x: (x < least) | (x >= beyond))
        if bad is None:
            limit = 2.0 ** (np.finfo(array.dtype).nmant + 1)  # from here on, floats skip integers
            bad = first_bad(array, lambda x: np.abs(x) >= limit)
            if bad is None:
                return _cast(array, dtype)
            text = f"has a float too large to identify the integer: {at(first + bad[0])} has {bad[1]:.0f}"
            raise DataError(Code.LOSSY_CONVERSION, text, f"store integers as {dtype}")
        raise DataError(Code.LOSSY_CONVERSION, f"is not an exact {dtype}: {at(first + bad[0])} has {bad[1]}", _ROUND)
    raise DataError(Code.LOSSY_CONVERSION, f"has dtype {array.dtype}, which cannot become {dtype}", _dtype_hint(array))


def _dtype_hint(array: Array) -> str:
    if array.dtype.kind == "b":
        return "booleans only become floats; store 0 and 1 as integers"
    return "store numbers"


def _integers(array: Array, dtype: np.dtype[Any], first: int) -> Array:
    if np.can_cast(array.dtype, dtype, "safe"):
        return array
    info = np.iinfo(dtype)
    bad = first_bad(array, lambda x: (x < info.min) | (x > info.max))
    if bad is not None:
        raise DataError(Code.LOSSY_CONVERSION, f"does not fit {dtype}: {at(first + bad[0])} has {bad[1]}")
    return _cast(array, dtype)


def _cast(array: Array, dtype: Any) -> Array:
    """Return the array as ``dtype``; a memory map stays as it is, and the copy of a batch converts it."""
    return array if map_of(array) is not None else array.astype(dtype)


def _text(array: Array, expected: Type, labels: Sequence[str] | None, first: int, *, gaps: bool) -> Array:
    """Return the ids that ``labels`` assign to text; without labels, ``true`` and ``false`` as booleans."""
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    values = array.reshape(-1).tolist()
    per_row = max(len(values) // max(len(array), 1), 1)
    absent = [_is_absent(v, labels) for v in values]
    if any(absent) and not gaps:
        raise DataError(Code.MISSING_VALUE, f"has no value in {at(first + absent.index(True) // per_row)}", FILL_IN)
    present = [v for v, missing in zip(values, absent, strict=True) if not missing]
    if gaps and not any(isinstance(v, str) for v in present):
        return _numbers(present, np.array(absent, bool), expected).reshape(array.shape)
    if not all(isinstance(v, str) for v in present):
        raise DataError(Code.LOSSY_CONVERSION, "contains values that are neither numbers nor text")
    if labels is None:
        truth = {"true": True, "false": False}
        if present and all(v.lower() in truth for v in present):
            booleans = [truth[v.lower()] for v in present]
            if len(present) == len(values):
                return np.array(booleans).reshape(array.shape)
            return _numbers(booleans, np.array(absent, bool), expected).reshape(array.shape)
        wrong = (k for k, v in enumerate(values) if not absent[k] and not is_number(v))
        index = next(wrong, absent.index(False) if present else 0)
        raise holds_text(first + index // per_row, values[index] if values else "")
    ids = {label: k for k, label in enumerate(labels)}
    for index, value in enumerate(values):
        if value not in ids and not absent[index]:
            hint = did_you_mean(value, labels) or f"the labels are {', '.join(labels[:12])}"
            raise DataError(
                Code.OUT_OF_RANGE,
                f"has '{shorten(value, CELL)}' in {at(first + index // per_row)}, which is not a label",
                hint,
            )
    found = [MISSING_INTEGER if missing else ids[v] for v, missing in zip(values, absent, strict=True)]
    return one_hot(np.array(found, np.int64).reshape(array.shape), expected, len(labels))


def _is_absent(value: Any, labels: Sequence[str] | None) -> bool:
    """Return whether an object stands for a missing value: None, NaN, or a text like ``NA`` if there are no labels."""
    if isinstance(value, str):
        return is_missing(value) if labels is None else not value and "" not in labels
    return is_null(value)


def is_null(value: Any) -> bool:
    """Return whether an object is None, NaN, NaT or pandas.NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, np.datetime64):
        return bool(np.isnat(value))
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _numbers(present: Sequence[Any], absent: Array, expected: Type) -> Array:
    """Return numbers with the missing ones among them, as float64, or as int64 if integers are wanted and all are."""
    numbers = np.array(present)
    if numbers.size and numbers.dtype == object:
        numbers = np.array([float(v) if isinstance(v, Decimal) else v for v in present])
    if numbers.size and (numbers.dtype.kind not in "fiub" or numbers.ndim != 1):
        raise DataError(Code.LOSSY_CONVERSION, "contains values that are neither numbers nor text")
    if numbers.size == absent.size:
        return numbers
    exact = not expected.is_float and (numbers.dtype.kind in "iu" or not numbers.size)
    found = np.full(absent.size, MISSING_INTEGER if exact else np.nan, np.int64 if exact else np.float64)
    found[~absent] = numbers
    return found


def is_missing(text: str, others: Sequence[str] = ()) -> bool:
    """Return whether a cell of text stands for a missing value, as ``others`` do."""
    return text.strip().lower() in MISSING_TEXTS or text.strip() in others


def holds_text(row: int, value: str) -> DataError:
    """Return GS504 for text in a row of a column of numbers."""
    return DataError(Code.LOSSY_CONVERSION, f"contains text: {at(row)} has '{shorten(value, CELL)}'", LABELS)


def is_number(text: str) -> bool:
    """Return whether a table's cell is a number; ``1_000`` is text."""
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def exact_integers(values: Sequence[str | None], dtype: np.dtype[Any], first: int, *, gaps: bool = False) -> Array:
    """Parse integers of any size exactly: ``9007199254740993`` and ``1e18`` are integers, ``1.5`` is not.

    Args:
        gaps: values may be missing: they become ``MISSING_INTEGER``.

    Raises:
        DataError: GS504 if a cell is not an integer or does not fit, GS505 if a value is missing.
    """
    info = np.iinfo(dtype)
    found = np.empty(len(values), dtype)
    for index, text in enumerate(values):
        row = first + index
        if text is None or is_missing(text):
            if gaps:
                found[index] = MISSING_INTEGER
                continue
            raise DataError(Code.MISSING_VALUE, f"has no value in {at(row)}", FILL_IN)
        if not is_number(text):
            raise holds_text(row, text)
        try:
            number = Decimal(text.strip())
        except ArithmeticError:  # an exponent of twenty digits
            number = Decimal("inf")
        if not number.is_finite() or number != number.to_integral_value():
            raise DataError(Code.LOSSY_CONVERSION, f"is not an exact {dtype}: {at(row)} has {text}", _ROUND)
        if not info.min <= number <= info.max:
            raise DataError(Code.LOSSY_CONVERSION, f"does not fit {dtype}: {at(row)} has {text}")
        found[index] = int(number)
    return found


def one_hot(ids: Array, expected: Type, classes: int) -> Array:
    """Return one-hot rows if the target is a distribution over the classes, else the ids. Rows of missing ids are NaN."""
    if expected.is_float:
        missing = ids == MISSING_INTEGER
        if expected.shape[-1] == classes > 1 and ids.ndim == len(expected.shape) - 1:
            rows = np.eye(classes, dtype=np.uint8)[np.where(missing, 0, ids)]
            return np.where(missing[..., None], np.float32(np.nan), rows) if missing.any() else rows
        if missing.any():
            return np.where(missing, np.nan, ids)
    return ids


def check_finite(array: Array, first: int = 0, *, gaps: bool = False) -> None:
    """Raise GS505 if a float is infinite, or NaN without ``gaps``."""
    bad = first_bad(array, np.isinf if gaps else lambda x: ~np.isfinite(x))
    if bad is not None:
        what = "a missing value or NaN" if np.isnan(bad[1]) else str(bad[1])
        raise DataError(Code.MISSING_VALUE, f"has {what} in {at(first + bad[0])}", FILL_IN)


def raise_counted(array: Array, bad: Callable[[Array], Array], what: str, hint: str | None) -> None:
    """Raise GS506 if there are elements for which ``bad`` is true: with the number of their rows and the first values."""
    tally = Tally(what)
    for start, block in chunks(array):
        found = bad(block)
        if found.any():
            tally.add_block(start, block, found)
    if tally.rows:
        raise DataError(Code.OUT_OF_RANGE, tally.text(len(array), at), hint)


def check_range(array: Array, limits: Range, what: str, hint: str | None = None, spare: Sequence[int] = ()) -> None:
    """Raise GS506 if an id is outside ``limits`` and not in ``spare``."""

    def bad(x: Array) -> Array:
        below = False if limits.low == -math.inf else x < limits.low
        outside: Array = below | (x > limits.high)
        for number in spare:
            outside &= x != number
        return outside

    if all(limits.low <= b.min() and b.max() <= limits.high for _, b in chunks(array) if b.size):
        return
    raise_counted(array, bad, f"has {'classes' if what == 'class' else what + 's'} {limits.outside()}", hint)


def same_numbers(
    value: Any, expected: Type, sizes: dict[str, int], limits: Range | None = None, *, gaps: bool = False
) -> Array:
    """Return ``value`` as an array that converts to ``expected`` without loss, with ids in ``limits``; NaN may pass.

    Args:
        gaps: see :func:`convert`.

    Raises:
        DataError: GS503 for a wrong shape, GS504 if a value cannot be converted, GS505 if one is missing, GS506 for an id
            out of range.
    """
    array = as_array(value, gaps=gaps)
    if array.ndim == 0:
        raise DataError(Code.WRONG_ARRAY_SHAPE, "is a single value, not an array", "give it a row for each sample")
    if array.dtype.name != expected.dtype:
        array = convert(array, expected, gaps=gaps)
    array = reshape(array, expected, sizes, squeeze=False, is_input=True)
    if limits is not None:
        check_range(array, limits, "id", spare=(MISSING_INTEGER,) if gaps else ())
    return array


def check_probabilities(array: Array) -> None:
    """Raise GS506 if a target of a cross-entropy is not in 0 … 1."""
    hint = "binary classes are 0 and 1; for class ids use sparse_categorical_crossentropy"
    raise_counted(array, lambda x: (x < 0) | (x > 1), "has values outside 0 … 1", hint)


def reshape(array: Array, expected: Type, sizes: dict[str, int], *, squeeze: bool, is_input: bool = False) -> Array:
    """Return a view of ``array`` with ``expected``'s rank; ``sizes`` maps symbolic dimensions to sizes, new ones are added.

    ``(N,)`` fits ``(N, 1)``; with ``squeeze``, ``(N, …, 1)`` fits ``(N, …)``. Inputs and targets get different hints.

    Raises:
        DataError: GS503 for a wrong shape.
    """
    rank = len(expected.shape)
    if array.ndim == 1 and rank == 2 and expected.shape[1] == 1:
        array = array.reshape((len(array), 1))
    elif squeeze and array.ndim == rank + 1 and array.shape[-1] == 1:
        array = array.reshape(array.shape[:-1])
    if array.ndim != rank:
        raise DataError(
            Code.WRONG_ARRAY_SHAPE,
            f"has shape {show(array.shape)}, not {show(expected.shape)}",
            _shape_hint(array, expected, is_input),
        )
    for axis in range(1, rank):
        size, actual = evaluate(expected.shape[axis], sizes), array.shape[axis]
        if size is None:
            sizes[str(expected.shape[axis])] = actual
        elif size != actual:
            known = "" if isinstance(expected.shape[axis], int) else f", where '{expected.shape[axis]}' is {size}"
            text = f"has shape {show(array.shape)}, not {show(expected.shape)}{known}: axis {axis} has {actual}"
            raise DataError(Code.WRONG_ARRAY_SHAPE, text, _shape_hint(array, expected, is_input))
    return array


def _shape_hint(array: Array, expected: Type, is_input: bool) -> str:
    rest = expected.shape[1:]
    if is_input and array.ndim == len(rest) and all(d in (n, str(d)) for d, n in zip(rest, array.shape, strict=True)):
        return "this is one row without the batch axis: give a batch, `x[None]` or a slice such as `x[:1]`"
    if not is_input and array.ndim == 2 and len(expected.shape) == 1 and not expected.is_float and array.shape[1] > 1:
        return "for one-hot targets use categorical_crossentropy, or give class ids, `y.argmax(-1)`"
    fixed = [d for d in expected.shape[1:] if isinstance(d, int)]
    if len(fixed) == len(expected.shape) - 1 and array.ndim >= 1:
        expected_size, size = int(np.prod(fixed)), int(np.prod(array.shape[1:]))
        if expected_size == size and array.shape[1:] != tuple(fixed):
            return f"reshape it to (-1, {', '.join(map(str, fixed))}), or change the spec"
    one_axis = array.ndim == 1 and len(expected.shape) == 2 and isinstance(expected.shape[1], int)
    if one_axis and expected.is_float and not is_input:
        return "for class ids use sparse_categorical_crossentropy"
    return "reshape the array, or change the shape in the spec"
