"""The importance of each field: how much worse the network answers if the field's values are permuted among the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.random import generator
from graphspec.base.arrays.strings import Strings
from graphspec.engine.compiler.cost import cost
from graphspec.engine.compiler.fetches import logged_losses
from graphspec.show.report.network_facts import lowered_again
from graphspec.show.report.rows import Field, evenly, fields, prepared_in_memory, taken

if TYPE_CHECKING:
    from graphspec.data.batches import Dataset
    from graphspec.engine.runtime.session import Session
    from graphspec.show.report.findings import Findings

ROWS = 2000
"""Rows that are looked at, spread evenly over the judged ones."""
REPEATS = 3
"""Permutations of each field."""
MAX_WORK = 4 * 10**9
"""Multiply-adds that are spent, in all; rows are left out until it is enough."""
_FEWEST = 100  # rows, below which the answer would be chance
_MAX_FIELDS = 400
_LEAST = 20_000  # multiply-adds that take as long as all the rest for a row of a tiny network


@dataclass(frozen=True)
class Change:
    """How much a loss or a metric changes when a field is permuted: the mean, and the range over the repeats."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Change:
        """Return the change of several repeats."""
        return cls(float(np.mean(values)), min(values), max(values))


@dataclass(frozen=True)
class Importance:
    """The importance of a field: the change of the loss, and of the first metric if there is one."""

    name: str
    loss: Change
    metric: Change | None


@dataclass(frozen=True)
class Importances:
    """The importance of all fields, the most important first.

    Attributes:
        rows: the rows that were looked at.
        loss: their loss as they are.
        metric: the name of the first metric, and its value for these rows; None without metrics.
    """

    rows: int
    loss: float
    metric: tuple[str, float] | None
    found: Sequence[Importance]


def measured(found: Findings) -> Importances | str | None:
    """Return how important each field is for the judged rows, or why that is not known; None with nothing to compare."""
    if "importance" not in found.kept:
        found.kept["importance"] = _of(found)
    known: Importances | str | None = found.kept["importance"]
    return known


def _of(found: Findings) -> Importances | str | None:
    judged, model = found.judged, found.model
    if judged is None or not judged.total or not any(h.loss is not None for h in model.spec.heads.values()):
        return None
    if len(grouped(fields(model.spec), model)) < 2:
        return None
    spec, lowered = lowered_again(model)
    return importances(model, judged.raw, int(cost(spec, lowered, 1).total().multiply_adds))


def importances(model: Session, raw: Dataset, work_per_row: int) -> Importances | str:
    """Permute each field in turn, and measure the loss.

    A field is an input, or a feature of an array; inputs that read the same column are permuted together.

    Args:
        raw: checked raw rows.
        work_per_row: the multiply-adds of the network for one row.

    Returns:
        The importances, or in a sentence why there are none.
    """
    groups = grouped(fields(model.spec), model)
    if len(groups) < 2:
        return "The network reads one input as a whole, so there is nothing to compare its importance with."
    if len(groups) > _MAX_FIELDS:
        return f"The network reads {len(groups):,} fields, too many to permute each of them."
    count = min(len(raw), ROWS, MAX_WORK // (max(work_per_row, _LEAST) * REPEATS * len(groups)))
    if count < min(_FEWEST, ROWS, len(raw)):
        return "The network is too large to be evaluated again for each of its inputs."
    if len(raw) < 2:
        return "There are too few rows to permute values among them."
    rows = taken(raw, evenly(len(raw), count))
    base = _results(model, rows)
    losses = logged_losses(model.spec)
    metric = next((key for key in base if key not in losses), None)
    if not np.isfinite(base["loss"]):
        return "The loss of the rows is not finite, so a change of it says nothing."
    found = []
    for name, members in groups.items():
        results = [_results(model, _permuted(rows, members, name, model.seed, k)) for k in range(REPEATS)]
        loss = Change.of([each["loss"] - base["loss"] for each in results])
        of_metric = None if metric is None else Change.of([each[metric] - base[metric] for each in results])
        found.append(Importance(name, loss, of_metric))
    found.sort(key=lambda each: -each.loss.mean if np.isfinite(each.loss.mean) else -np.inf)
    return Importances(len(rows), base["loss"], None if metric is None else (metric, base[metric]), found)


def grouped(described: Sequence[Field], model: Session) -> dict[str, list[Field]]:
    """Return the fields that the network reads by name; those of one column are together."""
    read = {*model.graph.inputs, *(() if model.prelude is None else model.prelude.graph.inputs)}
    groups: dict[str, list[Field]] = {}
    for field in described:
        if field.input in read:
            groups.setdefault(field.name, []).append(field)
    return groups


def _permuted(rows: Dataset, members: Sequence[Field], name: str, seed: int, repeat: int) -> Dataset:
    """Return the rows with other rows' values of some fields: all values of a row move together."""
    order = generator(seed, "importance", name, repeat).permutation(len(rows))
    inputs: dict[str, Any] = dict(rows.inputs)
    for field in members:
        array = inputs[field.input]
        if isinstance(array, Strings):
            inputs[field.input] = array.select(order)
        elif field.place is None:
            inputs[field.input] = array[order]
        else:
            inputs[field.input] = changed = array.copy()
            changed[..., field.place] = array[order][..., field.place]
    return replace(rows, inputs=inputs)


def _results(model: Session, rows: Dataset) -> dict[str, float]:
    """Return the losses and metrics of raw rows."""
    return dict(
        model.evaluate_prepared(prepared_in_memory(model, rows), max(model.spec.training.batch_size, 256)).logs()
    )
