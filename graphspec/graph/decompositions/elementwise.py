"""Activations that are ONNX operators: Gelu (opset 20), Mish (18), HardSwish (14) and Swish (24)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from graphspec.graph.decompositions import decomposes

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value
    from graphspec.graph.ops import Op
    from graphspec.graph.ops.gelu import Gelu, Swish


@decomposes("Gelu")
def gelu(g: Builder, op: Gelu, X: Value) -> Any:
    """Emit ``x / 2 · (1 + erf(x / √2))``, or ``x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))``."""
    if op.approximate == "tanh":
        cube = g.Mul(g.Mul(X, X), X)
        inner = g.Add(X, g.Mul(cube, g.constant(0.044715)))
        squashed = g.Tanh(g.Mul(inner, g.constant(math.sqrt(2 / math.pi))))
    else:
        squashed = g.Erf(g.Mul(X, g.constant(math.sqrt(0.5))))
    return g.Mul(g.Mul(X, g.constant(0.5)), g.Add(squashed, g.constant(1.0)))


@decomposes("Swish")
def swish(g: Builder, op: Swish, X: Value) -> Any:
    """Emit ``x · sigmoid(alpha · x)``."""
    scaled = X if op.alpha == 1.0 else g.Mul(X, g.constant(op.alpha, "float32"))
    return g.Mul(X, g.Sigmoid(scaled))


@decomposes("Mish")
def mish(g: Builder, op: Op, X: Value) -> Any:
    """Emit ``x · tanh(softplus(x))``."""
    return g.Mul(X, g.Tanh(g.Softplus(X)))


@decomposes("HardSwish")
def hard_swish(g: Builder, op: Op, X: Value) -> Any:
    """Emit ``x · hard_sigmoid(x)``."""
    return g.Mul(X, g.HardSigmoid(X, alpha=1 / 6, beta=0.5))
