"""Forms in training of layers' operators: noise from a seed, normalizations by the batch, recurrences step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any
from zlib import crc32

from graphspec.graph.builder import Builder
from graphspec.graph.decompositions import attention, positions
from graphspec.graph.derivatives.forms import form, integer_input, new_statistic
from graphspec.graph.ir.graph import Value
from graphspec.graph.ops.dropout import ALPHA
from graphspec.graph.ops.recurrent import DIRECTIONS

RANDOM = ("Dropout", "SharedDropout", "AlphaDropout", "DropoutAttention", "GaussianDropout", "GaussianNoise", "Sample")
RANDOM += ("UniformNoise", "GumbelNoise")
"""The operators whose form draws random numbers."""
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
def dropout_attention(g: Builder, op: Any, *inputs: Value) -> Value:
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
    scale, bias = vectors
    Y = centred / g.Sqrt(variance + epsilon) * scale
    return Y if bias is None else Y + bias


@form("BatchNormalization", "MaskedBatchNormalization")
def batch_normalization(g: Builder, op: Any, X: Value, *inputs: Value) -> Any:
    """Emit the normalization by the batch's mean and variance, and what the moving statistics are after it."""
    W, (scale, B, *moving) = (inputs[0], inputs[1:]) if len(inputs) == 5 else (None, inputs)
    spatial, axes = g.constant(list(range(1, X.rank - 1))), (0, *range(2, X.rank))
    scale, B, *before = (g.Unsqueeze(v, spatial) if X.rank > 2 else v for v in (scale, B, *moving))
    if not getattr(op, "training_mode", 1):
        mean, variance = before
        return _scaled(g, X - mean, variance, (scale, B), op.epsilon)
    average = partial(g.ReduceMean, axes=axes, keepdims=1)
    if W is not None:
        axis = g.constant(axes)
        wide = g.Expand(W, g.Shape(X))
        count = g.ReduceSum(wide, axis, keepdims=1) + 1e-7

        def average(terms: Value) -> Value:
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


# Recurrences: the operators of every step, so the number of steps must be fixed. States are (1, 1, N, H).
_WITH_ALPHA = ("LeakyRelu", "ThresholdedRelu", "Elu")


def _activated(g: Builder, function: tuple[str, float, float], X: Value) -> Value:
    name, alpha, beta = function
    if name in ("Affine", "ScaledTanh"):
        return X * alpha + beta if name == "Affine" else g.Tanh(X * beta) * alpha
    attributes = {"alpha": alpha} if name in _WITH_ALPHA else {}
    attributes = {"alpha": alpha, "beta": beta} if name == "HardSigmoid" else attributes
    Y: Value = g.emit(name, [X], attributes)
    return Y


def _apart(g: Builder, X: Value, count: int, axis: int = 0) -> Sequence[Value]:
    """Emit the parts of X of size 1 along an axis."""
    parts: Sequence[Value] = (X,) if count == 1 else g.Split(X, g.constant([1] * count), axis=axis)
    return parts


def _each(g: Builder, X: Value | None, count: int) -> Sequence[Value | None]:
    """Emit the ``count`` parts of X along its first axis, without it."""
    return [None] * count if X is None else [g.Squeeze(v, g.constant([0])) for v in _apart(g, X, count)]


@form("LSTM", "GRU", "RNN", "DropoutLSTM", "DropoutGRU", "DropoutRNN")
def recurrent(g: Builder, op: Any, X: Value, *inputs: Value | None) -> tuple[Value, ...]:
    """Emit the operator with its steps unrolled; a step beyond the end of a sequence leaves its state as it was."""
    count = 4 + op.cell.states
    W, R, B, lens, *initial = (*inputs[:count], *[None] * (count - len(inputs)))
    masks = [g.transpose(mask, (1, 0, 2)) for mask in inputs[count:] if mask is not None]  # (gates, N, size)
    reverses = DIRECTIONS[op.direction]
    D, functions = len(reverses), op.functions()
    per_direction, results = len(functions) // D, []
    for weights, states, reverse in zip(
        zip(*(_each(g, v, D) for v in (W, R, B)), strict=True),
        zip(*(_each(g, v, D) for v in initial), strict=True),
        reverses,
        strict=True,
    ):
        own, functions = functions[:per_direction], functions[per_direction:]
        results.append(_direction(g, op, X, weights, lens, states, masks, own, reverse))
    Y, *last = (parts[0] if D == 1 else g.Concat(*parts, axis=1) for parts in zip(*results, strict=True))
    return Y, *(g.Squeeze(state, g.constant([0])) for state in last)


def _direction(  # noqa: PLR0913 (all options of LSTM, GRU and RNN)
    g: Builder,
    op: Any,
    X: Value,
    weights: Any,
    lens: Value | None,
    states: Any,
    masks: Any,
    functions: Any,
    reverse: bool,
) -> tuple[Value, ...]:
    """Emit one direction; return its outputs (T, 1, N, H) and its last states.

    With masks every gate has a state and an input of its own, and the gates are axis 1.
    """
    W, R, B = weights
    T, H, n, is_gru = X.fixed(0), op.hidden_size, op.gates, "GRU" in type(op).__name__
    at, width = (1, 1) if masks else (3, H)  # the axis of the gates and the size of one

    def gates(z: Value, *counts: int) -> Sequence[Value]:
        parts: Sequence[Value] = g.Split(z, g.constant([k * width for k in counts]), axis=at)
        return parts

    def product(x: Value, M: Value, k: int, mask: Value | None) -> Value:
        x = x if mask is None else x * mask
        return x @ (g.transpose(g.reshape(M, (k, H, -1)), (0, 2, 1)) if masks else g.transpose(M, (1, 0)))

    def activate(k: int, z: Value) -> Value:
        bounded = z if op.clip is None else g.Clip(z, g.constant(-op.clip), g.constant(op.clip))
        return _activated(g, functions[k], bounded)

    sums = product(g.Unsqueeze(X, g.constant([1])), W, n, masks[1] if len(masks) > 1 else None)
    of_state = None
    if B is not None:
        biases = [g.reshape(b, (n, 1, H) if masks else (n * H,)) for b in g.Split(B, g.constant([n * H] * 2), axis=0)]
        after = is_gru and op.linear_before_reset
        of_state = biases[1] if after else None
        sums = sums + (biases[0] if after else biases[0] + biases[1])
    mask = masks[0] if masks else None
    if is_gru and not op.linear_before_reset:
        R, of_candidate = g.Split(R, g.constant([2 * H, H]), axis=0)
        mask, of_masked = g.Split(mask, g.constant([2, 1]), axis=0) if mask is not None else (None, None)

    def step(x: Value, h: Value, c: Value | None = None) -> tuple[Value, ...]:
        if not is_gru:
            z = x + product(h, R, n, mask)
            if c is None:
                return (activate(0, z),)
            i, o, f, new = (activate(k, part) for k, part in zip((0, 0, 0, 1), gates(z, 1, 1, 1, 1), strict=True))
            c = f * c + i * new
            return o * _activated(g, functions[2], c), c
        first, candidate = gates(x, 2, 1)
        if op.linear_before_reset:
            by_state = product(h, R, 3, mask)
            second, recurring = gates(by_state if of_state is None else by_state + of_state, 2, 1)
            z, r = gates(activate(0, first + second), 1, 1)
            new = activate(1, candidate + r * recurring)
        else:
            z, r = gates(activate(0, first + product(h, R, 2, mask)), 1, 1)
            new = activate(1, candidate + product(r * h, of_candidate, 1, of_masked))
        return (new + z * (h - new),)

    zeros = g.Expand(g.constant(0.0), g.ints([1, 1, g.size(X, 1), H]))
    ends = None if lens is None else g.reshape(lens, (1, 1, -1, 1))
    now = [zeros if v is None else g.Unsqueeze(v, g.constant([0, 1])) for v in states]
    if ends is not None:
        started = ends > 0
        now = [s if v is None else g.Where(started, s, g.constant(0.0)) for s, v in zip(now, states, strict=True)]
    parts, outputs = _apart(g, sums, T), {}
    for t in reversed(range(T)) if reverse else range(T):
        after_step = step(parts[t], *now)
        outputs[t] = after_step[0]
        if ends is not None:
            valid = ends > t
            outputs[t] = g.Where(valid, outputs[t], g.constant(0.0))
            now = [g.Where(valid, new, old) for new, old in zip(after_step, now, strict=True)]
        else:
            now = [*after_step]
    return (g.Concat(*(outputs[t] for t in range(T)), axis=0) if T > 1 else outputs[0]), *now
