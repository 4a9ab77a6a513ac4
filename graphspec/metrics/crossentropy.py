"""Cross-entropies and divergences: how far predicted probabilities are from the targets. Formulas as the losses' own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from graphspec.losses.base import FromLogits, Problem, Smoothing
from graphspec.metrics.base import EPSILON, METRICS, Along, Average, Kind, Metric, has_logits, targets_of

if TYPE_CHECKING:
    from graphspec.compiler.ir import Array, Value
    from graphspec.losses import Loss


@METRICS.add("crossentropy", "ce")
class CrossentropyOfLoss(Metric):
    """The cross-entropy that fits the loss: binary, categorical or sparse, of logits where the loss takes logits."""

    label = "crossentropy"
    direction = "down"

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        single = y_pred.rank < 2 or y_pred.shape[-1] == 1
        binary = loss is not None and type(loss).__name__.startswith("Binary")
        given = "like" if loss is None else targets_of(loss)
        name, logits, axis = self.key, loss is not None and has_logits(loss), getattr(loss, "axis", -1)
        if given == "ids":
            ignored = getattr(loss, "ignore_class", None)
            sparse = SparseCategoricalCrossentropy(name=name, from_logits=logits, ignore_class=ignored, axis=axis)
            return sparse.resolve(loss, y_pred)
        if given == "one_hot" or not (binary or single):
            return CategoricalCrossentropy(name=name, from_logits=logits, axis=axis).resolve(loss, y_pred)
        return BinaryCrossentropy(name=name, from_logits=logits)

    def check(self, y_pred: Value, loss: Loss | None, labels: Sequence[str] | None = None) -> list[Problem]:
        return self.resolve(loss, y_pred).check(y_pred, loss)


_FOLLOWS = "use `crossentropy`, which follows the loss"


def check_logits(metric: Any, loss: Loss) -> list[Problem]:
    """Whether metric and loss agree on what the head's values are."""
    given: bool = metric.from_logits
    if given == has_logits(loss) or not hasattr(loss, "from_logits"):
        return []
    if given:
        text = f"takes the head's values as logits, but {type(loss).__name__} as probabilities"
        return metric.warning(text, "set `from_logits: false` in the metric")  # type: ignore[no-any-return]
    text = f"takes the head's values as probabilities, but {type(loss).__name__} as logits"
    return metric.warning(text, "set `from_logits: true` in the metric")  # type: ignore[no-any-return]


@METRICS.add("BinaryCrossentropy", "binary_crossentropy", "bce", "BCE")
class BinaryCrossentropy(Average):
    """Mean of ``-(y log p + (1 - y) log(1 - p))`` over all units."""

    label = "binary_crossentropy"
    instead = _FOLLOWS
    direction = "down"
    from_logits: FromLogits = False
    label_smoothing: Smoothing = 0.0

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        return check_logits(self, loss)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        y_true = y_true * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        values: Array
        if self.from_logits:
            values = np.maximum(y_pred, 0) - y_pred * y_true + np.log1p(np.exp(-np.abs(y_pred)))
        else:
            p = np.clip(y_pred, EPSILON, 1 - EPSILON)
            values = -(y_true * np.log(p) + (1 - y_true) * np.log1p(-p))
        return values


class _Categorical(Along):
    """A cross-entropy over the classes, which are ``axis``."""

    instead = _FOLLOWS
    direction = "down"
    from_logits: FromLogits = False

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        return check_logits(self, loss)

    def log_p(self, y_pred: Array) -> Array:
        """Logarithms of probabilities that sum to 1 over the classes."""
        logs: Array
        if self.from_logits:
            y_pred = y_pred - y_pred.max(self.axis, keepdims=True)
            logs = y_pred - np.log(np.exp(y_pred).sum(self.axis, keepdims=True))
            return logs
        p = y_pred / y_pred.sum(self.axis, keepdims=True)
        logs = np.log(np.clip(p, EPSILON, 1 - EPSILON))
        return logs


@METRICS.add("CategoricalCrossentropy", "categorical_crossentropy")
class CategoricalCrossentropy(_Categorical):
    """Mean over rows of ``-Σ y log p`` over the classes."""

    label = "categorical_crossentropy"
    targets: ClassVar[tuple[Kind, ...]] = ("one_hot", "like")
    label_smoothing: Smoothing = 0.0

    def values(self, y_true: Array, y_pred: Array) -> Array:
        y_true = y_true * (1 - self.label_smoothing) + self.label_smoothing / y_true.shape[self.axis]
        values: Array = -np.sum(y_true * self.log_p(y_pred), axis=self.axis)
        return values


@METRICS.add("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(_Categorical):
    """Mean over rows of ``-log p`` of the target's class; rows of the class ``ignore_class`` do not count."""

    label = "sparse_categorical_crossentropy"
    targets: ClassVar[tuple[Kind, ...]] = ("ids",)
    ignore_class: Annotated[int | None, Field(description="A class that does not count; null for none.")] = None

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if y_true.ndim == y_pred.ndim:
            y_true = y_true.squeeze(self.axis)
        counts = y_true != self.ignore_class if self.ignore_class is not None else np.ones(y_true.shape, bool)
        chosen = np.expand_dims(np.where(counts, y_true, 0).astype(np.intp), self.axis)
        values: Array = -np.take_along_axis(self.log_p(y_pred), chosen, self.axis).squeeze(self.axis)[counts]
        return values


@METRICS.add("KLDivergence", "kl_divergence")
class KLDivergence(Average):
    """Mean over rows of ``Σ y log(y / p)``, both at least 1e-7 and at most 1."""

    label = "kl_divergence"
    instead = _FOLLOWS
    direction = "down"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        y, p = (np.clip(a, EPSILON, 1) for a in (y_true, y_pred))
        values: Array = np.sum(y * np.log(y / p), axis=-1)
        return values


@METRICS.add("Poisson", "poisson")
class Poisson(Average):
    """Mean of ``y_pred - y_true log(y_pred + 1e-7)``."""

    label = "poisson"
    direction = "down"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        values: Array = y_pred - y_true * np.log(y_pred + EPSILON)
        return values
