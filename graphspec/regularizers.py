"""Penalties on weights and activations, lowered to operators and added to the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.config import Config, Registry

if TYPE_CHECKING:
    from graphspec.compiler.build import Builder
    from graphspec.compiler.ir import Value


class Regularizer(Config):
    """Lowers to a scalar penalty."""

    def lower(self, g: Builder, X: Value) -> Value:
        """The penalty on ``X``, a float32 scalar."""
        raise NotImplementedError


REGULARIZERS: Registry[Regularizer] = Registry("regularizer")
