"""Attention (opset 23) in products, a softmax and selections; layers that need its parts build on the same pieces."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from graphspec.graph.decompositions import decomposes
from graphspec.graph.ops import OPS

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value
    from graphspec.graph.ops.attention import Attention

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
        below = True if before is None else offset >= -before
        above = True if after is None else offset <= after
        return g.constant(np.broadcast_to(below & above, (T, S)))
    rows, columns = (g.Unsqueeze(_positions(g, n), g.constant([axis])) for n, axis in ((T, 1), (S, 0)))
    apart = columns - rows
    parts = [] if before is None else [apart >= -before]
    parts += [] if after is None else [apart <= after]
    return parts[0] if len(parts) == 1 else parts[0] & parts[1]


def _positions(g: Builder, n: int | Value) -> Value:
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
    if mask is None:
        return g.Softmax(S, axis=-1)
    if mask.dtype != "bool":
        return g.Softmax(S + mask, axis=-1)
    P = g.Softmax(g.Where(mask, S, g.constant(LOWEST)), axis=-1)
    return g.Where(mask, P, g.constant(0.0))


@decomposes("Attention")
def attention(g: Builder, op: Attention, Q: Value, K: Value, V: Value, attn_mask: Value | None = None) -> Value:
    """Emit ``softmax(scale · Q Kᵀ + mask) V``; a row without keys gives zeros."""
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
        Y = weights(g, S, mask) @ V
    else:
        finite = g.Max(mask, g.constant(LOWEST))
        some = g.ReduceMax(finite, axes=(-1,), keepdims=1) > LOWEST
        Y = g.Where(some, weights(g, S, finite), g.constant(0.0)) @ V
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
