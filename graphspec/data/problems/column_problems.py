"""Diagnostics of columns: what is wrong in words, with a fix, and columns with the same problem as one diagnostic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphspec.base.errors import Diagnostic, Mark, Problem, did_you_mean
from graphspec.data.convert import FILL_IN, LABELS
from graphspec.data.missing_targets import DROP
from graphspec.data.problems.number_formats import WORDS, marks_of

if TYPE_CHECKING:
    from graphspec.data.problems.survey import Finding
    from graphspec.data.source import Request

_SHOWN = 8  # columns of one diagnostic
_LONG = 24  # characters: longer texts are no categories
_PLURALS = {"has": "have", "contains": "contain", "does": "do", "is": "are"}
OF_RECORDS = f"{FILL_IN}; or declare a record, which fills gaps: `inputs: {{row: {{columns: {{…}}}}}}`"
_RECORD, _DECLARE = "record", "declare"  # hints that name the columns


@dataclass(frozen=True)
class ColumnProblem:
    """One kind of problem of a column of a source, or of an array from Python.

    Attributes:
        noun, column: what it is, and its name.
        of: the source, such as ``'penguins.csv'``; empty for an array from Python.
        place: returns the words for a row.
        in_record: the column is one of a record.
        delimited: the source is a file in which every cell is a text.
        is_new: the rows are new ones, for a network that is trained.
    """

    mark: Mark
    path: str
    noun: str
    column: str
    of: str
    request: Request
    finding: Finding
    place: Callable[[int], str]
    in_record: bool = False
    delimited: bool = False
    is_new: bool = False

    @property
    def what(self) -> str:
        """The predicate, such as ``has no value``."""
        finding = self.finding
        if finding.kind == "text" and finding.form is not None:
            return WORDS[finding.form]
        if finding.kind == "missing" and not self.request.is_input:
            return "has no target"
        return finding.tally.what

    @property
    def same(self) -> tuple[object, ...]:
        """What columns have in common whose problems are told in one diagnostic: a line of the spec, words and fix."""
        place = self.path if self.mark.line is None else self.mark.line
        return self.mark.file, place, self.noun, self.of, self.what, self.finding.total, self.fix()

    def fix(self) -> str:
        """Return the hint, or the kind of a hint that names the columns."""
        finding, request = self.finding, self.request
        match finding.kind:
            case "missing":
                if self.noun == "column" and request.is_input and not self.in_record and not self.is_new:
                    return OF_RECORDS
                return DROP if self.of and not request.is_input else FILL_IN
            case "infinite":
                return FILL_IN
            case "large" if request.type.is_float:
                return "scale the values"
            case "large":
                return f"{request.type.dtype} ends at {_LIMITS.get(request.type.dtype, 'smaller numbers')}"
            case "fraction":
                return "round it, or use a float input" if request.is_input else "round it"
            case "label":
                labels = request.labels or []
                shown = f"the labels are {', '.join(labels[:12])}{', …' if len(labels) > 12 else ''}"
                return did_you_mean(str(next(iter(finding.tally.examples))), labels) or shown
        if finding.form not in (None, "date"):
            return finding.form or ""
        if self.is_new and self.of:
            return (
                "write numbers; an empty cell, or null in JSON, is a missing one" if request.gaps else "write numbers"
            )
        total = finding.total
        if total is not None and total > 1 and finding.tally.rows * 2 <= total and finding.form is None:
            if request.gaps and self.in_record:
                return "correct them, or leave the cells empty: a missing number is filled"
            return "correct them: most values are numbers"
        if not request.is_input:
            float_only = request.type.is_float and not request.learns_labels
            return "this loss takes numbers: store numbers, or choose a loss for classes" if float_only else LABELS
        if not self.of:
            return "declare the input with `dtype: string`, and let StringLookup or TextVectorization read it"
        return _RECORD if self.in_record else _DECLARE

    def type(self) -> str:
        """Return the type of a record's column that suits the texts."""
        if self.finding.form == "date":
            return "date"
        texts = [str(text) for text in self.finding.tally.examples]
        return "text" if any(len(text) > _LONG or text.count(" ") > 2 for text in texts) else "category"


_LIMITS = {"int64": "9223372036854775807", "int32": "2147483647", "uint8": "255", "int16": "32767", "int8": "127"}


def diagnostics_of(problems: Sequence[ColumnProblem]) -> list[Diagnostic]:
    """Return the diagnostics; columns with the same problem at the same line are told in one."""
    groups: dict[tuple[object, ...], list[ColumnProblem]] = {}
    for one in problems:
        groups.setdefault(one.same, []).append(one)
    return [_diagnostic(group) for group in groups.values()]


def _diagnostic(group: list[ColumnProblem]) -> Diagnostic:
    columns = list({one.column: one for one in group}.values())
    first = min(group, key=lambda one: one.mark.column or 0)
    several = len(columns) > 1
    named = f"{len(columns)} {first.noun}s" if several else f"{first.noun} '{first.column}'"
    subject = f"{named} of {first.of}" if first.of else named
    text = _said_of_all(columns) if several else _said(first)
    return Diagnostic.of(subject, Problem(first.finding.code, text, _hint(columns)), first.mark, path=first.path)


def _said(one: ColumnProblem) -> str:
    return one.finding.tally.text(one.finding.total, one.place, what=one.what)


def _said_of_all(columns: Sequence[ColumnProblem]) -> str:
    verb, _, rest = columns[0].what.partition(" ")
    total = columns[0].finding.total
    rows = "some rows" if total is None else f"some of {total:,} rows"
    each = [f"'{one.column}' in {one.finding.tally.rows:,} (first: {_first(one)})" for one in columns[:_SHOWN]]
    more = f", and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    return f"{_PLURALS[verb]} {rest} in {rows}: {', '.join(each)}{more}"


def _first(one: ColumnProblem) -> str:
    return one.finding.tally.where(one.place, examples=1)


def _hint(columns: Sequence[ColumnProblem]) -> str:
    first, fix = columns[0], columns[0].fix()
    if fix in (_RECORD, _DECLARE):
        it = "it is text" if len(columns) == 1 else "they are text"
        types = ", ".join(f"{one.column}: {one.type()}" for one in columns[:_SHOWN])
        if fix == _RECORD:
            return f"{it}: write `{types}` in `columns:`"
        return f"{it}: declare a record, `inputs: {{row: {{columns: {{{types}, …}}}}}}`"
    if fix in WORDS and first.delimited and not first.is_new and (keys := _keys_of(columns)):
        return f"add {keys} to the source of the rows"
    if fix == "number":
        return _as_numbers(first)
    if fix in WORDS:
        return "write plain numbers, such as 1234.5"
    return fix


def _keys_of(columns: Sequence[ColumnProblem]) -> str:
    """Return the keys of a source with which all first values of the columns are numbers; empty if there are none."""
    cells = [str(cell) for one in columns for cell in one.finding.tally.examples]
    found = marks_of(cells, 1.0)
    if found is None:
        return ""
    (decimal, thousands), units = found
    keys = {"decimal": decimal if decimal != "." else None, "thousands": thousands}
    shown = [f'`{key}: "{mark}"`' for key, mark in keys.items() if mark is not None]
    strip = ", ".join(f'"{unit}"' for unit in sorted(units))
    return " and ".join([*shown, *([f"`strip: [{strip}]`"] if strip else [])])


def _as_numbers(one: ColumnProblem) -> str:
    """Return how numbers that are texts become numbers: in text formats such as CSV they are, in typed ones not."""
    if not one.of:
        return "convert the array: `x.astype(float)`"
    if one.of.startswith("the query"):
        return f"cast in the query: `TRY_CAST({one.column} AS DOUBLE) AS {one.column}` (null if it is no number)"
    return "store them as numbers; in JSON, without quotes"
