"""SQL expressions with which :mod:`graphspec.data.profile` looks at the columns of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from graphspec.data.convert import MISSING_TEXTS as ALL_MISSING
from graphspec.data.database import quoted

Stored = Literal["text", "number", "bool", "date", "list", "other"]
"""How a file stores a column. Every column of a ``.csv`` file is text."""

ISO = "ISO"
"""The name of dates by ISO 8601 among the formats."""
_DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d")
FORMATS = (ISO, *(day + time for day in _DAYS for time in ("", " %H:%M", " %H:%M:%S")))
"""Formats of dates that are looked for; the day is tried before the month."""
MISSING_TEXTS = tuple(text for text in ALL_MISSING if text)
"""Texts, in lower case, that mean a missing value in a column of numbers, and may mean one in a column of texts."""

LARGEST = 3.4028234663852886e38
"""The largest number of float32: squares of it fit a double."""
_NUMBERS = frozenset(
    f"{sign}{size}" for sign in ("", "u") for size in ("tinyint", "smallint", "integer", "bigint", "hugeint")
)
_REAL = frozenset(("float", "double", "decimal", "bignum"))
_DATES = frozenset(("date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"))
_ISO = r"^(\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?)(Z|[+-]\d\d:?\d\d)?$"
_YEAR = "(^|[^0-9])[0-9]{4}([^0-9]|$)"


def stored_as(sql_type: Any) -> Stored:
    """Return how a column of this type of the database is stored."""
    name = str(sql_type.id)
    if str(sql_type) == "JSON":
        return "other"
    if name in _NUMBERS or name in _REAL:
        return "number"
    if name in _DATES:
        return "date"
    return {"varchar": "text", "enum": "text", "boolean": "bool", "list": "list", "array": "list"}.get(name, "other")  # type: ignore[return-value]


@dataclass(frozen=True)
class Expressions:
    """Expressions of one column.

    Attributes:
        column: its quoted name.
        stored: how the file stores it.
    """

    column: str
    stored: Stored

    @property
    def text(self) -> str:
        """The value as text, NULL if it is missing: NULL, NaN, or text of blanks alone."""
        if self.stored == "number":
            return f"CASE WHEN isnan({self.column}::DOUBLE) THEN NULL ELSE {self.column}::VARCHAR END"
        as_text = f"{self.column}::VARCHAR"
        return as_text if self.stored != "text" else f"CASE WHEN trim({as_text}) <> '' THEN {as_text} END"

    @property
    def says_missing(self) -> str:
        """Whether the value is a text such as ``NA``."""
        if self.stored != "text":
            return "false"
        listed = ", ".join(quoted(text, "'") for text in MISSING_TEXTS)
        return f"coalesce(lower(trim({self.column}::VARCHAR)) IN ({listed}), false)"

    @property
    def present(self) -> str:
        """The value as text, NULL if it is missing or says so."""
        return self.text if self.stored != "text" else f"CASE WHEN NOT {self.says_missing} THEN {self.text} END"

    @property
    def number(self) -> str:
        """The value as a double, NULL if it is missing or no number: the database parses ``1_000``, a reader does not."""
        if self.stored == "number":
            return f"CASE WHEN NOT isnan({self.column}::DOUBLE) THEN {self.column}::DOUBLE END"
        if self.stored == "bool":
            return f"{self.column}::INTEGER::DOUBLE"
        if self.stored != "text":
            return "NULL::DOUBLE"
        guarded = f"CASE WHEN NOT contains({self.column}, '_') AND NOT {self.says_missing} THEN {self.column} END"
        return f"TRY_CAST({guarded} AS DOUBLE)"

    @property
    def finite(self) -> str:
        """The number, NULL if it is infinite, as those are that are too large for float32."""
        return f"CASE WHEN abs({self.number}) <= {LARGEST!r} THEN {self.number} END"

    def moment(self, form: str) -> str:
        """Return the value as a timestamp by one of ``FORMATS``, NULL if it has another form."""
        if self.stored == "date":
            return f"{self.column}::TIMESTAMP" if form == ISO else "NULL::TIMESTAMP"
        if self.stored != "text":
            return "NULL::TIMESTAMP"
        value = f"trim({self.column}::VARCHAR)"
        if form == ISO:  # a zone ("Z", "+02:00") does not move the local time that the text shows
            parts = f"regexp_extract({value}, '{_ISO}', 1)"
            return f"TRY_CAST({parts} AS TIMESTAMP)"
        with_year = f"CASE WHEN regexp_matches({value}, '{_YEAR}') THEN {value} END"
        return f"try_strptime({with_year}, '{form}')"

    @property
    def words(self) -> str:
        """The words of the value, in lower case and without punctuation, as a list."""
        plain = rf"trim(regexp_replace(lower({self.present}), '[[:punct:]]', '', 'g'))"
        return rf"regexp_split_to_array(nullif({plain}, ''), '\s+')"

    def value(self, kind: str, *, large: bool = False) -> str:
        """Return the value as text, equal for equal numbers: ``7``, ``7.0`` and ``07`` are one integer.

        Args:
            kind: what the column is (see :class:`~graphspec.data.profile.ColumnProfile`).
            large: the column has integers that a double cannot tell apart.
        """
        if kind == "integer" and not large:
            return f"{self.finite}::BIGINT::VARCHAR"
        return f"({self.number})::VARCHAR" if kind == "float" else self.present
