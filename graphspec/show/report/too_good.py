"""Rows that are answered too well: without a mistake, or by one field that carries it all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.base.text import percent
from graphspec.show.report.given_away import ASK
from graphspec.show.report.importance import Importances, measured
from graphspec.show.report.rows import fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphspec.show.report.findings import Findings

_GIVEN = 5  # fields that are named
_FEWEST_FIELDS = 3  # of a table; with fewer, each has to say much
_FEWEST_ROWS = 200  # without a mistake: easy data have as many right answers in a row, by chance or by nature
_CARRIES = 0.95  # of the importance of all fields
_GOOD, _PERFECT = 0.2, 0.01  # of the error of the best simple rule


def doubts(found: Findings) -> list[str]:
    """Return what speaks against results: fields that give away the target, else what is too good."""
    given = [f"'{name}' {why}; {ASK}" for name, why in found.given.items()]
    return given[:_GIVEN] or list(too_good(found))


def too_good(found: Findings, *, measures: bool = True) -> Iterator[str]:
    """Yield sentences about judged rows that are answered so well that a field may tell the answer.

    Easy data are no reason for one: a network must leave at most a fifth of the error of the best simple rule, and one of
    several fields of a table must have nearly all of the importance; or nothing is wrong in many rows.

    Args:
        measures: whether to measure the importance of the fields for this.
    """
    judged = found.judged
    left = min((verdict.left for verdict in found.verdicts), default=1.0)
    if judged is None or judged.raw.times is not None or left > _GOOD:
        return
    if len({field.name for field in fields(found.model.spec)}) < _FEWEST_FIELDS:
        return
    known = measured(found) if measures else None
    if isinstance(known, Importances):
        rises = [max(each.loss.mean, 0.0) for each in known.found]
        if len(rises) >= _FEWEST_FIELDS and sum(rises) > 0 and rises[0] > _CARRIES * sum(rises):
            share = percent(rises[0] / sum(rises))
            yield f"'{known.found[0].name}' carries the whole answer, {share} of the importance of all inputs: {ASK}"
            return
    columns = {field.name for field in fields(found.model.spec) if field.place is None}  # no features of an array
    if left <= _PERFECT and judged.total >= _FEWEST_ROWS and len(columns) >= _FEWEST_FIELDS:
        answered = f"the {judged.total:,} {judged.part} rows are answered nearly without an error, which is rare"
        yield f"{answered}: is there a column that you would not know when you ask?"
