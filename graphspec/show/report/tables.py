"""Tables of a report, and its numbers as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from graphspec.base.document import UNDEFINED, Column, Inline, Table
from graphspec.base.text import number


def table(
    caption: str, columns: Sequence[str], rows: Iterable[Sequence[Inline]], *, sort: bool = True, texts: int = 1
) -> Table:
    """Return a table of numbers.

    Args:
        rows: their cells; :data:`UNDEFINED` for a value that is not defined.
        texts: how many of the columns, from the left, are text; the others are numbers.
    """
    described = [Column(name, "" if k < texts else "number") for k, name in enumerate(columns)]
    return Table(described, list(rows), caption, sort=sort)


def share(value: float) -> str:
    """Return a share from 0 to 1 with three decimals; ``–`` if it is not defined."""
    return UNDEFINED if math.isnan(value) else f"{value:.3f}"


def amount(value: float) -> str:
    """Return a number as a metric is shown; ``–`` if it is not defined."""
    return UNDEFINED if math.isnan(value) else number(value).replace("-", "−", int(value < 0))
