"""Metrics that are the mean of a loss: the formula is the loss's own lowering, bound for every shape of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from graphspec.compiler.ir import Graph, Type, Value
from graphspec.losses.base import Axis, Loss, Problem
from graphspec.metrics.base import Average, Direction, Metric, State, check_axis, from_end, total, visible

if TYPE_CHECKING:
    from graphspec.compiler.ir import Array
    from graphspec.runtime.program import Program

KEEP = 1 << 24
"""Bytes of bound programs that a metric keeps; the last one always."""


class OfLoss(Average):
    """Base: the mean of the values of the loss ``of``, whose arguments are this metric's fields, smaller is better."""

    of: ClassVar[type[Loss]]
    direction: ClassVar[Direction | None] = "down"

    def start(self, y_pred: Value) -> State:
        return _Bound(self, y_pred, self.of(**self.model_dump(exclude={"name"})))


class Along(OfLoss):
    """Base of the means of a loss that is computed along an axis of the head."""

    axis: Axis = -1

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        return from_end(self, y_pred)

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return check_axis(self, self.axis, y_pred)


class _Bound(State):
    """A loss over some batches, with the programs that compute its values, one for each shape of a batch."""

    def __init__(self, metric: Metric, y_pred: Value, loss: Loss) -> None:
        from graphspec.runtime.programs import Programs

        super().__init__(metric, y_pred)
        self._loss = loss
        self._programs = Programs(KEEP)

    def update(
        self,
        y_true: Array | None,
        y_pred: Array,
        mask: Array | None = None,
        lengths: Mapping[str, Array] | None = None,
    ) -> None:
        assert y_true is not None
        with self._programs.borrow(y_pred.shape, lambda: bind_values(self._loss, y_pred.shape)) as program:
            targets = program.feeds["y_true"]
            targets[...] = y_true.reshape(targets.shape)  # (N,) fits (N, 1)
            program.feeds["y_pred"][...] = y_pred
            program.run()
            values = visible(program.fetches["values"], mask)
            if "counts" in program.fetches:
                values = values[visible(program.fetches["counts"], mask)]
            self.counters += total(values)


def bind_values(loss: Loss, shape: tuple[int, ...]) -> Program:
    """A program from ``y_true`` and ``y_pred``, a head of this shape, to the loss's ``values`` (and ``counts``, bool).

    In float64, where a row's value does not depend on the other rows of its batch but for the last bits.
    """
    from graphspec.compiler.build import Builder
    from graphspec.runtime.bind import bind
    from graphspec.runtime.store import Store

    graph = Graph(loss.label)
    y_pred = graph.inputs["y_pred"] = Value("y_pred", Type("float32", shape), "input")
    y_true = graph.targets["y_true"] = Value("y_true", loss.target(y_pred), "target")
    values = loss.lower(Builder(graph, loss.label), y_true, y_pred)
    fetches = {"values": values} if values.mask is None else {"values": values, "counts": values.mask}
    shapes = {value.name: value.shape for value in (y_true, y_pred)}
    return bind(graph, Store(graph, np.float64), fetches=fetches, shapes=shapes)
