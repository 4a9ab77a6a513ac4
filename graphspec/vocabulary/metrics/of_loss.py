"""Metrics that are the mean of a loss; the loss's lowering is the formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from graphspec.base.errors import Problem
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.vocabulary.losses.base import Axis, Loss
from graphspec.vocabulary.metrics.base import (
    Average,
    Compute,
    Direction,
    Metric,
    MetricState,
    check_axis,
    from_end,
    total,
    visible,
)

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array


class OfLoss(Average):
    """Base: the mean of the loss ``of`` over all unmasked rows. The metric's fields are the loss's arguments."""

    of: ClassVar[type[Loss]]
    """The loss."""
    direction: ClassVar[Direction | None] = "down"

    def start(self, y_pred: Value, compute: Compute) -> MetricState:
        return _MeanOfLoss(self, y_pred, self.of(**self.model_dump(exclude={"name"})), compute)


class Along(OfLoss):
    """Base: the mean of a loss that is computed along an axis of the head."""

    axis: Axis = -1

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        return from_end(self, y_pred)

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return check_axis(self, self.axis, y_pred)


class _MeanOfLoss(MetricState):
    """The state of the mean of a loss."""

    def __init__(self, metric: Metric, y_pred: Value, loss: Loss, compute: Compute) -> None:
        super().__init__(metric, y_pred)
        self._loss, self._compute = loss, compute

    def count(self, y_true: Array | None, y_pred: Array, mask: Array | None, lengths: Mapping[str, Array]) -> Array:
        assert y_true is not None
        head = Value("y_pred", Type("float32", y_pred.shape), "input")
        target = self._loss.target(head)
        y_true = y_true.reshape([int(d) for d in target.shape])  # (N,) and (N, 1) are compatible
        feeds = {"y_true": y_true, "y_pred": y_pred}
        outputs = self._compute(lambda: values_of(self._loss, head, target), feeds)
        values = visible(outputs["values"], mask)
        if "counts" in outputs:
            values = values[visible(outputs["counts"], mask)]
        return total(values)


def values_of(loss: Loss, head: Value, target: Type) -> Graph:
    """Return the graph from ``y_true`` and ``y_pred``, a head of fixed shape, to the loss's ``values``.

    If the values have a mask, it is the output ``counts``, bool. The graph is computed in float64: the other rows of
    the batch change at most the last bits of a row's value.
    """
    from graphspec.graph.builder import Builder

    graph = Graph(loss.label, inputs={head.name: head})
    y_true = graph.targets["y_true"] = Value("y_true", target, "target")
    with Builder(graph, loss.label) as g:
        values = loss.lower(g, y_true, head)
    graph.outputs = {"values": values} if values.mask is None else {"values": values, "counts": values.mask}
    return graph
