"""Arrays that are filled from a file: as a whole, or part by part, so that no more than a part is there twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.codes import Code
from graphspec.data.convert import LABELS, convert
from graphspec.data.source import DataError, Problems, Request

if TYPE_CHECKING:
    from graphspec.ir.graph import Array

NOT_ONE = "is no single number a row"


class Filling:
    """One wanted array, and how far it is.

    Args:
        rows: how many rows there may be at most.
        take: is told the bytes of the array before it is made, and raises DataError where there is not as much memory.
    """

    def __init__(self, request: Request, rows: int, take: Callable[[int], None]) -> None:
        self.request, self.problems = request, Problems()
        self._rows, self._take = rows, take
        self._array: Array | None = None

    @property
    def closed(self) -> bool:
        """Whether nothing more can be said of any column."""
        return len(self.problems) == len(self.request.columns)

    def put(self, column: int, part: Array | DataError, first: int) -> None:
        """Convert a part of a column, by its place in the request, whose first row has the number ``first``."""
        if column in self.problems:
            return
        request = self.request
        try:
            if isinstance(part, DataError):
                raise part
            part = _converted(part, request, first)
            row = (len(request.columns), *part.shape[1:]) if request.together else part.shape[1:]
            array = self._array
            if array is None:
                dtype = _stored(part.dtype, request)
                self._take(self._rows * int(np.prod(row, dtype=np.int64)) * dtype.itemsize)
                array = self._array = np.empty((self._rows, *row), dtype)
            elif array.shape[1:] != row:
                raise differ(array.shape[1], first, len(part[0]))
        except DataError as error:
            self.problems[column] = error
            return
        rows = slice(first, first + len(part))
        np.copyto(array[rows, column] if request.together else array[rows], part, casting="unsafe")

    def result(self, rows: int) -> Array | Problems:
        """The array of so many rows, or what is wrong."""
        if self.problems:
            return self.problems
        if self._array is None:
            return np.empty((0,), np.float32)
        return self._array[:rows]


def differ(length: int, row: int, other: int | None) -> DataError:
    """GS503 for lists that make no rows of one length."""
    text = f"has lists of different lengths: {length} values in row 0, in row {row} "
    return DataError(
        Code.WRONG_ARRAY_SHAPE, text + ("nothing" if other is None else str(other)), "pad them to one length"
    )


def assemble(request: Request, arrays: Sequence[Array | DataError]) -> Array | Problems:
    """What a request is given in whole arrays: one, or several side by side."""
    problems: Problems = {}
    parts: list[Array] = []
    for k, array in enumerate(arrays):
        try:
            if isinstance(array, DataError):
                raise array
            parts.append(_converted(array, request, 0))
            if len(parts[-1]) != len(parts[0]):
                hint = "all arrays have one row for each sample, in the same order"
                raise DataError(
                    Code.WRONG_LENGTH, f"has {len(parts[-1])} rows, the first of them {len(parts[0])}", hint
                )
        except DataError as error:
            problems[k] = error
    if problems:
        return problems
    if not request.together:
        return parts[0]
    array = np.empty((len(parts[0]), len(parts)), _stored(parts[0].dtype, request))
    for k, part in enumerate(parts):
        np.copyto(array[:, k], part, casting="unsafe")
    return array


def _converted(array: Array, request: Request, first: int) -> Array:
    if array.ndim == 0:
        raise DataError(Code.WRONG_ARRAY_SHAPE, "is a single value, not an array", "give it a row for each sample")
    try:
        array = convert(array, request.kind, request.labels, first)
    except DataError as error:
        raise for_request(error, request) from None
    if request.together and array.ndim != 1:
        raise DataError(Code.WRONG_ARRAY_SHAPE, NOT_ONE)
    return array


def for_request(error: DataError, request: Request) -> DataError:
    """The error with a hint that fits: inputs have no labels."""
    if error.problem.hint == LABELS and request.is_input:
        return error.changed(hint="leave it out, or store numbers")
    return error


def _stored(dtype: np.dtype[Any], request: Request) -> np.dtype[Any]:
    """The dtype that a converted array is kept in: the graph's own for columns side by side, else no wider than it."""
    own = np.dtype(np.float32) if request.kind.is_float else np.dtype(request.kind.dtype)
    return own if request.together or dtype.itemsize > own.itemsize else dtype
