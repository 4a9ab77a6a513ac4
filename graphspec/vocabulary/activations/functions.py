"""The activation functions: a row for each without arguments, a class for each with arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import create_model

from graphspec.base.config import Axes, NonNegative, Positive, class_name, setting
from graphspec.vocabulary import Builder, ShapeError, Value, wrong_size
from graphspec.vocabulary.activations import ACTIVATIONS, Activation, feature_axes, feature_axis

Formula = Callable[["Builder", "Value"], "Value"]


class Plain(Activation):
    """Base of the activations without arguments: an operator with fixed attributes, or a formula."""

    formula: ClassVar[Formula | None] = None
    fixed: ClassVar[Mapping[str, float]] = {}

    def attributes(self) -> dict[str, Any]:
        return dict(self.fixed)

    def lower(self, g: Builder, X: Value) -> Value:
        return super().lower(g, X) if (formula := type(self).formula) is None else formula(g, X)


_HALF, _SIXTH = {"alpha": 0.5, "beta": 0.5}, {"alpha": 1 / 6, "beta": 0.5}


def _sparse_plus(g: Builder, X: Value) -> Value:
    half = g.HardSigmoid(X, **_HALF)
    return g.Where(X < 1.0, half * half, X)


# The activations without arguments: names, the sentence of the pages, the operator or formula, and its attributes.
PLAIN: tuple[tuple[str, str, str | Formula, Mapping[str, float]], ...] = (
    ("relu6", "``min(max(x, 0), 6)``.", lambda g, X: g.Clip(X, g.constant(0.0), g.constant(6.0)), {}),
    ("selu", "``γ · elu(x)`` with α = 1.6732…, γ = 1.0507… (Klambauer et al., NeurIPS 2017).", "Selu", {}),
    ("hard_tanh", "``min(max(x, −1), 1)``.", lambda g, X: g.Clip(X, g.constant(-1.0), g.constant(1.0)), {}),
    ("sigmoid", "``1 / (1 + e⁻ˣ)``.", "Sigmoid", {}),
    ("hard_sigmoid", "``min(max(x / 6 + 1/2, 0), 1)``: a piecewise linear sigmoid.", "HardSigmoid", _SIXTH),
    ("sparse_sigmoid", "``min(max((x + 1) / 2, 0), 1)`` (Martins and Astudillo, ICML 2016).", "HardSigmoid", _HALF),
    ("log_sigmoid", "``log(sigmoid(x))``, computed as ``−softplus(−x)``.", lambda g, X: -g.Softplus(-X), {}),
    ("tanh", "``tanh(x)``, the hyperbolic tangent.", "Tanh", {}),
    ("tanh_shrink", "``x − tanh(x)``.", lambda g, X: X - g.Tanh(X), {}),
    ("softsign", "``x / (1 + |x|)``.", "Softsign", {}),
    ("silu swish", "``x · sigmoid(x)`` (Ramachandran et al., arXiv 2017).", "Swish", {}),
    ("hard_silu hard_swish", "``x · min(max(x / 6 + 1/2, 0), 1)`` (Howard et al., ICCV 2019).", "HardSwish", {}),
    ("mish", "``x · tanh(log(1 + eˣ))`` (Misra, arXiv 2019).", "Mish", {}),
    ("exponential", "``eˣ``.", "Exp", {}),
    ("softplus", "``log(1 + eˣ)``.", "Softplus", {}),
    ("sparse_plus", "0 for x up to −1, ``(x + 1)² / 4`` up to 1, then ``x``.", _sparse_plus, {}),
)


def _plain(name: str, text: str, formula: str | Formula, fixed: Mapping[str, float]) -> type[Plain]:
    own = {"op": formula, "fixed": fixed} if isinstance(formula, str) else {"formula": staticmethod(formula)}
    return create_model(class_name(name), __base__=Plain, __module__=__name__, __doc__=text, __cls_kwargs__=own)


for _names, _text, _formula, _fixed in PLAIN:
    ACTIVATIONS.row(_names.split(), partial(_plain, _names.split()[0], _text, _formula, _fixed))
if not TYPE_CHECKING:
    __getattr__ = partial(ACTIVATIONS.attribute, __name__)  # to unpickle the classes of rows


class Linear(Activation):
    """``x``: the identity."""

    def lower(self, g: Builder, X: Value) -> Value:
        return X

    def in_cell(self) -> tuple[str, tuple[float, ...]]:
        return "Affine", (1.0, 0.0)


class Relu(Activation):
    """``max(x, 0)``; in general ``negative_slope · (x − threshold)`` up to ``threshold``, and at most ``max_value``."""

    negative_slope: NonNegative = setting(0.0, "Slope below the threshold.")
    max_value: NonNegative | None = setting(None, "Largest output; null means no limit.")
    threshold: NonNegative = setting(0.0, "Inputs up to this value become 0, or follow the slope.")

    def lower(self, g: Builder, X: Value) -> Value:
        slope, limit, threshold = self.negative_slope, self.max_value, self.threshold
        if slope and limit is None and not threshold:
            return g.LeakyRelu(X, alpha=slope)
        Y = g.ThresholdedRelu(X, alpha=threshold) if threshold else X
        if limit is not None:
            Y = g.Clip(Y, g.constant(0.0), g.constant(limit, "float32"))
        elif not threshold:
            Y = g.Relu(X)
        if slope:
            Y = Y - g.Relu(-X + threshold if threshold else -X) * slope
        return Y

    def in_cell(self) -> tuple[str, tuple[float, ...]] | None:
        if self.max_value is not None or (self.negative_slope and self.threshold):
            return None
        if self.threshold:
            return "ThresholdedRelu", (self.threshold,)
        return ("LeakyRelu", (self.negative_slope,)) if self.negative_slope else ("Relu", ())


class LeakyRelu(Activation, op="LeakyRelu"):
    """``x`` above 0, ``negative_slope · x`` below (Maas et al., ICML workshop 2013)."""

    negative_slope: NonNegative = setting(0.2, "Slope below 0.")

    def attributes(self) -> dict[str, float]:
        return {"alpha": self.negative_slope}


class Elu(Activation, op="Elu"):
    """``x`` above 0, ``alpha · (eˣ − 1)`` below (Clevert et al., ICLR 2016)."""

    alpha: NonNegative = setting(1.0, "The limit for small x is −alpha.")


class Celu(Activation, op="Celu"):
    """``x`` above 0, ``alpha · (exp(x / alpha) − 1)`` below: smooth for any alpha (Barron, arXiv 2017)."""

    alpha: Positive = setting(1.0, "The limit for small x is −alpha.")


class Threshold(Activation):
    """``x`` above ``threshold``, else ``default_value``."""

    threshold: float = setting(..., "Inputs above this value pass unchanged.")
    default_value: float = setting(..., "The output for all other inputs.")

    def lower(self, g: Builder, X: Value) -> Value:
        if not self.default_value:
            return g.ThresholdedRelu(X, alpha=self.threshold)
        return g.Where(self.threshold < X, X, g.constant(self.default_value, "float32"))

    def in_cell(self) -> tuple[str, tuple[float, ...]] | None:
        return None if self.default_value else ("ThresholdedRelu", (self.threshold,))


class HardShrink(Activation, op="Shrink"):
    """``x`` if ``|x| > threshold``, else 0."""

    threshold: NonNegative = setting(0.5, "Inputs with an absolute value up to this become 0.")

    def attributes(self) -> dict[str, float]:
        return {"lambd": self.threshold}


class SoftShrink(HardShrink):
    """``x − threshold`` above ``threshold``, ``x + threshold`` below ``−threshold``, else 0."""

    def attributes(self) -> dict[str, float]:
        return {"bias": self.threshold, "lambd": self.threshold}


class Gelu(Activation, op="Gelu"):
    """``x · Φ(x)`` with the normal distribution's Φ, exact or by tanh (Hendrycks and Gimpel, arXiv 2016)."""

    approximate: bool = setting(False, "Use the tanh approximation.")

    def attributes(self) -> dict[str, str]:
        return {"approximate": "tanh" if self.approximate else "none"}


_LARGE = 1e18  # float32 can represent its square, and adding b to the square does not change it


class Squareplus(Activation):
    """``(x + √(x² + b)) / 2`` (Barron, arXiv 2021)."""

    b: NonNegative = setting(4, "Smoothness of the bend: 4 resembles softplus, 0 is relu.")

    def lower(self, g: Builder, X: Value) -> Value:
        if not self.b:
            return g.Relu(X)
        # For negative x the two terms cancel; b / 4 divided by the function of |x| is the same without cancellation.
        negative = X < 0.0
        magnitude = g.Where(negative, -X, X)
        bounded = g.Clip(magnitude, None, g.constant(_LARGE))
        Y = (bounded + g.Sqrt(bounded * bounded + self.b)) * 0.5 + (magnitude - bounded)
        return g.Where(negative, (self.b / 4) / Y, Y)


def fixed_axis(X: Value, axis: int) -> tuple[int, int]:
    """Return the axis counted from the front, and its size; raise GS305 if that is symbolic."""
    at = feature_axis(X, axis)
    try:
        return at, X.fixed(at)
    except ShapeError as error:
        hint = f"replace '{X.shape[at]}' by a number in `inputs`, or choose another `axis`"
        raise error.changed(key="activation", hint=hint) from None


class OverAxes(Activation):
    """A function over one axis or several; the batch is not one of them. The output has the shape of x."""

    axis: Axes = setting(-1, "The axis, or axes, of the sum.")

    def lower(self, g: Builder, X: Value) -> Value:
        return self.lower_over(g, X, feature_axes(X, self.axis))

    def lower_over(self, g: Builder, X: Value, axes: Sequence[int]) -> Value:
        """Lower the function over ``axes``, counted from the front; a single axis has an operator of its own."""
        if len(axes) == 1:
            Y: Value = g.emit(self.op, (X,), {"axis": axes[0]})
            return Y
        Z = X - g.ReduceMax(X, axes=tuple(axes), keepdims=1)
        e = g.Exp(Z)
        return self.normalize(g, Z, e, g.ReduceSum(e, g.constant(list(axes)), keepdims=1))

    def normalize(self, g: Builder, Z: Value, e: Value, total: Value) -> Value:
        """Return the result, given ``Z = x − max x``, its exponentials ``e``, and their sum ``total``."""
        raise NotImplementedError


class Softmax(OverAxes, op="Softmax"):
    """``eˣ / Σ eˣ`` over ``axis``; the output has the shape of x."""

    def normalize(self, g: Builder, Z: Value, e: Value, total: Value) -> Value:
        return e / total


class LogSoftmax(OverAxes, op="LogSoftmax"):
    """``x − log Σ eˣ`` over ``axis``; the output has the shape of x."""

    def normalize(self, g: Builder, Z: Value, e: Value, total: Value) -> Value:
        return Z - g.Log(total)


class Sparsemax(Activation):
    """``max(x − τ, 0)``, where τ makes the sum along ``axis`` 1; the output has the shape of x.

    Martins and Astudillo, ICML 2016. Keras 3.15 derives τ from a sum of partial sums, so its results do not sum to 1; this
    is the function of the paper.
    """

    axis: int = setting(-1, "The axis along which the outputs sum to 1.")

    def lower(self, g: Builder, X: Value) -> Value:
        axis, n = fixed_axis(X, self.axis)
        along, count = g.constant([axis]), np.ones(X.rank, int)
        count[axis] = n
        Z = X - g.ReduceMax(X, axes=(axis,), keepdims=1)
        ranked, _ = g.TopK(Z, g.constant([n]), axis=axis)
        rank = g.constant(np.arange(1.0, n + 1).reshape(count))
        partial_sums = g.CumSum(ranked, g.constant(axis))
        support = ranked * rank + 1.0 > partial_sums
        size = g.ReduceSum(g.Cast(support, to="float32"), along, keepdims=1)
        total = g.ReduceSum(g.Where(support, ranked, g.constant(0.0)), along, keepdims=1)
        return g.Clip(Z - (total - 1.0) / size, g.constant(0.0), g.constant(1.0))


class Glu(Activation):
    """``a · sigmoid(b)`` for the two halves a and b of x along ``axis``; the output has half the size there.

    Dauphin et al., ICML 2017.
    """

    axis: int = setting(-1, "The axis that is divided in halves; its size must be even.")

    def lower(self, g: Builder, X: Value) -> Value:
        axis, n = fixed_axis(X, self.axis)
        if n % 2:
            text = f"divides axis {self.axis} into halves with glu, but its size is {n}"
            raise wrong_size(text, f"make the size even, such as {n + 1}", key="activation")
        value, gate = g.Split(X, g.constant([n // 2, n // 2]), axis=axis)
        return value * g.Sigmoid(gate)
