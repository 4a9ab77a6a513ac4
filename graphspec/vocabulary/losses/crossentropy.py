"""Cross-entropies and other losses of probabilities."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np

from graphspec.base.config import FloatOrFloats, NonNegative, Rate, described, setting
from graphspec.base.errors import Problem
from graphspec.graph.ir.graph import Type
from graphspec.graph.ops import Op
from graphspec.vocabulary import Builder, Value
from graphspec.vocabulary.losses import loss as base

# Cross-entropies. They are computed from logits if a Softmax or Sigmoid operator directly computes the head's values.
Gamma = Annotated[NonNegative, described("How strongly easy samples are down-weighted; 0 for not at all.")]


class Probabilistic(base.Loss):
    """Base of the cross-entropies: the head outputs probabilities, or logits with ``from_logits``."""

    activation: ClassVar[str]  # the activation that this loss expects
    from_logits: base.FromLogits = False

    def check_probability_kind(self, op: type[Op], y_pred: Value) -> list[Problem]:
        """Return GS401 if the activation ``op`` returns another kind of probabilities than this loss expects."""
        raise NotImplementedError

    def check_activation(self, y_pred: Value) -> list[Problem]:
        op = base.producer(y_pred)
        if self.from_logits:
            if base.gives_probabilities(op):
                text = f"has `from_logits: true` and applies {self.activation} again to a {op.activation}"
                return base.warn(text, "set `from_logits: false`: the loss is still computed from the logits")
            return []
        if found := self.check_probability_kind(op, y_pred):
            return found
        hint = f"add `activation: {self.activation}` to the layer, or set `from_logits: true` in the loss"
        return base.check_probabilities(y_pred, hint)


class Binary(Probabilistic, activation="sigmoid", fits="classes", binary=True, probability_targets=True):
    """Base of the cross-entropies in which every unit is an independent class."""

    label_smoothing: base.Smoothing = 0.0
    axis: int = setting(-1, "The axis that is averaged over.")

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return super().check_shape(y_pred) or (base.check_axis(self.axis, y_pred) if y_pred.rank > 1 else [])

    def check_probability_kind(self, op: type[Op], y_pred: Value) -> list[Problem]:
        if op.activation != "softmax":
            return []
        text = "treats every unit independently, but softmax makes the units compete"
        return base.warn(text, f"use {self.label.replace('binary', 'categorical')}, or `activation: sigmoid`")

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        y_true = base.smooth(y_true, self.label_smoothing, 0.5)
        return base.mean(g, self.weighted(g, self.crossentropy(g, y_true, y_pred), y_true, y_pred), self.axis)

    def crossentropy(self, g: Builder, y_true: Value, y_pred: Value) -> Value:
        """Emit the cross-entropy of every unit."""
        if self.from_logits:
            return g.SigmoidCrossEntropy(y_pred, y_true)
        if y_pred.node is not None and y_pred.node.op == "Sigmoid":
            return g.SigmoidCrossEntropy(base.source(y_pred), y_true)
        p, one = base.clip(g, y_pred), g.constant(1.0)
        return -(y_true * g.Log(p) + (one - y_true) * g.Log(one - p))

    def weighted(self, g: Builder, values: Value, y_true: Value, y_pred: Value) -> Value:
        """Emit the cross-entropies times their weights; the base has no weights."""
        return values


@base.LOSSES.add("binary_crossentropy", "BinaryCrossentropy", "BCE", "bce")
class BinaryCrossentropy(Binary, label="binary_crossentropy"):
    """Mean of ``-(y log p + (1 - y) log(1 - p))`` over ``axis``; every unit is an independent class.

    Label smoothing s replaces y by ``y (1 - s) + s / 2``.

    Shapes: head (N, …, units), targets of the same shape, from 0 to 1 → (N, …); with another ``axis``, that axis is
    removed.
    """


@base.LOSSES.add("binary_focal_crossentropy", "BinaryFocalCrossentropy")
class BinaryFocalCrossentropy(Binary, label="binary_focal_crossentropy"):
    """Binary focal loss: mean of ``-(1 - q)^gamma · log q`` over ``axis``, q the probability of the unit's target.

    For a target y between 0 and 1 the factor is ``(y (1 - p) + (1 - y) p)^gamma``, times the binary cross-entropy.
    Units that the network predicts well count less. With ``apply_class_balancing`` ones are weighted by ``alpha``,
    zeros by ``1 - alpha``.

    Shapes: head (N, …, units), targets of the same shape, from 0 to 1 → (N, …).

    Source: Lin et al., *Focal Loss for Dense Object Detection*, ICCV 2017.
    """

    apply_class_balancing: bool = setting(False, "Whether ones and zeros are weighted by `alpha`.")
    alpha: Rate = setting(0.25, "The weight of ones; zeros have the weight 1 - alpha.")
    gamma: Gamma = 2.0

    def weighted(self, g: Builder, values: Value, y_true: Value, y_pred: Value) -> Value:
        one = g.constant(1.0)
        p = g.Sigmoid(y_pred) if self.from_logits else y_pred
        zero = one - y_true
        values = focal_factor(g, y_true * (one - p) + zero * p, self.gamma) * values
        if not self.apply_class_balancing:
            return values
        return (y_true * self.alpha + zero * (1 - self.alpha)) * values


def focal_factor(g: Builder, error: Value, gamma: float) -> Value:
    """Emit ``max(error, 1e-7) ** gamma``: at 0 the power has no derivative if gamma is below 1."""
    return g.Max(error, g.constant(base.EPSILON)) ** gamma


class Categorical(Probabilistic, activation="softmax", fits="classes"):
    """Base of the cross-entropies over exclusive classes along ``axis``."""

    axis: base.Axis = -1
    fixed: ClassVar[bool] = True  # whether it needs a fixed number of classes

    def class_axis(self, y_pred: Value) -> int | None:
        return self.axis % y_pred.rank

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return super().check_shape(y_pred) or base.check_classes(self.axis, y_pred, fixed=self.fixed)

    def check_probability_kind(self, op: type[Op], y_pred: Value) -> list[Problem]:
        if op.activation == "sigmoid":
            text = "needs probabilities that sum to 1 over the classes, but the activation is sigmoid"
            return base.warn(text, "use `activation: softmax`, or binary_crossentropy if several classes may apply")
        axis = base.axis_of(y_pred, "Softmax")
        if axis is not None and axis != self.axis % y_pred.rank:
            text = f"expects the classes on axis {self.axis}, but softmax normalizes axis {axis}"
            return base.warn(text, "use the same `axis` for both")
        return []

    def logits(self, y_pred: Value) -> Value | None:
        """Return the logits, or None if only probabilities are known."""
        if self.from_logits:
            return y_pred
        return base.source(y_pred) if base.axis_of(y_pred, "Softmax") == self.axis % y_pred.rank else None

    def log_probabilities(self, g: Builder, y_pred: Value) -> Value:
        """Emit ``log(y_pred / Σ y_pred)`` over the last axis, clipped."""
        return g.Log(base.clip(g, y_pred / g.ReduceSum(y_pred, g.constant([y_pred.rank - 1]), keepdims=1)))

    def smoothed(self, g: Builder, y_true: Value, smoothing: float) -> Value:
        """Emit the targets with label smoothing, the classes on the last axis."""
        y_true = self.classes_last(g, y_true)
        return base.smooth(y_true, smoothing, 1.0 / y_true.features)

    def crossentropy(self, g: Builder, y_true: Value, y_pred: Value) -> Value:
        """Emit ``-Σ y log p`` over the classes, which are the last axis of ``y_true``."""
        logits = self.logits(y_pred)
        if logits is not None:
            return g.SoftmaxCrossEntropy(self.classes_last(g, logits), y_true)
        return base.total(g, -(y_true * self.log_probabilities(g, self.classes_last(g, y_pred))))

    def classes_last(self, g: Builder, X: Value) -> Value:
        """Emit ``X`` with the class axis moved to the end."""
        axis = self.axis % X.rank
        return g.transpose(X, [*(k for k in range(X.rank) if k != axis), axis])


@base.LOSSES.add("categorical_crossentropy", "CategoricalCrossentropy")
class CategoricalCrossentropy(Categorical):
    """``-Σ y log p`` over the classes along ``axis``.

    Probabilities are first divided by their sum. Label smoothing s replaces y by ``y (1 - s) + s / classes``.

    Shapes: head (N, …, classes), targets of the same shape, one-hot or any distribution → (N, …); with another
    ``axis``, that axis is removed.
    """

    label, targets, probability_targets = "categorical_crossentropy", "one_hot", True
    label_smoothing: base.Smoothing = 0.0

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        return self.crossentropy(g, self.smoothed(g, y_true, self.label_smoothing), y_pred)


@base.LOSSES.add("categorical_focal_crossentropy", "CategoricalFocalCrossentropy")
class CategoricalFocalCrossentropy(Categorical):
    """Focal loss: ``-Σ alpha (1 - p)^gamma y log p`` over the classes; well-predicted classes count less.

    Probabilities are first divided by their sum. Label smoothing s replaces y by ``y (1 - s) + s / classes``.

    Shapes: head (N, …, classes), targets of the same shape, one-hot or any distribution → (N, …).

    Source: Lin et al., *Focal Loss for Dense Object Detection*, ICCV 2017.
    """

    label, targets, probability_targets = "categorical_focal_crossentropy", "one_hot", True
    alpha: FloatOrFloats = setting(0.25, "One weight, or one per class.")
    gamma: Gamma = 2.0
    label_smoothing: base.Smoothing = 0.0

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if found := super().check_shape(y_pred):
            return found
        classes = y_pred.fixed(self.axis)
        if isinstance(self.alpha, tuple) and len(self.alpha) != classes:
            text = f"has {len(self.alpha)} values of `alpha` for {classes} classes"
            return base.refuse(text, "use one value, or one per class")
        return []

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        y_true = self.smoothed(g, y_true, self.label_smoothing)
        logits = self.logits(y_pred)
        if logits is None:
            log_p = self.log_probabilities(g, self.classes_last(g, y_pred))
        else:
            log_p = g.LogSoftmax(self.classes_last(g, logits), axis=-1)
        factor = focal_factor(g, 1.0 - g.Exp(log_p), self.gamma)
        return base.total(g, -(factor * np.asarray(self.alpha)) * (y_true * log_p))


@base.LOSSES.add("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")
class SparseCategoricalCrossentropy(Categorical, label="sparse_categorical_crossentropy", targets="ids"):
    """``-log p[y]``: the cross-entropy of the target's class along ``axis``.

    Probabilities are first divided by their sum. Targets equal to ``ignore_class`` are masked: they count neither in
    the sum nor in the divisor of the mean. Label smoothing s, which Keras has for one-hot targets alone, is theirs:
    ``-Σ y log p`` with y = 1 - s + s / classes for the target's class, and s / classes for the others.

    Shapes: head (N, …, classes), targets (N, …), class ids from 0 → (N, …); with another ``axis``, that axis is missing
    in the targets.
    """

    fixed = False  # steps may be classes: a pointer to one of them
    ignore_class: int | None = setting(None, "The class of targets that do not count; null for none.")
    label_smoothing: base.Smoothing = 0.0

    def check_shape(self, y_pred: Value) -> list[Problem]:
        problems = super().check_shape(y_pred)
        if problems or not self.label_smoothing or isinstance(y_pred.shape[self.axis], int):
            return problems
        return base.refuse("has `label_smoothing`, which needs a fixed number of classes", "leave it out")

    def target(self, y_pred: Value) -> Type:
        axis = self.axis % y_pred.rank
        return Type("int64", tuple(d for k, d in enumerate(y_pred.shape) if k != axis))

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        counts = None
        if self.ignore_class is not None:
            counts = ~g.Equal(y_true, g.constant(self.ignore_class))
            y_true = g.Where(counts, y_true, g.constant(0))
        if not isinstance(y_pred.shape[self.axis], int):  # data are not checked: batches differ
            y_true = g.CheckIds(y_true, g.Shape(self.classes_last(g, y_pred)), size=2**31, argument="")
        logits, s = self.logits(y_pred), self.label_smoothing
        if s:
            classes = y_pred.fixed(self.axis)
            soft = g.constant([s / classes, 1 - s + s / classes], "float32")
            values = self.crossentropy(g, g.OneHot(y_true, g.constant(classes), soft, axis=-1), y_pred)
        elif logits is not None:
            values = g.SparseSoftmaxCrossEntropy(self.classes_last(g, logits), y_true)
        else:
            values = -base.of_class(g, self.log_probabilities(g, self.classes_last(g, y_pred)), y_true)
        return values.with_mask(counts)


@base.LOSSES.add("arcface", "ArcFace")
class ArcFace(base.Loss, label="arcface", targets="ids", fits="classes"):
    """The cross-entropy of the logits of an ArcFace layer, with ``margin`` added to the angle of the target's class.

    Beyond the angle π less the margin, where the cosine would rise again, it is less by ``margin · sin(margin)``.

    Shapes: head (N, classes), targets (N,), class ids from 0 → (N,).

    Source: Deng et al., *ArcFace: Additive Angular Margin Loss for Deep Face Recognition*, CVPR 2019.
    """

    margin: NonNegative = setting(0.5, "What is added to the angle, in radians.")

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if _cosines(y_pred) is not None:
            return []
        text = "needs the cosines of an ArcFace layer, but the head is on another layer"
        return base.refuse(text, "use `{type: ArcFace, units: …}` in place of the last Dense")

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        found = _cosines(y_pred)
        assert found is not None
        (cosine, scale), m = found, self.margin
        sine = g.Sqrt(g.Relu(1.0 - cosine * cosine) + 1e-12)
        turned = cosine * math.cos(m) - sine * math.sin(m)
        turned = g.Where(cosine > -math.cos(m), turned, cosine - m * math.sin(m))
        own = g.Equal(g.Unsqueeze(y_true, g.constant([1])), g.constant(np.arange(cosine.features)))
        return g.SparseSoftmaxCrossEntropy(g.Where(own, turned, cosine) * scale, y_true)


def _cosines(y_pred: Value) -> tuple[Value, Value] | None:
    """Return the cosines that an ArcFace layer has computed, and their scale; None for another head."""
    logits = base.source(y_pred) if base.axis_of(y_pred, "Softmax") == 1 else y_pred
    product = logits.node.inputs[0] if logits.node is not None and logits.node.op == "Mul" else None
    units = [] if product is None or product.node is None or product.node.op != "MatMul" else product.node.inputs
    if product is None or [v and v.node and v.node.op for v in units] != ["Div", "Div"]:
        return None
    assert logits.node is not None
    scale = logits.node.inputs[1]
    return None if scale is None else (product, scale)


@base.LOSSES.add("categorical_generalized_cross_entropy", "CategoricalGeneralizedCrossEntropy")
class CategoricalGeneralizedCrossEntropy(base.OfProbabilities):
    """``(1 - p[y]^q) / q``: robust to wrong labels, between cross-entropy (q → 0) and mean absolute error (q → 1).

    p is at least 1e-7: at 0 the power has no derivative.

    Shapes: head (N, …, classes), targets (N, …), class ids from 0 → (N, …).

    Source: Zhang and Sabuncu, *Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels*,
    NeurIPS 2018.
    """

    label, targets, fits = "categorical_generalized_cross_entropy", "ids", "classes"
    q: Annotated[float, described("Between cross-entropy (0) and mean absolute error (1).", gt=0, lt=1)] = 0.5

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return super().check_shape(y_pred) or base.check_classes(-1, y_pred)

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        p = g.Max(base.of_class(g, y_pred, y_true), g.constant(base.EPSILON))
        return (1.0 - p**self.q) * (1 / self.q)


@base.LOSSES.add("kl_divergence", "KLDivergence", "KLD", "kld")
class KLDivergence(base.OfProbabilities, label="kl_divergence"):
    """Kullback–Leibler divergence ``Σ y log(y / p)`` over the last axis; y and p are clipped to 1e-7 … 1.

    Shapes: head (N, …, classes), targets of the same shape, distributions → (N, …).

    Source: Kullback and Leibler, *On Information and Sufficiency*, 1951.
    """

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        y_true, y_pred = (g.Clip(X, g.constant(base.EPSILON), g.constant(1.0)) for X in (y_true, y_pred))
        return base.total(g, y_true * (g.Log(y_true) - g.Log(y_pred)))
