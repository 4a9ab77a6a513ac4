"""The interface of data files, and errors of data. Nothing is ever unpickled."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from graphspec.base.arrays.memory import free, human
from graphspec.base.codes import Code
from graphspec.base.errors import Problem, ProblemError

if TYPE_CHECKING:
    from graphspec.base.arrays.growing import Allocate
    from graphspec.base.arrays.strings import Strings
    from graphspec.graph.ir.graph import Array, Type

NO_ROWS = "write one row for each sample"
NOT_SCALAR = "does not have a single value per row"
NOT_GIVEN = Problem(Code.MISSING_ARRAY, "has no array", "provide an array under its name")


class DataError(ProblemError):
    """A problem of an array or of a data file; the message does not repeat this subject."""

    @property
    def all(self) -> Sequence[DataError]:
        """The problems to report: this one, unless it stands for several."""
        return [self]


@dataclass(frozen=True)
class Request:
    """An array of the graph that a file must provide.

    Attributes:
        columns: the names of its arrays or columns in the file.
        stacked: the columns form one array with an axis for them; each has one element per row.
        is_input: True for an input, False for a target.
        labels: class names that text may contain.
        learns_labels: the labels are learnt: a target of text is wanted as :class:`Strings`.
        is_sequence: a target of CTC: ids, or a text of which each character is a label, wanted as :class:`Strings`.
        gaps: values may be missing; see :func:`graphspec.data.convert.convert`.
        any_size: pictures may have several sizes; they then come as :class:`graphspec.base.arrays.pictures.Pictures`.
        missing: texts that mean a missing value, besides those such as ``NA``.
        allocate: where the array is filled; None for memory.
    """

    name: str
    columns: Sequence[str]
    stacked: bool
    type: Type
    is_input: bool
    labels: Sequence[str] | None = None
    learns_labels: bool = False
    is_sequence: bool = False
    gaps: bool = False
    any_size: bool = False
    missing: Sequence[str] = ()
    allocate: Allocate | None = None


Problems = dict[int, DataError]
"""Errors by index of the column in a request."""


class Source(Protocol):
    """An opened data file."""

    item: str
    """The noun for a named item: ``array`` or ``column``."""
    names: Sequence[str]
    ambiguous: Mapping[str, str]
    """Names that several columns share, each with a message about the file."""
    max_rows: int | None
    """The number of rows to read from the start; None for all."""

    def fill(self, requests: Sequence[Request]) -> dict[str, Array | Strings | Problems]:
        """Return the arrays by the requests' names, converted to their types, or the problems of each.

        Texts are packed.

        All requested columns must exist, and none may be ambiguous.

        Raises:
            DataError: the file cannot be read.
        """

    def place(self, row: int) -> str:
        """Return the words for a row, given by its index from 0: where a person finds it, such as ``line 5``."""


def at(row: int) -> str:
    """Return the words for a row of an array, as Python counts: from 0. :func:`placed` replaces them for tables."""
    return f"the row at index {row}"


_AT = re.compile(r"the row at index (\d+)")


def placed(error: DataError, place: Callable[[int], str]) -> DataError:
    """Return the error of a table with its rows as people find them there, such as ``line 5`` of a file."""
    message = _AT.sub(lambda found: place(int(found[1])), error.problem.message)
    return error if message == error.problem.message else error.changed(message=message)


def ragged(length: int, row: int, other: int | None) -> DataError:
    """Return GS503 for lists of different lengths."""
    found = "none" if other is None else other
    text = f"has lists of different lengths: {length} values in {at(0)}, {found} in {at(row)}"
    return DataError(Code.WRONG_ARRAY_SHAPE, text, "pad them to one length")


class MemoryBudget:
    """Free memory from which arrays are reserved before they are filled."""

    def __init__(self) -> None:
        self._free, self._reserved = free(), 0

    def fits(self, nbytes: int) -> bool:
        """Return whether this much more memory is free."""
        return self._reserved + nbytes <= self._free

    def reserve(self, nbytes: int) -> None:
        """Reserve memory; raise GS602 if there is too little."""
        self._reserved += nbytes
        if self._reserved > self._free:
            text = f"needs {human(self._reserved)} of memory to be read, only {human(self._free)} is free"
            raise DataError(
                Code.NOT_ENOUGH_MEMORY, text, "use fewer rows or columns, or an .npz file that is not compressed"
            )


_FILE_TYPES = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ")
