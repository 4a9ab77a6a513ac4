"""Data files: ``.npz`` archives, and tables read by DuckDB. Nothing is ever unpickled."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from graphspec.arrays.system_memory import free, human
from graphspec.codes import Code
from graphspec.errors import Problem, ProblemError

if TYPE_CHECKING:
    from graphspec.ir.graph import Array, Type

NO_ROWS = "a data file has a row for each sample"
NOT_GIVEN = Problem(Code.MISSING_ARRAY, "has no array", "give an array for it, by its name")


class DataError(ProblemError):
    """Something is wrong with an array, or with a data file as a whole: that is the subject."""


@dataclass(frozen=True)
class Request:
    """An array of the graph that is wanted from a file.

    Attributes:
        columns: the arrays or columns it is made of.
        together: these are numbers that stand side by side in a row.
        is_input: for an input, not for a target.
        labels: class names that text may have.
    """

    name: str
    columns: Sequence[str]
    together: bool
    kind: Type
    is_input: bool
    labels: Sequence[str] | None = None


Problems = dict[int, DataError]
"""What is wrong with which of a request's columns."""


class Source(Protocol):
    """An opened data file."""

    kind: str
    """What it holds by name: ``array`` or ``column``."""
    names: Sequence[str]
    doubtful: Mapping[str, str]
    """Names that stand for more than one column, and what to say of the file."""
    most: int | None
    """How many rows to read, from the first on; None for all."""

    def fill(self, requests: Sequence[Request]) -> dict[str, Array | Problems]:
        """The arrays by the requests' names, converted to their types; or what is wrong with each.

        All columns exist, and none is doubtful.

        Raises:
            DataError: the file as a whole cannot be read.
        """


class Room:
    """Memory for arrays, promised before they are filled."""

    def __init__(self) -> None:
        self._free, self._promised = free(), 0

    def fits(self, nbytes: int) -> bool:
        return self._promised + nbytes <= self._free

    def take(self, nbytes: int) -> None:
        """Promise memory; GS602 where there is not as much."""
        self._promised += nbytes
        if self._promised > self._free:
            text = f"needs {human(self._promised)} of memory to be read, {human(self._free)} are free"
            raise DataError(
                Code.NOT_ENOUGH_MEMORY, text, "use fewer rows or columns, or an .npz file that is not compressed"
            )


_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


def why(error: BaseException) -> str:
    """The first line of an error."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ")
