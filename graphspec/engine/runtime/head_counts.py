"""What an evaluation counts besides the metrics of a spec: the answers by class, and the errors of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphspec.engine.runtime.compute import Compute
from graphspec.vocabulary.losses.base import Loss
from graphspec.vocabulary.metrics import ConfusionMatrix, F1Score, MeanAbsoluteError, R2Score, RootMeanSquaredError
from graphspec.vocabulary.metrics.base import has_logits, targets_of, units

if TYPE_CHECKING:
    from graphspec.engine.compiler.objective import Network
    from graphspec.graph.ir.graph import Array, Value
    from graphspec.language.declarations import HeadDecl
    from graphspec.vocabulary.metrics import Metric, MetricState

_MATRIX = 512  # classes; the counts of more would cost more than the network
_MOST = 10_000  # classes
_ERRORS = {"mae": MeanAbsoluteError, "rmse": RootMeanSquaredError, "r2": R2Score}


@dataclass(frozen=True)
class ClassCounts:
    """The answers of a head by class.

    Attributes:
        labels: the classes, or the labels of which several may apply to a row.
        right: the rows (or positions) whose answer rightly has the class, int64 ``(classes,)``.
        answered: those whose answer has it.
        true: those that have it.
        pairs: how often a true class (row) is answered as each class (column), int64 ``(classes, classes)``; None if several
            classes may apply, or there are many.
    """

    head: str
    labels: Sequence[str]
    right: Array
    answered: Array
    true: Array
    pairs: Array | None = None


@dataclass(frozen=True)
class NumberErrors:
    """The errors of a head that predicts numbers, in the units of its targets.

    Attributes:
        mae: the mean of the absolute errors.
        rmse: the square root of the mean of the squared errors.
        r2: the coefficient of determination, the mean over the head's units.
        known: those of the three that are among the metrics of the spec, too.
    """

    head: str
    mae: float
    rmse: float
    r2: float
    known: frozenset[str] = frozenset()


class HeadCounts:
    """The counters of all heads whose answers are classes or numbers."""

    def __init__(self, model: Network) -> None:
        self._heads: list[tuple[HeadDecl, list[MetricState]]] = []
        for head in model.spec.heads.values():
            value = model.graph.outputs[head.name]
            own = [metric for metric in head.metrics if isinstance(metric, ConfusionMatrix)][:1]  # with its threshold
            if head.loss is not None and (metrics := own or _metrics(head.loss, value, head.labels)):
                states = [m.resolve(head.loss, value, head.labels).start(value, Compute()) for m in metrics]
                self._heads.append((head, states))

    @property
    def names(self) -> tuple[str, ...]:
        """The heads."""
        return tuple(head.name for head, _ in self._heads)

    def states(self) -> list[tuple[str, MetricState]]:
        """Return the counters, each with the name of its head."""
        return [(head.name, state) for head, states in self._heads for state in states]

    def found(self) -> list[ClassCounts | NumberErrors]:
        """Return what has been counted; nothing for a head without rows."""
        found = [_result(head, states) for head, states in self._heads]
        return [result for result in found if result is not None]


def _metrics(loss: Loss, value: Value, labels: Sequence[str] | None) -> list[Metric]:
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
            metrics = [ConfusionMatrix(threshold=0.0 if has_logits(loss) else 0.5)]
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
    pairs = counts if isinstance(states[-1].metric, ConfusionMatrix) else None
    if pairs is not None:
        right, answered, true = pairs.diagonal(), pairs.sum(0), pairs.sum(1)
    else:
        right, false, missed = counts
        answered, true = right + false, right + missed
    labels = head.labels or [str(k) for k in range(len(right))]
    return ClassCounts(head.name, labels, right, answered, true, pairs)
