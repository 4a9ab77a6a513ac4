"""Attention: scaled products of queries and keys, their softmax, and the mean of the values that it weighs."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.arrays.layout import axis_order
from graphspec.ir.dims import Dim, Shape, show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.common import reduce_to, sum_axes
from graphspec.kernels.context import Bound, Context, broadcast, need, need_float
from graphspec.kernels.matmul import batched
from graphspec.ops.base import Op, op
from graphspec.ops.softmax import maximum

_SWALLOWED = -1e30
"""Scores to which so large a number is added are lost in it: they have no gradient where that is all of a row."""


def _four(name: str, shape: Shape, heads: int | None) -> tuple[Dim, int, Dim, int]:
    """``(batch, heads, length, size)`` of data with three or four axes."""
    need(len(shape) in (3, 4), f"Attention needs {name} of rank 3 or 4, got {show(shape)}")
    many, last = (heads, shape[-1]) if len(shape) == 3 else (shape[1], shape[3])
    need(isinstance(many, int) and isinstance(last, int), f"needs fixed heads in {name} {show(shape)}", code="GS305")
    assert isinstance(many, int)
    assert isinstance(last, int)
    if len(shape) == 3:
        need(many > 0 and last % many == 0, f"{name} {show(shape)} is not {many} heads of one size", code="GS304")
        last //= many
    return shape[0], many, shape[-2], last


def _heads_first(X: Array, heads: int) -> Array:
    """``(batch, length, heads · size)`` as ``(batch, heads, length, size)``: a view."""
    return X if X.ndim == 4 else X.reshape(*X.shape[:2], heads, X.shape[2] // heads, copy=False).swapaxes(1, 2)


@op
class Attention(Op):
    """``Y = softmax(scale · Q Kᵀ + mask) V`` in every head; ``scale`` is ``1/√size`` by default.

    Q is (batch, heads, T, size), K and V (batch, heads, S, …), or all have rank 3 with the heads side by side in the last
    axis, whose numbers are ``q_num_heads`` and ``kv_num_heads``. With fewer heads of K and V, each serves several of Q that
    follow each other (Ainslie et al., 2023). ``attn_mask`` broadcasts to (batch, heads, T, S): true where a query attends,
    or numbers that are added. With ``is_causal`` query i attends to keys up to i. A query that attends to nothing gives
    zeros. ``softcap`` c > 0 makes the products ``c · tanh(products / c)`` before the mask is added.

    No caches of past keys, and one output. ONNX opset 23.
    """

    keeps_in, keeps_out = (1, 2), True

    is_causal: int = 0
    kv_num_heads: int | None = None
    q_num_heads: int | None = None
    scale: float | None = None
    softcap: float = 0.0

    def infer(self, Q: Value, K: Value, V: Value, attn_mask: Value | None = None) -> Type:
        need_float(Q, K, V)
        need(Q.rank == K.rank == V.rank, f"ranks differ: {show(Q.shape)}, {show(K.shape)}, {show(V.shape)}")
        given = (self.q_num_heads is not None, self.kv_num_heads is not None)
        need(given == (Q.rank == 3,) * 2, "needs q_num_heads and kv_num_heads with data of rank 3 alone", code="GS105")
        N, heads, T, size = _four("Q", Q.shape, self.q_num_heads)
        M, groups, S, width = _four("K", K.shape, self.kv_num_heads)
        B, others, L, out = _four("V", V.shape, self.kv_num_heads)
        shapes = f"Q {show(Q.shape)}, K {show(K.shape)}, V {show(V.shape)}"
        need(N == M == B, f"batches differ: {shapes}", code="GS302")
        need(S == L and groups == others, f"keys and values differ in number or heads: {shapes}", code="GS302")
        need(size == width, f"queries and keys differ in size: {size} and {width}", code="GS304")
        need(heads % groups == 0, f"{heads} heads of Q are not shared evenly by {groups} of K and V", code="GS304")
        need(self.softcap >= 0, f"softcap {self.softcap} is negative", code="GS105", key="softcap")
        if attn_mask is not None:
            need(
                attn_mask.dtype in ("bool", "float32"),
                f"a mask is bool or float32, not {attn_mask.dtype}",
                code="GS306",
            )
            full = (N, heads, T, S)
            fits = 0 < attn_mask.rank <= 4 and attn_mask.shape[-1] == S and broadcast(attn_mask.shape, full) == full
            need(fits, f"a mask of shape {show(attn_mask.shape)} does not fit {show(full)}", code="GS302")
        return Type(Q.dtype, (N, T, heads * out) if Q.rank == 3 else (N, heads, T, out))

    def bind(self, ctx: Context, Q: Array, K: Array, V: Array, attn_mask: Array | None = None) -> Bound:
        Y = ctx.out(order=axis_order(Q) if Q.ndim == 4 else None)
        q, k, v, y = (
            _heads_first(X, n or 0)
            for X, n in zip((Q, K, V, Y), _by_operand(self.q_num_heads, self.kv_num_heads), strict=True)
        )
        N, heads, T, size = q.shape
        groups, S, width = v.shape[1:]
        several = heads // groups

        def grouped(X: Array) -> Array:
            """The heads of Q as those of K and the several that each of them serves: a view."""
            return X.reshape(N, groups, several, *X.shape[2:], copy=False)

        keep = ctx.save_for_backward if any(ctx.wants(i) for i in range(4)) else ctx.scratch
        factor = ctx.constant(1 / math.sqrt(size) if self.scale is None else self.scale)
        queries, scores = keep((N, groups, several * T, size)), keep((N, groups, several * T, S))
        total, by_head = keep((N, groups, several * T, 1)), (N, groups, several, T)
        most = ctx.scratch(total.shape)
        calls: Calls = [
            (np.multiply, grouped(q), factor, queries.reshape(*by_head, size)),
            *batched(ctx, queries, k.mT, scores),
        ]
        if self.softcap > 0:
            bent = keep(scores.shape)
            calls += [
                (np.multiply, scores, ctx.constant(1 / self.softcap), scores),
                (np.tanh, scores, bent),
                (np.multiply, bent, ctx.constant(self.softcap), scores),
            ]
        if attn_mask is not None:
            bias, more = _bias(ctx, attn_mask, groups)
            calls += [*more, (np.add, scores.reshape(*by_head, S), bias, scores.reshape(*by_head, S))]
        if self.is_causal:
            ahead = ctx.constant(np.where(np.tri(T, S, dtype=bool), 0.0, -np.inf))
            calls.append((np.add, scores.reshape(*by_head, S), ahead, scores.reshape(*by_head, S)))
        calls += maximum(ctx, scores, 3, most)
        added = attn_mask is not None and attn_mask.dtype != np.bool_
        if added:
            seen, flags = keep(total.shape), ctx.scratch(total.shape, np.bool_)
            calls += [(np.greater, most, ctx.constant(_SWALLOWED), flags), (np.copyto, seen, flags)]
        masked = attn_mask is not None or bool(self.is_causal)
        if masked:  # where all is -inf, exp gives 0 and not NaN
            calls.append((partial(np.maximum, out=most), most, ctx.constant(np.finfo(ctx.dtype).min)))
        calls += [(np.subtract, scores, most, scores), (np.exp, scores, scores), *sum_axes(ctx, scores, (3,), total)]
        if masked:  # the largest of a row is 1, so that no other sum is below 1
            calls.append((partial(np.maximum, out=total), total, ctx.constant(1.0)))
        calls += [
            *batched(ctx, scores.reshape(*by_head, S), v[:, :, None], grouped(y)),
            (np.divide, grouped(y), total.reshape(*by_head, 1), grouped(y)),
        ]

        def backward(dY: Array) -> Calls:
            # With E = exp(scores), P = E / total and D = dY / total: dV = Eᵀ D; d scores = E · (D Vᵀ - Σ D · Y).
            D, product = ctx.scratch((*by_head, width)), ctx.scratch((*by_head, width))
            along, dot = D.reshape(N, groups, several * T, width), ctx.scratch((*by_head, 1))
            calls: Calls = [(np.divide, grouped(_heads_first(dY, heads)), total.reshape(*by_head, 1), D)]
            if (dV := ctx.grad(2)) is not None:
                calls += batched(ctx, scores.mT, along, _heads_first(dV, groups))
            if not any(ctx.wants(i) for i in (0, 1, 3)):
                return calls
            if added:
                calls.append((np.multiply, along, seen, along))
            dS = ctx.scratch(scores.shape)
            calls += [
                *batched(ctx, along, v.mT, dS),
                (np.multiply, D, grouped(y), product),
                *sum_axes(ctx, product, (4,), dot),
                (np.subtract, dS, dot.reshape(total.shape), dS),
                (np.multiply, dS, scores, dS),
            ]
            if attn_mask is not None:
                calls += reduce_to(ctx, 3, dS.reshape(N, heads, T, S), attn_mask)
            if self.softcap > 0:
                slope = ctx.scratch(dS.shape)
                calls += [
                    (np.multiply, bent, bent, slope),
                    (np.subtract, ctx.constant(1.0), slope, slope),
                    (np.multiply, dS, slope, dS),
                ]
            if (dQ := ctx.grad(0)) is not None:
                target = grouped(_heads_first(dQ, heads))
                calls += batched(ctx, dS.reshape(*by_head, S), k[:, :, None], target)
                calls.append((np.multiply, target, factor, target))
            if (dK := ctx.grad(1)) is not None:
                calls += batched(ctx, dS.mT, queries, _heads_first(dK, groups))
            return calls

        return Y, calls, backward


def _by_operand(q_num_heads: int | None, kv_num_heads: int | None) -> tuple[int | None, ...]:
    return q_num_heads, kv_num_heads, kv_num_heads, q_num_heads


def _bias(ctx: Context, mask: Array, groups: int) -> tuple[Array, Calls]:
    """What is added to the scores (batch, groups, several, T, S): the mask itself, or 0 where it holds and else -∞."""
    full = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    heads = full.shape[1]
    shape = (full.shape[0], groups, heads // groups) if heads > 1 else (full.shape[0], 1, 1)
    full = full.reshape(*shape, *full.shape[2:], copy=False)
    if mask.dtype != np.bool_:
        return full, []
    bias, closed = ctx.scratch(full.shape), ctx.scratch(full.shape, np.bool_)
    never = ctx.constant(-np.inf)
    return bias, [(np.logical_not, full, closed), (bias.fill, 0.0), (np.copyto, bias, never, "same_kind", closed)]
