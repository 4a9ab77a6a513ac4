"""Cross-entropies and divergences between targets and predicted probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from graphspec.base.errors import Problem
from graphspec.vocabulary.losses import crossentropy, regression
from graphspec.vocabulary.losses.base import FromLogits, Smoothing, Targets
from graphspec.vocabulary.metrics.base import METRICS, Metric, check_classifies, has_logits, matching
from graphspec.vocabulary.metrics.of_loss import Along, OfLoss

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Value
    from graphspec.vocabulary.losses import Loss


@METRICS.add("crossentropy", "ce")
class CrossentropyOfLoss(Metric):
    """The cross-entropy that fits the loss: binary, categorical or sparse, from logits if the loss expects logits.

    Without a loss that decides, Keras's rule: BinaryCrossentropy for a head with one unit, else
    CategoricalCrossentropy.
    """

    label = "crossentropy"
    direction = "down"

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        family, axis = matching(loss, y_pred), getattr(loss, "axis", None)
        axis = axis if isinstance(axis, int) else -1  # overlap losses have several axes or null
        name, logits = self.key, loss is not None and has_logits(loss)
        if family == "binary":
            return BinaryCrossentropy(name=name, from_logits=logits)
        if family == "categorical":
            return CategoricalCrossentropy(name=name, from_logits=logits, axis=axis).resolve(loss, y_pred)
        ignored = getattr(loss, "ignore_class", None)
        sparse = SparseCategoricalCrossentropy(name=name, from_logits=logits, ignore_class=ignored, axis=axis)
        return sparse.resolve(loss, y_pred)

    def check(self, y_pred: Value, loss: Loss | None, labels: Sequence[str] | None = None) -> list[Problem]:
        return check_classifies(self, y_pred, loss) or self.resolve(loss, y_pred).check(y_pred, loss)


_FOLLOWS = "use `crossentropy`, which follows the loss"


def check_logits(metric: Any, loss: Loss) -> list[Problem]:
    """Return a GS403 warning if only one of metric and loss expects logits."""
    expects_logits: bool = metric.from_logits
    if expects_logits == has_logits(loss) or not hasattr(loss, "from_logits"):
        return []
    if expects_logits:
        text = f"expects logits, but {type(loss).__name__} expects probabilities"
        return metric.warning(text, "set `from_logits: false` in the metric")  # type: ignore[no-any-return]
    text = f"expects probabilities, but {type(loss).__name__} expects logits"
    return metric.warning(text, "set `from_logits: true` in the metric")  # type: ignore[no-any-return]


@METRICS.add("BinaryCrossentropy", "binary_crossentropy", "bce", "BCE")
class BinaryCrossentropy(OfLoss):
    """Mean of ``-(y log p + (1 - y) log(1 - p))`` over all units and rows.

    Shapes: head (N, …, units), targets of the same shape, from 0 to 1. Masked rows do not count.
    """

    label, of = "binary_crossentropy", crossentropy.BinaryCrossentropy
    instead = _FOLLOWS
    from_logits: FromLogits = False
    label_smoothing: Smoothing = 0.0

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        return check_logits(self, loss)


class _Categorical(Along):
    """Base of the cross-entropies over exclusive classes along ``axis``."""

    instead = _FOLLOWS
    from_logits: FromLogits = False

    def class_axis(self, y_pred: Value) -> int | None:
        return self.axis % y_pred.rank

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        return check_logits(self, loss)


@METRICS.add("CategoricalCrossentropy", "categorical_crossentropy")
class CategoricalCrossentropy(_Categorical):
    """Mean over rows of ``-Σ y log p`` over the classes along ``axis``.

    Shapes: head (N, …, classes), targets of the same shape, one-hot or any distribution. Masked rows do not count.
    """

    label, of = "categorical_crossentropy", crossentropy.CategoricalCrossentropy
    targets: ClassVar[tuple[Targets, ...]] = ("one_hot", "like")
    label_smoothing: Smoothing = 0.0


@METRICS.add("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(_Categorical):
    """Mean over rows of ``-log p[y]``; targets equal to ``ignore_class`` do not count.

    Shapes: head (N, …, classes), targets (N, …), class ids from 0. Masked rows do not count.
    """

    label, of = "sparse_categorical_crossentropy", crossentropy.SparseCategoricalCrossentropy
    targets: ClassVar[tuple[Targets, ...]] = ("ids",)
    ignore_class: Annotated[int | None, Field(description="The class of targets that do not count; null for none.")] = (
        None
    )


@METRICS.add("KLDivergence", "kl_divergence")
class KLDivergence(OfLoss):
    """Mean over rows of the Kullback–Leibler divergence ``Σ y log(y / p)``; y and p are clipped to 1e-7 … 1.

    Shapes: head (N, …, classes), targets of the same shape, distributions. Masked rows do not count.

    Source: Kullback and Leibler, *On Information and Sufficiency*, 1951.
    """

    label, of, by_class = "kl_divergence", crossentropy.KLDivergence, True
    instead = _FOLLOWS


@METRICS.add("Poisson", "poisson")
class Poisson(OfLoss):
    """Mean of ``y_pred - y_true · log(y_pred + 1e-7)`` over all units and rows.

    The negative log-likelihood of counts ``y_true`` under the Poisson rates ``y_pred``, up to a constant.

    Shapes: head (N, …, units), targets of the same shape. Masked rows do not count.
    """

    label, of = "poisson", regression.Poisson
