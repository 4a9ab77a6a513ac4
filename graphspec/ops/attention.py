"""Attention: the mean of values, weighted by the softmax of scaled products of queries and keys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.arrays.layout import axis_order
from graphspec.codes import Code
from graphspec.ir.dims import Dim, Shape, fixed_size, show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.common import reduce_to, sum_axes
from graphspec.kernels.context import Bound, Context, broadcast, need, need_float
from graphspec.kernels.matmul import batched
from graphspec.ops.base import Op, op
from graphspec.ops.softmax import maximum

# Adding a mask element at or below this absorbs the score. A row with only such scores passes no gradient to them.
_ABSORBED = -1e30


def _four_axes(name: str, shape: Shape, heads: int | None) -> tuple[Dim, int, Dim, int]:
    """``(batch, heads, length, size)`` of data with three or four axes."""
    need(len(shape) in (3, 4), f"needs {name} of rank 3 or 4, got {show(shape)}")
    count, size = (heads, shape[-1]) if len(shape) == 3 else (shape[1], shape[3])
    need(
        isinstance(count, int) and isinstance(size, int),
        f"needs fixed heads in {name} {show(shape)}",
        code=Code.SIZE_NOT_FIXED,
    )
    assert isinstance(count, int)
    assert isinstance(size, int)
    if len(shape) == 3:
        need(
            count > 0 and size % count == 0,
            f"cannot split {name} {show(shape)} into {count} heads of equal size",
            code=Code.SIZES_DO_NOT_FIT,
        )
        size //= count
    return shape[0], count, shape[-2], size


def _heads_first(X: Array, heads: int) -> Array:
    """A view of ``(batch, length, heads · size)`` as ``(batch, heads, length, size)``."""
    return X if X.ndim == 4 else X.reshape(*X.shape[:2], heads, X.shape[2] // heads, copy=False).swapaxes(1, 2)


@op
class Attention(Op):
    """``Y = softmax(scale · Q Kᵀ + mask) V`` in every head; ``scale`` is ``1/√size`` by default.

    Q (N, heads, T, size), K (N, groups, S, size), V (N, groups, S, width), attn_mask → Y (N, heads, T, width). Or Q, K, V
    and Y have rank 3, with the heads side by side in the last axis; ``q_num_heads`` and ``kv_num_heads`` are then their
    numbers. Each head of K and V serves ``heads / groups`` consecutive heads of Q (grouped queries; Ainslie et al.,
    *GQA*, 2023).

    ``attn_mask`` broadcasts to (N, heads, T, S). A bool mask is true where a query attends to a key; a float mask is added
    to the scores. With ``is_causal`` query i attends to keys 0 … i. The output of a query that attends to no key is 0.
    With ``softcap`` c > 0 the scores become ``c · tanh(scores / c)`` before the mask is added.

    ONNX, opset 23, without caches of past keys and with one output. Vaswani et al., *Attention is all you need*, 2017.
    """

    keeps_in, keeps_out = (1, 2), True

    is_causal: int = 0
    kv_num_heads: int | None = None
    q_num_heads: int | None = None
    scale: float | None = None
    softcap: float = 0.0

    def infer(self, Q: Value, K: Value, V: Value, attn_mask: Value | None = None) -> Type:
        need_float(Q, K, V)
        need(
            Q.rank == K.rank == V.rank,
            f"has inputs whose ranks differ: {show(Q.shape)}, {show(K.shape)}, {show(V.shape)}",
        )
        has_counts = (self.q_num_heads is not None, self.kv_num_heads is not None)
        need(
            has_counts == (Q.rank == 3,) * 2,
            "needs q_num_heads and kv_num_heads only for data of rank 3",
            code=Code.VALUE_NOT_ALLOWED,
        )
        N, heads, T, size = _four_axes("Q", Q.shape, self.q_num_heads)
        M, groups, S, key_size = _four_axes("K", K.shape, self.kv_num_heads)
        B, value_groups, L, width = _four_axes("V", V.shape, self.kv_num_heads)
        shapes = f"Q {show(Q.shape)}, K {show(K.shape)}, V {show(V.shape)}"
        need(N == M == B, f"has inputs whose batches differ: {shapes}", code=Code.SHAPES_DIFFER)
        need(
            S == L and groups == value_groups,
            f"has keys and values that differ in length or heads: {shapes}",
            code=Code.SHAPES_DIFFER,
        )
        need(
            size == key_size,
            f"has queries and keys that differ in size: {size} and {key_size}",
            code=Code.SIZES_DO_NOT_FIT,
        )
        need(
            heads % groups == 0,
            f"has {heads} heads of Q, which do not divide by {groups} heads of K and V",
            code=Code.SIZES_DO_NOT_FIT,
        )
        need(self.softcap >= 0, f"has a negative softcap {self.softcap}", code=Code.VALUE_NOT_ALLOWED, key="softcap")
        if attn_mask is not None:
            need(
                attn_mask.dtype in ("bool", "float32"),
                f"needs a bool or float32 mask, got {attn_mask.dtype}",
                code=Code.WRONG_DTYPE,
            )
            full = (N, heads, T, S)
            fits = 0 < attn_mask.rank <= 4 and attn_mask.shape[-1] == S and broadcast(attn_mask.shape, full) == full
            need(
                fits,
                f"has a mask {show(attn_mask.shape)} that does not broadcast to {show(full)}",
                code=Code.SHAPES_DIFFER,
            )
        return Type(Q.dtype, (N, T, heads * width) if Q.rank == 3 else (N, heads, T, width))

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        """The products of queries and keys, and of weights and values."""
        return (fixed_size(shapes[0]) + fixed_size(output)) * fixed_size(shapes[1][-2:-1])

    def hidden_shape(self, shapes: Sequence[Shape]) -> Shape:
        """The scores (N, heads, queries, keys)."""
        Q, K = shapes[:2]
        return Q[0], self.q_num_heads or Q[1], Q[-2], K[-2]

    def bind(  # noqa: C901 (forward and backward share their buffers)
        self, ctx: Context, Q: Array, K: Array, V: Array, attn_mask: Array | None = None
    ) -> Bound:
        Y = ctx.out(order=axis_order(Q) if Q.ndim == 4 else None)
        q, k, v, y = (
            _heads_first(X, n or 0)
            for X, n in zip((Q, K, V, Y), _by_operand(self.q_num_heads, self.kv_num_heads), strict=True)
        )
        N, heads, T, size = q.shape
        groups, S, width = v.shape[1:]
        per_group = heads // groups

        def grouped(X: Array) -> Array:
            """A view with the axis of Q's heads split into groups and the heads of each group."""
            return X.reshape(N, groups, per_group, *X.shape[2:], copy=False)

        buffer = ctx.save_for_backward if any(ctx.wants(i) for i in range(4)) else ctx.scratch
        factor = ctx.constant(1 / math.sqrt(size) if self.scale is None else self.scale)
        queries, scores = buffer((N, groups, per_group * T, size)), buffer((N, groups, per_group * T, S))
        total, by_head = buffer((N, groups, per_group * T, 1)), (N, groups, per_group, T)
        row_max = ctx.scratch(total.shape)
        calls: Calls = [
            (np.multiply, grouped(q), factor, queries.reshape(*by_head, size)),
            *batched(ctx, queries, k.mT, scores),
        ]
        if self.softcap > 0:
            capped = buffer(scores.shape)
            calls += [
                (np.multiply, scores, ctx.constant(1 / self.softcap), scores),
                (np.tanh, scores, capped),
                (np.multiply, capped, ctx.constant(self.softcap), scores),
            ]
        if attn_mask is not None:
            bias, bias_calls = _bias(ctx, attn_mask, groups)
            calls += [*bias_calls, (np.add, scores.reshape(*by_head, S), bias, scores.reshape(*by_head, S))]
        if self.is_causal:
            causal = ctx.constant(np.where(np.tri(T, S, dtype=bool), 0.0, -np.inf))
            calls.append((np.add, scores.reshape(*by_head, S), causal, scores.reshape(*by_head, S)))
        calls += maximum(ctx, scores, 3, row_max)
        float_mask = attn_mask is not None and attn_mask.dtype != np.bool_
        if float_mask:
            seen, flags = buffer(total.shape), ctx.scratch(total.shape, np.bool_)
            calls += [(np.greater, row_max, ctx.constant(_ABSORBED), flags), (np.copyto, seen, flags)]
        masked = attn_mask is not None or bool(self.is_causal)
        if masked:  # in a row of -inf, exp must return 0, not NaN
            calls.append((partial(np.maximum, out=row_max), row_max, ctx.constant(np.finfo(ctx.dtype).min)))
        calls += [(np.subtract, scores, row_max, scores), (np.exp, scores, scores), *sum_axes(ctx, scores, (3,), total)]
        if masked:  # a row that attends to no key sums to 0; all other sums are at least 1
            calls.append((partial(np.maximum, out=total), total, ctx.constant(1.0)))
        calls += [
            *batched(ctx, scores.reshape(*by_head, S), v[:, :, None], grouped(y)),
            (np.divide, grouped(y), total.reshape(*by_head, 1), grouped(y)),
        ]

        def backward(dY: Array) -> Calls:
            # E = exp(scores), D = dY / total: dV = Eᵀ D, d scores = E · (D Vᵀ - Σ D · Y).
            D, product = ctx.scratch((*by_head, width)), ctx.scratch((*by_head, width))
            D_rows, dot = D.reshape(N, groups, per_group * T, width), ctx.scratch((*by_head, 1))
            calls: Calls = [(np.divide, grouped(_heads_first(dY, heads)), total.reshape(*by_head, 1), D)]
            if (dV := ctx.grad(2)) is not None:
                calls += batched(ctx, scores.mT, D_rows, _heads_first(dV, groups))
            if not any(ctx.wants(i) for i in (0, 1, 3)):
                return calls
            if float_mask:
                calls.append((np.multiply, D_rows, seen, D_rows))
            dS = ctx.scratch(scores.shape)
            calls += [
                *batched(ctx, D_rows, v.mT, dS),
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
                    (np.multiply, capped, capped, slope),
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
    """The numbers of heads of Q, K, V and Y."""
    return q_num_heads, kv_num_heads, kv_num_heads, q_num_heads


def _bias(ctx: Context, mask: Array, groups: int) -> tuple[Array, Calls]:
    """The term added to the scores (N, groups, per_group, T, S): a float mask itself; for a bool mask 0 if true, else -∞."""
    full = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    heads = full.shape[1]
    shape = (full.shape[0], groups, heads // groups) if heads > 1 else (full.shape[0], 1, 1)
    full = full.reshape(*shape, *full.shape[2:], copy=False)
    if mask.dtype != np.bool_:
        return full, []
    bias, masked = ctx.scratch(full.shape), ctx.scratch(full.shape, np.bool_)
    minus_infinity = ctx.constant(-np.inf)
    return bias, [
        (np.logical_not, full, masked),
        (bias.fill, 0.0),
        (np.copyto, bias, minus_infinity, "same_kind", masked),
    ]
