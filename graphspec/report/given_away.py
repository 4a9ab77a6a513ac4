"""What is too good: a field that gives away the target, a validation without a mistake, a field that carries it all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.arrays.strings import Strings
from graphspec.data.leaks import Values, giving_away
from graphspec.report.fields import fields
from graphspec.report.importance import Importances
from graphspec.report.sampling import evenly
from graphspec.text import percent
from graphspec.training.target_summary import ClassShares, Numbers, summarize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphspec.data.batches import Dataset
    from graphspec.ir.graph import Array
    from graphspec.report.findings import Findings
    from graphspec.runtime.session import Session

ROWS = 20_000
"""Training rows that are looked at, spread evenly; of wide tables, fewer."""
_VALUES = 4_000_000
_FIELDS = 1000
_SOME, _PROSE = (
    1000,
    2,
)  # texts, and spaces in one, from which on it is what is read, not a column that tells the answer
_FEWEST_FIELDS = 3  # of a table; with fewer, each has to say much
_FEWEST_ROWS = 200  # without a mistake: easy data have as many right answers in a row, by chance or by nature
_CARRIES = 0.95  # of the importance of all fields
_GOOD, _PERFECT = 0.2, 0.01  # of the error of the best simple rule
ASK = "would you know it when you ask?"


def given_away(model: Session, train: Dataset) -> dict[str, str]:
    """Return the fields that alone give away a target, each with how: nothing for windows, whose past has the target.

    Args:
        train: checked raw rows.
    """
    if train.times is not None or not len(train):
        return {}
    single = [f for f in fields(model.spec) if train.inputs[f.input].ndim == 1 or _is_feature(f.place, train, f.input)]
    single = single[:_FIELDS]
    rows = evenly(len(train), min(ROWS, _VALUES // max(len(single), 1)))
    places = rows if train.chosen is None else train.chosen[rows]
    blocks = {name: _rows(train.inputs[name], places) for name in dict.fromkeys(f.input for f in single)}
    columns = {}
    for field in single:
        values = field.of(blocks).reshape(-1)
        if values.dtype != object or np.mean([str(value).count(" ") for value in values[:_SOME]]) < _PROSE:
            columns[field.name] = _values(values, field.missing(values))
    if len(columns) < 2:  # nothing else is read
        return {}
    found: dict[str, str] = {}
    for name, head in model.spec.heads.items():
        target: Any = train.targets.get(name)
        summary = None if target is None else summarize(head, model.graph.outputs[name], train)
        if isinstance(target, Strings):
            codes = Values.of_texts(_rows(target, places).reshape(-1).tolist())
        elif isinstance(summary, ClassShares) and summary.positions == 1 and not summary.several:
            answers = _rows(target, places).reshape(len(rows), -1)
            ids = answers[:, 0] if answers.shape[1] == 1 else answers.argmax(1)
            codes = Values(np.maximum(ids.astype(np.int64), 0), None, summary.labels)  # -1 means no, too
        elif isinstance(summary, Numbers) and summary.values == 1:
            codes = Values.of_numbers(_rows(target, places).reshape(-1))
        else:
            continue
        found |= giving_away(columns, codes, classes=codes.numbers is None)
    return found


def _is_feature(place: int | None, train: Dataset, name: str) -> bool:
    array = train.inputs[name]
    return array.ndim == 2 and (place is not None or array.shape[1] == 1)


def _rows(array: Any, places: Array) -> Array:
    return np.asarray(array[places])


def _values(values: Array, missing: Array) -> Values:
    if values.dtype == object:
        return Values.of_texts(None if m else str(v) for v, m in zip(values.tolist(), missing.tolist(), strict=True))
    return Values.of_numbers(np.where(missing, np.nan, values.astype(np.float64)))


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
    measured = found.importances if measures else None
    if isinstance(measured, Importances):
        rises = [max(each.loss.mean, 0.0) for each in measured.found]
        if len(rises) >= _FEWEST_FIELDS and sum(rises) > 0 and rises[0] > _CARRIES * sum(rises):
            share = percent(rises[0] / sum(rises))
            yield f"'{measured.found[0].name}' carries the whole answer, {share} of the importance of all inputs: {ASK}"
            return
    columns = {field.name for field in fields(found.model.spec) if field.place is None}  # no features of an array
    if left <= _PERFECT and judged.total >= _FEWEST_ROWS and len(columns) >= _FEWEST_FIELDS:
        yield f"the {judged.total:,} {judged.part} rows are answered nearly without an error, which is rare: {ASK}"
