"""Activation functions as operations, with the arguments and defaults of ``keras.ops``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.layers.base import as_float
from graphspec.vocabulary.operations.base import Axis, operation

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

Alpha = Annotated[float, Field(description="The slope of the exponential at 0.")]
Threshold = Annotated[float, Field(description="The distance from 0 up to which the value is 0.")]


def activated(g: Builder, name: str, x: Value, **arguments: Any) -> Value:
    """Emit the activation of this name on float32."""
    return g.activate(ACTIVATIONS.parse({"type": name, **arguments}), as_float(g, x))


@operation
def relu(g: Builder, x: Value) -> Value:
    """``max(x, 0)``."""
    return activated(g, "relu", x)


@operation
def relu6(g: Builder, x: Value) -> Value:
    """``min(max(x, 0), 6)``."""
    return activated(g, "relu6", x)


@operation
def leaky_relu(
    g: Builder, x: Value, *, negative_slope: Annotated[float, Field(description="The slope below 0.")] = 0.2
) -> Value:
    """``x`` if ``x ≥ 0``, else ``negative_slope · x``."""
    return activated(g, "leaky_relu", x, negative_slope=negative_slope)


@operation
def elu(g: Builder, x: Value, *, alpha: Alpha = 1.0) -> Value:
    """``x`` if ``x > 0``, else ``alpha · (eˣ - 1)``."""
    return activated(g, "elu", x, alpha=alpha)


@operation
def celu(g: Builder, x: Value, *, alpha: Alpha = 1.0) -> Value:
    """``max(x, 0) + min(alpha · (exp(x / alpha) - 1), 0)``."""
    return activated(g, "celu", x, alpha=alpha)


@operation
def selu(g: Builder, x: Value) -> Value:
    """``1.0507 · elu(x, 1.6733)``, which keeps mean 0 and variance 1."""
    return activated(g, "selu", x)


@operation
def threshold(
    g: Builder,
    x: Value,
    *,
    threshold: Annotated[float, Field(description="The value above which x stays.")],
    default_value: Annotated[float, Field(description="The value of all others.")],
) -> Value:
    """``x`` if ``x > threshold``, else ``default_value``."""
    return activated(g, "threshold", x, threshold=threshold, default_value=default_value)


@operation
def hard_tanh(g: Builder, x: Value) -> Value:
    """``min(max(x, -1), 1)``."""
    return activated(g, "hard_tanh", x)


@operation
def hard_shrink(g: Builder, x: Value, *, threshold: Threshold = 0.5) -> Value:
    """``x`` if ``|x| > threshold``, else 0."""
    return activated(g, "hard_shrink", x, threshold=threshold)


@operation
def soft_shrink(g: Builder, x: Value, *, threshold: Threshold = 0.5) -> Value:
    """``x`` moved towards 0 by ``threshold``, at most to 0."""
    return activated(g, "soft_shrink", x, threshold=threshold)


@operation
def tanh_shrink(g: Builder, x: Value) -> Value:
    """``x - tanh(x)``."""
    return activated(g, "tanh_shrink", x)


@operation
def sigmoid(g: Builder, x: Value) -> Value:
    """``1 / (1 + exp(-x))``."""
    return activated(g, "sigmoid", x)


@operation
def hard_sigmoid(g: Builder, x: Value) -> Value:
    """``min(max(x / 6 + 0.5, 0), 1)``."""
    return activated(g, "hard_sigmoid", x)


@operation
def sparse_sigmoid(g: Builder, x: Value) -> Value:
    """``min(max((x + 1) / 2, 0), 1)``."""
    return activated(g, "sparse_sigmoid", x)


@operation
def log_sigmoid(g: Builder, x: Value) -> Value:
    """``log(sigmoid(x))``."""
    return activated(g, "log_sigmoid", x)


@operation
def silu(g: Builder, x: Value) -> Value:
    """``x · sigmoid(x)``."""
    return activated(g, "silu", x)


@operation
def swish(g: Builder, x: Value) -> Value:
    """``x · sigmoid(x)``, as ``ops.silu``."""
    return activated(g, "silu", x)


@operation
def hard_silu(g: Builder, x: Value) -> Value:
    """``x · hard_sigmoid(x)``."""
    return activated(g, "hard_silu", x)


@operation
def hard_swish(g: Builder, x: Value) -> Value:
    """``x · hard_sigmoid(x)``, as ``ops.hard_silu``."""
    return activated(g, "hard_silu", x)


@operation
def gelu(
    g: Builder,
    x: Value,
    *,
    approximate: Annotated[bool, Field(description="Whether the error function is approximated by a tanh.")] = True,
) -> Value:
    """``x · Φ(x)``, with the distribution function Φ of the standard normal distribution."""
    return activated(g, "gelu", x, approximate=approximate)


@operation
def softsign(g: Builder, x: Value) -> Value:
    """``x / (1 + |x|)``."""
    return activated(g, "softsign", x)


@operation
def softplus(g: Builder, x: Value) -> Value:
    """``log(1 + exp(x))``."""
    return activated(g, "softplus", x)


@operation
def sparse_plus(g: Builder, x: Value) -> Value:
    """``0`` up to -1, ``(x + 1)² / 4`` up to 1, then ``x``."""
    return activated(g, "sparse_plus", x)


@operation
def squareplus(
    g: Builder, x: Value, *, b: Annotated[float, Field(ge=0, description="How smooth the bend at 0 is.")] = 4
) -> Value:
    """``(x + √(x² + b)) / 2``."""
    return activated(g, "squareplus", x, b=b)


@operation
def softmax(g: Builder, x: Value, *, axis: Axis = -1) -> Value:
    """``eˣ / Σ eˣ`` along an axis."""
    return activated(g, "softmax", x, axis=axis)


@operation
def log_softmax(g: Builder, x: Value, *, axis: Axis = -1) -> Value:
    """``x - log Σ eˣ`` along an axis."""
    return activated(g, "log_softmax", x, axis=axis)


@operation
def sparsemax(g: Builder, x: Value, *, axis: Axis = -1) -> Value:
    """The nearest probabilities to ``x`` along an axis, many of them 0."""
    return activated(g, "sparsemax", x, axis=axis)


@operation
def glu(g: Builder, x: Value, *, axis: Axis = -1) -> Value:
    """The first half of an axis times the sigmoid of the second half."""
    return activated(g, "glu", x, axis=axis)
