"""Cross-entropies and divergences: how far predicted probabilities are from the targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from graphspec.errors import Problem
from graphspec.losses import crossentropy, regression
from graphspec.losses.base import FromLogits, Smoothing
from graphspec.metrics.base import METRICS, Kind, Metric, check_classifies, follows, has_logits
from graphspec.metrics.of_loss import Along, OfLoss

if TYPE_CHECKING:
    from graphspec.ir.graph import Value
    from graphspec.losses import Loss


@METRICS.add("crossentropy", "ce")
class CrossentropyOfLoss(Metric):
    """The cross-entropy that fits the loss: binary, categorical or sparse, of logits where the loss takes logits."""

    label = "crossentropy"
    direction = "down"

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        kind, axis = follows(loss, y_pred), getattr(loss, "axis", None)
        axis = axis if isinstance(axis, int) else -1  # of an overlap, axes or null
        name, logits = self.key, loss is not None and has_logits(loss)
        if kind == "binary":
            return BinaryCrossentropy(name=name, from_logits=logits)
        if kind == "categorical":
            return CategoricalCrossentropy(name=name, from_logits=logits, axis=axis).resolve(loss, y_pred)
        ignored = getattr(loss, "ignore_class", None)
        sparse = SparseCategoricalCrossentropy(name=name, from_logits=logits, ignore_class=ignored, axis=axis)
        return sparse.resolve(loss, y_pred)

    def check(self, y_pred: Value, loss: Loss | None, labels: Sequence[str] | None = None) -> list[Problem]:
        return check_classifies(self, y_pred, loss) or self.resolve(loss, y_pred).check(y_pred, loss)


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
class BinaryCrossentropy(OfLoss):
    """Mean of ``-(y log p + (1 - y) log(1 - p))`` over all units."""

    label, of = "binary_crossentropy", crossentropy.BinaryCrossentropy
    instead = _FOLLOWS
    from_logits: FromLogits = False
    label_smoothing: Smoothing = 0.0

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        return check_logits(self, loss)


class _Categorical(Along):
    """A cross-entropy over the classes, which are ``axis``."""

    instead = _FOLLOWS
    from_logits: FromLogits = False

    def class_axis(self, y_pred: Value) -> int | None:
        return self.axis % y_pred.rank

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        return check_logits(self, loss)


@METRICS.add("CategoricalCrossentropy", "categorical_crossentropy")
class CategoricalCrossentropy(_Categorical):
    """Mean over rows of ``-Σ y log p`` over the classes."""

    label, of = "categorical_crossentropy", crossentropy.CategoricalCrossentropy
    targets: ClassVar[tuple[Kind, ...]] = ("one_hot", "like")
    label_smoothing: Smoothing = 0.0


@METRICS.add("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(_Categorical):
    """Mean over rows of ``-log p`` of the target's class; rows of the class ``ignore_class`` do not count."""

    label, of = "sparse_categorical_crossentropy", crossentropy.SparseCategoricalCrossentropy
    targets: ClassVar[tuple[Kind, ...]] = ("ids",)
    ignore_class: Annotated[int | None, Field(description="A class that does not count; null for none.")] = None


@METRICS.add("KLDivergence", "kl_divergence")
class KLDivergence(OfLoss):
    """Mean over rows of ``Σ y log(y / p)``, both at least 1e-7 and at most 1."""

    label, of, by_class = "kl_divergence", crossentropy.KLDivergence, True
    instead = _FOLLOWS


@METRICS.add("Poisson", "poisson")
class Poisson(OfLoss):
    """Mean of ``y_pred - y_true log(y_pred + 1e-7)``."""

    label, of = "poisson", regression.Poisson
