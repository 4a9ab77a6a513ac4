"""Metrics of risks: whether those for whom the event comes first have the higher one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphspec.vocabulary import Array, Value
from graphspec.vocabulary.metrics.metric import METRICS, Compute, Metric, MetricState, divide


@METRICS.add("Concordance", "concordance", "c_index")
class Concordance(Metric, label="concordance", targets=("times",), instead="use `loss: cox`"):
    """The share of pairs of rows whose first event has the higher risk; equal risks count half. 0.5 is chance.

    A pair counts if the row with the shorter time had the event; of equal times, if one had it and the other did not. An
    evaluation compares all rows with each other. In training, where rows are not kept, it is the rows of a batch, and of
    one process.

    Shapes: head (N, 1) or (N,), targets (N, 2), times and events.

    Source: Harrell et al., *Evaluating the Yield of Medical Tests*, JAMA 1982.
    """

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (2,)

    def count(self, y_true: Array | None, y_pred: Array, mask: Array | None, lengths: Mapping[str, Array]) -> Array:
        assert y_true is not None
        rows = np.column_stack([y_true, y_pred.reshape(-1)])
        return _pairs(rows, rows)

    def finish(self, counters: Array) -> float | Array:
        return float(divide(*counters))

    def start(self, y_pred: Value, compute: Compute) -> MetricState:
        return _State(self, y_pred)


class _State(MetricState):
    def __init__(self, metric: Metric, y_pred: Value) -> None:
        super().__init__(metric, y_pred)
        self._seen: list[Array] = []

    def update(
        self, y_true: Array | None, y_pred: Array, mask: Array | None = None, lengths: Mapping[str, Array] | None = None
    ) -> None:
        super().update(y_true, y_pred, mask, lengths)
        if self.keeps_rows:
            assert y_true is not None
            rows = np.column_stack([y_true, y_pred.reshape(-1)])
            for earlier in self._seen:
                self.counters += _pairs(rows, earlier) + _pairs(earlier, rows)
            self._seen.append(rows)

    def reset(self) -> None:
        super().reset()
        self._seen.clear()


def _pairs(first: Array, later: Array) -> Array:
    """Return the concordant pairs and all, of rows (time, event, risk) whose event comes first and later rows."""
    time, _, risk = first[first[:, 1] > 0].T[:, :, None]
    times, events, risks = later.T
    counts = (time < times) | ((time == times) & ~(events > 0))
    right = np.count_nonzero(counts & (risk > risks)) + np.count_nonzero(counts & (risk == risks)) / 2
    return np.array([right, np.count_nonzero(counts)])
