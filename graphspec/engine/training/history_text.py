"""The history of a run as the text of its files, to which each epoch adds its own values."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence


class HistoryText:
    """The losses and metrics of every epoch, as JSON and as CSV.

    A run writes its whole history after every epoch, since its files are replaced, never extended. Each value is formatted
    once, so the thousandth epoch takes hardly longer than the first.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}
        self._rows: list[str] = []

    def update(self, history: Mapping[str, Sequence[float]]) -> None:
        """Format the epochs since the last call.

        Args:
            history: one value per epoch for each loss and metric; epochs may be added, never changed.
        """
        done = len(self._rows)
        for key, values in history.items():
            self._values.setdefault(key, []).extend(json.dumps(value) for value in values[done:])
        new = zip(*(values[done:] for values in history.values()), strict=True)
        self._rows += [_row(k, *map(repr, row)) for k, row in enumerate(new, done + 1)]

    def json(self, before: str = "", after: str = "") -> str:
        """Return a JSON object: a list of values for each loss and metric.

        Args:
            before, after: whitespace before each entry, and after the last.
        """
        entries = [f"{before}{json.dumps(key)}: [{', '.join(values)}]" for key, values in self._values.items()]
        return "{" + ("," if before else ", ").join(entries) + (after if entries else "") + "}"

    def csv(self) -> str:
        """Return a table: one row per epoch, counted from 1."""
        return _row("epoch", *self._values) + "".join(self._rows)


def _row(*cells: object) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
