"""The result of ``explain``: attributions that a notebook shows, and that are written as a page, a drawing or a table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.api import from_keras
from graphspec.base.arguments import advising, bad_argument, path_of, positive_int
from graphspec.base.arguments import rows as data_rows
from graphspec.base.errors import UsageError
from graphspec.base.files import write_atomic
from graphspec.base.text import count, number, percent, printable
from graphspec.data.signature import Data
from graphspec.engine.runtime.explanations import TOLERANCE, Attributed, Attributions, Contribution, explain_inputs
from graphspec.engine.runtime.session import Session
from graphspec.graph.ir.graph import Array

FORMATS = (".html", ".svg", ".jsonl", ".csv")
_FAR = 0.2  # a gap after which attributions say nothing
_SHOWN = 3  # contributions that a `repr` names


class Explanation:
    """Why a network answers as it does, for some rows: what each raw value adds to the answer, beginning at a baseline.

    The attributions of a row add up to ``values[row] - baselines[row]``, within 1 %. A notebook draws them.

    Attributes:
        head: the explained head.
        explained: for each row the class whose probability is explained; empty for a head with one value.
        values, baselines: the head's value for each row, and for its baseline: float64 ``(rows,)``.
        attributions: by input, float64 ``(rows,)``, ``(rows, words)``, ``(rows, features)``, ``(rows, height, width)``, …;
            ``a + b`` is the name of values that two inputs determine together.
        gaps: how far the sum of a row is from the difference, as a part of it.
        steps: the number of gradients of each row.
        parts: the attributions with their raw values.

    Example::

        model = gs.compile("specs/housing.yaml")
        model.fit(epochs=1, verbose=0)
        explanation = model.explain(model.part("test").inputs, rows=2)
        explanation.top(0)  # the ten largest contributions to the first answer
        explanation.save("why.html")
    """

    def __init__(self, found: Attributions, name: str = "network") -> None:
        self.name, self.head, self.explained = name, found.head, found.explained
        self.values, self.baselines = found.values, found.baselines
        self.gaps, self.steps = found.gaps, found.steps
        self.parts: list[Attributed] = found.parts

    def __len__(self) -> int:
        return len(self.values)

    @property
    def attributions(self) -> dict[str, Array]:
        """The attributions by input."""
        return {part.name: part.values for part in self.parts}

    def contributions(self, row: int) -> list[Contribution]:
        """Return all contributions to the answer for a row, the largest first."""
        return sorted((c for part in self.parts for c in part.contributions(row)), key=lambda c: -abs(c.value))

    def top(self, row: int, most: int = 10) -> list[Contribution]:
        """Return the largest contributions to the answer for a row."""
        return self.contributions(row)[:most]

    def answer(self, row: int) -> str:
        """Return a row's answer as text: ``species = Gentoo 0.9312``."""
        label = self.explained[row]
        return f"{self.head} = {label}{' ' if label else ''}{number(float(self.values[row]))}"

    @property
    def warnings(self) -> list[str]:
        """The rows whose attributions do not add up, as sentences."""
        sentences = []
        for row, gap in enumerate(self.gaps, 1):
            if not math.isfinite(gap):
                text = "the answer or the baseline's is not a number, so nothing can be attributed"
                sentences.append(f"row {row}: {text}")
            elif gap > TOLERANCE:
                steps = count(int(self.steps[row - 1]), "gradient")
                advice = "do not rely on them" if gap > _FAR else "read them as a tendency"
                off = f"the sum of the attributions is {percent(float(gap))} off the difference"
                sentences.append(f"row {row}: {off}, after {steps}; {advice}, or try another baseline")
        return sentences

    def encode(self, suffix: str) -> str:
        """Return the content of a file with one of the suffixes ``FORMATS``."""
        if suffix == ".jsonl":
            return "".join(json.dumps(self._record(row), ensure_ascii=False) + "\n" for row in range(len(self)))
        if suffix == ".csv":
            return self._csv()
        from graphspec.show.drawing.explanations import drawing, page

        return page(self) if suffix == ".html" else drawing(self)

    def save(self, path: str | Path) -> Path:
        """Write the attributions of all rows: a page (.html), a drawing (.svg), or a table (.csv, .jsonl).

        Raises:
            UsageError: the name has another suffix.
        """
        file = path_of("path", path)
        if (suffix := file.suffix.lower()) not in FORMATS:
            raise UsageError(f"'{file}' must end in {', '.join(FORMATS)}")
        write_atomic(file, self.encode(suffix))
        return file

    def _record(self, row: int) -> Mapping[str, Any]:
        return {
            "row": row,
            "head": self.head,
            "explains": self.explained[row] or None,
            "value": _finite(self.values[row]),
            "baseline": _finite(self.baselines[row]),
            "gap": _finite(self.gaps[row]),
            "attributions": {part.name: _values(part, row) for part in self.parts},
        }

    def _csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["row", "head", "explains", "value", "baseline", "input", "place", "raw", "attribution"])
        for row in range(len(self)):
            start = [row, self.head, self.explained[row], float(self.values[row]), float(self.baselines[row])]
            for part in self.parts:
                for c in part.contributions(row):
                    writer.writerow([*start, c.input, c.place, "" if c.raw is None else c.raw, c.value])
        return text.getvalue()

    def __repr__(self) -> str:
        parts = ", ".join(f"{c.name} {c.value:+.4g}" for c in self.top(0, _SHOWN))
        more = f" and of {count(len(self) - 1, 'other row')}" if len(self) > 1 else ""
        return printable(f"<graphspec.Explanation of {self.answer(0)}{more}: {parts}, …>")

    def _repr_html_(self) -> str:
        from graphspec.show.drawing.explanations import drawing
        from graphspec.show.notebook.pages import MAX_DRAWING, picture, text

        svg = drawing(self)
        return picture(svg) if len(svg) <= MAX_DRAWING else f"<p>{text(repr(self))}</p>"


class Explainable(Session):
    """A network that explains its answers."""

    @advising(from_keras.EXPLAIN)
    def explain(
        self,
        x: Data,
        *,
        head: str | None = None,
        label: str | int | None = None,
        baseline: Data = None,
        rows: int | None = None,
    ) -> Explanation:
        """Return what each value of each row adds to the answer: attributions by integrated gradients.

        The attributions of a row add up to the head's value for the row minus its value for a baseline: standardized
        numbers at their mean, no category, padding, black pixels.

        Args:
            x: rows as for :meth:`predict`, at most 256.
            head: the head to explain, if there are several.
            label: the class to explain, a label or a number; by default the predicted class of each row.
            baseline: rows whose mean is the baseline, at most 1000 of them are read.
            rows: explain only the first rows of ``x``.

        Raises:
            SpecError: the arrays do not fit the inputs (GS5).
            UsageError: there is no such head or class, nothing can be attributed, or there are too many rows.

        Example::

            model = gs.compile("specs/penguins.yaml")
            model.fit(epochs=1, verbose=0)
            why = model.explain(model.part("test").inputs, rows=3)
            why.top(0)[0].name, why.attributions["sex"].shape  # ('bill_length_mm', (3,))
        """
        if x is None:
            raise UsageError("`explain` needs `x`, the rows to explain")
        data_rows("x", x)
        if head is not None and not isinstance(head, str):
            raise bad_argument("head", "the name of a head", head)
        most, label = None if rows is None else positive_int("rows", rows, 1), None if label is None else str(label)
        found = explain_inputs(self, x, head=head, label=label, baseline=baseline, rows=most)
        return Explanation(found, self.spec.name)


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _values(part: Attributed, row: int) -> Any:
    """Return a row's attributions: a number, nested lists, or words with theirs."""
    if part.words:
        return [{"word": c.raw, "value": _finite(c.value)} for c in part.contributions(row)]
    return np.asarray(part.values[row]).tolist()
