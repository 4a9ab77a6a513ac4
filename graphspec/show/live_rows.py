"""How far new rows have drifted from those that a network was trained on, column by column.

A run and an exported file know of each input with one number or one category how the training rows were spread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphspec.base.document import Block, Column, Table, Text
from graphspec.base.errors import shorten
from graphspec.base.text import percent
from graphspec.engine.training.adapt import missing_marks
from graphspec.graph.ir.graph import MISSING_INTEGER, Array
from graphspec.language.declarations import Spec
from graphspec.show.report.columns import LARGE, binned, by_chance, drift_word, stability
from graphspec.vocabulary.layers import Layer


@dataclass(frozen=True)
class Drift:
    """How an input differs in new rows; shares are between 0 and 1."""

    input: str
    index: float  # the population stability index over the training rows' bins or categories, missing values among them
    drift: str  # none (as chance alone gives), small, moderate, large
    missing: float  # the share of missing values, and that of the training rows
    missing_before: float
    beyond: (
        float  # the share of numbers outside the training rows' range, or of categories that the network does not know
    )
    examples: list[Any]  # such values, the most frequent ones


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
    found = []
    for name, record in known.items():
        if "distribution" not in record or name not in rows:
            continue
        try:
            found.append(_drift(name, record["distribution"], rows[name][:].reshape(-1), readers.get(name)))
        except (KeyError, TypeError, ValueError, IndexError, ArithmeticError):
            raise ValueError(f"its record of the training rows' '{name}' is wrong") from None
    return sorted(found, key=lambda each: -each.index)


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
    before, after = np.append(before, absent), np.append(after, lacking)
    index, bins = stability(before, after), int(((before > 0) | (after > 0)).sum())
    word, examples = drift_word(index, by_chance(size, len(values), bins)), [v for v, _ in beyond.most_common(3)]
    return Drift(name, index, word, lacking / len(values), absent / size, beyond.total() / len(values), examples)


def shown(found: Sequence[Drift], rows: int, trained: int, others: Sequence[str]) -> Iterator[Block]:
    """Yield what ``data`` prints: a table of the inputs, the ``others`` that are not compared, and what it says."""
    yield Text(f"{rows:,} rows, compared with the {trained:,} that the network learnt from")
    yield Text("")
    titles = [Column(title, "number") for title in ("index", "missing", "before")]
    cells = [
        (d.input, d.drift, f"{d.index:.3f}", percent(d.missing), percent(d.missing_before), _beyond(d)) for d in found
    ]
    yield Table([Column("input", cut="end"), Column("drift"), *titles, Column("beyond", wrap=True, least=20)], cells)
    yield Text("")
    if others:
        yield Text(f"not compared, no single number or category: {', '.join(others)}")
    large = [each.input for each in found if each.drift == "large"]
    yield Text(
        f"large drift: {', '.join(large)}" if large else f"no large drift: every index is below {LARGE} or chance"
    )


def _beyond(each: Drift) -> str:
    """Return the share of values beyond those of the training rows, with some of them."""
    some = [shorten(f"{value:.6g}" if isinstance(value, float) else str(value), 20) for value in each.examples]
    return f"{percent(each.beyond)}: {', '.join(some)}" if some else ""
