"""Arrays filled from a file, at once or part by part; at most one part is in memory twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.pictures import Pictures
from graphspec.base.codes import Code
from graphspec.data.convert import LABELS, convert, is_missing, reshape
from graphspec.data.source import NOT_SCALAR, DataError, Problems, Request, ragged
from graphspec.data.texts import holds_texts, pack, side_by_side

if TYPE_CHECKING:
    from graphspec.base.arrays.strings import Strings
    from graphspec.graph.ir.graph import Array


class Filling:
    """One requested array while it is filled.

    Args:
        rows: the largest possible number of rows.
        reserve: called with the array's bytes before it is allocated; raises DataError if there is too little memory.
    """

    def __init__(self, request: Request, rows: int, reserve: Callable[[int], None]) -> None:
        self.request, self.problems = request, Problems()
        self._rows, self._reserve = rows, reserve
        self._array: Array | None = None

    @property
    def closed(self) -> bool:
        """True if every column has a problem: the remaining rows need not be read."""
        return len(self.problems) == len(self.request.columns)

    def put(self, column: int, part: Any, first: int) -> None:
        """Convert and store a part of a column (by its index in the request); ``first`` is the index of its first row."""
        if column in self.problems:
            return
        request = self.request
        try:
            if isinstance(part, DataError):
                raise part
            part = _converted(part, request, first)
            row = (len(request.columns), *part.shape[1:]) if request.stacked else part.shape[1:]
            array = self._array
            if array is None:
                array = self._array = self._new(row, _storage_dtype(part.dtype, request))
            elif array.shape[1:] != row:
                raise ragged(array.shape[1], first, len(part[0]))
            elif array.dtype != _own_dtype(request) and not np.can_cast(part.dtype, array.dtype, "safe"):
                wider = self._new(row, _own_dtype(request))
                wider[:first] = array[:first]
                array = self._array = wider
        except DataError as error:
            self.problems[column] = error
            return
        rows = slice(first, first + len(part))
        np.copyto(array[rows, column] if request.stacked else array[rows], part, casting="unsafe")

    def _new(self, row: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return an array for all rows."""
        request, shape = self.request, (self._rows, *row)
        if request.allocate is not None:
            return request.allocate(request.name, shape, _own_dtype(request))
        self._reserve(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        return np.empty(shape, dtype)

    def result(self, rows: int) -> Array | Problems:
        """Return the first ``rows`` rows of the array, or the problems."""
        if self.problems:
            return self.problems
        if self._array is None:
            return np.empty((0,), np.float32)
        return self._array[:rows]


def assemble(request: Request, arrays: Sequence[Array | DataError], first: int = 0) -> Array | Strings | Problems:
    """Convert the arrays of a request, and stack several as columns of one array.

    Args:
        first: the index of the first row, if the arrays are a part of longer ones.
    """
    problems: Problems = {}
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
    if problems:
        return problems
    if not request.stacked:
        found: Array | Strings = parts[0]
        return found
    if request.type.is_string:
        return side_by_side(parts)
    array = np.empty((len(parts[0]), len(parts)), _storage_dtype(parts[0].dtype, request))
    for k, part in enumerate(parts):
        np.copyto(array[:, k], part, casting="unsafe")
    return array


def _converted(array: Array, request: Request, first: int) -> Any:
    if array.ndim == 0:
        raise DataError(Code.WRONG_ARRAY_SHAPE, "is a single value, not an array", "give it a row for each sample")
    if isinstance(array, Pictures):
        each = (convert(array[k][None], request.type, None, k) for k in range(len(array)))
        return Pictures.of([reshape(a, request.type, {}, squeeze=False, is_input=True)[0] for a in each])
    if request.type.is_string:
        texts = pack(array, first)
        if request.stacked and texts.ndim != 1:
            raise DataError(Code.WRONG_ARRAY_SHAPE, NOT_SCALAR)
        return texts
    booleans = array.dtype.kind == "b" and not request.type.is_float  # no class ids
    if request.is_sequence and not request.stacked and holds_texts(array):
        return pack(array, first)
    if request.learns_labels and not request.stacked and (booleans or holds_texts(array)):
        return pack(array, first)
    if request.missing and array.dtype.kind in "OU":
        cells = array.reshape(-1).tolist()
        cells = [None if isinstance(cell, str) and is_missing(cell, request.missing) else cell for cell in cells]
        array = np.array(cells, object).reshape(array.shape)
    try:
        array = convert(array, request.type, request.labels, first, gaps=request.gaps)
    except DataError as error:
        raise for_request(error, request) from None
    if request.stacked and array.ndim != 1:
        raise DataError(Code.WRONG_ARRAY_SHAPE, NOT_SCALAR)
    return array


def for_request(error: DataError, request: Request) -> DataError:
    """Return the error with a suitable hint: inputs and targets of regression have no labels."""
    if error.problem.hint == LABELS and request.is_input:
        return error.changed(
            hint="declare the input with `dtype: string`, and let StringLookup or TextVectorization read it"
        )
    if error.problem.hint == LABELS and request.type.is_float:
        return error.changed(hint="store numbers")
    return error


def _storage_dtype(dtype: np.dtype[Any], request: Request) -> np.dtype[Any]:
    """Return the dtype to store: the graph's for stacked columns, else the array's own unless it is wider."""
    own = _own_dtype(request)
    return own if request.stacked or dtype.itemsize > own.itemsize else dtype


def _own_dtype(request: Request) -> np.dtype[Any]:
    return np.dtype(np.float32) if request.type.is_float else np.dtype(request.type.dtype)
