"""Rows with the same problem, counted, and the first values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.errors import shorten

if TYPE_CHECKING:
    from graphspec.base.arrays.layout import Array

CELL = 40
"""Characters of a value in a message."""
_EXAMPLES = 3  # different values that a message shows


class Tally:
    """Rows with the same problem: how many there are, and the first different values.

    Args:
        what: a predicate such as ``contains text``.
        quote: whether values that are texts are shown in quotes.
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
        """Add one row, with a value to show."""
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
        """Return the predicate with the number of rows, of ``total`` ones; without it if more rows will arrive.

        Args:
            what: a predicate in place of the tally's own.
        """
        what = self.what if what is None else what
        if total is None:
            return f"{what}{':' if self.examples else ' in'} {self.where(place)}"
        return f"{what} in {self.rows:,} of {total:,} rows; first: {self.where(place)}"
