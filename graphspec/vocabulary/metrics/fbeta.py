"""F-scores: precision and recall as one score, per class or for all classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from graphspec.base.config import Positive
from graphspec.base.errors import Problem
from graphspec.vocabulary.losses.base import EPSILON, Targets
from graphspec.vocabulary.metrics.base import (
    METRICS,
    Metric,
    check_fixed,
    check_results,
    dense,
    has_logits,
    one_each,
    rows,
    units,
)

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array, Value
    from graphspec.vocabulary.losses import Loss


class FScore(Metric):
    """Base: ``(1 + β²) precision · recall / (β² precision + recall)`` of every class.

    The counters are (3, classes): true positives, false positives, false negatives.
    """

    by_class = True
    targets: ClassVar[tuple[Targets, ...]] = ("like", "one_hot", "ids")
    average: Literal["micro", "macro", "weighted"] | None = Field(
        None,
        description="`micro`: the score of the summed counts; `macro`: the mean of the classes' scores; `weighted`: their"
        " mean by class size; null: one score per class.",
    )
    threshold: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="A larger value is positive; null: the largest value of a row is."
    )

    def squared_beta(self) -> float:
        """Return β²."""
        raise NotImplementedError

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if found := check_fixed(self, y_pred):
            return found
        if self.threshold is None and units(y_pred) == 1:
            return self.error(
                "uses the largest value of a row, but the head has only one value", "set `threshold: 0.5`"
            )
        return [] if self.average else check_results(self, y_pred, "set `average: macro`, `micro` or `weighted`")

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        if self.threshold is not None and has_logits(loss):
            text = f"compares the head's values with {self.threshold:g}, but they are logits"
            return self.warning(text, "end the head in a sigmoid, with `from_logits: false` in the loss")
        if self.threshold is None and loss.binary:
            text = f"predicts one class per row, but with {type(loss).__name__} several may apply"
            return self.warning(text, "set `threshold: 0.5`")
        return []

    def parts(self, y_pred: Value, labels: Sequence[str] | None = None) -> list[str] | None:
        if self.average is not None:
            return None
        return one_each("class", y_pred) if labels is None else list(labels)

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (3, units(y_pred))

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = rows(dense(y_true, y_pred)).astype(np.float64), rows(y_pred)
        if self.threshold is None:
            positive = (y_pred >= y_pred.max(-1, keepdims=True)) & (np.abs(y_pred) > 1e-9)
        else:
            positive = y_pred > self.threshold
        tp = np.sum(y_true, axis=0, where=positive)
        return np.stack([tp, np.count_nonzero(positive, axis=0) - tp, y_true.sum(0) - tp])

    def finish(self, counters: Array) -> float | Array:
        tp, fp, fn = counters.sum(1, keepdims=True) if self.average == "micro" else counters
        precision, recall = tp / (tp + fp + EPSILON), tp / (tp + fn + EPSILON)
        square = self.squared_beta()
        scores: Array = (1 + square) * precision * recall / (square * precision + recall + EPSILON)
        if self.average is None:
            return scores
        if self.average == "weighted":
            return float(np.sum(scores * (tp + fn)) / (np.sum(tp + fn) + EPSILON))
        return float(scores.mean())


@METRICS.add("F1Score", "f1_score")
class F1Score(FScore):
    """The harmonic mean of precision and recall, ``2 · precision · recall / (precision + recall)``.

    A value is positive if it exceeds ``threshold``; without a threshold, the largest value of each row is.

    Shapes: head (N, …, classes), targets of the same shape, or class ids (N, …); one result per class unless
    ``average`` is set. Masked rows do not count.

    Source: van Rijsbergen, *Information Retrieval*, 1979.
    """

    label = "f1_score"

    def squared_beta(self) -> float:
        return 1.0


@METRICS.add("FBetaScore", "f_beta_score")
class FBetaScore(FScore):
    """``(1 + β²) · precision · recall / (β² · precision + recall)``: recall is β times as important as precision.

    A value is positive if it exceeds ``threshold``; without a threshold, the largest value of each row is.

    Shapes: head (N, …, classes), targets of the same shape, or class ids (N, …); one result per class unless
    ``average`` is set. Masked rows do not count.

    Source: van Rijsbergen, *Information Retrieval*, 1979.
    """

    label = "fbeta_score"
    beta: Annotated[Positive, Field(description="The weight β of recall relative to precision.")] = 1.0

    def squared_beta(self) -> float:
        return self.beta**2
