"""How far new rows have drifted from those that a network was trained on, column by column.

A run and an exported file know of each input with one number, one category or one date how the training rows were spread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from graphspec.base.document import Block, Column, Table, Text
from graphspec.base.errors import shorten
from graphspec.base.text import percent
from graphspec.data.series import Series
from graphspec.engine.training.adapt import missing_marks
from graphspec.graph.ir.graph import MISSING_INTEGER, Array
from graphspec.language.declarations import Spec
from graphspec.show.report.columns import LARGE, binned, by_chance, date_text, drift_word, stability
from graphspec.vocabulary.layers import Layer
from graphspec.vocabulary.layers.dates import COMPARED, DateParts, moments, part_counts


@dataclass(frozen=True)
class Drift:
    """How an input, or a part of its dates, differs in new rows; shares are between 0 and 1."""

    input: str
    # the population stability index over the training rows' bins, categories or present dates, and missing ones; or NaN
    index: float
    drift: str  # none (as chance alone gives), small, moderate, large; short: not all values can have occurred
    missing: float  # the share of missing values, and that of the training rows
    missing_before: float
    beyond: float  # the share of values outside the training rows' range, or that the network does not know
    examples: list[Any]  # such values, the most frequent ones; of dates the first and the last
    part: str | None = None  # month, weekday or hour of the dates; None for a whole input
    days_later: float | None = None  # of dates: how many days after that of the training the last one is


def drifts(spec: Spec, known: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Array]) -> list[Drift]:
    """Compare new rows with those of the training; the largest drift first.

    Args:
        spec: with the vocabularies that the network has learnt.
        known: what the training rows usually were, by input.
        rows: the arrays of new rows by input, ``(N, …)``.

    Raises:
        ValueError: a record of ``known`` has another form.
    """
    readers = {ref.name: node.layer for node in spec.nodes for ref in node.inputs if ref is not None}
    found: list[Drift] = []
    for name, record in known.items():
        if not is_compared(record) or name not in rows:
            continue
        values, reader = rows[name][:].reshape(-1), readers.get(name)
        try:
            if isinstance(reader, DateParts):
                found += _of_dates(name, record["dates"], values.tolist(), reader)
            else:
                found.append(_drift(name, record["distribution"], values, reader))
        except (KeyError, TypeError, ValueError, IndexError, ArithmeticError):
            raise ValueError(f"its record of the training rows' '{name}' is wrong") from None
    return sorted(found, key=lambda each: np.inf if np.isnan(each.index) else -each.index)


def is_compared(record: Mapping[str, Any]) -> bool:
    """Return whether what is known of an input's training rows can be compared with new ones."""
    return not {"distribution", "dates"}.isdisjoint(record)


def _drift(name: str, record: Mapping[str, Any], values: Array, layer: Layer | None) -> Drift:
    before, size, absent = np.asarray(record["counts"], np.float64), int(record["rows"]), int(record["missing"])
    if "borders" in record:
        present = values[np.isfinite(values) & (values != MISSING_INTEGER)]
        low, high = record["ends"]
        beyond = Counter(present[(present < low) | (present > high)].tolist())
        after, lacking = binned(present, np.asarray(record["borders"], np.float64)), len(values) - len(present)
    else:
        counted = Counter(values.tolist())
        lacking, vocabulary = (
            sum(counted.pop(mark, 0) for mark in missing_marks(layer)),
            {*(getattr(layer, "vocabulary", None) or ())},
        )
        beyond = Counter({value: times for value, times in counted.items() if value not in vocabulary})
        after = np.array([counted.pop(value, 0) for value in record["values"]] + [sum(counted.values())])
        before = np.append(before, size - absent - before.sum())
    index, word = _index(np.append(before, absent), np.append(after, lacking), size, len(values))
    examples = [value for value, _ in beyond.most_common(3)]
    return Drift(name, index, word, lacking / len(values), absent / size, beyond.total() / len(values), examples)


def _index(before: Array, after: Array, size: int, rows: int) -> tuple[float, str]:
    """Return the index of counts by bin, and how large a drift that is between samples of so many rows."""
    index, bins = stability(before, after), int(((before > 0) | (after > 0)).sum())
    return index, drift_word(index, by_chance(size, rows, bins))


def _of_dates(name: str, record: Mapping[str, Any], texts: Sequence[str], layer: DateParts) -> Iterator[Drift]:
    """Yield how dates drift: how many are missing or outside the training rows' range, then the parts that are read.

    A part has an index if the dates span all its values: else it drifts by the calendar alone.
    """
    size, absent, rows = int(record["rows"]), int(record["missing"]), len(texts)
    found = moments(texts, layer.format)
    lacking = found.pop(None, 0)
    dates = {at: times for at, times in found.items() if at is not None}
    before, after = np.array([size - absent, absent]), np.array([rows - lacking, lacking])
    first, last = map(datetime.fromisoformat, record["ends"] or [datetime.max.isoformat()] * 2)
    beyond = {at: times for at, times in dates.items() if not first <= at <= last}
    examples = [date_text(at) for at in dict.fromkeys((min(beyond), max(beyond)))] if beyond else []
    newest, shares = max(dates, default=last), (lacking / rows, absent / size)
    later = (newest - last) / timedelta(days=1) if newest > last else None
    index, word = _index(before, after, size, rows)
    yield Drift(name, index, word, *shares, sum(beyond.values()) / rows, examples, days_later=later)
    for part in record["parts"] if dates else ():
        before, after = np.asarray(record["parts"][part], np.float64), np.array(part_counts(dates, part))
        index, word = _index(before, after, size, rows)
        if newest - min(dates) < timedelta(days=COMPARED[part] * (1 - 1 / len(after))):
            index, word = np.nan, "short"
        new = np.flatnonzero((before == 0) & (after > 0))
        names = _WEEKDAYS if part == "weekday" else range(part == "month", len(after) + 1)
        yield Drift(name, index, word, *shares, float(after[new].sum()) / rows, [names[k] for k in new], part)


@dataclass(frozen=True)
class Steps:
    """The steps of time in new rows of series."""

    every: str
    steps: int  # of all series, with the missing ones
    missing: int  # steps without a row
    filled: bool  # whether they are filled, as the spec says


def steps_of(series: Series) -> Steps | None:
    """Return what is missing in the time of series; None if no step of time is known."""
    if series.clock is None or series.every is None:
        return None
    added, lacking = int(series.added.sum()), series.lacking
    return Steps(str(series.every), len(series.rows) + lacking, added + lacking, filled=added > 0)


_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def shown(
    found: Sequence[Drift], rows: int, trained: int, others: Sequence[str], steps: Steps | None = None
) -> Iterator[Block]:
    """Yield what ``data`` prints: a table of the inputs, the ``others`` that are not compared, and what it says."""
    yield Text(f"{rows:,} rows" + (f", compared with the {trained:,} that the network learnt from" if found else ""))
    if steps is not None:
        filled = ", and filled" if steps.filled else ""
        yield Text(f"{steps.missing:,} of {steps.steps:,} time steps, one every {steps.every}, are missing{filled}")
    if not found:
        yield Text(f"not compared, nothing is known of the training rows' values: {', '.join(others)}")
        return
    yield Text("")
    titles = [Column(title, "number") for title in ("index", "missing", "before")]
    cells = [
        (f"{d.input}: {d.part}", d.drift, f"{d.index:.3f}".replace("nan", ""), "", "", _beyond(d))
        if d.part
        else (d.input, d.drift, f"{d.index:.3f}", percent(d.missing), percent(d.missing_before), _beyond(d))
        for d in found
    ]
    yield Table([Column("input", cut="end"), Column("drift"), *titles, Column("beyond", wrap=True, least=20)], cells)
    yield Text("")
    if others:
        yield Text(f"not compared, no single number, category or date: {', '.join(others)}")
    large = list(dict.fromkeys(each.input for each in found if each.drift == "large"))
    yield Text(
        f"large drift: {', '.join(large)}" if large else f"no large drift: every index is below {LARGE} or chance"
    )


def _beyond(each: Drift) -> str:
    """Return the share of values beyond those of the training rows, with some of them."""
    some = [shorten(f"{value:.6g}" if isinstance(value, float) else str(value), 20) for value in each.examples]
    until = "" if each.days_later is None else f", {each.days_later:,.3g} days later"
    return f"{percent(each.beyond)}: {(' to ' if each.days_later else ', ').join(some)}{until}" if some else ""
