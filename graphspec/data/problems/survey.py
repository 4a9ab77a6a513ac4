"""After an error in a column: all that is wrong in it, with the number of rows and the first values of each problem."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.codes import Code
from graphspec.data.convert import chunks, is_missing, is_null, is_number
from graphspec.data.problems.number_formats import FORMS, forms_of
from graphspec.data.problems.tally import Tally
from graphspec.data.source import DataError, Request, Source

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array

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
    """One kind of problem in a column.

    Attributes:
        kind: ``missing``, ``infinite``, ``text``, ``fraction``, ``large`` or ``label``.
        tally: the rows and the first values.
        total: the number of rows that were read; None for a stream.
        form: what all texts are: see :func:`graphspec.data.problems.number_formats.forms_of`.
    """

    kind: str
    tally: Tally
    total: int | None
    form: str | None = None

    @property
    def code(self) -> Code:
        """The code of the problem."""
        return _KINDS[self.kind][0]


def survey(rows: Source | Array, column: str, request: Request, error: DataError, *, may_miss: bool) -> list[Finding]:
    """Return what is wrong in a column of numbers or labels, or in an array; nothing if it has another type.

    Args:
        rows: the source with the column, or the array.
        error: the error that was found.
        may_miss: missing values are no problem.
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
        self._request, self._may_miss, self._strict = request, may_miss, strict
        self._dtype = np.dtype(np.float32 if request.type.is_float else request.type.dtype)
        self.tallies: dict[str, Tally] = {}
        self._known: dict[str, tuple[str | None, Any]] = {}
        self._forms = set(FORMS)
        self._labels_are_learnt = request.learns_labels and not request.stacked

    def findings(self, total: int | None) -> list[Finding]:
        found = [Finding(kind, self.tallies[kind], total) for kind in _KINDS if kind in self.tallies]
        form = next((form for form in FORMS if form in self._forms), None)
        return [replace(f, form=form) if f.kind == "text" else f for f in found]

    def _tally(self, kind: str) -> Tally:
        if kind not in self.tallies:
            what = _KINDS[kind][1].format(dtype=self._dtype)
            if kind == "large" and self._dtype.kind == "f":
                what = f"is too large for {self._dtype}"
            self.tallies[kind] = Tally(what, quote=kind in ("text", "label"))
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
            if not self._may_miss:
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
            if not mask.any():
                continue
            if kind == "missing":
                for row in np.flatnonzero(mask.reshape(len(mask), -1).any(1)):
                    self._tally(kind).add(first + int(row))
            else:
                self._tally(kind).add_block(first, block, mask)

    def _objects(self, first: int, block: Array) -> None:
        width = max(block.size // max(len(block), 1), 1)
        seen: set[tuple[str, int]] = set()
        for index, value in enumerate(block.reshape(-1).tolist()):
            kind, shown = self._kind_of(value)
            row = first + index // width
            if kind is not None and (width == 1 or (kind, row) not in seen):
                seen.add((kind, row))
                self._tally(kind).add(row, shown)

    def _kind_of(self, value: Any) -> tuple[str | None, Any]:
        """Return the kind of problem that a value is, and what to show of it."""
        if not isinstance(value, str):
            return self._kind_of_object(value)
        known = self._known.get(value)
        if known is None:
            known = self._kind_of_text(value)
            if len(self._known) < _MAX_KNOWN:
                self._known[value] = known
        return known

    def _kind_of_text(self, text: str) -> tuple[str | None, Any]:
        labels = self._request.labels
        if labels is not None:
            if not text and "" not in labels:
                return (None if self._may_miss else "missing"), None
            return (None if text in labels else "label"), text
        if is_missing(text, self._request.missing):
            return (None if self._may_miss else "missing"), None
        if self._strict or not is_number(text):
            if self._labels_are_learnt:
                return None, None
            if self._forms:
                self._forms &= forms_of(text)
            return "text", text
        return self._kind_of_object(float(text), text)

    def _kind_of_object(self, value: Any, shown: Any = None) -> tuple[str | None, Any]:
        if is_null(value):
            return (None if self._may_miss else "missing"), None
        try:
            number = float(value)
        except OverflowError:
            return "large", str(value)
        shown = str(value) if shown is None else shown
        if number != number or number in (float("inf"), float("-inf")):
            return "infinite", shown
        if self._dtype.kind == "f":
            return ("large" if abs(number) > _LARGEST else None), shown
        if self._dtype.kind in "iu":
            if number != int(number):
                return "fraction", shown
            info = np.iinfo(self._dtype)
            return (None if info.min <= int(number) <= info.max else "large"), shown
        return None, None


def can_be_surveyed(error: DataError, request: Request) -> bool:
    """Return whether a survey may tell more than an error: of values, not of shapes or types of columns."""
    codes = (Code.MISSING_VALUE, Code.LOSSY_CONVERSION, Code.OUT_OF_RANGE)
    of_values = error.code in codes and not error.problem.message.startswith(("has dtype ", "contains values of type "))
    return of_values and not request.type.is_string and len(error.all) == 1
