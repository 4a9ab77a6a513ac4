"""Softmax and its kin along one axis, and Attention: the mean of values, weighted by a softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from math import inf
from typing import cast

import numpy as np

from graphspec.base.arrays.layout import axis_order
from graphspec.graph.expressions import exp, write
from graphspec.graph.ir.dims import Dim, Shape, fixed_size, show
from graphspec.graph.ir.graph import Array, Range, Type, Value
from graphspec.graph.kernels import softmax as kernels
from graphspec.graph.kernels.common import copy_cast, output_for, reduce_to, scratch_like, sum_axes
from graphspec.graph.kernels.compiled import alone, available, twin
from graphspec.graph.kernels.context import Bound, Calls, Context, broadcast, need, normalize_axis
from graphspec.graph.kernels.matmul import batched
from graphspec.graph.kernels.one_call import has_products
from graphspec.graph.kernels.query_blocks import ABSORBED, QUERIES, TILE, QueryBlocks, pays
from graphspec.graph.ops.dropout import dropout_mask, noise_of_rows
from graphspec.graph.ops.op import Inference, Op, c_contiguous, in_place

# Softmax, LogSoftmax and Hardmax: functions along one axis.
_FEW = 8  # rows, whose maxima take less time than a transposed copy
_TRANSPOSED = 32  # up to this many classes, maxima over the rows of a transposed copy are faster than over each row
# up to this many classes, the elementwise maximum of two halves first reduces them to _TRANSPOSED or fewer
_HALVED = 128


class Normalized(Op):
    """A function of a float tensor along ``axis``. Shapes: X and Y are equal."""

    rows = "along_axis"
    keeps_channels = True
    keeps_in, keeps_out = (), True

    axis: int = -1

    def infer(self, X: Value) -> Type:
        need.float(X)
        normalize_axis(self.axis, X.rank)
        return X.type

    def totals(self, ctx: Context, X: Array) -> Array:
        """Return scratch of X's shape with size 1 on ``axis``."""
        return ctx.scratch([1 if k == self.axis % X.ndim else n for k, n in enumerate(X.shape)])


def maximum(ctx: Context, X: Array, axis: int, out: Array) -> Calls:
    """Return the calls that write the maximum of X along ``axis`` into ``out``, which has the axis with size 1."""
    count = X.size // max(X.shape[axis], 1)
    if axis != X.ndim - 1 or X.shape[axis] > _HALVED or not X.flags.c_contiguous or count <= _FEW or not X.size:
        return [(np.maximum.reduce, X, axis, None, out, True)]
    calls: Calls = []
    rows = X.reshape(-1, X.shape[axis])
    while rows.shape[1] > _TRANSPOSED:
        half = -(-rows.shape[1] // 2)
        larger = ctx.scratch((len(rows), half), X.dtype)
        calls.append((partial(np.maximum, out=larger), rows[:, :half], rows[:, -half:]))
        rows = larger
    columns, maxima = ctx.scratch(rows.shape[::-1], X.dtype), out.reshape(-1, copy=False)
    return [*calls, (np.copyto, columns, rows.T), (np.maximum.reduce, columns, 0, None, maxima)]


def less_maximum(ctx: Context, X: Array, axis: int, maxima: Array, Y: Array) -> Calls:
    """Return the calls for ``Y = X - max X`` along ``axis``, and the maxima."""
    if not (X.flags.c_contiguous and Y.flags.c_contiguous):
        return [*maximum(ctx, X, axis, maxima), (np.subtract, X, maxima, Y)]
    x, largest, y = (kernels.middle(A, axis) for A in (X, maxima, Y))
    return kernels.subtract_largest(x, None, largest, y, maxima=lambda: maximum(ctx, X, axis, maxima), source=x)


class Softmax(Normalized):
    """``Y = exp(X - max X) / Σ exp(X - max X)`` along ``axis``."""

    activation, value_range = "softmax", Range(0, 1)

    def bind(self, ctx: Context, X: Array) -> Bound:
        at = self.axis % X.ndim
        Y = output_for(ctx, (0, X))
        maxima, total = self.totals(ctx, X), self.totals(ctx, X)
        calls: Calls = [
            *less_maximum(ctx, X, at, maxima, Y),
            (np.exp, Y, Y),
            *sum_axes(ctx, Y, (at,), total),
            (np.divide, Y, total, Y),
        ]

        @in_place(ctx)
        def backward(dY: Array) -> Calls:  # dX = Y · (dY - Σ dY · Y)
            t, total = scratch_like(ctx, dY), self.totals(ctx, X)
            plain = dY.flags.c_contiguous and Y.flags.c_contiguous
            dy, sums, y = (kernels.middle(A, at) if plain else A for A in (dY, total, Y))
            return [
                (np.multiply, dY, Y, t),
                *sum_axes(ctx, t, (at,), total),
                *(kernels.softmax_gradient if plain else kernels.softmax_gradient.numpy)(dy, None, sums, y, None),
            ]

        return Y, calls, backward


class LogSoftmax(Normalized):
    """``Y = X - max X - log Σ exp(X - max X)`` along ``axis``."""

    activation, value_range = "log_softmax", Range(-inf, 0)

    def bind(self, ctx: Context, X: Array) -> Bound:
        at = self.axis % X.ndim
        Y = output_for(ctx, (0, X))
        maxima, total = self.totals(ctx, X), self.totals(ctx, X)
        t = scratch_like(ctx, X)
        calls: Calls = [
            *less_maximum(ctx, X, at, maxima, Y),
            (np.exp, Y, t),
            *sum_axes(ctx, t, (at,), total),
            (np.log, total, total),
            (np.subtract, Y, total, Y),
        ]

        @in_place(ctx)
        def backward(dY: Array) -> Calls:
            total = self.totals(ctx, X)
            calls = sum_axes(ctx, dY, (at,), total)
            return calls + write(ctx, dY, lambda Y, total, d: d - exp(Y) * total, Y, total, dY)

        return Y, calls, backward


class Hardmax(Normalized):
    """``Y`` is 1 at the first largest element along ``axis``, 0 elsewhere; no gradient."""

    keeps_in, keeps_out, piecewise_constant = (), False, True
    value_range = Range(0, 1)

    def bind(self, ctx: Context, X: Array) -> Bound:
        at = self.axis % X.ndim
        Y = ctx.out()
        source, calls = c_contiguous(ctx, np.moveaxis(X, at, -1))  # argmax would allocate a copy in every call
        ids, hot = ctx.scratch(source.shape[:-1], np.int64), ctx.scratch(source.shape, np.bool_)
        calls += [
            (source.argmax, -1, ids),
            (np.equal, ids[..., None], ctx.constant(np.arange(X.shape[at]), np.int64), hot),
            (copy_cast, np.moveaxis(Y, at, -1), hot),
        ]
        return Y, calls, None


def _four_axes(name: str, shape: Shape, heads: int | None) -> tuple[Dim, int, Dim, int]:
    """``(batch, heads, length, size)`` of data with three or four axes."""
    need(len(shape) in (3, 4), f"needs {name} of rank 3 or 4, got {show(shape)}")
    count, size = (heads, shape[-1]) if len(shape) == 3 else (shape[1], shape[3])
    fixed = isinstance(count, int) and isinstance(size, int)
    need.fixed(fixed, f"needs fixed heads in {name} {show(shape)}")
    assert isinstance(count, int)
    assert isinstance(size, int)
    if len(shape) == 3:
        fits = count > 0 and size % count == 0
        need.sizes(fits, f"cannot split {name} {show(shape)} into {count} heads of equal size")
        size //= count
    return shape[0], count, shape[-2], size


def _heads_first(X: Array, heads: int) -> Array:
    """A view of ``(batch, length, heads · size)`` as ``(batch, heads, length, size)``."""
    return X if X.ndim == 4 else X.reshape(*X.shape[:2], heads, X.shape[2] // heads, copy=False).swapaxes(1, 2)


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

    rows = "all_in_front"
    keeps_in, keeps_out = (0, 1, 2, 3), True

    is_causal: int = 0
    kv_num_heads: int | None = None
    q_num_heads: int | None = None
    scale: float | None = None
    softcap: float = 0.0
    ratio, seed = 0.0, cast("int | None", None)  # of dropout: no attributes of this operator

    def infer(self, Q: Value, K: Value, V: Value, attn_mask: Value | None = None) -> Type:
        need.float(Q, K, V)
        ranks = f"{show(Q.shape)}, {show(K.shape)}, {show(V.shape)}"
        need(Q.rank == K.rank == V.rank, f"has inputs whose ranks differ: {ranks}")
        has_counts = (self.q_num_heads is not None, self.kv_num_heads is not None)
        need.value(has_counts == (Q.rank == 3,) * 2, "needs q_num_heads and kv_num_heads only for data of rank 3")
        N, heads, T, size = _four_axes("Q", Q.shape, self.q_num_heads)
        M, groups, S, key_size = _four_axes("K", K.shape, self.kv_num_heads)
        B, value_groups, L, width = _four_axes("V", V.shape, self.kv_num_heads)
        shapes = f"Q {show(Q.shape)}, K {show(K.shape)}, V {show(V.shape)}"
        need.shapes(N == M == B, f"has inputs whose batches differ: {shapes}")
        need.shapes(S == L and groups == value_groups, f"has keys and values that differ in length or heads: {shapes}")
        need.sizes(size == key_size, f"has queries and keys that differ in size: {size} and {key_size}")
        need.sizes(heads % groups == 0, f"has {heads} heads of Q, which do not divide by {groups} heads of K and V")
        need.value(self.softcap >= 0, f"has a negative softcap {self.softcap}", key="softcap")
        if attn_mask is not None:
            need.dtype(attn_mask.dtype in ("bool", "float32"), f"needs a bool or float32 mask, got {attn_mask.dtype}")
            full = (N, heads, T, S)
            fits = 0 < attn_mask.rank <= 4 and attn_mask.shape[-1] == S and broadcast(attn_mask.shape, full) == full
            need.shapes(fits, f"has a mask {show(attn_mask.shape)} that does not broadcast to {show(full)}")
        return Type(Q.dtype, (N, T, heads * width) if Q.rank == 3 else (N, heads, T, width))

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        """The products of queries and keys, and of weights and values."""
        return (fixed_size(shapes[0]) + fixed_size(output)) * fixed_size(shapes[1][-2:-1])

    def hidden_shape(self, shapes: Sequence[Shape]) -> Shape:
        """The scores (N, heads, queries, keys), or what blocks of queries save of them."""
        Q, K = shapes[:2]
        T, S, hides = Q[-2], K[-2], bool(self.is_causal)
        blocks = isinstance(T, int) and isinstance(S, int) and self._by_blocks(T, S, hides=hides, masked=False)
        return Q[0], self.q_num_heads or Q[1], T, 2 if blocks else S

    def _by_blocks(self, queries: int, keys: int, **facts: bool) -> bool:
        return not self.softcap and pays(queries, keys, **facts)

    def _compiled(self, ctx: Context) -> bool:
        """Whether a kernel makes a whole pass of blocks of queries."""
        fits = ctx.dtype == np.float32 and not self._drops(ctx) and not ctx.wants(3)
        return fits and available("attention") and has_products()

    def kept_weights(self, ctx: Context, shape: tuple[int, ...]) -> tuple[Array | None, Calls]:
        """Return factors of the weights (N, groups, S, per_group · T), or None, and the calls that write them."""
        return dropout_mask(ctx, shape, self.ratio, self.seed, 1 / (1 - self.ratio)) if self._drops(ctx) else (None, [])

    def _drops(self, ctx: Context) -> bool:
        return ctx.training and self.ratio > 0

    def bind(  # noqa: C901 (forward and backward share their buffers)
        self, ctx: Context, Q: Array, K: Array, V: Array, attn_mask: Array | None = None
    ) -> Bound:
        Y = ctx.out(order=axis_order(Q) if Q.ndim == 4 else None)
        own, other = self.q_num_heads or 0, self.kv_num_heads or 0
        q, k, v, y = (_heads_first(X, n) for X, n in ((Q, own), (K, other), (V, other), (Y, own)))
        N, heads, T, size = q.shape
        groups, S, width = v.shape[1:]
        per_group = heads // groups
        columns = per_group * T

        def grouped(X: Array) -> Array:
            """A view with the axis of Q's heads split into groups and the heads of each group."""
            return X.reshape(N, groups, per_group, *X.shape[2:], copy=False)

        differentiated = any(ctx.wants(i) for i in range(4))
        hides = bool(self.is_causal) or ctx.known(3) is not None
        masked, compiled = attn_mask is not None and attn_mask.dtype == np.bool_, self._compiled(ctx)
        if self._by_blocks(T, S, hides=hides, masked=masked, compiled=compiled):
            return self._by_queries(ctx, (grouped(q), k, v, grouped(y)), Y, attn_mask, differentiated)
        weights = ctx.save_for_backward((N, groups, S, columns)) if differentiated else None
        capped = ctx.save_for_backward((N, groups, S, columns)) if differentiated and self.softcap > 0 else None
        factor = ctx.constant(1 / math.sqrt(size) if self.scale is None else self.scale)
        calls: Calls = []
        terms: list[Array] = []
        if attn_mask is not None:
            term, calls = kernels.added_to_scores(ctx, attn_mask, groups)
            terms.append(term)
        if self.is_causal:
            future = np.where(np.tri(S, T, -1, dtype=bool), -np.inf, 0.0)  # in C order, as the scores
            terms.append(ctx.constant(future[None, None, :, None]))
        float_mask = attn_mask is not None and attn_mask.dtype != np.bool_
        seen = ctx.save_for_backward((N, groups, 1, columns)) if float_mask and differentiated else None
        kept, draw = self.kept_weights(ctx, (N, groups, S, columns))
        calls += draw
        mark = ctx.mark()
        for block in kernels.blocks(N, groups, S * columns):
            ctx.reset(mark)
            a, b = kernels.part(grouped(q), block), kernels.part(k, block)
            lead = b.shape[:2]
            by_head, flat = (*lead, S, per_group, T), (*lead, S, columns)
            scores = ctx.scratch(flat) if weights is None else kernels.part(weights, block)
            calls += [*scaled_columns(a, factor, queries := ctx.scratch((*lead, size, columns)))]
            calls += batched(ctx, b, queries, scores)
            if self.softcap > 0:
                tanh = scores if capped is None else kernels.part(capped, block)
                calls += [
                    (np.multiply, scores, ctx.constant(1 / self.softcap), scores),
                    (np.tanh, scores, tanh),
                    (np.multiply, tanh, ctx.constant(self.softcap), scores),
                ]
            for term in terms:
                calls.append((np.add, scores.reshape(by_head), kernels.part(term, block), scores.reshape(by_head)))
            row_max = ctx.scratch((*lead, 1, columns))
            chosen = None if kept is None else kernels.part(kept, block)
            used = scores if chosen is None else ctx.scratch(flat)
            product = None if chosen is None else used
            calls += kernels.softmax(ctx, scores, row_max, masked=bool(terms), kept=chosen, product=product)
            if seen is not None:
                flags = ctx.scratch(row_max.shape, np.bool_)
                calls += [
                    (np.greater, row_max, ctx.constant(ABSORBED), flags),
                    (np.copyto, kernels.part(seen, block), flags),
                ]
            left = used.reshape(by_head).transpose(0, 1, 3, 4, 2)
            calls += batched(ctx, left, kernels.part(v, block)[:, :, None], kernels.part(grouped(y), block))

        def backward(dY: Array) -> Calls:
            # W: the weights, K: 1, or those kept. dV = K · W · dY, d scores = W · (K · V dYᵀ - Σ dY · Y).
            assert weights is not None
            dQ, dK, dV = (ctx.grad(i) for i in range(3))
            dq = None if dQ is None else grouped(_heads_first(dQ, heads))
            dk, dv = (None if X is None else _heads_first(X, groups) for X in (dK, dV))
            dy = _heads_first(dY, heads)
            whole = ctx.scratch((N, groups, per_group, T, S)) if ctx.wants(3) else None
            calls: Calls = []
            mark = ctx.mark()
            for block in kernels.blocks(N, groups, S * columns):
                ctx.reset(mark)
                W, d = kernels.part(weights, block), kernels.part(grouped(dy), block)
                lead = W.shape[:2]
                if dv is not None:
                    rows, copies = _rows(ctx, d)
                    used = W if kept is None else ctx.scratch(W.shape)
                    calls += [] if kept is None else [(np.multiply, W, kernels.part(kept, block), used)]
                    calls += [*copies, *batched(ctx, used, rows, kernels.part(dv, block))]
                if dq is None and dk is None and whole is None:
                    continue
                dot, dS = ctx.scratch((*lead, per_group, T)), ctx.scratch(W.shape)
                flat = dot.reshape(*lead, 1, columns)
                calls += [*scaled_columns(d, None, gradients := ctx.scratch((*lead, width, columns)))]
                calls.append((np.vecdot, d, kernels.part(grouped(y), block), dot))
                calls += batched(ctx, kernels.part(v, block), gradients, dS)
                factors = (None if X is None else kernels.part(X, block) for X in (kept, seen))
                calls += kernels.gradient(dS, next(factors), flat, W, next(factors))
                by_query = dS.reshape(*lead, S, per_group, T).transpose(0, 1, 3, 4, 2)
                if whole is not None:
                    calls.append((np.copyto, kernels.part(whole, block), by_query))
                if capped is not None:
                    slope, tanh = ctx.scratch(dS.shape), kernels.part(capped, block)
                    calls += write(ctx, slope, lambda tanh: 1.0 - tanh * tanh, tanh)
                    calls.append((np.multiply, dS, slope, dS))
                if dq is not None:
                    target = kernels.part(dq, block)
                    calls += batched(ctx, by_query, kernels.part(k, block)[:, :, None], target)
                    calls.append((np.multiply, target, factor, target))
                if dk is not None:
                    target = kernels.part(dk, block)
                    rows, copies = _rows(ctx, kernels.part(grouped(q), block))
                    calls += [*copies, *batched(ctx, dS, rows, target), (np.multiply, target, factor, target)]
            if whole is not None:
                assert attn_mask is not None
                ctx.reset(mark)
                calls += reduce_to(ctx, 3, whole.reshape(N, heads, T, S), attn_mask)
            return calls

        return Y, calls, backward

    def _by_queries(
        self, ctx: Context, arrays: tuple[Array, ...], Y: Array, attn_mask: Array | None, differentiated: bool
    ) -> Bound:
        """Bind as :class:`QueryBlocks` of Q, K, V and Y with groups of heads."""
        q, k, v, y = arrays
        groups, per_group = q.shape[1:3]
        scale = 1 / math.sqrt(q.shape[4]) if self.scale is None else self.scale
        mask = None if attn_mask is None else kernels.by_key(attn_mask, groups)
        allocate = ctx.save_for_backward if differentiated else ctx.scratch
        saved = [allocate((*q.shape[:3], 1, q.shape[3])) for _ in range(2)]
        noise = (*noise_of_rows(ctx, len(q), "dropout", self.seed), self.ratio) if self._drops(ctx) else None
        attrs = scale, bool(self.is_causal), mask, noise
        make = partial(QueryBlocks, ctx, q, k, v, y, *attrs, *saved)
        masks = (mask, None) if mask is not None and mask.dtype == np.bool_ else (None, mask)
        numbers, served = (np.array([self.is_causal], np.intc), ctx.constant(scale)), self._compiled(ctx)

        def compiled(name: str, *gradients: Array | None) -> Calls:
            """Return the call of a kernel for a whole pass; none if it does not serve these arrays."""
            scratch = ctx.scratch((2 * TILE * QUERIES + QUERIES * (q.shape[4] + 2 * v.shape[3] + 4),))
            return alone(name, q, k, v, y, *masks, *numbers, *saved, scratch, *gradients) if served else []

        def backward(dY: Array) -> Calls:
            dQ, dK, dV, dM = (ctx.grad(i) for i in range(4))
            dq = None if dQ is None else _heads_first(dQ, groups * per_group).reshape(q.shape, copy=False)
            dk, dv = (None if X is None else _heads_first(X, groups) for X in (dK, dV))
            dy = _heads_first(dY, groups * per_group).reshape(y.shape, copy=False)
            calls = compiled("attention_gradient", dy, dq, dk, dv)
            return calls or make().backward(dy, dq, dk, dv, None if dM is None else kernels.by_key(dM, groups))

        return Y, compiled("attention") or make().forward(), backward


class DropoutAttention(Attention):
    """:class:`Attention` with dropout: in training, weights are 0 with probability ``ratio``, else times 1 / (1 - ratio)."""

    exported = False
    inference = Inference("Attention", (0, 1, 2, 3), without=("ratio", "seed"))

    ratio: float
    seed: int | None = None

    def infer(self, Q: Value, K: Value, V: Value, attn_mask: Value | None = None) -> Type:
        need.value(0 <= self.ratio < 1, f"needs a ratio in [0, 1), got {self.ratio}", key="ratio")
        return super().infer(Q, K, V, attn_mask)


@twin()
def scaled_columns(x: Array, factor: Array | None, out: Array, /) -> Calls:
    """Return the call that writes ``factor`` times the rows of x (n, groups, per_group, T, size) as columns of ``out``.

    ``out`` (n, groups, size, per_group · T).
    """
    target = out.reshape(*out.shape[:3], *x.shape[2:4], copy=False).transpose(0, 1, 3, 4, 2)
    return [(np.copyto, target, x) if factor is None else (np.multiply, x, factor, target)]


def _rows(ctx: Context, X: Array) -> tuple[Array, Calls]:
    """Return X (n, groups, per_group, T, size) with the axes of heads and T joined, and the calls that copy it."""
    if X.shape[2] == 1:
        return X[:, :, 0], []
    copy = ctx.scratch(X.shape)
    return copy.reshape(*X.shape[:2], -1, X.shape[4]), [(np.copyto, copy, X)]
