"""Texts of requested arrays, packed: from arrays of Python objects, and from the parts of a file."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.strings import Strings, StringsBuilder, TextError
from graphspec.base.codes import Code
from graphspec.data.convert import is_null
from graphspec.data.source import NOT_SCALAR, DataError, Problems, Request, at, ragged

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array

_BLOCK_TEXTS = 1 << 16  # texts that are packed at a time
_HINT = "store text or integers"


def pack(array: Array, first: int = 0) -> Strings:
    """Pack the texts of an array: integers become their digits, booleans ``true`` and ``false``, missing values are empty.

    Args:
        first: the index of the first row, if the array is a part of a longer one.

    Raises:
        DataError: GS504 for other values, and for texts that are not Unicode.
    """
    if array.ndim == 0:
        raise DataError(Code.WRONG_ARRAY_SHAPE, "is a single value, not an array", "give it a row for each sample")
    builder = StringsBuilder(array.shape[1:])
    per_row = max(int(np.prod(array.shape[1:], dtype=np.int64)), 1)
    step = max(_BLOCK_TEXTS // per_row, 1)
    for start in range(0, len(array), step):
        values = array[start : start + step].reshape(-1)
        if values.dtype.kind == "f" and not np.isnan(values).all():
            row = first + start + int((~np.isnan(values)).argmax()) // per_row
            raise DataError(
                Code.LOSSY_CONVERSION, f"has dtype {array.dtype}, which is not text, first in {at(row)}", _HINT
            )
        if values.dtype.kind == "M":
            values = _in_microseconds(values)
        try:
            _add(builder, values.tolist(), first + start, per_row)
        except TextError as error:
            raise as_data_error(error) from None
    return builder.finish()


def _add(builder: StringsBuilder, values: list[Any], first: int, per_row: int) -> None:
    try:
        builder.add_texts(values)
    except TypeError:
        texts = []
        for index, value in enumerate(values):
            text = _text_of(value)
            if text is None:
                what = f"has {value!r:.40} in {at(first + index // per_row)}, which is not text"
                raise DataError(Code.LOSSY_CONVERSION, what, _HINT) from None
            texts.append(text)
        builder.add_texts(texts)


def _in_microseconds(times: Array) -> Array:
    """Return times whose objects are Python's; dates stay dates."""
    return times if np.can_cast(times.dtype, "datetime64[us]", "safe") else times.astype("datetime64[us]")


def _text_of(value: Any) -> str | None:
    """Return the text of an object; None if it has none."""
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
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
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


class TextFilling:
    """One requested column of texts while it is filled; see :class:`graphspec.data.filling.Filling`."""

    def __init__(self, request: Request, reserve: Callable[[int], None]) -> None:
        self.request, self.problems = request, Problems()
        self._reserve = reserve
        self._builder: StringsBuilder | None = None
        self._waiting: dict[int, Strings] = {}

    @property
    def closed(self) -> bool:
        """True if every column has a problem: the remaining rows need not be read."""
        return len(self.problems) == len(self.request.columns)

    def put(self, column: int, part: Strings | DataError, first: int) -> None:
        """Store a part of a column (by its index in the request); ``first`` is the index of its first row."""
        if column in self.problems:
            return
        request = self.request
        try:
            if isinstance(part, DataError):
                raise part
            if request.stacked:
                if part.ndim != 1:
                    raise DataError(Code.WRONG_ARRAY_SHAPE, NOT_SCALAR)
                self._waiting[column] = part
                if len(self._waiting) < len(request.columns):
                    return
                part = side_by_side([self._waiting[k] for k in range(len(request.columns))])
                self._waiting = {}
            if self._builder is None:
                self._builder = StringsBuilder(part.shape[1:], request.name, request.allocate, self._reserve)
            elif self._builder.row_shape != part.shape[1:]:
                raise ragged(self._builder.row_shape[0], first, part.shape[1])
        except DataError as error:
            self.problems[column] = error
            return
        self._builder.add_valid(part.data, part.lengths().reshape(-1))

    def result(self, rows: int) -> Strings | Problems:
        """Return the texts, or the problems."""
        if self.problems:
            return self.problems
        return StringsBuilder().finish() if self._builder is None else self._builder.finish()
