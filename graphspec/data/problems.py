"""What is wrong with data, in words: where it is, how often, and what to do."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from graphspec.base.errors import Code, Diagnostic, Mark, Problem, did_you_mean
from graphspec.data.convert import AS_STRINGS, FILL_IN, LABELS, chunks, is_missing, is_null, is_number
from graphspec.data.folders import Folder
from graphspec.data.source import DataError, DataSignature, Request, Source, Tally, at, placed
from graphspec.data.targets import DROP
from graphspec.data.text_files import WORDS, forms_of, marks_of
from graphspec.graph.ir.graph import Array
from graphspec.language.declarations import DataSource
from graphspec.language.parse import SOURCES

# Diagnostics of columns: what is wrong in words, with a fix, and columns with the same problem as one diagnostic.
_SHOWN = 8  # columns of one diagnostic
_LONG = 24  # characters: longer texts are no categories
_PLURALS = {"has": "have", "contains": "contain", "does": "do", "is": "are"}
OF_RECORDS = f"{FILL_IN}; or declare a record, which fills gaps: `inputs: {{row: {{columns: {{…}}}}}}`"
_RECORD, _DECLARE = "record", "declare"  # hints that name the columns


@dataclass(frozen=True)
class ColumnProblem:
    """One kind of problem of a column of a source, or of an array from Python."""

    mark: Mark
    path: str
    noun: str  # noun, column: what it is, and its name
    column: str
    of: str  # the source, such as ``'penguins.csv'``; empty for an array from Python
    request: Request
    finding: Finding
    place: Callable[[int], str]  # returns the words for a row
    in_record: bool = False  # the column is one of a record
    delimited: bool = False  # the source is a file in which every cell is a text
    is_new: bool = False  # the rows are new ones, for a network that is trained

    @property
    def what(self) -> str:
        finding = self.finding
        if finding.kind == "missing" and not self.request.is_input:
            return "has no target"
        return WORDS[finding.form] if finding.kind == "text" and finding.form is not None else finding.tally.what

    @property
    def same(self) -> tuple[object, ...]:
        """What columns have in common whose problems are told in one diagnostic: a line of the spec, words and fix."""
        place = self.path if self.mark.line is None else self.mark.line
        return self.mark.file, place, self.noun, self.of, self.what, self.finding.total, self.fix()

    def fix(self) -> str:
        """Return the hint, or the kind of a hint that names the columns."""
        finding, request = self.finding, self.request
        match finding.kind:
            case "missing" if not request.is_input:
                return DROP if self.of else FILL_IN
            case "missing" | "infinite":
                of_column = self.noun == "column" and not self.in_record and not self.is_new
                return OF_RECORDS if finding.kind == "missing" and of_column else FILL_IN
            case "large" if request.type.is_float:
                return "scale the values"
            case "large":
                return f"{request.type.dtype} ends at {_LIMITS.get(request.type.dtype, 'smaller numbers')}"
            case "fraction":
                return "round it, or use a float input" if request.is_input else "round it"
            case "label":
                labels = request.labels or []
                listed = f"the labels are {', '.join(labels[:12])}{', …' if len(labels) > 12 else ''}"
                return did_you_mean(str(next(iter(finding.tally.examples))), labels) or listed
        if finding.form not in (None, "date"):
            return finding.form or ""
        if self.is_new and self.of:
            return "write numbers" + ("; an empty cell, or null in JSON, is a missing one" if request.gaps else "")
        total = finding.total
        if total is not None and total > 1 and finding.tally.rows * 2 <= total and finding.form is None:
            if request.gaps and self.in_record:
                return "correct them, or leave the cells empty: a missing number is filled"
            return "correct them: most values are numbers"
        if not request.is_input:
            float_only = request.type.is_float and not request.learns_labels
            return "this loss takes numbers: store numbers, or choose a loss for classes" if float_only else LABELS
        return AS_STRINGS if not self.of else _RECORD if self.in_record else _DECLARE

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
    if len(columns) > 1:
        named, text = f"{len(columns)} {first.noun}s", _of_all(columns)
    else:
        named = f"{first.noun} '{first.column}'"
        text = first.finding.tally.text(first.finding.total, first.place, what=first.what)
    subject = f"{named} of {first.of}" if first.of else named
    return Diagnostic.of(subject, Problem(first.finding.code, text, _hint(columns)), first.mark, path=first.path)


def _of_all(columns: Sequence[ColumnProblem]) -> str:
    """Return what is said of several columns: the rows of each, and the first of them."""
    verb, _, rest = columns[0].what.partition(" ")
    total = columns[0].finding.total
    rows = "some rows" if total is None else f"some of {total:,} rows"
    tallies = [(one.column, one.finding.tally, one.place) for one in columns[:_SHOWN]]
    each = [f"'{name}' in {of.rows:,} (first: {of.where(place, examples=1)})" for name, of, place in tallies]
    more = f", and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    return f"{_PLURALS[verb]} {rest} in {rows}: {', '.join(each)}{more}"


def _hint(columns: Sequence[ColumnProblem]) -> str:
    first, fix = columns[0], columns[0].fix()
    if fix in (_RECORD, _DECLARE):
        it = "it is text" if len(columns) == 1 else "they are text"
        types = ", ".join(f"{one.column}: {one.type()}" for one in columns[:_SHOWN])
        if fix == _RECORD:
            return f"{it}: write `{types}` in `columns:`"
        return f"{it}: declare a record, `inputs: {{row: {{columns: {{{types}, …}}}}}}`"
    if fix not in WORDS:
        return fix
    if first.delimited and not first.is_new and (keys := _keys_of(columns)):
        return f"add {keys} to the source of the rows"
    if fix != "number":
        return "write plain numbers, such as 1234.5"
    if not first.of:  # in text formats such as CSV, numbers that are texts become numbers, in typed ones not
        return "convert the array: `x.astype(float)`"
    if first.of.startswith("the query"):
        name = first.column
        return f"cast in the query: `TRY_CAST({name} AS DOUBLE) AS {name}` (null if it is no number)"
    return "store them as numbers; in JSON, without quotes"


def _keys_of(columns: Sequence[ColumnProblem]) -> str:
    """Return the keys of a source with which all first values of the columns are numbers; empty if there are none."""
    found = marks_of([str(cell) for one in columns for cell in one.finding.tally.examples], 1.0)
    if found is None:
        return ""
    (decimal, thousands), units = found
    keys = {"decimal": decimal if decimal != "." else None, "thousands": thousands}
    written = [f'`{key}: "{mark}"`' for key, mark in keys.items() if mark is not None]
    strip = ", ".join(f'"{unit}"' for unit in sorted(units))
    return " and ".join([*written, *([f"`strip: [{strip}]`"] if strip else [])])


# After an error in a column: all that is wrong in it, with the number of rows and the first values of each problem.
_MAX_KNOWN = 1 << 17  # texts whose kind is kept
_LARGEST = float(np.finfo(np.float32).max)
_KINDS = {
    "missing": (Code.MISSING_VALUE, "has no value"),
    "infinite": (Code.MISSING_VALUE, "has infinite values"),
    "text": (Code.LOSSY_CONVERSION, "contains text"),
    "fraction": (Code.LOSSY_CONVERSION, "is not an exact {dtype}"),
    "large": (Code.LOSSY_CONVERSION, "does not fit {dtype}"),
    "label": (Code.OUT_OF_RANGE, "has texts that are no labels"),
}


@dataclass(frozen=True)
class Finding:
    """One kind of problem in a column."""

    kind: str  # ``missing``, ``infinite``, ``text``, ``fraction``, ``large`` or ``label``
    tally: Tally  # the rows and the first values
    total: int | None  # the number of rows that were read; None for a stream
    form: str | None = None  # what all texts are: see :func:`graphspec.data.text_files.forms_of`

    @property
    def code(self) -> Code:
        return _KINDS[self.kind][0]


def survey(rows: Source | Array, column: str, request: Request, error: DataError, *, may_miss: bool) -> list[Finding]:
    """Return what is wrong in a column of numbers or labels, or in an array; nothing if it has another type.

    ``rows``: the source with the column, or the array; ``error``: the one that was found; ``may_miss``: missing values are
    no problem.
    """
    table = rows.stored if isinstance(rows, Source) else None
    for strict in (False, True):  # a text such as "5" is a number in a CSV file, and a text in all others
        total, found = 0, _Survey(request, may_miss=may_miss, strict=strict)
        try:
            blocks = chunks(rows) if table is None else table.cells(column, raw=request.labels is not None)  # type: ignore[arg-type]
            for first, block in blocks:
                found.add(first, block)
                total = first + len(block)
        except (DataError, ValueError, TypeError):
            return []
        if any(finding.code == error.code for finding in found.findings(total)) or (table and table.of_texts):
            break
    return found.findings(None if table and table.is_stream else total)


class _Survey:
    def __init__(self, request: Request, *, may_miss: bool, strict: bool) -> None:
        self._request, self._strict = request, strict
        self._missing = None if may_miss else "missing"  # the kind of problem that a missing value is
        self._dtype = np.dtype(np.float32 if request.type.is_float else request.type.dtype)
        self.tallies: dict[str, Tally] = {}
        self._kind_of_known = lru_cache(_MAX_KNOWN)(self._kind_of_text)
        self._forms = set(WORDS)
        self._labels_are_learnt = request.learns_labels and not request.stacked

    def findings(self, total: int | None) -> list[Finding]:
        form = next((form for form in WORDS if form in self._forms), None)
        kinds = [kind for kind in _KINDS if kind in self.tallies]
        return [Finding(kind, self.tallies[kind], total, form if kind == "text" else None) for kind in kinds]

    def _tally(self, kind: str) -> Tally:
        if kind not in self.tallies:
            what = "is too large for {dtype}" if kind == "large" and self._dtype.kind == "f" else _KINDS[kind][1]
            self.tallies[kind] = Tally(what.format(dtype=self._dtype), quote=kind in ("text", "label"))
        return self.tallies[kind]

    def add(self, first: int, block: Array) -> None:
        if block.dtype.kind == "S":
            block = np.char.decode(block, "utf-8", "replace")
        if block.dtype.kind in "OU":
            self._objects(first, block)
        elif block.dtype.kind in "fiu":
            self._numbers(first, block)

    def _numbers(self, first: int, block: Array) -> None:
        masks: dict[str, Array] = {}
        if block.dtype.kind == "f":
            if self._missing:
                masks["missing"] = np.isnan(block)
            masks["infinite"] = np.isinf(block)
            finite = np.isfinite(block)
            if self._dtype.kind == "f" and block.dtype.itemsize > 4:
                masks["large"] = finite & (np.abs(block) > _LARGEST)
            elif self._dtype.kind in "iu":
                masks["fraction"] = finite & (np.rint(block) != block)
        if self._dtype.kind in "iu" and not np.can_cast(block.dtype, self._dtype, "safe"):
            info = np.iinfo(self._dtype)
            with np.errstate(invalid="ignore"):
                whole = block.astype(np.float64)
                masks["large"] = np.isfinite(whole) & ((whole < info.min) | (whole >= float(info.max) + 1))
        for kind, mask in masks.items():
            if kind == "missing":  # without values to show
                for row in np.flatnonzero(mask.reshape(len(mask), -1).any(1)):
                    self._tally(kind).add(first + int(row))
            elif mask.any():
                self._tally(kind).add_block(first, block, mask)

    def _objects(self, first: int, block: Array) -> None:
        width = max(block.size // max(len(block), 1), 1)
        seen: set[tuple[str, int]] = set()
        for index, value in enumerate(block.reshape(-1).tolist()):
            kind, shown = self._kind_of_known(value) if isinstance(value, str) else self._kind_of_object(value)
            row = first + index // width
            if kind is not None and (width == 1 or (kind, row) not in seen):
                seen.add((kind, row))
                self._tally(kind).add(row, shown)

    def _kind_of_text(self, text: str) -> tuple[str | None, Any]:
        """Return the kind of problem that a text is, and what to show of it."""
        labels = self._request.labels
        if labels is not None:
            if not text and "" not in labels:
                return self._missing, None
            return (None if text in labels else "label"), text
        if is_missing(text, self._request.missing):
            return self._missing, None
        if not self._strict and is_number(text):
            return self._kind_of_object(float(text), text)
        if self._labels_are_learnt:
            return None, None
        if self._forms:
            self._forms &= forms_of(text)
        return "text", text

    def _kind_of_object(self, value: Any, shown: Any = None) -> tuple[str | None, Any]:
        if is_null(value):
            return self._missing, None
        try:
            number = float(value)
        except OverflowError:
            return "large", str(value)
        shown = str(value) if shown is None else shown
        if not math.isfinite(number):
            return "infinite", shown
        if self._dtype.kind == "f":
            return ("large" if abs(number) > _LARGEST else None), shown
        if self._dtype.kind not in "iu":
            return None, None
        info, whole = np.iinfo(self._dtype), int(number)
        return ("fraction" if number != whole else None if info.min <= whole <= info.max else "large"), shown


def can_be_surveyed(error: DataError, request: Request) -> bool:
    """Return whether a survey may tell more than an error: of values, not of shapes or types of columns."""
    codes = (Code.MISSING_VALUE, Code.LOSSY_CONVERSION, Code.OUT_OF_RANGE)
    of_values = error.code in codes and not error.problem.message.startswith(("has dtype ", "contains values of type "))
    return of_values and not request.type.is_string and len(error.all) == 1


_SHOWN_NAMES = 12  # columns in a message


def section_of(request: Request) -> str:
    """Return the section of a source that maps a request."""
    return "inputs" if request.is_input else "targets"


def noun_of(section: str, name: str) -> str:
    """Return the words for an input or a target."""
    return f"{'input' if section == 'inputs' else 'target'} '{name}'"


class Reporter:
    """Collects diagnostics of one source, at positions in the spec, or of arrays from Python.

    ``signature``: what is needed; ``source``: the source in the spec, None for arrays; ``table``: the opened source.
    """

    def __init__(self, signature: DataSignature, source: DataSource | None, table: Source | None = None) -> None:
        self.signature, self.source, self._table = signature, source, table
        self.file = "" if source is None else source.subject  # the data file or the query as a subject
        self.found: list[Diagnostic] = []
        self._columns: list[ColumnProblem] = []
        self._absent: list[tuple[Request, int, Problem]] = []

    def report(self, section: str, name: str, problem: Problem, subject: str, item: int | None = None) -> None:
        """Add a diagnostic of a name, or of the column with the index ``item``."""
        mark, path = self._at(section, name, item)
        self.found.append(self._suited(Diagnostic.of(subject, problem, mark, path=path)))

    def _of_request(self, request: Request, k: int, problem: Problem, subject: str) -> None:
        self.report(section_of(request), request.name, problem, subject, k if request.stacked else None)

    def _suited(self, found: Diagnostic) -> Diagnostic:
        """Return a diagnostic with a hint for windows, which no records and no rows left out help."""
        if self.source is None or self.source.windows is None or found.hint not in (DROP, OF_RECORDS):
            return found
        return replace(found, hint="fill it in, or write `missing: interpolate` (or `previous`) to `windows`")

    def _at(self, section: str, name: str, item: int | None) -> tuple[Mark, str]:
        """Return the position of a name in the mapping, else that of the file; and its path of keys."""
        if self.source is None:
            return Mark("<arrays>"), name
        tree = self.source.tree
        at = tree.find((section, name) if item is None else (section, name, item))[0]
        at = at or next((at for key in SOURCES if (at := tree.get(key)) is not None), tree)
        return at.mark, at.path

    def place(self, row: int) -> str:
        return at(row) if self._table is None else self._table.place(row)

    def has_columns(self, request: Request, table: Source, asked: Collection[str]) -> bool:
        """Return whether the file has each column of a request exactly once; report GS502 for the others.

        ``asked``: columns of the file that are no other spelling of one that lacks.
        """
        missing = [k for k, name in enumerate(request.columns) if name in table.ambiguous or name not in table.names]
        for k in missing:
            column = request.columns[k]
            if column in table.ambiguous:
                problem = Problem(Code.MISSING_ARRAY, table.ambiguous[column], "give each a unique name")
            else:
                near = _near(column, request, table, asked)
                hint = near or f"it has {', '.join(table.names[:20])}{', …' if len(table.names) > 20 else ''}"
                noun = noun_of(section_of(request), request.name)
                problem = Problem(Code.MISSING_ARRAY, f"has no {table.item} '{column}' for {noun}", hint)
                if near is None:
                    self._absent.append((request, k, problem))
                    continue
            if (declared := self._declared(request)) is not None:
                self.found.append(Diagnostic.of(self.file, problem, declared[0], path=declared[1]))
            else:
                self._of_request(request, k, problem, self.file)
        return not missing

    def _declared(self, request: Request) -> tuple[Mark, str] | None:
        """Return where a record names a column that the training rows lack, if its name there may be misspelt."""
        assert self.source is not None
        tree = self.source.tree
        if not request.is_input or tree.path != "data.train" or tree.find(("inputs", request.name))[0] is not None:
            return None
        return self.signature.records.get(request.name)

    def tell_absent(self, table: Source) -> None:
        """Report the columns that the file does not have, and nothing like them: those at one place in one diagnostic."""
        groups: dict[Mark, list[tuple[Request, int, Problem]]] = {}
        for request, k, problem in self._absent:
            mark, _ = self._at(section_of(request), request.name, k if request.stacked else None)
            groups.setdefault(mark, []).append((request, k, problem))
        for group in groups.values():
            names = list(dict.fromkeys(request.columns[k] for request, k, _ in group))
            request, k, problem = group[0]
            if len(names) > 1:
                listed = ", ".join(f"'{name}'" for name in names[:_SHOWN_NAMES])
                more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
                kinds = " and ".join(sorted({"inputs" if r.is_input else "targets" for r, *_ in group}))
                problem = replace(problem, message=f"has no {table.item}s {listed}{more} for {kinds}")
            self._of_request(request, k, problem, self.file)
        self._absent.clear()

    def add_problem(
        self, request: Request, k: int, error: DataError, findings: Sequence[Finding], named: tuple[str, str, str]
    ) -> None:
        """Add the problems of a column or an array: what was found in it, and the error unless that is told by them.

        ``k``: the index of the column in the request; ``named``: the noun and the name of the column, and what it is of.
        """
        noun, column, of = named
        if not any(finding.code == error.code for finding in findings):
            subject = f"{noun} '{column}'{f' of {of}' if of else ''}"
            self._of_request(request, k, placed(error, self.place).problem, subject)
        mark, path = self._at(section_of(request), request.name, k if request.stacked else None)
        stored = None if self._table is None else self._table.stored
        self._columns += [
            ColumnProblem(
                *(mark, path, noun, column, of, request, finding, at if stored is None else stored.place),
                in_record=request.name in self.signature.records,
                delimited=stored is not None and stored.of_texts,
                is_new=not self.signature.targets,
            )
            for finding in findings
        ]

    def tell_columns(self) -> None:
        self.found += map(self._suited, diagnostics_of(self._columns))
        self._columns.clear()


def _near(column: str, request: Request, table: Source, asked: Collection[str]) -> str | None:
    """Return what may be meant by a column that a file does not have."""
    if column == "file" and table.item == "array":  # np.savez(file=…) is its first parameter
        return "NumPy's savez takes no array called 'file': save it as 'rows', and map it, `{file: rows}`"
    near = did_you_mean(column, [name for name in table.names if name not in asked])
    if near is None and not request.is_input and isinstance(table, Folder) and table.subfolders:
        return "write `labels: folder` if the names of the subfolders are the labels"
    return near
