"""Decompositions of newer operators into operators of opset 17, for the pass ``legalize``.

A decomposition is a function of the builder, the operator with its attributes, and the operator's inputs. It emits operators
of opset 17 and returns the output, or a tuple of outputs. Layers that need the parts of attention build on the same pieces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import and_
from typing import Any, TypeVar

import numpy as np

from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.ops import OPS

F = TypeVar("F", bound=Callable[..., Any])
Decomposition = Callable[..., Any]
Kept = Callable[[Value], Value]

DECOMPOSITIONS: dict[str, Decomposition] = {}  # by operator name


def registers(table: dict[str, F]) -> Callable[..., Callable[[F], F]]:
    """Return what makes decorators, ``@decorator("Gelu", …)``, that put a function into a table under these names."""

    def of_names(*names: str) -> Callable[[F], F]:
        """Return a decorator that registers a function under ``names``."""

        def register(function: F) -> F:
            table.update(dict.fromkeys(names, function))
            return function

        return register

    return of_names


decomposes = registers(DECOMPOSITIONS)


# Activations that are ONNX operators: Gelu (opset 20), Mish (18), HardSwish (14) and Swish (24).
@decomposes("Gelu")
def gelu(g: Builder, op: Any, X: Value) -> Value:
    """Emit ``x / 2 · (1 + erf(x / √2))``, or ``x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))``."""
    if op.approximate == "tanh":
        squashed = g.Tanh((X + X * X * X * 0.044715) * math.sqrt(2 / math.pi))
    else:
        squashed = g.Erf(X * math.sqrt(0.5))
    return X * 0.5 * (squashed + 1.0)


DECOMPOSITIONS |= {
    "Swish": lambda g, op, X: X * g.Sigmoid(X if op.alpha == 1.0 else X * op.alpha),
    "Mish": lambda g, op, X: X * g.Tanh(g.Softplus(X)),
    "HardSwish": lambda g, op, X: X * g.HardSigmoid(X, alpha=1 / 6, beta=0.5),
    "RunningMean": lambda g, op, M, W: M + (W - M) * (1.0 - op.momentum),
    # At inference two matrices resample the image.
    "RandomCrop": lambda g, op, X, corner, rows, columns: rows @ X @ columns,
}


@decomposes("LSTMGates")
def lstm_gates(g: Builder, op: Any, X: Value, Y: Value | None = None, C: Value | None = None) -> tuple[Value, Value]:
    """Emit ``c = σ(i) · tanh(g) + σ(f) · C`` and ``h = σ(o) · tanh(c)``."""
    sizes = g.constant([X.fixed(op.axis) // 4] * 4)
    i, f, candidate, o = g.Split(X if Y is None else X + Y, sizes, axis=op.axis)
    new = g.Sigmoid(i) * g.Tanh(candidate)
    c = new if C is None else g.Sigmoid(f) * C + new
    return g.Sigmoid(o) * g.Tanh(c), c


# GroupNormalization (opset 21) and RMSNormalization (opset 23).
@decomposes("GroupNormalization")
def group_normalization(g: Builder, op: Any, X: Value, scale: Value, bias: Value) -> Value:
    """Emit the normalization of ``(N, groups, …)``, then reshape to X's shape, scale and shift."""
    rows = g.Reshape(X, g.constant([0, op.num_groups, -1]))
    centred = rows - g.ReduceMean(rows, axes=(-1,), keepdims=1)
    variance = g.ReduceMean(centred * centred, axes=(-1,), keepdims=1)
    normal = centred / g.Sqrt(variance + op.epsilon)
    spatial = g.constant(list(range(1, X.rank - 1)))
    factor, offset = ((g.Unsqueeze(v, spatial) if X.rank > 2 else v) for v in (scale, bias))
    return g.Reshape(normal, g.Shape(X)) * factor + offset


@decomposes("RMSNormalization")
def rms_normalization(g: Builder, op: Any, X: Value, scale: Value) -> Value:
    """Emit ``X / sqrt(mean(X²) + epsilon) · scale``."""
    square = g.ReduceMean(X * X, axes=tuple(range(op.axis % X.rank, X.rank)), keepdims=1)
    return X / g.Sqrt(square + op.epsilon) * scale


# Attention (opset 23) in products, a softmax and selections; layers that need its parts build on the same pieces.
LOWEST = float(np.finfo(np.float32).min)


def split_heads(g: Builder, X: Value, heads: int) -> Value:
    """``(…, length, heads · size)`` → ``(…, heads, length, size)``."""
    parts = g.reshape(X, (*[0] * (X.rank - 1), heads, X.features // heads))
    return g.transpose(parts, (*range(X.rank - 2), X.rank - 1, X.rank - 2, X.rank))


def join_heads(g: Builder, X: Value) -> Value:
    """``(…, heads, length, size)`` → ``(…, length, heads · size)``."""
    n = X.rank
    parts = g.transpose(X, (*range(n - 3), n - 2, n - 3, n - 1))
    return g.reshape(parts, (*[0] * (n - 2), X.fixed(-3) * X.features))


def repeat_heads(g: Builder, X: Value, heads: int) -> Value:
    """``(…, groups, length, size)`` → ``(…, heads, length, size)``, each group as often as it takes, side by side."""
    groups, n = X.fixed(-3), X.rank
    if groups in (heads, 1):  # one broadcasts
        return X
    length = g.size(X, -2)
    wide = g.Expand(g.Unsqueeze(X, g.constant([n - 2])), g.ints([*[1] * (n - 2), heads // groups, 1, 1]))
    return g.reshape(wide, (*[0] * (n - 3), heads, length, X.features))


def band(g: Builder, T: int | Value, S: int | Value, *, before: int | None = None, after: int | None = None) -> Value:
    """The bool matrix (T, S) of the keys j that query i sees: ``i - before ≤ j ≤ i + after``."""
    if isinstance(T, int) and isinstance(S, int):
        offset = np.arange(S) - np.arange(T)[:, None]
        below, above = before is None or offset >= -before, after is None or offset <= after
        return g.constant(np.broadcast_to(below & above, (T, S)))
    rows, columns = (g.Unsqueeze(positions(g, n), g.constant([axis])) for n, axis in ((T, 1), (S, 0)))
    apart = columns - rows
    parts = [] if before is None else [apart >= -before]
    parts += [] if after is None else [apart <= after]
    return reduce(and_, parts)


def positions(g: Builder, n: int | Value) -> Value:
    """Emit 0 … n - 1, of a number or a value of shape (1,)."""
    if isinstance(n, int):
        return g.constant(np.arange(n))
    return g.Range(g.constant(0), g.Squeeze(n, g.constant([0])), g.constant(1))


def scores(g: Builder, Q: Value, K: Value, scale: float) -> Value:
    """``scale · Q Kᵀ`` of the last two axes."""
    swapped = g.transpose(K, (*range(K.rank - 2), K.rank - 1, K.rank - 2))
    return g.MatMul(Q if scale == 1.0 else Q * scale, swapped)


def weights(g: Builder, S: Value, mask: Value | None) -> Value:
    """The softmax of scores over the last axis: 0 where a bool mask is false, also in rows where all of it is.

    Numbers are added to the scores: those should be finite, or rows that are -∞ throughout give NaN.
    """
    if mask is None or mask.dtype != "bool":
        return g.Softmax(S if mask is None else S + mask, axis=-1)
    P = g.Softmax(g.Where(mask, S, g.constant(LOWEST)), axis=-1)
    return g.Where(mask, P, g.constant(0.0))


@decomposes("Attention")
def attention(
    g: Builder, op: Any, Q: Value, K: Value, V: Value, attn_mask: Value | None = None, kept: Kept = lambda P: P
) -> Value:
    """Emit ``softmax(scale · Q Kᵀ + mask) V``; a row without keys gives zeros. ``kept`` drops weights."""
    flat = Q.rank == 3
    if flat:
        Q = split_heads(g, Q, op.q_num_heads or 1)
        K, V = (split_heads(g, X, op.kv_num_heads or 1) for X in (K, V))
    heads = Q.fixed(1)
    K, V = repeat_heads(g, K, heads), repeat_heads(g, V, heads)
    S = scores(g, Q, K, 1 / math.sqrt(Q.features) if op.scale is None else op.scale)
    if op.softcap > 0:
        S = g.Tanh(S * (1 / op.softcap)) * op.softcap
    mask = causal_mask(g, Q, K, attn_mask) if op.is_causal else attn_mask
    if mask is None or mask.dtype == "bool" or _is_finite(mask):
        Y = kept(weights(g, S, mask)) @ V
    else:
        finite = g.Max(mask, g.constant(LOWEST))
        some = g.ReduceMax(finite, axes=(-1,), keepdims=1) > LOWEST
        Y = kept(g.Where(some, weights(g, S, finite), g.constant(0.0))) @ V
    return join_heads(g, Y) if flat else Y


def causal_mask(g: Builder, Q: Value, K: Value, mask: Value | None) -> Value:
    """Emit a mask that hides later keys, combined with another mask."""
    visible = band(g, g.size(Q, 2), g.size(K, 2), after=0)
    if mask is None:
        return visible
    return mask & visible if mask.dtype == "bool" else g.Where(visible, mask, g.constant(LOWEST))


def _is_finite(mask: Value) -> bool:
    """Whether all elements are finite constants, or a choice between two: then no row is -∞ throughout."""
    while mask.node is not None and OPS[mask.node.op].copied_inputs == slice(1) and mask.node.inputs[0] is not None:
        mask = mask.node.inputs[0]
    numbers = mask.node.inputs[1:] if mask.node is not None and mask.node.op == "Where" else (mask,)
    return all(v is not None and v.data is not None and np.all(v.data > LOWEST) for v in numbers)


# Loops.
Step = Callable[[Builder, Sequence[Value], Sequence[Value], Mapping[str, Value]], Sequence[Value]]
"""Emits a step, of a builder, the states before it, what it reads of the sequences, and values that are always the same."""


def repeated(g: Builder, step: Step, states: Any, sequences: Any, same: Any, reverse: int) -> tuple[Any, Any]:
    """Emit a Scan; return the last states, and all that the steps return, the states first, for every step."""
    body = Graph(f"{g.owner}/{g._prefix}step")
    with Builder(body, g.owner, _prefix=f"{g._prefix}step/") as b:
        before = [placeholder(b, "state", s.type) for s in states]
        now = [placeholder(b, "sequence", Type(s.dtype, s.shape[1:])) for s in sequences]
        after = step(b, before, now, {name: placeholder(b, name, v.type) for name, v in same.items()})
        give_outputs(b, [*after[: len(states)], *after])
    found = emit_scan(g, body, states, sequences, list(same.values()), reverse)
    return found[: len(states)], found[len(states) :]


def placeholder(b: Builder, name: str, type_: Type) -> Value:
    """Return a new input of a step."""
    value = Value(b._unique(f"{b.owner}/{b._prefix}{name}"), type_, "input")
    b.graph.inputs[value.name] = value
    return value


def give_outputs(b: Builder, values: Sequence[Value]) -> None:
    """Make these the outputs of a step."""
    b.graph.outputs = {f"{b.owner}/{b._prefix}out{k}": v for k, v in enumerate(values)}


def emit_scan(g: Builder, body: Graph, states: Any, sequences: Any, same: Any, reverse: int) -> Sequence[Value]:
    """Emit a Scan of a step; return its outputs."""
    attributes = {"body": body, "states": len(states), "sequences": len(sequences), "reverse": reverse}
    found = g.emit("Scan", [*states, *sequences, *same], attributes)
    return found if isinstance(found, tuple) else (found,)


@decomposes("Viterbi")
def viterbi(g: Builder, op: Any, X: Value, A: Value, ends: Value, mask: Value | None = None) -> Value:
    """Emit a Scan of the best scores and where they came from, and a Scan back along the best sequence."""
    zero, one, tags = g.constant([0]), g.constant([1]), g.constant(np.arange(X.fixed(2)))
    first, last = g.Split(ends, g.constant([1, 1]), axis=0)
    steps = g.transpose(X, (1, 0, 2))
    sequences = [g.Slice(steps, one, g.constant([2**62]), zero)]
    start = g.Squeeze(g.Slice(steps, zero, one, zero), zero) + first
    if mask is not None:
        sequences.append(g.Slice(g.transpose(mask, (1, 0)), one, g.constant([2**62]), zero))

    def step(b: Builder, states: Any, now: Any, v: Any) -> list[Value]:
        ways = b.Unsqueeze(states[0], b.constant([2])) + v["A"]
        best, came = b.ReduceMax(ways, axes=(1,), keepdims=0) + now[0], b.ArgMax(ways, axis=1, keepdims=0)
        if mask is None:
            return [best, came]
        seen = b.Unsqueeze(now[1], b.constant([1]))
        return [b.Where(seen, best, states[0]), b.Where(seen, came, v["tags"])]

    (score,), (_, came) = repeated(g, step, [start], sequences, {"A": A, "tags": tags}, 0)
    tag = g.ArgMax(score + last, axis=1, keepdims=1)

    def back(b: Builder, states: Any, now: Any, v: Any) -> list[Value]:
        return [b.GatherElements(now[0], states[0], axis=1)]

    _, (before,) = repeated(g, back, [tag], [came], {}, 1)
    path = g.transpose(g.Squeeze(g.Concat(before, g.Unsqueeze(tag, zero), axis=0), g.constant([2])), (1, 0))
    return g.Cast(g.Equal(g.Unsqueeze(path, g.constant([2])), tags), to="float32")


# MultiHot, which is not an ONNX operator: vectors from ids, by comparison or by scattering.
@decomposes("MultiHot")
def multi_hot(g: Builder, op: Any, ids: Value, weights: Value | None = None) -> Any:
    """Emit a comparison with all indices for a single id, else a scatter with one extra column for ids out of range."""
    depth = op.depth
    if ids.shape[-1] == 1 and weights is None:
        return g.Cast(g.Equal(ids, g.constant(np.arange(depth))), to="float32")
    indices = g.Where((ids >= 0) & (ids < depth), ids, g.constant(depth))
    outer = [g.size(ids, axis) for axis in range(ids.rank - 1)]
    zeros = g.Expand(g.constant(0.0), g.ints([*outer, depth + 1]))
    updates = g.Expand(g.constant(1.0), g.Shape(ids)) if weights is None else weights
    Y = g.ScatterElements(zeros, indices, updates, axis=-1, reduction="add" if op.count else "none")
    return g.Slice(Y, g.constant([0]), g.constant([depth]), g.constant([-1]))


@decomposes("TermWeights")
def term_weights(g: Builder, op: Any, ids: Value, idf: Value) -> Value:
    """Emit the counts of all ids of a row, by scattering, and read them at its ids."""
    depth = idf.fixed(0)
    places = g.Where((ids >= 0) & (ids < depth), ids, g.constant(depth))
    zeros, ones = (
        g.Expand(g.constant(0.0), g.ints([g.size(ids, 0), depth + 1])),
        g.Expand(g.constant(1.0), g.Shape(ids)),
    )
    counts = g.GatherElements(g.ScatterElements(zeros, places, ones, axis=1, reduction="add"), places, axis=1)
    frequency = g.Log(counts) + 1.0 if op.sublinear else counts
    whole = frequency * g.Gather(g.Concat(idf, g.constant(np.zeros(1, np.float32)), axis=0), places, axis=0)
    weights = whole / counts
    if op.unit:
        length = g.ReduceSum(whole * weights, g.constant([1]), keepdims=1)
        weights = weights / g.Sqrt(g.Where(length > 0.0, length, g.constant(1.0)))
    return weights
