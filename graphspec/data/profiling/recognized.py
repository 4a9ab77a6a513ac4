"""How the text of a table is read of which no spec says it: its encoding, and the marks in its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from graphspec.base.files import is_regular, suffix_of
from graphspec.data.compressed import undecodable
from graphspec.data.delimited import Delimited
from graphspec.data.files import is_glob, open_source, open_table
from graphspec.data.problems.number_formats import MOSTLY, marks_of
from graphspec.data.source import Source
from graphspec.language.declarations import TextForm

_PLAIN = (".", None)


def recognized(path: Path) -> tuple[Source, TextForm, dict[str, str]]:
    """Open a file; return it with how its text is read, and why, by key of the spec.

    Raises:
        DataError: it cannot be read.
    """
    form, why = TextForm(), dict[str, str]()
    of_text = not is_glob(path) and is_regular(path) and suffix_of(path).startswith((".csv", ".tsv", ".jsonl"))
    error = undecodable(path) if of_text else None
    if error is not None:
        often = (encoding for encoding in ("utf-16", "cp1252") if undecodable(path, encoding) is None)
        if (encoding := next(often, None)) is None:
            raise error
        form = TextForm(encoding=encoding)
        why["encoding"] = error.problem.message.removeprefix("cannot be read: ")
    table = open_table(path, form) if error is not None else open_source(path)
    if not isinstance(table, Delimited):
        return table, form, why
    marked, why_marked = _numbers(table, form)
    return (table if marked == form else open_table(path, marked)), marked, why | why_marked


def _numbers(table: Delimited, form: TextForm) -> tuple[TextForm, dict[str, str]]:
    """Return the form with the marks of the first rows: of all columns, or by column where they differ."""
    marks: dict[str, tuple[str, str | None]] = {}
    units: dict[str, None] = {}
    shown: dict[str, str] = {}
    points = False
    for name, cells in table.first_cells():
        found = marks_of(cells, MOSTLY)
        if found is None:
            continue
        for unit in sorted(found[1]):
            units[unit] = None
            shown.setdefault("strip", _example(name, [cell for cell in cells if unit in cell]))
        if found[0] == _PLAIN:
            points |= any("." in cell for cell in cells)
            continue
        marks[name] = found[0]
        for key, mark in zip(("decimal", "thousands"), found[0], strict=True):
            if mark is not None and (key, mark) != ("decimal", "."):
                shown.setdefault(key, _example(name, [cell for cell in cells if mark in cell.replace("\u202f", " ")]))
    decimals = {name: decimal for name, (decimal, _) in marks.items() if decimal != "."}
    thousands = {name: mark for name, (_, mark) in marks.items() if mark is not None}
    alike = len(set(marks.values())) == 1 and not (points and decimals)
    decimal, thousand = (next(iter(m.values()), None) if alike else m or None for m in (decimals, thousands))
    return replace(form, decimal=decimal or ".", thousands=thousand, strip=tuple(units)), shown


def _example(name: str, cells: Sequence[str]) -> str:
    return f"as in '{cells[0].strip()}' of '{name}'" if cells else ""
