"""Which inputs matter: how much worse the network answers if the values of a field are permuted among the rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from graphspec.base.arrays.random import generator
from graphspec.base.arrays.strings import Strings
from graphspec.base.document import Column, Drawing, Inline, Section, Span, Table, Text
from graphspec.base.text import count, percent, shorten_end
from graphspec.data.batches import Dataset
from graphspec.engine.compiler.lowered_network import cost
from graphspec.engine.compiler.objective import logged_losses
from graphspec.engine.runtime.session import Session
from graphspec.show.html import text
from graphspec.show.report.charts import amount
from graphspec.show.report.findings import Findings
from graphspec.show.report.network import lowered_again
from graphspec.show.report.rows import Field, evenly, fields, prepared_in_memory, taken
from graphspec.show.report.verdicts import ASK

# The importance of each field: how much worse the network answers if the field's values are permuted among the rows.
ROWS = 2000  # rows that are looked at, spread evenly over the judged ones
REPEATS = 3  # permutations of each field
MAX_WORK = 4 * 10**9  # multiply-adds that are spent, in all; rows are left out until it is enough
_FEWEST = 100  # rows, below which the answer would be chance
_MAX_FIELDS = 400
_LEAST = 20_000  # multiply-adds that take as long as all the rest for a row of a tiny network


class Change(NamedTuple):
    """How much a loss or a metric changes when a field is permuted: the mean, and the range over the repeats."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Change:
        return cls(float(np.mean(values)), min(values), max(values))


class Importance(NamedTuple):
    """The importance of a field: the change of the loss, and of the first metric if there is one."""

    name: str
    loss: Change
    metric: Change | None


class Importances(NamedTuple):
    """The importance of all fields, the most important first."""

    rows: int  # the rows that were looked at
    loss: float  # their loss as they are
    metric: tuple[str, float] | None  # the name of the first metric, and its value for these rows; None without metrics
    found: Sequence[Importance]


def measured(found: Findings) -> Importances | str | None:
    """Return how important each field is for the judged rows, or why that is not known; None with nothing to compare."""
    judged, model = found.judged, found.model
    if "importance" in found.kept or judged is None or not judged.total:
        return found.kept.get("importance")
    if any(h.loss is not None for h in model.spec.heads.values()) and len(grouped(fields(model.spec), model)) > 1:
        work = int(cost(*lowered_again(model), 1).total().multiply_adds)
        found.kept["importance"] = importances(model, judged.raw, work)
    return found.kept.get("importance")


def importances(model: Session, raw: Dataset, work_per_row: int) -> Importances | str:
    """Permute each field in turn, and measure the loss.

    A field is an input, or a feature of an array; inputs that read the same column are permuted together. The work for one
    of the checked raw rows is in multiply-adds. Where there are no importances, a sentence says why.
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
    metric = next((key for key in base if key not in logged_losses(model.spec)), None)
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
    size = max(model.spec.training.batch_size, 256)
    return dict(model.evaluate_prepared(prepared_in_memory(model, rows), size).logs())


# Which inputs matter: what becomes of the loss if the values of a field are permuted among the rows.
SHOWN = 60  # fields that are shown, the most important ones


def importance(found: Findings) -> Section | None:
    """Return the importance of each field of the judged rows."""
    judged, known = found.judged, measured(found)
    if judged is None or known is None:
        return None
    if isinstance(known, str):
        return Section("importance", "Importance of inputs", [Text(known)])
    shown = known.found[:SHOWN]
    ends = [value for each in shown for value in (each.loss.low, each.loss.high, 0.0)]
    low, high = min(ends), max(ends)
    columns = [Column("Input"), Column("Change of the loss", "barcell", fixed=True), Column("loss", "number")]
    base = f"loss {amount(known.loss)}"
    if known.metric is not None:
        columns.append(Column(known.metric[0], "number"))
        base += f", {known.metric[0]} {amount(known.metric[1])}"
    rows = [_row(each, low, high) for each in shown]
    table = Table(columns, rows, label="Inputs by importance", sort=True, kind="importance")
    more = len(known.found) - len(shown)
    note = [Text(f"{count(more, 'less important input')} not shown.", "note")] if more else []
    rows_of = count(known.rows, f"{judged.part} row")
    lead = (
        f"How much the loss rises if the values of one input are shuffled among {rows_of}: an input that the network "
        f"does not need changes nothing. As they are: {base}."
    )
    how = (
        f"Each bar is the mean of {REPEATS} shuffles, the thin line their range. Of inputs that say the same, each seems "
        "less important than they are together."
    )
    finding = f"most: {shown[0].name}" if shown[0].loss.low > 0 else ""
    return Section("importance", "Importance of inputs", [Text(lead), Text(how, "note"), table, *note], finding)


def _row(each: Importance, low: float, high: float) -> list[Inline]:
    metric = [] if each.metric is None else [_signed(each.metric.mean)]
    return [shorten_end(each.name, 44), _bar(each, low, high), _signed(each.loss.mean), *metric]


def _bar(each: Importance, low: float, high: float) -> Inline:
    """Return a bar from 0 to the mean, with a whisker from the lowest to the highest repeat."""
    change, room = each.loss, (high - low) or 1.0

    def at(value: float) -> float:
        return (value - low) / room * 98 + 1

    if not all(map(math.isfinite, change)):
        return Span("not finite", "share")
    zero, end = at(0), at(change.mean)
    kind = "a" if change.mean >= 0 else "soft"
    tip = f"{each.name}: {_signed(change.mean)} ({_signed(change.low)} to {_signed(change.high)})"
    return Drawing(
        f'<svg class="rail" viewBox="0 0 100 16" preserveAspectRatio="none" aria-hidden="true" data-tip="{text(tip)}">'
        f'<rect class="bar {kind}" x="{min(zero, end):.4g}" y="3" width="{abs(end - zero):.4g}" height="10"/>'
        f'<path class="whisker" d="M{at(change.low):.4g} 8H{at(change.high):.4g}"/></svg>',
        tip,
    )


def _signed(value: float) -> str:
    if not math.isfinite(value):
        return "not finite"
    shown = amount(abs(value))
    return shown if value == 0 else f"+{shown}" if value > 0 else f"−{shown}"


# Rows that are answered too well: without a mistake, or by one field that carries it all.
_GIVEN = 5  # fields that are named
_FEWEST_FIELDS = 3  # of a table; with fewer, each has to say much
_FEWEST_ROWS = 200  # without a mistake: easy data have as many right answers in a row, by chance or by nature
_CARRIES = 0.95  # of the importance of all fields
_GOOD, _PERFECT = 0.2, 0.01  # of the error of the best simple rule


def doubts(found: Findings) -> list[str]:
    """Return what speaks against results: fields that give away the target, else what is too good."""
    return [f"'{name}' {why}; {ASK}" for name, why in found.given.items()][:_GIVEN] or list(too_good(found))


def too_good(found: Findings, *, measures: bool = True) -> Iterator[str]:
    """Yield sentences about judged rows that are answered so well that a field may tell the answer.

    Easy data are no reason for one: a network must leave at most a fifth of the error of the best simple rule, and one of
    several fields of a table must have nearly all of the importance, if it is measured; or nothing is wrong in many rows.
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
