"""Forms in training of layers' operators: noise from a seed, and normalizations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from graphspec.graph.builder import Builder
from graphspec.graph.decompositions import attention, positions
from graphspec.graph.derivatives.forms import form, integer_input, new_statistic
from graphspec.graph.ir.graph import Value
from graphspec.graph.ops.dropout import ALPHA

_PRIME = (
    1_073_741_789  # below 2³⁰, so that int64 holds all products; 3 does not divide it less 1, so no two cubes are equal
)
_KEYS = (362_436_069, 88_675_123)  # any two numbers below


def _cube(g: Builder, x: Value) -> Value:
    """Emit x³ modulo the prime, of x below twice the prime."""
    p = g.constant(_PRIME)
    return g.Mod(g.Mod(x * x, p) * x, p)


def _scrambled(g: Builder, x: Value) -> Value:
    """Emit a permutation of the numbers below the prime, of x modulo the prime."""
    x = g.Mod(x, g.constant(_PRIME))
    for key in _KEYS:
        x = _cube(g, x + key)
    return x


def uniform(g: Builder, X: Value, purpose: str, shared: Sequence[int] = ()) -> Value:
    """Emit random integers below 2³⁰, of X's shape but with size 1 along the axes ``shared``.

    They depend on the seed, the step, the node and the element's index in its row: each row and each column has a number,
    scrambled by two rounds of cubes in a field (as in MiMC, Albrecht et al. 2016), and an element is the cube of their sum.
    So a row does not depend on how many rows there are, and every runtime computes the same integers.
    """
    inputs = [integer_input(g, name) for name in ("seed", "step")]
    key, node = g.constant(0), crc32(f"{g.owner}/{g._prefix}{purpose}".encode())
    for part in (*inputs, g.constant(node % _PRIME)):
        key = _scrambled(g, key + g.Mod(part, g.constant(_PRIME)))
    ones = [1] * X.rank
    sizes = [1 if k in shared else g.size(X, k) for k in range(1, X.rank)]
    count = math.prod(d for d in sizes if isinstance(d, int))
    columns: Value = _scrambled(g, key + _PRIME // 2)
    if count != 1 or len(sizes) > ones[1:].count(1) or any(isinstance(d, Value) for d in sizes):
        whole: int | Value = count
        for d in sizes:
            whole = (
                d * count if isinstance(d, Value) and whole is count else whole * d if isinstance(d, Value) else whole
            )
        columns = g.reshape(_scrambled(g, columns + positions(g, whole)), (1, *sizes))
    if 0 in shared:
        return _cube(g, g.reshape(columns, ones) if columns.rank == 0 else columns)
    rows = _scrambled(g, key + positions(g, g.size(X, 0)))
    return _cube(g, g.reshape(rows, (-1, *ones[1:])) + columns)


def _kept(g: Builder, X: Value, rate: float, op: Any, factor: float, shared: Sequence[int] = ()) -> Value:
    """Emit 0 with probability ``rate``, else ``factor``."""
    random = uniform(g, X, f"dropout {op.seed}", shared)
    return g.Cast(random >= round(rate * _PRIME), to="float32") * factor


def _unit(g: Builder, X: Value, purpose: str) -> Value:
    """Emit random floats between 0 and 1, which they are not: multiples of 2⁻²³ and a half of it."""
    return (g.Cast(uniform(g, X, purpose) / 128, to="float32") + 0.5) * 2.0**-23


def _normal(g: Builder, X: Value, op: Any, deviation: float) -> Value:
    """Emit normally distributed numbers of X's shape, by the Box–Muller transform."""
    radius = g.Sqrt(g.Log(_unit(g, X, f"radius {op.seed}")) * (-2.0 * deviation**2))
    return radius * g.Cos(_unit(g, X, f"angle {op.seed}") * (2 * math.pi))


@form("Dropout")
def dropout(g: Builder, op: Any, X: Value, ratio: Value | None = None, training_mode: Value | None = None) -> Value:
    """Emit ``X · k / (1 - ratio)`` with k 0 or 1."""
    rate = 0.5 if ratio is None or ratio.data is None else float(ratio.data.item())
    trains = training_mode is not None and training_mode.data is not None and training_mode.data.item()
    return X * _kept(g, X, rate, op, 1 / (1 - rate)) if trains and rate else X


@form("SharedDropout")
def shared_dropout(g: Builder, op: Any, X: Value) -> Value:
    """Emit dropout with one decision along some axes."""
    return X * _kept(g, X, op.rate, op, 1 / (1 - op.rate), op.shared) if op.rate else X


@form("AlphaDropout")
def alpha_dropout(g: Builder, op: Any, X: Value) -> Value:
    """Emit ``a · (k · X + (1 - k) · α) + b``."""
    if not op.rate:
        return X
    a = ((1 - op.rate) * (1 + op.rate * ALPHA**2)) ** -0.5
    kept = _kept(g, X, op.rate, op, a, op.shared)
    return X * kept + (kept * -ALPHA + a * ALPHA * (1 - op.rate))


@form("DropoutAttention")
def dropout_attention(g: Builder, op: Any, *inputs: Value) -> Any:
    """Emit attention whose weights are dropped."""
    return attention(g, op, *inputs, kept=lambda P: P * _kept(g, P, op.ratio, op, 1 / (1 - op.ratio)))


@form("GaussianDropout")
def gaussian_dropout(g: Builder, op: Any, X: Value) -> Value:
    """Emit ``X · (1 + ε)``."""
    return X * (_normal(g, X, op, op.deviation) + 1.0)


@form("GaussianNoise")
def gaussian_noise(g: Builder, op: Any, X: Value) -> Value:
    """Emit ``X + ε``."""
    return X + _normal(g, X, op, op.deviation)


@form("Sample")
def sample(g: Builder, op: Any, mean: Value, log_variance: Value) -> Value:
    """Emit ``mean + exp(log_variance / 2) · ε``."""
    return mean + g.Exp(log_variance * 0.5) * _normal(g, mean, op, 1.0)


@form("UniformNoise")
def uniform_noise(g: Builder, op: Any, X: Value) -> Value:
    """Emit X plus numbers between ``-width`` and ``width``."""
    return X + (_unit(g, X, f"uniform {op.seed}") - 0.5) * (2 * op.width)


@form("GumbelNoise")
def gumbel_noise(g: Builder, op: Any, X: Value) -> Value:
    """Emit ``X - log(-log u)``."""
    return X - g.Log(-g.Log(_unit(g, X, f"uniform {op.seed}")))


@form("CheckIds")
def unchecked(g: Builder, op: Any, ids: Value) -> Value:
    """Return the ids themselves: an app knows which there are."""
    return ids


# Normalizations. Squares are summed of centred numbers, which loses no digits.
def _scaled(g: Builder, centred: Value, variance: Value, vectors: Sequence[Value | None], epsilon: float) -> Value:
    """Emit ``centred / sqrt(variance + epsilon) · scale + bias``; with vectors that broadcast."""
    Y: Value = centred / g.Sqrt(variance + epsilon)
    for vector, operator in zip(vectors, (g.Mul, g.Add), strict=True):
        Y = Y if vector is None else operator(Y, vector)
    return Y


@form("BatchNormalization", "MaskedBatchNormalization")
def batch_normalization(g: Builder, op: Any, X: Value, *inputs: Value) -> Any:
    """Emit the normalization by the batch's mean and variance, and what the moving statistics are after it."""
    W, (scale, B, *moving) = (inputs[0], inputs[1:]) if len(inputs) == 5 else (None, inputs)
    spatial, axes = g.constant(list(range(1, X.rank - 1))), (0, *range(2, X.rank))
    scale, B, *before = (g.Unsqueeze(v, spatial) if X.rank > 2 else v for v in (scale, B, *moving))
    if not getattr(op, "training_mode", 1):
        mean, variance = before
        return _scaled(g, X - mean, variance, (scale, B), op.epsilon)
    axis, wide, count = g.constant(axes), None, None
    if W is not None:
        wide = g.Expand(W, g.Shape(X))
        count = g.ReduceSum(wide, axis, keepdims=1) + 1e-7

    def average(terms: Value) -> Any:
        if wide is None or count is None:
            return g.ReduceMean(terms, axes=axes, keepdims=1)
        return g.ReduceSum(terms * wide, axis, keepdims=1) / count

    mean = average(X)
    centred = X - mean
    variance = average(centred * centred)
    results = [_scaled(g, centred, variance, (scale, B), op.epsilon)]
    for old, new in zip(moving, (mean, variance), strict=True):
        results.append(old * op.momentum + g.reshape(new, (X.fixed(1),)) * (1 - op.momentum))
        if old.kind == "param":
            new_statistic(g, old, results[-1])
    return tuple(results)


@form("LayerNormalization")
def layer_normalization(g: Builder, op: Any, X: Value, scale: Value, B: Value | None = None) -> Value:
    """Emit the normalization over ``axis`` and all axes after it."""
    axes = tuple(range(op.axis % X.rank, X.rank))
    centred = X - g.ReduceMean(X, axes=axes, keepdims=1)
    return _scaled(g, centred, g.ReduceMean(centred * centred, axes=axes, keepdims=1), (scale, B), op.epsilon)


@form("LpNormalization")
def lp_normalization(g: Builder, op: Any, X: Value) -> Value:
    """Emit ``X / ‖X‖``, and 0 for 0."""
    norm = (g.ReduceL1 if op.p == 1 else g.ReduceL2)(X, axes=(op.axis,), keepdims=1)
    some = norm > 0.0
    return X * g.Where(some, 1.0 / g.Where(some, norm, g.constant(1.0)), g.constant(0.0))
