"""What a table and its columns hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from graphspec.data.problems.number_formats import MOSTLY
from graphspec.data.profile_sql import Stored

Kind = Literal["integer", "float", "text", "bool", "date", "list", "empty", "other"]

FREQUENT = 12
"""The number of most frequent values that a profile lists, unless all are few."""
LISTED = 1000
"""A column of at most this many values has all of them in its profile."""
FAR = 2.0**53
"""From here on a number may be a marker of a missing value."""
OCCURRENCES = 10
"""``at_least`` counts up to this."""


@dataclass(frozen=True)
class Numbers:
    """The distribution of the finite numbers of a column: ``quartiles`` are at 25, 50 and 75 %."""

    low: float
    high: float
    mean: float
    deviation: float
    skewness: float
    quartiles: tuple[float, float, float]

    @property
    def median(self) -> float:
        """The value that half of the numbers do not exceed."""
        return self.quartiles[1]


@dataclass(frozen=True)
class Words:
    """The words of a column of texts, in lower case and without punctuation.

    Attributes:
        mean, longest: the number of words of a text.
        at_least: how many different words occur at least 1, 2, … times; empty where they were not counted.
    """

    mean: float
    longest: int
    at_least: tuple[int, ...] = ()


@dataclass(frozen=True)
class ColumnProfile:
    """What a column holds.

    Attributes:
        kind: what its values are. In text files a column is of numbers or dates if all values are that.
        stored: how the file stores it.
        missing: the rows that hold nothing: NULL, NaN, or blanks.
        missing_texts: the rows by text that means a missing value, such as ``NA``; ``missing`` does not count them.
        distinct: the number of different values that are present.
        exact: whether ``distinct`` is counted, not estimated.
        frequent: the most frequent values with their rows; all values if there are at most ``LISTED``.
        at_least: how many different values occur at least 1, 2, … times.
        numbers: the distribution of the values that are numbers.
        number_share: the part of the values that are numbers.
        others: the texts among values that are mostly numbers, such as ``unknown``, with their rows.
        infinite: the number of infinite values.
        leading_zeros: whether an integer such as ``007`` occurs.
        date_formats: the part of the values that have this form, by format; without those that have none.
        dates: the first and the last date, in the format that most values have.
        has_times: whether a date has a time other than midnight.
        words: for texts.
        lengths: for lists, the shortest and the longest.
    """

    name: str
    kind: Kind
    stored: Stored
    rows: int
    missing: int = 0
    missing_texts: Mapping[str, int] = field(default_factory=dict)
    distinct: int = 0
    exact: bool = True
    frequent: tuple[tuple[str, int], ...] = ()
    at_least: tuple[int, ...] = ()
    numbers: Numbers | None = None
    number_share: float = 0.0
    others: Mapping[str, int] = field(default_factory=dict)
    infinite: int = 0
    leading_zeros: bool = False
    date_formats: Mapping[str, float] = field(default_factory=dict)
    dates: tuple[str, str] | None = None
    has_times: bool = False
    words: Words | None = None
    lengths: tuple[int, int] | None = None

    @property
    def absent(self) -> int:
        """The rows without a value, with those whose text says so."""
        return self.missing + sum(self.missing_texts.values())

    @property
    def present(self) -> int:
        """The rows with a value."""
        return self.rows - self.absent

    @property
    def constant(self) -> bool:
        """Whether every row has the same value."""
        return self.distinct <= 1 and not (self.distinct and self.absent)

    @property
    def unique(self) -> bool:
        """Whether the value of every row is different; of estimated numbers, whether nearly all are."""
        return self.present > 1 and self.distinct >= self.present * (1 if self.exact else 0.95)

    @property
    def listed(self) -> bool:
        """Whether ``frequent`` has all values."""
        return len(self.frequent) == self.distinct

    @property
    def is_number(self) -> bool:
        """Whether all values are numbers."""
        return self.kind in ("integer", "float")

    @property
    def marker(self) -> float | None:
        """A number so large that all others are equal after scaling, None if there is none: it may mean a missing value."""
        numbers = self.numbers
        if numbers is None:
            return None
        far = max(numbers.low, numbers.high, key=abs)
        return far if abs(far) >= FAR and max(map(abs, numbers.quartiles)) < 1e-6 * abs(far) else None

    @property
    def same_but_for_case(self) -> tuple[str, str] | None:
        """Two frequent texts that differ in case only."""
        first: dict[str, str] = {}
        for value, _ in self.frequent if self.kind == "text" else ():
            if (other := first.setdefault(value.casefold(), value)) != value:
                return other, value
        return None

    @property
    def is_mixed(self) -> bool:
        """Whether most values are numbers, and a few are texts."""
        return self.kind == "text" and self.number_share >= MOSTLY


@dataclass(frozen=True)
class Profile:
    """What a table holds.

    Attributes:
        columns: the columns by name.
        typed: whether the file says the types of its values. In ``.csv`` files, numbers and dates are texts too.
    """

    rows: int
    columns: Mapping[str, ColumnProfile]
    typed: bool


def shares(column: ColumnProfile, count: int) -> Iterator[tuple[str, float]]:
    """Yield the ``count`` most frequent values of a column, each with its part of the values that are present."""
    for value, rows in column.frequent[:count]:
        yield value, rows / column.present
