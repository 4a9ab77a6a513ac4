"""Heads, losses and values for tests of metrics, without a spec around them."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphspec.engine.runtime.bind import Compute
from graphspec.graph.ir.graph import Node, Type, Value
from graphspec.vocabulary.losses import LOSSES
from graphspec.vocabulary.metrics import METRICS, Metric


def loss(name: str | None, **arguments: Any) -> Any:
    return None if name is None else LOSSES.parse({"type": name, **arguments})


def value(*shape: int | str, op: str | None = None, mask: int | None = None) -> Value:
    """A head's value, made by the operator ``op``, with a mask of its first ``mask`` axes."""
    node = None if op is None else Node("y", op, (), {"axis": len(shape) - 1}, "y")
    hides = None if mask is None else Value("m", Type("bool", shape[:mask]))
    return Value("y", Type("float32", shape), node=node, mask=hides)


def result(metric: Any, y_true: Any, y_pred: Any, given: str | None = None, **more: Any) -> Any:
    y_pred = np.asarray(y_pred, np.float32)
    head = value("N", *y_pred.shape[1:])
    parsed: Metric = METRICS.parse(metric).resolve(loss(given), head, more.pop("labels", None))
    state = parsed.start(head, Compute())
    state.update(np.asarray(y_true), y_pred, **more)
    return state.result()
