"""Activations that are ONNX operators: Gelu (opset 20), Mish (18), HardSwish (14) and Swish (24)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graphspec.graph.decompositions import decomposes

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value
    from graphspec.graph.ops.gated_activations import Gelu, HardSwish, Mish, Swish


@decomposes("Gelu")
def gelu(g: Builder, op: Gelu, X: Value) -> Value:
    """Emit ``x / 2 · (1 + erf(x / √2))``, or ``x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))``."""
    if op.approximate == "tanh":
        squashed = g.Tanh((X + X * X * X * 0.044715) * math.sqrt(2 / math.pi))
    else:
        squashed = g.Erf(X * math.sqrt(0.5))
    return X * 0.5 * (squashed + 1.0)


@decomposes("Swish")
def swish(g: Builder, op: Swish, X: Value) -> Value:
    """Emit ``x · sigmoid(alpha · x)``."""
    return X * g.Sigmoid(X if op.alpha == 1.0 else X * op.alpha)


@decomposes("Mish")
def mish(g: Builder, op: Mish, X: Value) -> Value:
    """Emit ``x · tanh(softplus(x))``."""
    return X * g.Tanh(g.Softplus(X))


@decomposes("HardSwish")
def hard_swish(g: Builder, op: HardSwish, X: Value) -> Value:
    """Emit ``x · hard_sigmoid(x)``."""
    return X * g.HardSigmoid(X, alpha=1 / 6, beta=0.5)
