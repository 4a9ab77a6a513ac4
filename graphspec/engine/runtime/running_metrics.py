"""Losses and metrics accumulated over an epoch: exact over all its rows, not averages of batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphspec.engine.compiler.heads import prefix_of
from graphspec.engine.compiler.objective import Network, logged_losses, mask_of, target_of
from graphspec.engine.runtime.bind import Compute
from graphspec.engine.runtime.records import Sums
from graphspec.graph.ir.graph import Array, Value
from graphspec.language.declarations import LENGTH, STEPS, HeadDecl
from graphspec.vocabulary.losses.loss import Loss
from graphspec.vocabulary.metrics import ConfusionMatrix, F1Score, MeanAbsoluteError, R2Score, RootMeanSquaredError
from graphspec.vocabulary.metrics.metric import Direction, Metric, MetricState, targets_of, units


@dataclass(frozen=True)
class ResultTable:
    """The result of a metric that is a table: counts by true class (rows) and predicted class (columns)."""

    key: str
    counts: Array
    labels: list[str]


@dataclass(frozen=True)
class _Entry:
    """A metric of a head: its key, and the keys of its values with the meaning of each."""

    head: str
    key: str
    state: MetricState
    keys: list[str]
    parts: list[str]
    labels: list[str] | None


class RunningMetrics:
    """The totals of losses and metrics in one pass over the data, by Keras's keys.

    ``loss``, with several heads ``<head>_loss``, ``accuracy`` or ``<head>_accuracy``; of several values ``f1_score_0``, …
    What ``heads`` counts is only there; ``tables``: whether to count metrics that are tables.
    """

    def __init__(
        self, model: Network, heads: HeadCounts | None = None, *, tables: bool = True, training: bool = False
    ) -> None:
        self.heads, self.rows, self._losses = heads, 0, logged_losses(model.spec)  # the rows so far
        self._sums = dict.fromkeys(self._losses, 0.0)
        self._metrics: list[_Entry] = []
        for head in model.spec.heads.values():
            value, prefix = model.graph.outputs[head.name], prefix_of(model.spec, head)
            for metric in head.metrics:
                state = metric.resolve(head.loss, value, head.labels).start(value, Compute())
                state.keeps_rows = not training
                keys = [f"{prefix}{key}" for key in metric.keys(value)]
                if keys or tables:
                    parts = metric.parts(value, head.labels) or []
                    self._metrics.append(_Entry(head.name, prefix + metric.key, state, keys, parts, head.labels))
        self._states = [(entry.head, entry.state) for entry in self._metrics]

    def reset(self) -> None:
        self._sums, self.rows = dict.fromkeys(self._sums, 0.0), 0
        for entry in self._metrics:
            entry.state.reset()

    def add(self, rows: int, fetches: Mapping[str, Array], targets: Mapping[str, Array]) -> None:
        """Add a batch: its losses (scalars, weighted by its number of rows), and the metrics of its heads and targets."""
        self.rows += rows
        for key, name in self._losses.items():
            self._sums[key] += float(fetches[name]) * rows
        for head, state in self._states if self.heads is None else [*self._states, *self.heads.states()]:
            lengths = {s[1:]: targets[head + s] for s in (LENGTH, STEPS) if head + s in targets}
            target = fetches.get(target_of(head), targets.get(head))
            state.update(target, fetches[head], fetches.get(mask_of(head)), lengths)

    def views(self, vector: Array) -> list[Array]:
        """Split a float64 vector of length ``counters`` into views, one for each metric's counters."""
        counters = [entry.state.counters for entry in self._metrics]
        parts = np.split(vector, np.cumsum([c.size for c in counters])[:-1]) if counters else []
        return [part.reshape(c.shape) for part, c in zip(parts, counters, strict=True)]

    @property
    def counters(self) -> int:
        return sum(entry.state.counters.size for entry in self._metrics)

    def count_in(self, vector: Array) -> None:
        for entry, view in zip(self._metrics, self.views(vector), strict=True):
            entry.state.counters = view

    def include(self, views: Sequence[Array]) -> None:
        for entry, counters in zip(self._metrics, views, strict=True):
            entry.state.counters += counters

    @property
    def totals(self) -> int:
        """The number of all totals of a batch, for another worker to add: the losses, and the counters of all metrics."""
        return len(self._sums) + self.counters

    @property
    def sums_batches(self) -> bool:
        """Whether every metric adds the counters of a batch at once, so that it does not matter who counts it."""
        return all(type(entry.state).update is MetricState.update for entry in self._metrics)

    def store(self, vector: Array) -> None:
        vector[: len(self._sums)] = list(self._sums.values())
        for entry, view in zip(self._metrics, self.views(vector[len(self._sums) :]), strict=True):
            view[...] = entry.state.counters

    def add_stored(self, rows: int, vector: Array) -> None:
        """Add one batch of ``rows`` rows whose totals another object has stored: the same bits as :meth:`add`."""
        self.rows += rows
        for key, value in zip(self._sums, vector[: len(self._sums)].tolist(), strict=True):
            self._sums[key] += value
        self.include(self.views(vector[len(self._sums) :]))

    def logs(self, prefix: str = "") -> dict[str, float]:
        """Return the losses and metrics so far, with ``prefix`` before their keys."""
        values = {k: v / max(self.rows, 1) for k, v in self._sums.items()}
        for entry in self._metrics:
            if entry.keys:
                values |= zip(entry.keys, np.ravel(entry.state.result()).tolist(), strict=True)
        return {f"{prefix}{k}": v for k, v in values.items()}

    def directions(self) -> dict[str, Direction | None]:
        """Return by key whether larger (``up``) or smaller (``down``) values are better; None: neither."""
        found: dict[str, Direction | None] = dict.fromkeys(self._losses, "down")
        return found | {key: entry.state.metric.direction for entry in self._metrics for key in entry.keys}

    def shares(self) -> dict[str, tuple[str, float, float]]:
        """Return by key what is a share: its head, the hits, and of how many."""
        found: dict[str, tuple[str, float, float]] = {}
        for entry in self._metrics:
            if (parts := entry.state.metric.parts_of(entry.state.counters)) is not None:
                found |= {k: (entry.head, float(a), float(b)) for k, a, b in zip(entry.keys, *parts, strict=True)}
        return found

    def meanings(self) -> dict[str, str]:
        """Return the meaning of each value of the metrics that have several values, by key."""
        return {k: part for e in self._metrics if len(e.keys) > 1 for k, part in zip(e.keys, e.parts, strict=True)}

    def tables(self) -> list[ResultTable]:
        found = [(entry, np.asarray(entry.state.result())) for entry in self._metrics if not entry.keys]
        return [ResultTable(e.key, counts, e.labels or [str(k) for k in range(len(counts))]) for e, counts in found]

    def state(self) -> dict[str, Any]:
        """Return the totals as plain JSON, with the schema :class:`Sums`; JSON preserves the bits of floats."""
        return {"sums": self._sums, "rows": self.rows, "metrics": [entry.state.state() for entry in self._metrics]}

    def load(self, state: Sums) -> None:
        """Restore the result of :meth:`state`. Raises ValueError: it belongs to other losses or metrics."""
        if not state.rows:  # at the start of an epoch: totals of nothing, whose names may be those of an older version
            return self.reset()
        if state.sums.keys() != self._sums.keys() or len(state.metrics) != len(self._metrics):
            raise ValueError("its totals belong to other losses or metrics")
        for entry, saved in zip(self._metrics, state.metrics, strict=True):
            if len(saved) not in (0, size := entry.state.counters.size):
                raise ValueError(f"its totals of '{entry.key}' have {len(saved)} values, not {size}")
        self._sums, self.rows = {key: float(state.sums[key]) for key in self._sums}, state.rows
        for entry, saved in zip(self._metrics, state.metrics, strict=True):
            entry.state.load(saved)


# What an evaluation counts besides the metrics of a spec: the answers by class, and the errors of numbers.
_MATRIX = 512  # classes; the counts of more would cost more than the network
_MOST = 10_000  # classes
_ERRORS = {"mae": MeanAbsoluteError, "rmse": RootMeanSquaredError, "r2": R2Score}


@dataclass(frozen=True)
class ClassCounts:
    """The answers of a head by class; counts are int64 ``(classes,)``.

    ``pairs``: how often a true class (row) is answered as each class (column), int64 ``(classes, classes)``; None if
    several classes may apply, or there are many.
    """

    head: str
    labels: Sequence[str]  # the classes, or the labels of which several may apply to a row
    right: Array  # the rows (or positions) whose answer rightly has the class
    answered: Array  # those whose answer has it
    true: Array  # those that have it
    pairs: Array | None = None


@dataclass(frozen=True)
class NumberErrors:
    """The errors of a head that predicts numbers, in the units of its targets."""

    head: str
    mae: float  # the mean of the absolute errors
    rmse: float  # the square root of the mean of the squared errors
    r2: float  # the coefficient of determination, the mean over the head's units
    known: frozenset[str] = frozenset()  # those of the three that are among the metrics of the spec, too


class HeadCounts:
    """The counters of all heads whose answers are classes or numbers."""

    def __init__(self, model: Network, cutoffs: Mapping[str, float]) -> None:
        self._heads: list[tuple[HeadDecl, list[MetricState]]] = []
        for head in model.spec.heads.values():
            value, loss = model.graph.outputs[head.name], head.loss
            own = [m for m in head.metrics if isinstance(m, ConfusionMatrix) and head.threshold is None][:1]
            if loss is not None and (metrics := own or _metrics(loss, value, head.labels, cutoffs[head.name])):
                states = [m.resolve(head.loss, value, head.labels).start(value, Compute()) for m in metrics]
                self._heads.append((head, states))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(head.name for head, _ in self._heads)

    def states(self) -> list[tuple[str, MetricState]]:
        return [(head.name, state) for head, states in self._heads for state in states]

    def found(self) -> list[ClassCounts | NumberErrors]:
        """Return what has been counted; nothing for a head without rows."""
        return [found for head, states in self._heads if (found := _result(head, states)) is not None]


def _metrics(loss: Loss, value: Value, labels: Sequence[str] | None, cutoff: float) -> list[Metric]:
    """Return the metrics whose counters are needed; none if they do not fit the head."""
    metrics: list[Metric] = []
    if loss.of_differences:
        metrics = [MeanAbsoluteError(), R2Score()]
    elif loss.binary or targets_of(loss) in ("ids", "one_hot"):
        if not isinstance(value.shape[-1] if value.rank > 1 else 1, int) or units(value) > _MOST:
            return []
        if loss.binary and units(value) > 1:
            metrics = [F1Score(threshold=0.5)]
        elif units(value) > _MATRIX:
            metrics = [F1Score()]
        else:
            metrics = [ConfusionMatrix(threshold=cutoff)]
    return [] if any(metric.check(value, loss, labels) for metric in metrics) else metrics


def _result(head: HeadDecl, states: Sequence[MetricState]) -> ClassCounts | NumberErrors | None:
    if not any(state.counters.any() for state in states):
        return None
    counters = states[-1].counters
    if isinstance(states[-1].metric, R2Score):
        rmse = float(np.sqrt(counters[3].sum() / counters[0].sum()))
        mae, r2 = (state.result() for state in states)
        known = frozenset(name for name, metric in _ERRORS.items() if any(type(m) is metric for m in head.metrics))
        return NumberErrors(head.name, float(mae), rmse, float(r2), known)
    counts = np.rint(counters).astype(np.int64)
    labels = head.labels or [str(k) for k in range(counts.shape[-1])]
    if isinstance(states[-1].metric, ConfusionMatrix):
        return ClassCounts(head.name, labels, counts.diagonal(), counts.sum(0), counts.sum(1), counts)
    right, false, missed = counts
    return ClassCounts(head.name, labels, right, right + false, right + missed)
