"""Activation functions, lowered to ONNX operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from graphspec.config import Config, Registry

if TYPE_CHECKING:
    from graphspec.compiler.build import Builder
    from graphspec.compiler.ir import Value


class Activation(Config):
    """Lowers to operators; the same shape out as in."""

    def lower(self, g: Builder, X: Value) -> Value:
        raise NotImplementedError


ACTIVATIONS: Registry[Activation] = Registry("activation")


@ACTIVATIONS.add("relu")
class Relu(Activation):
    """``max(x, 0)``; with the arguments as Keras: ``negative_slope``, ``max_value``, ``threshold``."""

    def lower(self, g: Builder, X: Value) -> Value:
        return cast("Value", g.Relu(X))
