"""Activation functions, lowered to ONNX operators of opset 17."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, cast

from pydantic import Field

from graphspec.config import Config, NonNegative, Registry

if TYPE_CHECKING:
    from graphspec.compiler.build import Builder
    from graphspec.compiler.ir import Value


class Activation(Config):
    """Lowers to operators; the same shape out as in."""

    def lower(self, g: Builder, X: Value) -> Value:
        raise NotImplementedError

    def in_cell(self) -> tuple[str, tuple[float, ...]] | None:
        """The name that ONNX's recurrent operators know it by, and its alpha and beta; None if they have none."""
        return None


ACTIVATIONS: Registry[Activation] = Registry("activation")


def _emit(op: str, g: Builder, X: Value, **attributes: float | int) -> Value:
    return cast("Value", g.emit(op, (X,), attributes))


@ACTIVATIONS.add("linear")
class Linear(Activation):
    """``x``."""

    def lower(self, g: Builder, X: Value) -> Value:
        return X

    def in_cell(self) -> tuple[str, tuple[float, ...]]:
        return "Affine", (1.0, 0.0)


@ACTIVATIONS.add("relu")
class Relu(Activation):
    """``max(x, 0)``; in general x above ``threshold``, at most ``max_value``, with ``negative_slope`` below."""

    negative_slope: Annotated[NonNegative, Field(description="Slope below the threshold.")] = 0.0
    max_value: Annotated[NonNegative | None, Field(description="Largest output; null for no limit.")] = None
    threshold: Annotated[NonNegative, Field(description="Inputs up to here count as 0.")] = 0.0

    def lower(self, g: Builder, X: Value) -> Value:
        slope, largest, threshold = self.negative_slope, self.max_value, self.threshold
        if slope and largest is None and not threshold:
            return _emit("LeakyRelu", g, X, alpha=slope)
        if threshold:
            above = g.Greater(X, g.constant(threshold, "float32"))
            Y = g.Where(above, X, g.constant(0.0))
        else:
            Y = g.Relu(X)
        if largest is not None:
            Y = g.Clip(Y, g.constant(0.0), g.constant(largest, "float32"))
        if slope:
            below = g.Neg(X)
            if threshold:
                below = g.Add(below, g.constant(threshold, "float32"))
            Y = g.Sub(Y, g.Mul(g.Relu(below), g.constant(slope, "float32")))
        return cast("Value", Y)

    def in_cell(self) -> tuple[str, tuple[float, ...]] | None:
        if self.max_value is not None or self.threshold:
            return None
        return ("LeakyRelu", (self.negative_slope,)) if self.negative_slope else ("Relu", ())


@ACTIVATIONS.add("relu6")
class Relu6(Activation):
    """``min(max(x, 0), 6)``."""

    def lower(self, g: Builder, X: Value) -> Value:
        return cast("Value", g.Clip(X, g.constant(0.0), g.constant(6.0)))


@ACTIVATIONS.add("leaky_relu")
class LeakyRelu(Activation):
    """``x`` above 0, ``negative_slope · x`` below."""

    negative_slope: Annotated[float, Field(description="Slope below 0.")] = 0.2

    def lower(self, g: Builder, X: Value) -> Value:
        return _emit("LeakyRelu", g, X, alpha=self.negative_slope)

    def in_cell(self) -> tuple[str, tuple[float, ...]]:
        return "LeakyRelu", (self.negative_slope,)


@ACTIVATIONS.add("sigmoid")
class Sigmoid(Activation):
    """``1 / (1 + e⁻ˣ)``."""

    def lower(self, g: Builder, X: Value) -> Value:
        return _emit("Sigmoid", g, X)

    def in_cell(self) -> tuple[str, tuple[float, ...]]:
        return "Sigmoid", ()


@ACTIVATIONS.add("hard_sigmoid")
class HardSigmoid(Activation):
    """``min(max(x / 6 + 1/2, 0), 1)``."""

    def lower(self, g: Builder, X: Value) -> Value:
        return _emit("HardSigmoid", g, X, alpha=1 / 6, beta=0.5)

    def in_cell(self) -> tuple[str, tuple[float, ...]]:
        return "HardSigmoid", (1 / 6, 0.5)


@ACTIVATIONS.add("tanh")
class Tanh(Activation):
    """Hyperbolic tangent."""

    def lower(self, g: Builder, X: Value) -> Value:
        return _emit("Tanh", g, X)

    def in_cell(self) -> tuple[str, tuple[float, ...]]:
        return "Tanh", ()


@ACTIVATIONS.add("softmax")
class Softmax(Activation):
    """``eˣ / Σ eˣ`` along ``axis``."""

    axis: Annotated[int, Field(description="The axis that sums to 1.")] = -1

    def lower(self, g: Builder, X: Value) -> Value:
        return _emit("Softmax", g, X, axis=self.axis)


@ACTIVATIONS.add("log_softmax")
class LogSoftmax(Activation):
    """``x − log Σ eˣ`` along ``axis``."""

    axis: Annotated[int, Field(description="The axis that is normalised.")] = -1

    def lower(self, g: Builder, X: Value) -> Value:
        return _emit("LogSoftmax", g, X, axis=self.axis)


@ACTIVATIONS.add("elu")
class Elu(Activation):
    """``x`` above 0, ``alpha · (eˣ − 1)`` below (Clevert et al., 2016)."""

    alpha: Annotated[float, Field(description="The limit for small x is −alpha.")] = 1.0

    def lower(self, g: Builder, X: Value) -> Value:
        return _emit("Elu", g, X, alpha=self.alpha)

    def in_cell(self) -> tuple[str, tuple[float, ...]]:
        return "Elu", (self.alpha,)


@ACTIVATIONS.add("selu")
class Selu(Activation):
    """``γ · elu(x)`` with α = 1.6732…, γ = 1.0507… (Klambauer et al., 2017)."""

    def lower(self, g: Builder, X: Value) -> Value:
        return _emit("Selu", g, X)


@ACTIVATIONS.add("gelu")
class Gelu(Activation):
    """``x · Φ(x)`` with the normal distribution's Φ, exact or by tanh (Hendrycks and Gimpel, 2016)."""

    approximate: Annotated[bool, Field(description="Use the tanh approximation.")] = False

    def lower(self, g: Builder, X: Value) -> Value:
        if self.approximate:
            cube = g.Mul(g.Mul(X, X), X)
            inner = g.Add(X, g.Mul(cube, g.constant(0.044715)))
            bell = g.Tanh(g.Mul(inner, g.constant(math.sqrt(2 / math.pi))))
        else:
            bell = g.Erf(g.Mul(X, g.constant(math.sqrt(0.5))))
        return cast("Value", g.Mul(g.Mul(X, g.constant(0.5)), g.Add(bell, g.constant(1.0))))


@ACTIVATIONS.add("silu", "swish")
class Silu(Activation):
    """``x · sigmoid(x)``."""

    def lower(self, g: Builder, X: Value) -> Value:
        return cast("Value", g.Mul(X, g.Sigmoid(X)))


@ACTIVATIONS.add("softplus")
class Softplus(Activation):
    """``log(1 + eˣ)``."""

    def lower(self, g: Builder, X: Value) -> Value:
        return _emit("Softplus", g, X)

    def in_cell(self) -> tuple[str, tuple[float, ...]]:
        return "Softplus", ()


@ACTIVATIONS.add("softsign")
class Softsign(Activation):
    """``x / (1 + |x|)``."""

    def lower(self, g: Builder, X: Value) -> Value:
        return _emit("Softsign", g, X)

    def in_cell(self) -> tuple[str, tuple[float, ...]]:
        return "Softsign", ()


@ACTIVATIONS.add("exponential")
class Exponential(Activation):
    """``eˣ``."""

    def lower(self, g: Builder, X: Value) -> Value:
        return _emit("Exp", g, X)
