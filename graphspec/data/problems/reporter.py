"""Diagnostics of data with their positions: in a spec, or of arrays from Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, Mark, Problem, did_you_mean
from graphspec.data.folders import Folder
from graphspec.data.missing_targets import DROP
from graphspec.data.problems.column_problems import OF_RECORDS, ColumnProblem, diagnostics_of
from graphspec.data.problems.survey import Finding, is_delimited, rows_of
from graphspec.data.source import DataError, Request, Source, at, placed
from graphspec.language.parse import SOURCES

if TYPE_CHECKING:
    from graphspec.data.requirements import DataSignature
    from graphspec.language.declarations import DataSource

_SHOWN_NAMES = 12  # columns in a message


def section_of(request: Request) -> str:
    """Return the section of a source that maps a request."""
    return "inputs" if request.is_input else "targets"


def noun_of(section: str, name: str) -> str:
    """Return the words for an input or a target."""
    return f"{'input' if section == 'inputs' else 'target'} '{name}'"


class Reporter:
    """Collects diagnostics of one source, or of arrays from Python.

    Args:
        signature: what is needed.
        source: the source in the spec; None for arrays.
        table: the opened source.
    """

    def __init__(self, signature: DataSignature, source: DataSource | None, table: Source | None = None) -> None:
        self.signature, self.source, self._table = signature, source, table
        self.found: list[Diagnostic] = []
        self._columns: list[ColumnProblem] = []
        self._absent: list[tuple[Request, int, Problem]] = []

    @property
    def file(self) -> str:
        """The data file or the query as a subject."""
        return "" if self.source is None else self.source.subject

    def report(self, section: str, name: str, problem: Problem, subject: str, item: int | None = None) -> None:
        """Add a diagnostic of a name, or of the column with the index ``item``."""
        mark, path = self._at(section, name, item)
        self.found.append(self._suited(Diagnostic.of(subject, problem, mark, path=path)))

    def _suited(self, found: Diagnostic) -> Diagnostic:
        """Return a diagnostic with a hint for windows, which no records and no rows left out help."""
        if self.source is None or self.source.windows is None or found.hint not in (DROP, OF_RECORDS):
            return found
        hint = "fill it in, or write `missing: interpolate` (or `previous`) to `windows`"
        return dataclasses.replace(found, hint=hint)

    def _at(self, section: str, name: str, item: int | None) -> tuple[Mark, str]:
        """Return the position of a name in the mapping, else that of the file; and its path of keys."""
        if self.source is None:
            return Mark("<arrays>"), name
        tree = self.source.tree
        at = tree.find((section, name) if item is None else (section, name, item))[0]
        at = at or next((at for key in SOURCES if (at := tree.get(key)) is not None), tree)
        return at.mark, at.path

    def place(self, row: int) -> str:
        """Return the words for a row by its index."""
        return at(row) if self._table is None else self._table.place(row)

    def has_columns(self, request: Request, table: Source) -> bool:
        """Return whether the file has each column of a request exactly once; report GS502 for the others."""
        assert self.source is not None
        good = True
        for k, column in enumerate(request.columns):
            if column in table.ambiguous:
                problem = Problem(Code.MISSING_ARRAY, table.ambiguous[column], "give each a unique name")
            elif column not in table.names:
                near = did_you_mean(column, table.names)
                if column == "file" and table.item == "array":  # np.savez(file=…) is its first parameter
                    near = "NumPy's savez takes no array called 'file': save it as 'rows', and map it, `{file: rows}`"
                if near is None and not request.is_input and isinstance(table, Folder) and table.subfolders:
                    near = "write `labels: folder` if the names of the subfolders are the labels"
                hint = near or f"it has {', '.join(table.names[:20])}{', …' if len(table.names) > 20 else ''}"
                noun = noun_of(section_of(request), request.name)
                problem = Problem(Code.MISSING_ARRAY, f"has no {table.item} '{column}' for {noun}", hint)
                if near is None:
                    self._absent.append((request, k, problem))
                    good = False
                    continue
            else:
                continue
            item = k if request.stacked else None
            if (declared := self._declared(request)) is not None:
                self.found.append(Diagnostic.of(self.file, problem, declared[0], path=declared[1]))
            else:
                self.report(section_of(request), request.name, problem, self.file, item)
            good = False
        return good

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
        for one in self._absent:
            request, k, _ = one
            mark, _ = self._at(section_of(request), request.name, k if request.stacked else None)
            groups.setdefault(mark, []).append(one)
        for group in groups.values():
            request, k, problem = group[0]
            names = list(dict.fromkeys(request.columns[k] for request, k, _ in group))
            if len(names) > 1:
                shown = ", ".join(f"'{name}'" for name in names[:_SHOWN_NAMES])
                more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
                kinds = " and ".join(sorted({f"{noun_of(section_of(r), '').split()[0]}s" for r, *_ in group}))
                text = f"has no {table.item}s {shown}{more} for {kinds}"
                problem = Problem(problem.code, text, problem.hint)
            self.report(section_of(request), request.name, problem, self.file, k if request.stacked else None)
        self._absent.clear()

    def add_problem(
        self, request: Request, k: int, error: DataError, findings: Sequence[Finding], named: tuple[str, str, str]
    ) -> None:
        """Add the problems of a column or an array: what was found in it, and the error unless that is told by them.

        Args:
            k: the index of the column in the request.
            named: the noun and the name of the column, and what it is of.
        """
        item = k if request.stacked else None
        noun, column, of = named
        if not any(finding.code == error.code for finding in findings):
            subject = f"{noun} '{column}'{f' of {of}' if of else ''}"
            self.report(section_of(request), request.name, placed(error, self.place).problem, subject, item)
        mark, path = self._at(section_of(request), request.name, item)
        in_record = request.name in self.signature.records
        delimited, place = is_delimited(self._table), at if self._table is None else rows_of(self._table).place
        self._columns += [
            ColumnProblem(
                mark, path, noun, column, of, request, finding, place, in_record, delimited, not self.signature.targets
            )
            for finding in findings
        ]

    def tell_columns(self) -> None:
        """Report the problems of all columns."""
        self.found += map(self._suited, diagnostics_of(self._columns))
        self._columns.clear()
