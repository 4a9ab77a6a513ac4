"""Fields that alone give away the target, among the training rows of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.strings import Strings
from graphspec.data.leaks import Values, giving_away
from graphspec.engine.training.target_summary import ClassShares, Numbers, summarize
from graphspec.show.report.rows import Field, evenly, fields

if TYPE_CHECKING:
    from graphspec.data.batches import Dataset
    from graphspec.engine.runtime.session import Session
    from graphspec.graph.ir.graph import Array

_GIVEN_ROWS = 20_000
"""Training rows that are looked at, spread evenly; of wide tables, fewer."""
_VALUES = 4_000_000
_FIELDS = 1000
# Texts that are looked at, and spaces in one, from which on it is what is read, not a column that tells the answer.
_SOME, _PROSE = 1000, 2
ASK = "would you know it when you ask?"


def given_away(model: Session, train: Dataset) -> dict[str, str]:
    """Return the fields that alone give away a target, each with how: nothing for windows, whose past has the target.

    Args:
        train: checked raw rows.
    """
    if train.times is not None or not len(train):
        return {}
    single = [f for f in fields(model.spec) if _is_single(f, train.inputs[f.input])][:_FIELDS]
    rows = evenly(len(train), min(_GIVEN_ROWS, _VALUES // max(len(single), 1)))
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


def _is_single(field: Field, array: Array) -> bool:
    return array.ndim == 1 or (array.ndim == 2 and (field.place is not None or array.shape[1] == 1))


def _rows(array: Any, places: Array) -> Array:
    return np.asarray(array[places])


def _values(values: Array, missing: Array) -> Values:
    if values.dtype == object:
        return Values.of_texts(None if m else str(v) for v, m in zip(values.tolist(), missing.tolist(), strict=True))
    return Values.of_numbers(np.where(missing, np.nan, values.astype(np.float64)))
