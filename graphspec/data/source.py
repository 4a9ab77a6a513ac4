"""What is asked of data, and the sources that answer: requests, what a graph needs, errors. Nothing is ever unpickled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from graphspec.base.arrays.memory import free, human
from graphspec.base.errors import Code, Mark, Problem, ProblemError, shorten
from graphspec.graph.ir.graph import Array, Range, Type
from graphspec.language.declarations import LENGTH, STEPS, WEIGHT

if TYPE_CHECKING:
    from graphspec.base.arrays.memory import Allocate
    from graphspec.base.arrays.strings import Strings

Filled: TypeAlias = "dict[str, Array | Strings | dict[int, DataError]]"  # arrays or ``DataErrors`` by name of a request

NO_ROWS = "write one row for each sample"
NOT_SCALAR = "does not have a single value per row"
DATES = ("date", "timestamp")  # the names of the database's types of dates begin with these
NOT_GIVEN = Problem(Code.MISSING_ARRAY, "has no array", "provide an array under its name")


class DataError(ProblemError):
    """A problem of an array or of a data file; the message does not repeat this subject."""

    @property
    def all(self) -> Sequence[DataError]:
        """The problems to report: this one, unless it stands for several."""
        return [self]


def unreadable(what: str, hint: str | None = None) -> DataError:
    """Return GS501: a file or a part of it cannot be read."""
    return DataError(Code.UNREADABLE_FILE, what, hint)


def lossy(what: str, hint: str | None = None) -> DataError:
    """Return GS504: values do not fit the type that is wanted."""
    return DataError(Code.LOSSY_CONVERSION, what, hint)


def wrong_shape(what: str, hint: str | None = None) -> DataError:
    """Return GS503: an array has another shape than the one that is wanted."""
    return DataError(Code.WRONG_ARRAY_SHAPE, what, hint)


@dataclass(frozen=True)
class Request:
    """An array of the graph that a file must provide."""

    name: str
    columns: Sequence[str]  # the names of its arrays or columns in the file
    stacked: bool  # the columns form one array with an axis for them; each has one element per row
    type: Type
    is_input: bool  # True for an input, False for a target
    labels: Sequence[str] | None = None  # class names that text may contain
    learns_labels: bool = False  # the labels are learnt: a target of text is wanted as :class:`Strings`
    is_sequence: bool = False  # a target of CTC: ids, or a text (wanted as :class:`Strings`) with a label per character
    lists: bool = False  # a row is a list of texts; shorter lists are padded with empty texts
    gaps: bool = False  # values may be missing; see :func:`graphspec.data.convert.convert`
    any_size: bool = False  # pictures may have several sizes; they then come as ``Pictures``
    missing: Sequence[str] = ()  # texts that mean a missing value, besides those such as ``NA``
    allocate: Allocate | None = None  # where the array is filled; None for memory


DataErrors = dict[int, DataError]  # errors by index of the column in a request


class Source:
    """An opened data file."""

    item = "column"  # the noun for a named item: ``array``, ``key`` or ``column``
    names: Sequence[str]
    ambiguous: Mapping[str, str] = MappingProxyType({})  # names that several columns share, with a message of each
    max_rows: int | None = None  # the number of rows to read from the start; None for all
    of_texts = False  # whether every cell is a text, as in ``.csv`` files
    is_stream = False  # whether more rows may follow those that are here

    def fill(self, requests: Sequence[Request]) -> Filled:
        """Return the arrays by the requests' names, converted to their types (texts are packed), or the problems of each.

        All requested columns must exist, and none may be ambiguous. Raises DataError: the file cannot be read.
        """
        raise NotImplementedError

    def place(self, row: int) -> str:
        """Return the words for a row, given by its index from 0: where a person finds it, such as ``line 5``."""
        return at(row)

    def cells(self, column: str, *, raw: bool) -> Iterator[tuple[int, Array]]:
        """Yield the values of a column with the index of their first row; ``raw`` as they are written. Folders have none."""
        yield from ()

    def values(self, column: str) -> Array:
        """Return a table's column: numbers, dates in µs since 1970, or texts. Raises DataError: GS105, no table."""
        hint = "write the rows to a table"
        raise DataError(Code.VALUE_NOT_ALLOWED, "is no table, which windows and groups need", hint)

    def groups(self, column: str) -> tuple[list[str], Array]:
        """Return the different values of a table's column as texts, sorted, and each row's; no value is one, too.

        Raises DataError: GS502, there is no such column; GS105, no table.
        """
        if column not in self.names or column in self.ambiguous:
            few = ", ".join(self.names[:20])
            raise DataError(Code.MISSING_ARRAY, f"has no unique column '{column}' for `group`", f"it has {few}")
        texts = np.array(["" if name is None else str(name) for name in self.values(column).tolist()])
        different, numbers = np.unique(texts, return_inverse=True)
        return different.tolist(), numbers

    def type_of(self, column: str) -> str:
        """Return the database's name of the type of a column; empty if there is none."""
        return ""

    def is_date(self, column: str) -> bool:
        return self.type_of(column).startswith(DATES)

    @property
    def stored(self) -> Source:
        """The source of the rows as the file has them, under the views of them."""
        return self


class View(Source):
    """Rows that are made of those of a table, such as windows, or pictures in place of their names."""

    def __init__(self, table: Source, max_rows: int | None) -> None:
        self.table, self.max_rows = table, max_rows
        self.item, self.names, self.ambiguous = table.item, table.names, table.ambiguous

    @property
    def stored(self) -> Source:
        return self.table.stored

    def place(self, row: int) -> str:
        return self.table.place(row)


def at(row: int) -> str:
    """Return the words for a row of an array, as Python counts: from 0. :func:`placed` replaces them for tables."""
    return f"the row at index {row}"


_AT = re.compile(r"the row at index (\d+)")


def placed(error: DataError, place: Callable[[int], str]) -> DataError:
    """Return the error of a table with its rows as people find them there, such as ``line 5`` of a file."""
    message = _AT.sub(lambda found: place(int(found[1])), error.problem.message)
    return error if message == error.problem.message else error.changed(message=message)


def ragged(length: int, row: int, other: int | None, first: int = 0) -> DataError:
    """Return GS503 for lists of different lengths: that of row ``first``, and another in ``row``, which may be the same."""
    text = f"{length} values in {at(first)}, {'none' if other is None else other} in {at(row)}"
    text = f"{length} and {other} values in {at(row)}" if row == first else text
    return wrong_shape(f"has lists of different lengths: {text}", "pad them to one length")


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
            hint = "use fewer rows or columns, or an .npz file that is not compressed"
            raise DataError(Code.NOT_ENOUGH_MEMORY, text, hint)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(". ")


CELL = 40  # characters of a value in a message
_EXAMPLES = 3  # different values that a message shows


class Tally:
    """Rows with the same problem: how many there are, and the first different values.

    ``what``: a predicate such as ``contains text``; ``quote``: whether values that are texts are shown in quotes.
    """

    def __init__(self, what: str, *, quote: bool = True) -> None:
        self.what, self.rows, self.first, self._quote = what, 0, -1, quote
        self.examples: dict[Any, int] = {}

    def add_block(self, start: int, block: Array, bad: Array) -> None:
        """Add the rows of a block in which elements are ``bad``; ``start`` is the index of the first row."""
        rows = bad.reshape(len(bad), -1).any(1)
        if self.rows == 0:
            self.first = start + int(rows.argmax())
        self.rows += int(np.count_nonzero(rows))
        width = max(block.size // max(len(block), 1), 1)
        flat = block.reshape(-1)
        for index in np.flatnonzero(bad.reshape(-1)):
            if len(self.examples) >= _EXAMPLES:
                break
            self.examples.setdefault(flat[index].item(), start + int(index) // width)

    def add(self, row: int, value: Any = None) -> None:
        if self.rows == 0:
            self.first = row
        self.rows += 1
        if value is not None and len(self.examples) < _EXAMPLES:
            self.examples.setdefault(value, row)

    def where(self, place: Callable[[int], str], examples: int = _EXAMPLES) -> str:
        """Return the first rows with their values, or the first row if there are none to show."""
        shown = [f"{self._shown(value)} in {place(row)}" for value, row in list(self.examples.items())[:examples]]
        return ", ".join(shown) or place(self.first)

    def _shown(self, value: Any) -> str:
        if isinstance(value, str):
            shown = shorten(" ".join(value.split()) if self._quote else value, CELL)
            return f"'{shown}'" if self._quote else shown
        return f"{value:.9g}" if isinstance(value, float) else str(value)

    def text(self, total: int | None, place: Callable[[int], str], what: str | None = None) -> str:
        """Return the predicate, or ``what``, with the number of rows of ``total``; without it if more will arrive."""
        what = self.what if what is None else what
        if total is None:
            return f"{what}{':' if self.examples else ' in'} {self.where(place)}"
        return f"{what} in {self.rows:,} of {total:,} rows; first: {self.where(place)}"


@dataclass(frozen=True)
class DataSignature:
    """The data that a graph requires: types, classes, ranges, and what may be missing."""

    inputs: Mapping[str, Type]  # inputs, targets: types by input and by head
    targets: Mapping[str, Type] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)  # the number of classes of each head whose targets are ids
    ignored: Mapping[str, int] = field(default_factory=dict)  # the additional id that a head allows (``ignore_class``)
    probabilities: frozenset[str] = frozenset()  # heads whose targets must be in 0 … 1 (cross-entropies)
    limits: Mapping[str, Range] = field(default_factory=dict)  # for inputs that are ids, the rows of the Embedding
    labels: Mapping[str, list[str]] = field(default_factory=dict)  # class names by head; their targets may be text
    ctc: frozenset[str] = frozenset()  # heads whose targets are label sequences, also if no targets are required
    gaps: frozenset[str] = frozenset()  # inputs in which numbers may be missing: NaN, or the smallest int64
    any_size: frozenset[str] = frozenset()  # inputs of pictures of which every row may have a size of its own
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # texts that mean a missing number, by input
    folded: frozenset[str] = frozenset()  # inputs whose texts may differ in case
    text_labels: frozenset[str] = frozenset()  # heads whose targets may be texts, because their labels are learnt
    columns: Mapping[str, str] = field(default_factory=dict)  # the default column of an input, if it has another name
    records: Mapping[str, tuple[Mark, str]] = field(default_factory=dict)  # columns of a record: place, path of keys
    unlabelled: Mapping[str, Type] = field(default_factory=dict)  # heads whose loss has no targets, maybe weights
    class_inputs: frozenset[str] = frozenset()  # inputs with which heads compare: their ids are classes
    unread: frozenset[str] = frozenset()  # inputs that only losses read; predictions ignore arrays for them
    # the time steps of every CTC head, given the inputs' shapes
    steps: Callable[[Mapping[str, tuple[int, ...]]], Mapping[str, int]] | None = None

    @property
    def weighted(self) -> Mapping[str, Type]:
        """The heads that may have sample weights, with the types of what they compare."""
        return {**self.targets, **self.unlabelled}

    def has_lists(self, name: str) -> bool:
        """Return whether a row of an input or a target is a list of texts: tokens, or the label of each."""
        if (kind := self.inputs.get(name)) is not None:
            return kind.is_string and kind.has_lists
        labelled = (name in self.text_labels or name in self.labels) and name not in self.ctc
        return labelled and name in self.targets and self.targets[name].has_lists

    def extras(self) -> list[str]:
        """Return the names of optional arrays: sample weights, and the lengths of label sequences."""
        weights = [head + WEIGHT for head in self.weighted]
        return weights + [h + suffix for h in self.targets if h in self.ctc for suffix in (LENGTH, STEPS)]
