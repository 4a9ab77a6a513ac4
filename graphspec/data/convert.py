"""Values of files and arrays in the types that a graph expects: converted, checked, packed and filled in part by part."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from graphspec.base.arrays.growing import Growing
from graphspec.base.arrays.memory import map_of
from graphspec.base.arrays.pictures import Pictures
from graphspec.base.arrays.strings import Strings, StringsBuilder, TextError
from graphspec.base.errors import Code, did_you_mean, shorten
from graphspec.data import source as base
from graphspec.data.source import CELL, NOT_SCALAR, DataError, DataErrors, Request, at, lossy, ragged, wrong_shape
from graphspec.graph.ir.dims import evaluate, show
from graphspec.graph.ir.graph import MISSING_INTEGER, Array, Range, Type
from graphspec.language.declarations import WholeLabels

# Conversion of an array to the type that the graph expects, and checks of its shape and values.
_CHECK_ELEMENTS = 1 << 18  # elements per step of a check, to keep temporaries small
LABELS = "give the head its `labels`"
AS_STRINGS = "declare the input with `dtype: string`, and let StringLookup or TextVectorization read it"
FILL_IN = "fill it in, or remove the row"
_ROUND = "round it, or use a float input"
_SINGLE = ("is a single value, not an array", "give it a row for each sample")
Test = Callable[[Array], Array]  # whether each element is wrong
MISSING_TEXTS = ("", "na", "n/a", "nan", "null", "none", "?")


def chunks(array: Array) -> Iterator[tuple[int, Array]]:
    """Yield blocks of rows with the index of their first row."""
    rows = max(_CHECK_ELEMENTS // max(math.prod(array.shape[1:]), 1), 1)
    for start in range(0, len(array), rows):
        yield start, array[start : start + rows]


def as_array(value: Any, *, gaps: bool = False) -> Array:
    """Return an array, masked values as None with ``gaps``. Raises DataError: GS503, ragged lists; GS505, masked values."""
    if isinstance(value, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(value)
        if gaps and hidden.any():
            objects: Any = value.astype(object)
            return np.asarray(objects.filled(None))
        if hidden.any():
            rows: Array = np.atleast_1d(hidden.reshape(len(hidden) if hidden.ndim else 1, -1).any(1))
            text = f"{np.count_nonzero(rows):,} of {len(rows):,} rows; first: {at(int(rows.argmax()))}"
            raise DataError(Code.MISSING_VALUE, f"has a masked value in {text}", FILL_IN)
    try:
        return np.asarray(value)
    except ValueError:
        raise wrong_shape("is a list of lists of different lengths", "pad them to one length") from None


def padded(rows: Any) -> Any:
    """Return lists of texts as one array, the shorter ones padded with empty texts; other values as they are."""
    lists = [row.tolist() if isinstance(row, np.ndarray) else row for row in rows] if isinstance(rows, list) else []
    if isinstance(rows, np.ndarray) and rows.dtype == object and rows.ndim == 1:
        lists = rows.tolist()
    if not lists or not all(isinstance(row, list | tuple) for row in lists):
        return rows
    found = np.full((len(lists), max(map(len, lists))), "", object)
    for k, row in enumerate(lists):
        found[k, : len(row)] = np.fromiter(row, object, len(row))
    return found


def widened(texts: Strings, counts: Array, width: int) -> Strings:
    """Return the first ``counts`` texts of each row, which follow each other, as rows padded with empty texts."""
    places = (np.cumsum(counts) - counts)[:, None] + np.minimum(np.arange(width), counts[:, None])
    offsets = np.append(texts.offsets[places.reshape(-1)], texts.offsets[-1:])
    return Strings(texts.data, offsets, (len(counts), width))


def counts_of(texts: Strings) -> Array:
    """Return the number of texts in each row of lists that are padded with empty texts, ``(N,)``."""
    present = texts.lengths() > 0
    return np.asarray(present.shape[1] - present[:, ::-1].argmax(1)) * present.any(1)


def first_bad(array: Array, bad: Test) -> tuple[int, Any] | None:
    """Return row and value of the first element for which ``bad`` is true."""
    for start, block in chunks(array):
        found = bad(block)
        if found.any():
            index = int(found.reshape(-1).argmax())
            return start + index // max(block[0].size, 1), block.reshape(-1)[index]
    return None


def _refuse(array: Array, bad: Test, what: str, first: int, hint: str | None = None, form: str = "") -> None:
    """Raise GS504 if there is an element for which ``bad`` is true, with its row and its value in this form."""
    if (found := first_bad(array, bad)) is not None:
        raise lossy(f"{what}: {at(first + found[0])} has {found[1]:{form}}", hint)


def convert(
    array: Array, expected: Type, labels: Sequence[str] | None = None, first: int = 0, *, gaps: bool = False
) -> Array:
    """Return ``array`` in a dtype that the copy of a batch converts to ``expected``'s; narrow dtypes and memory maps stay.

    Booleans, integers and float64 become float32, rounded to 24 bits like all computed values. Floats become integers
    if they are whole, and too small to have been rounded to a whole number. ``labels`` map text to ids, and numbers as
    :func:`whole_labels` says.

    ``first``: the index of the first row, if the array is a part of a longer one; ``gaps``: values may be missing: they
    become NaN, or ``MISSING_INTEGER`` in int64.

    Raises DataError: GS504 if a value cannot be converted, GS505 if one is missing, GS506 for an unknown label.
    """
    if array.dtype.kind in "OUS":
        array = _text(array, expected, labels, first, gaps=gaps)
    elif array.dtype.kind in "iuf" and (known := whole_labels(labels or ())):
        array = _ids_of(array, known, first) if not expected.is_float or expected.shape[1:] in ((), (1,)) else array
    kind, dtype = array.dtype.kind, np.dtype(np.float32 if expected.is_float else expected.dtype)
    if expected.is_float and kind in "fiub":
        if kind != "f":
            return array
        check_finite(array, first, gaps=gaps)
        if array.dtype.itemsize <= 4:
            return array
        with np.errstate(over="ignore"):
            _refuse(array, lambda x: np.isinf(x.astype(dtype)), "is too large for float32", first, "scale the values")
        return _cast(array, dtype)
    if kind == dtype.kind == "b":
        return array
    if kind in "iu" and dtype.kind in "iu":
        if np.can_cast(array.dtype, dtype, "safe"):
            return array
        info = np.iinfo(dtype)
        _refuse(array, lambda x: (x < info.min) | (x > info.max), f"does not fit {dtype}", first)
        return _cast(array, dtype)
    if kind == "f" and dtype.kind in "iu":
        return _whole(array, expected, first, gaps=gaps)
    hint = "booleans only become floats; store 0 and 1 as integers" if kind == "b" else "store numbers"
    raise lossy(f"has dtype {array.dtype}, which cannot become {dtype}", hint)


def _whole(array: Array, expected: Type, first: int, *, gaps: bool) -> Array:
    dtype = np.dtype(expected.dtype)
    check_finite(array, first, gaps=gaps)
    if gaps and first_bad(array, np.isnan) is not None:
        missing = np.isnan(array)
        found = _whole(np.where(missing, 0, array), expected, first, gaps=False).astype(dtype)
        found[missing] = MISSING_INTEGER
        return found
    info, exact = np.iinfo(dtype), f"is not an exact {dtype}"
    least, beyond = np.float64(info.min), np.float64(info.max) + 1  # float64: a narrow dtype could not represent them
    limit = 2.0 ** (np.finfo(array.dtype).nmant + 1)  # from here on, floats skip integers
    _refuse(array, lambda x: np.rint(x) != x, exact, first, _ROUND)
    _refuse(array, lambda x: (x < least) | (x >= beyond), exact, first, _ROUND)
    what = "has a float too large to identify the integer"
    _refuse(array, lambda x: np.abs(x) >= limit, what, first, f"store integers as {dtype}", ".0f")
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
        raise lossy("contains values that are neither numbers nor text")
    if labels is None:
        if present and all(v.lower() in ("true", "false") for v in present):
            booleans = [v.lower() == "true" for v in present]
            return _numbers(booleans, np.array(absent, bool), expected).reshape(array.shape)
        wrong = (k for k, v in enumerate(values) if not absent[k] and not is_number(v))
        index = next(wrong, absent.index(False) if present else 0)
        raise holds_text(first + index // per_row, values[index] if values else "")
    ids = {label: k for k, label in enumerate(labels)}
    for index, value in enumerate(values):
        if value not in ids and not absent[index]:
            text = f"has '{shorten(value, CELL)}' in {at(first + index // per_row)}, which is not a label"
            hint = did_you_mean(value, labels) or f"the labels are {', '.join(labels[:12])}"
            raise DataError(Code.OUT_OF_RANGE, text, hint)
    found = [MISSING_INTEGER if missing else ids[v] for v, missing in zip(values, absent, strict=True)]
    return one_hot(np.array(found, np.int64).reshape(array.shape), expected, len(labels))


def whole_labels(labels: Sequence[str]) -> list[int]:
    """Return the labels that are whole numbers, and stand for themselves in data; none if numbers are ids."""
    return [*map(int, labels)] if isinstance(labels, WholeLabels) else []


def _ids_of(array: Array, labels: Sequence[int], first: int) -> Array:
    """Return the ids of numbers that are labels. Raises DataError: GS506, one is none."""
    known, order = np.array(labels), np.argsort(labels)
    ids = order[np.searchsorted(known[order], array).clip(max=len(known) - 1)]
    absent = (array != array) | (array == MISSING_INTEGER)
    if (wrong := ((known[ids] != array) & ~absent).reshape(-1)).any():
        index = int(wrong.argmax())
        row, few = first + index // max(array[0].size, 1), ", ".join(map(str, labels[:12]))
        text = f"has {array.reshape(-1)[index]:.15g} in {at(row)}, which is not a label"
        raise DataError(Code.OUT_OF_RANGE, text, f"the labels are {few}")
    return np.where(absent, array, ids)


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
        raise lossy("contains values that are neither numbers nor text")
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
    return lossy(f"contains text: {at(row)} has '{shorten(value, CELL)}'", LABELS)


def is_number(text: str) -> bool:
    """Return whether a table's cell is a number; ``1_000`` is text."""
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def exact_integers(values: Sequence[str | None], dtype: np.dtype[Any], first: int, *, gaps: bool = False) -> Array:
    """Parse integers of any size exactly: ``9007199254740993`` and ``1e18`` are integers, ``1.5`` is not.

    With ``gaps``, values may be missing: they become ``MISSING_INTEGER``.

    Raises DataError: GS504 if a cell is not an integer or does not fit, GS505 if a value is missing.
    """
    info = np.iinfo(dtype)
    found = np.empty(len(values), dtype)
    for index, text in enumerate(values):
        row = first + index
        if text is None or is_missing(text):
            if not gaps:
                raise DataError(Code.MISSING_VALUE, f"has no value in {at(row)}", FILL_IN)
            found[index] = MISSING_INTEGER
            continue
        if not is_number(text):
            raise holds_text(row, text)
        try:
            number = Decimal(text.strip())
        except ArithmeticError:  # an exponent of twenty digits
            number = Decimal("inf")
        if not number.is_finite() or number != number.to_integral_value():
            raise lossy(f"is not an exact {dtype}: {at(row)} has {text}", _ROUND)
        if not info.min <= number <= info.max:
            raise lossy(f"does not fit {dtype}: {at(row)} has {text}")
        found[index] = int(number)
    return found


def one_hot(ids: Array, expected: Type, classes: int) -> Array:
    """Return one-hot rows if the target is a distribution over the classes, else the ids. Rows of missing ids are NaN."""
    missing = ids == MISSING_INTEGER
    if expected.is_float and expected.shape[-1] == classes > 1 and ids.ndim == len(expected.shape) - 1:
        rows = np.eye(classes, dtype=np.uint8)[np.where(missing, 0, ids)]
        return np.where(missing[..., None], np.float32(np.nan), rows) if missing.any() else rows
    return np.where(missing, np.nan, ids) if expected.is_float and missing.any() else ids


def check_finite(array: Array, first: int = 0, *, gaps: bool = False) -> None:
    """Raise GS505 if a float is infinite, or NaN without ``gaps``."""
    bad = first_bad(array, np.isinf if gaps else lambda x: ~np.isfinite(x))
    if bad is not None:
        what = "a missing value or NaN" if np.isnan(bad[1]) else str(bad[1])
        raise DataError(Code.MISSING_VALUE, f"has {what} in {at(first + bad[0])}", FILL_IN)


def raise_counted(array: Array, bad: Test, what: str, hint: str | None) -> None:
    """Raise GS506 if there are elements for which ``bad`` is true: with the number of their rows and the first values."""
    tally = base.Tally(what)
    for start, block in chunks(array):
        if (found := bad(block)).any():
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

    if not all(limits.low <= b.min() and b.max() <= limits.high for _, b in chunks(array) if b.size):
        raise_counted(array, bad, f"has {'classes' if what == 'class' else what + 's'} {limits.outside()}", hint)


def same_numbers(
    value: Any, expected: Type, sizes: dict[str, int], limits: Range | None = None, *, gaps: bool = False
) -> Array:
    """Return ``value`` as an array that converts to ``expected`` without loss, with ids in ``limits``; NaN may pass.

    ``gaps``: see :func:`convert`. Raises DataError: GS503 for a wrong shape, GS504 if a value cannot be converted, GS505
    if one is missing, GS506 for an id out of range.
    """
    array = as_array(value, gaps=gaps)
    if array.ndim == 0:
        raise wrong_shape(*_SINGLE)
    if array.dtype.name != expected.dtype:
        array = convert(array, expected, gaps=gaps)
    array = reshape(array, expected, sizes, squeeze=False, is_input=True)
    if limits is not None:
        check_range(array, limits, "id", spare=(MISSING_INTEGER,) if gaps else ())
    return array


def reshape(array: Array, expected: Type, sizes: dict[str, int], *, squeeze: bool, is_input: bool = False) -> Array:
    """Return a view of ``array`` with ``expected``'s rank; ``sizes`` maps symbolic dimensions to sizes, new ones are added.

    ``(N,)`` fits ``(N, 1)``; with ``squeeze``, ``(N, …, 1)`` fits ``(N, …)``. Inputs and targets get different hints.

    Raises DataError: GS503 for a wrong shape.
    """
    rank = len(expected.shape)
    if array.ndim == 1 and rank == 2 and expected.shape[1] == 1:
        array = array.reshape((len(array), 1))
    elif squeeze and array.ndim == rank + 1 and array.shape[-1] == 1:
        array = array.reshape(array.shape[:-1])
    text = f"has shape {show(array.shape)}, not {show(expected.shape)}"
    if array.ndim != rank:
        raise wrong_shape(text, _shape_hint(array, expected, is_input))
    for axis in range(1, rank):
        size, actual = evaluate(expected.shape[axis], sizes), array.shape[axis]
        if size is None:
            sizes[str(expected.shape[axis])] = actual
        elif size != actual:
            where = "" if isinstance(expected.shape[axis], int) else f", where '{expected.shape[axis]}' is {size}"
            raise wrong_shape(f"{text}{where}: axis {axis} has {actual}", _shape_hint(array, expected, is_input))
    return array


def _shape_hint(array: Array, expected: Type, is_input: bool) -> str:
    rest = expected.shape[1:]
    if is_input and array.ndim == len(rest) and all(d in (n, str(d)) for d, n in zip(rest, array.shape, strict=True)):
        return "this is one row without the batch axis: give a batch, `x[None]` or a slice such as `x[:1]`"
    if not is_input and array.ndim == 2 and not rest and not expected.is_float and array.shape[1] > 1:
        return "for one-hot targets use categorical_crossentropy, or give class ids, `y.argmax(-1)`"
    fixed = tuple(d for d in rest if isinstance(d, int))
    if array.ndim >= 1 and fixed == rest != array.shape[1:] and math.prod(fixed) == math.prod(array.shape[1:]):
        return f"reshape it to (-1, {', '.join(map(str, rest))}), or change the spec"
    if array.ndim == len(rest) == 1 and isinstance(rest[0], int) and expected.is_float and not is_input:
        return "for class ids use sparse_categorical_crossentropy"
    return "reshape the array, or change the shape in the spec"


# Texts of requested arrays, packed: from arrays of Python objects, and from the parts of a file.
_BLOCK_TEXTS = 1 << 16  # texts that are packed at a time
_HINT = "store text or integers"


def pack(array: Array, first: int = 0) -> Strings:
    """Pack the texts of an array: integers become their digits, booleans ``true`` and ``false``, missing values are empty.

    ``first``: the index of the first row, if the array is a part of a longer one.

    Raises DataError: GS504 for other values, and for texts that are not Unicode.
    """
    if array.ndim == 0:
        raise wrong_shape(*_SINGLE)
    builder = StringsBuilder(array.shape[1:])
    per_row = max(int(np.prod(array.shape[1:], dtype=np.int64)), 1)
    step = max(_BLOCK_TEXTS // per_row, 1)
    for start in range(0, len(array), step):
        values = array[start : start + step].reshape(-1)
        if values.dtype.kind == "f" and not np.isnan(values).all():
            row = first + start + int((~np.isnan(values)).argmax()) // per_row
            raise lossy(f"has dtype {array.dtype}, which is not text, first in {at(row)}", _HINT)
        if values.dtype.kind == "M":
            values = _in_microseconds(values)
        try:
            builder.add_texts(values.tolist())
        except TypeError:
            texts: list[Any] = list(map(_text_of, values.tolist()))
            if None in texts:
                index = texts.index(None)
                what = f"{values.tolist()[index]!r:.40} in {at(first + start + index // per_row)}"
                raise lossy(f"has {what}, which is not text", _HINT) from None
            builder.add_texts(texts)
        except TextError as error:
            raise as_data_error(error) from None
    return builder.finish()


def _in_microseconds(times: Array) -> Array:
    """Return times whose objects are Python's; dates stay dates."""
    return times if np.can_cast(times.dtype, "datetime64[us]", "safe") else times.astype("datetime64[us]")


def _text_of(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if is_null(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer | Decimal | datetime.time):
        return str(value)
    if isinstance(value, np.datetime64):
        return _text_of(_in_microseconds(np.array(value)).item())
    if isinstance(value, datetime.datetime):
        text = value.isoformat(" ")
        return text.rstrip("0") if value.microsecond and value.tzinfo is None else text
    if isinstance(value, datetime.date):
        return value.isoformat()
    try:
        return value.decode() if isinstance(value, bytes) else None
    except UnicodeDecodeError:
        return None


def as_data_error(error: TextError) -> DataError:
    """Return the same problem as an error of data."""
    problem = error.problem
    return DataError(problem.code, problem.message, problem.hint)


def holds_texts(array: Array) -> bool:
    """Return whether an array contains texts, as labels are."""
    if array.dtype.kind != "O":
        return array.dtype.kind in "US"
    return any(isinstance(v, str) for v in array.reshape(-1).tolist())


def side_by_side(columns: Sequence[Strings]) -> Strings:
    """Return columns of texts ``(N,)`` as one column ``(N, k)``."""
    rows, count = len(columns[0]), len(columns)
    ends = np.cumsum([0, *(len(c.data) for c in columns)])
    offsets = np.concatenate([c.offsets[:-1] + end for c, end in zip(columns, ends[:-1], strict=True)] + [ends[-1:]])
    order = np.arange(count * rows).reshape(count, rows).T.reshape(-1)
    return Strings(np.concatenate([c.data for c in columns]), offsets).select(order).reshape((rows, count))


# Arrays filled from a file, at once or part by part; at most one part is in memory twice.
class Filling:
    """One requested array while it is filled.

    ``reserve``: called with the array's bytes before it is allocated; raises DataError if there is too little memory.
    """

    def __init__(self, request: Request, reserve: Callable[[int], None]) -> None:
        self.request, self.problems, self._reserve = request, DataErrors(), reserve

    @property
    def closed(self) -> bool:
        """True if every column has a problem: the remaining rows need not be read."""
        return len(self.problems) == len(self.request.columns)

    def put(self, column: int, part: Any, first: int) -> None:
        """Convert and store a part of a column (by its index in the request); ``first`` is the index of its first row."""
        if column in self.problems:
            return
        try:
            if isinstance(part, DataError):
                raise part
            ready = self._ready(column, part, first)
        except DataError as error:
            self.problems[column] = error
            return
        if ready is not None:
            self._store(column, ready, first)

    def result(self, rows: int) -> Array | Strings | DataErrors:
        """Return the first ``rows`` rows of the array, or the problems."""
        return self.problems or self._filled(rows)

    def _ready(self, column: int, part: Any, first: int) -> Any:
        """Return what can be stored, after a place for it has been made; None if other columns are missing."""
        raise NotImplementedError

    def _store(self, column: int, part: Any, first: int) -> None:
        raise NotImplementedError

    def _filled(self, rows: int) -> Array | Strings:
        raise NotImplementedError


class NumberFilling(Filling):
    """One requested array of numbers while it is filled; ``rows`` is the largest possible number of them."""

    def __init__(self, request: Request, rows: int, reserve: Callable[[int], None]) -> None:
        super().__init__(request, reserve)
        self._rows = rows
        self._array: Array | None = None

    def _ready(self, column: int, part: Any, first: int) -> Any:
        request = self.request
        part = _converted(part, request, first)
        row = (len(request.columns), *part.shape[1:]) if request.stacked else part.shape[1:]
        array = self._array
        if array is None:
            self._array = self._new(row, _storage_dtype(part.dtype, request))
        elif array.shape[1:] != row:
            raise ragged(array.shape[1], first, len(part[0]))
        elif array.dtype != _own_dtype(request) and not np.can_cast(part.dtype, array.dtype, "safe"):
            wider = self._new(row, _own_dtype(request))
            wider[:first] = array[:first]
            self._array = wider
        return part

    def _store(self, column: int, part: Any, first: int) -> None:
        assert self._array is not None
        place = self._array[first : first + len(part)]
        np.copyto(place[:, column] if self.request.stacked else place, part, casting="unsafe")

    def _new(self, row: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        request, shape = self.request, (self._rows, *row)
        if request.allocate is not None:
            return request.allocate(request.name, shape, _own_dtype(request))
        self._reserve(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        return np.empty(shape, dtype)

    def _filled(self, rows: int) -> Array:
        return np.empty((0,), np.float32) if self._array is None else self._array[:rows]


class TextFilling(Filling):
    """One requested column of texts while it is filled."""

    def __init__(self, request: Request, reserve: Callable[[int], None]) -> None:
        super().__init__(request, reserve)
        self._builder: StringsBuilder | None = None
        self._waiting: dict[int, Strings] = {}

    def _ready(self, column: int, part: Any, first: int) -> Any:
        request = self.request
        if request.stacked:
            if part.ndim != 1:
                raise wrong_shape(NOT_SCALAR)
            self._waiting[column] = part
            if len(self._waiting) < len(request.columns):
                return None
            part = side_by_side([self._waiting[k] for k in range(len(request.columns))])
            self._waiting = {}
        if self._builder is None:
            self._builder = StringsBuilder(part.shape[1:], request.name, request.allocate, self._reserve)
        elif self._builder.row_shape != part.shape[1:]:
            raise ragged(self._builder.row_shape[0], first, part.shape[1])
        return part

    def _store(self, column: int, part: Any, first: int) -> None:
        assert self._builder is not None
        self._builder.add_valid(part.data, part.lengths().reshape(-1))

    def _filled(self, rows: int) -> Strings:
        return (StringsBuilder() if self._builder is None else self._builder).finish()


class ListFilling(TextFilling):
    """One requested column of lists of texts while it is filled: its parts are texts, and how many each row has."""

    def __init__(self, request: Request, reserve: Callable[[int], None]) -> None:
        super().__init__(request, reserve)
        self._counts = Growing(np.int64, f"{request.name}:counts", None, reserve)

    def _ready(self, column: int, part: Any, first: int) -> Any:
        if self._builder is None:
            self._builder = StringsBuilder((), self.request.name, self.request.allocate, self._reserve)
        return part

    def _store(self, column: int, part: Any, first: int) -> None:
        super()._store(column, part[0], first)
        self._counts.append(part[1])

    def _filled(self, rows: int) -> Strings:
        counts, texts = self._counts.result(), super()._filled(rows)
        width = int(counts.max(initial=1))
        self._reserve(2 * 8 * width * len(counts))
        return widened(texts, counts, width)


def assemble(request: Request, arrays: Sequence[Array | DataError], first: int = 0) -> Array | Strings | DataErrors:
    """Convert the arrays of a request, from row ``first`` of longer ones; stack several as columns of one array."""
    problems: DataErrors = {}
    parts: list[Any] = []
    for k, array in enumerate(arrays):
        try:
            if isinstance(array, DataError):
                raise array
            parts.append(_converted(array, request, first))
            if len(parts[-1]) != len(parts[0]):
                hint = "all arrays have one row for each sample, in the same order"
                raise DataError(Code.WRONG_LENGTH, f"has {len(parts[-1])} rows, the first has {len(parts[0])}", hint)
        except DataError as error:
            problems[k] = error
    if problems or not request.stacked:
        return problems or parts[0]
    if request.type.is_string:
        return side_by_side(parts)
    array = np.empty((len(parts[0]), len(parts)), _storage_dtype(parts[0].dtype, request))
    for k, part in enumerate(parts):
        np.copyto(array[:, k], part, casting="unsafe")
    return array


def _converted(array: Array, request: Request, first: int) -> Any:
    if array.ndim == 0:
        raise wrong_shape(*_SINGLE)
    if isinstance(array, Pictures):
        each = (convert(array[k][None], request.type, None, k) for k in range(len(array)))
        return Pictures.of([reshape(a, request.type, {}, squeeze=False, is_input=True)[0] for a in each])
    booleans = array.dtype.kind == "b" and not request.type.is_float  # no class ids
    may_be_texts = not request.stacked and (request.is_sequence or request.learns_labels or request.lists)
    array = padded(array) if request.lists else array
    if request.type.is_string or (may_be_texts and (holds_texts(array) or (booleans and request.learns_labels))):
        found: Any = pack(array, first)
    else:
        if request.missing and array.dtype.kind in "OU":
            cells = array.reshape(-1).tolist()
            cells = [None if isinstance(cell, str) and is_missing(cell, request.missing) else cell for cell in cells]
            array = np.array(cells, object).reshape(array.shape)
        try:
            found = convert(array, request.type, request.labels, first, gaps=request.gaps)
        except DataError as error:
            raise _for_request(error, request) from None
    if request.stacked and found.ndim != 1:
        raise wrong_shape(NOT_SCALAR)
    return found


def no_number(row: int, cell: str | None, request: Request) -> DataError | None:
    """Return the error of a cell that is not a number; None if its column can be read as text."""
    if cell is not None and (request.labels is not None or (request.learns_labels and not request.stacked)):
        return None
    if cell is None or is_missing(cell):
        return DataError(Code.MISSING_VALUE, f"has a missing value or NaN in {at(row)}", FILL_IN)
    return _for_request(holds_text(row, cell), request)


def _for_request(error: DataError, request: Request) -> DataError:
    """Return the error with a suitable hint: inputs and targets of regression have no labels."""
    if error.problem.hint != LABELS or not (request.is_input or request.type.is_float):
        return error
    return error.changed(hint=AS_STRINGS if request.is_input else "store numbers")


def _storage_dtype(dtype: np.dtype[Any], request: Request) -> np.dtype[Any]:
    """Return the dtype to store: the graph's for stacked columns, else the array's own unless it is wider."""
    own = _own_dtype(request)
    return own if request.stacked or dtype.itemsize > own.itemsize else dtype


def _own_dtype(request: Request) -> np.dtype[Any]:
    return np.dtype(np.float32) if request.type.is_float else np.dtype(request.type.dtype)


def checked_weights(array: Array, target: Type, sizes: dict[str, int]) -> Array:
    """Return sample weights, one per row or per value of the loss. Raises DataError: GS503, their shape is another."""
    rank = max(len(target.shape) - target.is_float, 1)
    if array.ndim == rank + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim > rank:
        whole = f" or ({', '.join(map(str, target.shape[:rank]))})" if rank > 1 else ""
        raise wrong_shape(f"has {array.ndim} axes; sample weights are (N,){whole}", "give one weight for each row")
    return reshape(array, Type("float32", target.shape[: array.ndim]), sizes, squeeze=False)
