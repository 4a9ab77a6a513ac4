"""Normalization of activations and of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import AfterValidator

from graphspec.base.config import Axes, Neutral, Positive, PositiveInt, Rate, described, invalid, setting
from graphspec.graph.initializers import INITIALIZERS
from graphspec.vocabulary import Builder, Value, not_allowed, show, wrong_rank, wrong_size
from graphspec.vocabulary.activations import feature_axes
from graphspec.vocabulary.layers import layer as base
from graphspec.vocabulary.layers.layer import Layer

_RENORM = "batch renormalization is not available"
Epsilon = Annotated[Positive, described("The constant that is added to the variance.")]
_MIN_NORM = 1e-12  # as in Keras: UnitNormalization divides by at least this norm


class Affine(Layer, supports_masking=True):
    """Base: the normalized values are multiplied by gamma, then beta is added."""

    epsilon: Epsilon = 1e-3
    center: bool = setting(True, "Whether beta is added.")
    scale: bool = setting(True, "Whether the result is multiplied by gamma.")
    beta_initializer: base.InitializerField = base.default_initializer("zeros")
    gamma_initializer: base.InitializerField = base.default_initializer("ones")
    beta_regularizer: base.RegularizerField = setting(None, "Penalty on beta.")
    gamma_regularizer: base.RegularizerField = setting(None, "Penalty on gamma.")
    beta_constraint: base.Constraint = None
    gamma_constraint: base.Constraint = None

    def gamma(self, g: Builder, shape: Sequence[int]) -> Value:
        """Return the factors; ones if ``scale`` is false."""
        return self.weight(g, "gamma", shape) if self.scale else g.constant(np.broadcast_to(np.float32(1), shape))

    def beta(self, g: Builder, shape: Sequence[int]) -> Value:
        """Return the offsets; zeros if ``center`` is false."""
        return self.weight(g, "beta", shape) if self.center else g.constant(np.broadcast_to(np.float32(0), shape))


class BatchNormalization(Affine, mixes_rows=True):
    """``gamma · (x − mean) / √(variance + epsilon) + beta`` per channel.

    In training, mean and variance are computed over the batch, without masked elements. Outside training, and with
    ``trainable: false``, they are the moving mean and variance.

    Shapes: (batch, …) → the same. Ioffe and Szegedy, *Batch Normalization*, ICML 2015.
    """

    axis: int = setting(-1, "The axis of the channels.")
    momentum: Rate = setting(0.99, "The weight of the old moving statistics in every update.")
    moving_mean_initializer: base.InitializerField = base.default_initializer("zeros")
    moving_variance_initializer: base.InitializerField = base.default_initializer("ones")
    renorm: Annotated[bool, *base.refused(_RENORM, f"Refused: {_RENORM}.")] = False
    renorm_clipping: base.NoEffect = None
    renorm_momentum: base.NoEffect = 0.99
    synchronized: base.NoEffect = False

    def lower(self, g: Builder, X: Value) -> Value:
        (axis,), mask = _axes(X, self.axis), X.mask
        if mask is not None and mask.rank >= X.rank:
            raise wrong_rank(f"needs a mask of lower rank than its data {show(X.shape)}, got {show(mask.shape)}")
        X = base.as_float(g, X)
        shape = (X.fixed(axis),)
        gamma, beta = self.gamma(g, shape), self.beta(g, shape)
        mean = self.weight(g, "moving_mean", shape, state=True)
        variance = self.weight(g, "moving_variance", shape, state=True)
        order = _channels_first(X, axis)
        weights, decay = (gamma, beta, mean, variance), {"epsilon": self.epsilon, "momentum": self.momentum}
        first = g.transpose(X, order)
        if mask is not None and g.trainable:
            keep = g.Unsqueeze(base.cast_to(g, mask, "float32"), g.constant(list(range(mask.rank, X.rank))))
            Y = g.MaskedBatchNormalization(first, g.transpose(keep, order), *weights, **decay)
        else:
            Y = g.emit("BatchNormalization", (first, *weights), decay | {"training_mode": int(g.trainable)})
        return g.transpose(Y, np.argsort(order).tolist())


def _axes(X: Value, axes: int | tuple[int, ...]) -> list[int]:
    """Return non-negative axes other than the batch, in order; raise GS301 if one does not exist."""
    base.need_rank(X, 2, None, "(batch, …, channels)", hint="give the input a shape such as [1]")
    return feature_axes(X, axes, key="axis")


def _channels_first(X: Value, axis: int) -> tuple[int, ...]:
    """Return the permutation that moves ``axis`` to ONNX's channel axis, 1."""
    return (0, axis, *(k for k in range(1, X.rank) if k != axis))


def _last(X: Value, axes: Sequence[int]) -> tuple[int, ...]:
    """Return the permutation that moves ``axes`` to the end, where ONNX normalizes."""
    return (*(k for k in range(X.rank) if k not in axes), *axes)


class LayerNormalization(Affine):
    """``gamma · (x − mean) / √(variance + epsilon) + beta``; mean and variance over ``axis``, per row.

    Shapes: (batch, …) → the same. Ba et al., *Layer Normalization*, 2016.
    """

    neutral: ClassVar[Mapping[str, Neutral]] = base.NEUTRAL | {
        "rms_scaling": Neutral((False,), "normalization without the mean is another layer", "use RMSNormalization")
    }

    axis: Axes = setting(-1, "The axis or axes of mean and variance.")

    def lower(self, g: Builder, X: Value) -> Value:
        axes = _axes(X, self.axis)
        X = base.as_float(g, X)
        shape = tuple(X.fixed(axis) for axis in axes)
        gamma, beta = self.gamma(g, shape), self.beta(g, shape) if self.center else None
        order = _last(X, axes)
        Y = g.LayerNormalization(g.transpose(X, order), gamma, beta, axis=-len(axes), epsilon=self.epsilon)
        return g.transpose(Y, np.argsort(order).tolist())


def _groups(value: int) -> int:
    if value < 1 and value != -1:
        raise invalid("must be at least 1, or -1 for one group per channel", show_value=True)
    return value


class GroupNormalization(Affine):
    """``gamma · (x − mean) / √(variance + epsilon) + beta``; mean and variance over each group of channels, per row.

    Shapes: (batch, …) → the same. Wu and He, *Group Normalization*, ECCV 2018.
    """

    groups: Annotated[int, AfterValidator(_groups)] = setting(
        32, "The number of groups; -1 for one per channel: instance normalization."
    )
    axis: int = setting(-1, "The axis of the channels.")

    def lower(self, g: Builder, X: Value) -> Value:
        (axis,) = _axes(X, self.axis)
        X = base.as_float(g, X)
        channels = X.fixed(axis)
        groups = channels if self.groups == -1 else self.groups
        if channels % groups:
            text = f"has {channels} channels in {show(X.shape)}, not divisible into {groups} groups"
            nearest = max(n for n in range(1, min(groups, channels) + 1) if channels % n == 0)
            raise wrong_size(text, f"use a number that divides {channels}, such as `groups: {nearest}`", key="groups")
        order = _channels_first(X, axis)
        vectors = self.gamma(g, (channels,)), self.beta(g, (channels,))
        Y = g.GroupNormalization(g.transpose(X, order), *vectors, num_groups=groups, epsilon=self.epsilon)
        return g.transpose(Y, np.argsort(order).tolist())


class RMSNormalization(Layer):
    """``scale · x / √(mean(x²) + epsilon)``, the mean over ``axis``, per row.

    ``scale`` has the axes ``axis``, also if these are not the last ones; in Keras it always has the last ones.

    Shapes: (batch, …) → the same. Zhang and Sennrich, *Root Mean Square Layer Normalization*, NeurIPS 2019.
    """

    axis: Axes = setting(-1, "The axis or axes of the mean.")
    epsilon: Positive = setting(1e-6, "The constant that is added to the mean of the squares.")

    def lower(self, g: Builder, X: Value) -> Value:
        axes = _axes(X, self.axis)
        X = base.as_float(g, X)
        scale = self.weight(g, "scale", tuple(X.fixed(axis) for axis in axes), initializer=INITIALIZERS.parse("ones"))
        order = _last(X, axes)
        Y = g.RMSNormalization(g.transpose(X, order), scale, axis=-len(axes), epsilon=self.epsilon)
        return g.transpose(Y, np.argsort(order).tolist())


class UnitNormalization(Layer, supports_masking=True):
    """``x / ‖x‖₂`` over ``axis``; zero vectors stay zero.

    Shapes: (batch, …) → the same.
    """

    axis: Axes = setting(-1, "The axis or axes whose elements are divided by their norm.")

    def lower(self, g: Builder, X: Value) -> Value:
        axes = _axes(X, self.axis)
        X = base.as_float(g, X)
        return g.LpNormalization(X, axis=axes[0], p=2) if len(axes) == 1 else g.unit(X, axes, _MIN_NORM)


class LayerScale(Layer, supports_masking=True):
    """``x · gamma``, one trained factor per feature, small at first: at the end of a residual branch, before Add.

    Shapes: (batch, …, features) → the same. Touvron et al., *Going Deeper with Image Transformers*, ICCV 2021.
    """

    init_values: float = setting(1e-6, "The initial value of all factors.")
    gamma_regularizer: base.RegularizerField = setting(None, "Penalty on gamma.")
    gamma_constraint: base.Constraint = None

    def lower(self, g: Builder, X: Value) -> Value:
        base.need_rank(X, 2, None, "(batch, …, features)")
        start = INITIALIZERS.parse({"type": "Constant", "value": self.init_values})
        return g.Mul(base.as_float(g, X), self.weight(g, "gamma", (X.features,), initializer=start))


class SpectralNormalization(Layer):
    """A layer with its kernel divided by the kernel's largest singular value, at every training step.

    Power iterations estimate the singular value; they continue from ``vector_u``, a weight that is not trained. The
    divided kernel is stored, and the layer uses it outside training.

    Shapes: as for the wrapped layer.
    Miyato et al., *Spectral Normalization for Generative Adversarial Networks*, ICLR 2018.
    """

    layer: base.LayerField = setting(..., "A layer with a kernel or embeddings, such as Dense or Conv2D.")
    power_iterations: PositiveInt = setting(1, "The number of power iterations per step.")

    @property
    def mixes_rows(self) -> bool:
        return self.layer.mixes_rows

    def lower(self, g: Builder, X: Value) -> Value:
        kind, found = type(self.layer).__name__, list[str]()

        def divided(kernel: Value) -> Value:
            param = kernel.param
            assert param is not None
            found.append(param.name)
            start = INITIALIZERS.parse({"type": "TruncatedNormal", "stddev": 0.02})
            u = self.weight(g, "vector_u", (1, param.shape[-1]), initializer=start, state=True)
            perm = param.layout.perm or tuple(range(len(param.shape)))
            sizes = tuple(param.shape[k] for k in perm)
            columns = perm.index(len(perm) - 1)
            return g.SpectralScale(kernel, u, sizes=sizes, columns=columns, iterations=self.power_iterations)

        # As in Keras, the kernel of a recurrent layer belongs to its cell.
        takes_one = self.layer.arity[0] <= 1 and self.layer.arity[1] != 0
        if takes_one and "recurrent_initializer" not in type(self.layer).model_fields:
            with g.rewriting({"kernel": divided, "embeddings": divided}):
                Y = self.layer.lower(g, X)
        if not found:
            text = f"cannot wrap {kind}, which has no kernel or embeddings of its own"
            raise not_allowed(text, "wrap a layer such as Dense, Conv2D or Embedding", key="layer")
        assert not isinstance(Y, tuple)
        g.penalize(getattr(self.layer, "activity_regularizer", None), Y)
        return Y
