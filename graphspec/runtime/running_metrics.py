"""Losses and metrics summed over an epoch: exact over all its rows, not averages of batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.compiler.fetches import logged_losses, mask_of
from graphspec.compiler.heads import prefix_of
from graphspec.compiler.objective import Network
from graphspec.ir.graph import Array
from graphspec.language.head_arrays import LENGTH, STEPS
from graphspec.runtime.compute import Compute

if TYPE_CHECKING:
    from graphspec.metrics import MetricState
    from graphspec.runtime.records import Sums


@dataclass(frozen=True)
class ResultTable:
    """What a metric gives that is no figure: counts of true classes (rows) by answers (columns)."""

    key: str
    counts: Array
    labels: list[str]


@dataclass(frozen=True)
class _Entry:
    """A metric of a head: its key, and the keys of its figures with what each stands for."""

    head: str
    key: str
    state: MetricState
    keys: list[str]
    parts: list[str]
    labels: list[str] | None


class RunningMetrics:
    """The running totals of one pass over some rows.

    Keys are Keras's: ``loss``, then with several heads ``<head>_loss``, then ``accuracy`` or ``<head>_accuracy``; a metric
    with several figures has ``f1_score_0``, ``f1_score_1``, …
    """

    def __init__(self, model: Network) -> None:
        self._losses = logged_losses(model.spec)
        self._sums = dict.fromkeys(self._losses, 0.0)
        self._rows = 0
        self._metrics: list[_Entry] = []
        for head in model.spec.heads.values():
            value, prefix = model.graph.outputs[head.name], prefix_of(model.spec, head)
            for metric in head.metrics:
                state = metric.resolve(head.loss, value, head.labels).start(value, Compute())
                keys = [f"{prefix}{key}" for key in metric.keys(value)]
                parts = metric.parts(value, head.labels) or []
                self._metrics.append(_Entry(head.name, prefix + metric.key, state, keys, parts, head.labels))

    def reset(self) -> None:
        self._sums = dict.fromkeys(self._sums, 0.0)
        self._rows = 0
        for entry in self._metrics:
            entry.state.reset()

    def add(self, rows: int, fetches: Mapping[str, Array], targets: Mapping[str, Array]) -> None:
        """Count a batch: its losses (scalars, weighted by its rows) and its heads against their targets."""
        self._rows += rows
        for key, name in self._losses.items():
            self._sums[key] += float(fetches[name]) * rows
        for entry in self._metrics:
            head = entry.head
            lengths = {s[1:]: targets[head + s] for s in (LENGTH, STEPS) if head + s in targets}
            entry.state.update(targets.get(head), fetches[head], fetches.get(mask_of(head)), lengths)

    def views(self, vector: Array) -> list[Array]:
        """The counters of every metric, laid out in a float64 vector (``counters`` long)."""
        found, start = [], 0
        for entry in self._metrics:
            stop = start + entry.state.counters.size
            found.append(vector[start:stop].reshape(entry.state.counters.shape))
            start = stop
        return found

    @property
    def counters(self) -> int:
        return sum(entry.state.counters.size for entry in self._metrics)

    def count_in(self, vector: Array) -> None:
        """Keep the counters in ``vector``, where others can read them."""
        for entry, view in zip(self._metrics, self.views(vector), strict=True):
            entry.state.counters = view

    def include(self, views: Sequence[Array]) -> None:
        """Add the counters (:meth:`views`) of another worker."""
        for entry, counters in zip(self._metrics, views, strict=True):
            entry.state.counters += counters

    def logs(self, prefix: str = "") -> dict[str, float]:
        """The figures so far."""
        rows = max(self._rows, 1)
        figures = {k: v / rows for k, v in self._sums.items()}
        for entry in self._metrics:
            if entry.keys:
                figures |= zip(entry.keys, np.ravel(entry.state.result()).tolist(), strict=True)
        return {f"{prefix}{k}": v for k, v in figures.items()}

    def meanings(self) -> dict[str, str]:
        """What those figures stand for of which their metric has several."""
        return {k: part for e in self._metrics if len(e.keys) > 1 for k, part in zip(e.keys, e.parts, strict=True)}

    def tables(self) -> list[ResultTable]:
        """The metrics that are no figures."""
        found = []
        for entry in self._metrics:
            if not entry.keys:
                counts = np.asarray(entry.state.result())
                found.append(ResultTable(entry.key, counts, entry.labels or [str(k) for k in range(len(counts))]))
        return found

    def state(self) -> dict[str, Any]:
        """Plain JSON, of which :class:`Sums` is made; floats come back with the same bits."""
        return {"sums": self._sums, "rows": self._rows, "metrics": [entry.state.state() for entry in self._metrics]}

    def load(self, state: Sums) -> None:
        """Take up :meth:`state`.

        Raises:
            ValueError: it is that of other losses or metrics.
        """
        if state.sums.keys() != self._sums.keys() or len(state.metrics) != len(self._metrics):
            raise ValueError("its totals are those of other losses or metrics")
        for entry, saved in zip(self._metrics, state.metrics, strict=True):
            if len(saved) not in (0, entry.state.counters.size):
                raise ValueError(
                    f"its totals of '{entry.key}' have {len(saved)} numbers, not {entry.state.counters.size}"
                )
        self._sums, self._rows = {key: float(state.sums[key]) for key in self._sums}, state.rows
        for entry, saved in zip(self._metrics, state.metrics, strict=True):
            entry.state.load(saved)
