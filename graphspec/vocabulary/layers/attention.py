"""Attention: of queries, values and keys, and of several heads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from graphspec.base.config import PositiveInt, described, setting
from graphspec.graph.decompositions import band, join_heads, repeat_heads, scores, split_heads, weights
from graphspec.graph.initializers import GlorotUniform, Ones, oriented
from graphspec.graph.ir.graph import Layout, show
from graphspec.graph.kernels.context import broadcast
from graphspec.vocabulary import Builder, Code, ShapeError, Value, shapes_differ, wrong_rank, wrong_size
from graphspec.vocabulary.layers import layer as base
from graphspec.vocabulary.layers.core import DropRate, drop
from graphspec.vocabulary.layers.layer import Layer

Projected = tuple[Value, Value, Value]  # query, key and value
Attended = tuple[Value, Value | None]  # the result and the attention weights

# Attention with dot-product or additive scores: queries from one sequence, keys and values from another.
FLAG_CAUSAL = Annotated[bool, described("Whether query i attends only to keys 0 … i.")]
FLAG_SCORES = Annotated[bool, described("Whether the attention weights are a second output, `node:1`.")]
DROPPED = Annotated[DropRate, described("The fraction of attention weights that training drops.")]

TIME_HINT = "embed ids, or add a time axis with Reshape"
_MASKED = -1e9
INPUTS_ELSEWHERE = dict.fromkeys(("query", "value", "key"), "name them in this order: `inputs: [query, value, key]`")


def sources(query: Value, value: Value, key: Value | None, g: Builder) -> tuple[Value, Value, Value]:
    """Return query, value and key as float32; without a key the value is the key."""
    named = {"query": query, "value": value} | ({} if key is None else {"key": key})
    for name, X in named.items():
        base.need_rank(X, 3, None, f"(batch, …, time, features) as its {name}", TIME_HINT)
    shapes = ", ".join(f"{name} {show(X.shape)}" for name, X in named.items())
    hint = "list them in this order: `inputs: [query, value, key]`"
    if len({X.rank for X in named.values()}) > 1:
        raise wrong_rank(f"needs inputs of equal rank, got {shapes}", hint)
    if key is not None and key.shape[:-1] != value.shape[:-1]:
        raise shapes_differ(f"needs one key per value, got {shapes}", hint)
    return base.as_float(g, query), base.as_float(g, value), base.as_float(g, value if key is None else key)


def one(calls: dict[str, Sequence[Value]], name: str) -> Value | None:
    """Return the only node of a call argument, or None if the argument is missing."""
    nodes = calls.get(name)
    if nodes is None:
        return None
    if len(nodes) != 1:
        text = f"expects one node in `{name}`, got {len(nodes)}"
        raise ShapeError(Code.WRONG_INPUT_COUNT, text, "name one node", key=name)
    return nodes[0]


def mask_of(g: Builder, X: Value, explicit: Value | None, name: str) -> Value | None:
    """Return the mask of an input, True where a step counts; the call argument ``explicit`` replaces its own mask."""
    mask = X.mask if explicit is None else explicit
    if mask is None:
        return None
    if not 2 <= mask.rank < X.rank or mask.shape != X.shape[: mask.rank]:
        text = f"needs a mask of shape {show(X.shape[:-1])} in `{name}`, got {show(mask.shape)}"
        raise shapes_differ(text, "use one bool per step", key=name)
    return base.cast_to(g, mask, "bool")


def for_each_pair(g: Builder, bias: Value, query: Value, key: Value) -> Value:
    """Return ``bias`` with one row per query and one column per key, as onnxruntime's Attention requires."""
    if bias.shape[-2:] == (query.shape[1], key.shape[1]):
        return bias
    return g.Expand(bias, g.ints([*[1] * (bias.rank - 2), g.size(query, 1), g.size(key, 1)]))


class ScoredAttention(Layer, arity=(2, 3), pairs_with_itself=True, elsewhere=INPUTS_ELSEWHERE):
    """Base: ``softmax(scores) · value``, with one score per pair of query and key.

    Scores of steps that the value's mask hides get −1e9 added. The result is 0 at masked queries, and has the query's
    mask.
    """

    handles_mask = True
    call_arguments: ClassVar[tuple[str, ...]] = ("mask",)

    dropout: DROPPED = 0.0
    seed: base.Seed = None
    use_causal_mask: FLAG_CAUSAL = False
    return_attention_scores: FLAG_SCORES = False

    def scores(self, g: Builder, query: Value, key: Value) -> Value:
        raise NotImplementedError

    def attend(self, g: Builder, query: Value, value: Value, key: Value, bias: Value | None) -> Attended:
        """Emit the result and the weights; the weights are None if one operator computes the result."""
        W = drop(g, weights(g, self.scores(g, query, key), bias), self.dropout, self.seed)
        return g.MatMul(W, value), W

    def lower(self, g: Builder, query: Value, value: Value, key: Value | None = None, **calls: Any) -> base.Outputs:
        masks = calls.get("mask", ())
        if len(masks) not in (0, 2, 3):
            text = f"expects two nodes in `mask`, got {len(masks)}"
            raise ShapeError(Code.WRONG_INPUT_COUNT, text, "write `mask: [query_mask, value_mask]`", key="mask")
        Q, V, K = sources(query, value, key, g)
        if Q.shape[:-2] != V.shape[:-2]:
            text = f"has different axes before time: query {show(Q.shape)}, value {show(V.shape)}"
            raise shapes_differ(text, "only time and features, the last two axes, may differ")
        if Q.features != K.features:
            text = f"needs queries and keys of equal size, got {Q.features} and {K.features}"
            raise wrong_size(text, "project one of them with Dense first")
        keep = mask_of(g, query, masks[0] if masks else None, "mask")
        Y, W = self.attend(g, Q, V, K, self._bias(g, Q, value, masks[1] if masks else None))
        if keep is not None:
            Y = g.Where(g.Unsqueeze(keep, g.constant(list(range(keep.rank, Y.rank)))), Y, g.constant(0.0))
        Y = Y.with_mask(keep)
        return Y if W is None or not self.return_attention_scores else (Y, W)

    def _bias(self, g: Builder, Q: Value, value: Value, explicit: Value | None) -> Value | None:
        """Return what is added to the scores: 0, or −1e9 for masked pairs; None without masks."""
        parts = []
        if (mask := mask_of(g, value, explicit, "mask")) is not None:
            if mask.rank < Q.rank - 1:
                text = f"needs a mask of shape {show(value.shape[:-1])} for its value, got {show(mask.shape)}"
                raise shapes_differ(text, key="mask")
            parts.append(g.Unsqueeze(mask, g.constant([Q.rank - 2])))
        if self.use_causal_mask:
            parts.append(band(g, g.size(Q, -2), g.size(value, -2), after=0))
        return g.Where(reduce(g.And, parts), g.constant(0.0), g.constant(_MASKED)) if parts else None


def _sums(g: Builder, query: Value, key: Value) -> Value:
    """Emit ``query + key`` for every pair, (batch, …, queries, keys, features)."""
    n = query.rank
    return g.Add(g.Unsqueeze(query, g.constant([n - 1])), g.Unsqueeze(key, g.constant([n - 2])))


class Attention(ScoredAttention):
    """``softmax(query · keyᵀ) · value``; with ``score_mode: concat`` the scores are ``weight · Σ tanh(query + key)``.

    Inputs: query, value and key; without a key the value is the key.

    Shapes: (batch, queries, features), (batch, keys, values), (batch, keys, features) → (batch, queries, values), and
    with ``return_attention_scores`` (batch, queries, keys).
    Luong et al., *Effective Approaches to Attention-based Neural Machine Translation*, EMNLP 2015.
    """

    use_scale: bool = setting(False, "Whether the scores are multiplied by a trained scalar.")
    score_mode: Literal["dot", "concat"] = setting("dot", "dot: query · key; concat: the sum of tanh(query + key).")

    def scores(self, g: Builder, query: Value, key: Value) -> Value:
        scale = self.weight(g, "scale", (), initializer=Ones()) if self.use_scale else None
        if self.score_mode == "dot":
            return scores(g, query if scale is None else g.Mul(query, scale), key, 1.0)
        weight = self.weight(g, "concat_score_weight", (), initializer=Ones())
        sums = _sums(g, query, key)
        hidden = g.Tanh(sums if scale is None else g.Mul(sums, scale))
        return g.Mul(g.ReduceSum(hidden, g.constant([hidden.rank - 1]), keepdims=0), weight)

    def attend(self, g: Builder, query: Value, value: Value, key: Value, bias: Value | None) -> Attended:
        fusible = self.score_mode == "dot" and query.rank == 3 and not self.dropout
        if not fusible or self.return_attention_scores:
            return super().attend(g, query, value, key, bias)
        if self.use_scale:
            query = g.Mul(query, self.weight(g, "scale", (), initializer=Ones()))
        if bias is not None:
            bias = for_each_pair(g, g.Unsqueeze(bias, g.constant([1])) if bias.rank == 3 else bias, query, key)
        return g.Attention(query, key, value, bias, scale=1.0, q_num_heads=1, kv_num_heads=1), None


class AdditiveAttention(ScoredAttention):
    """``softmax(Σ scale · tanh(query + key)) · value``, with one trained scale per feature.

    Inputs: query, value and key; without a key the value is the key.

    Shapes: (batch, queries, features), (batch, keys, values), (batch, keys, features) → (batch, queries, values), and
    with ``return_attention_scores`` (batch, queries, keys).
    Bahdanau et al., *Neural Machine Translation by Jointly Learning to Align and Translate*, ICLR 2015.
    """

    use_scale: bool = setting(True, "Whether the features have trained weights; otherwise 1.")

    def scores(self, g: Builder, query: Value, key: Value) -> Value:
        hidden = g.Tanh(_sums(g, query, key))
        if self.use_scale:
            return g.MatMul(hidden, self.weight(g, "scale", (query.features,), initializer=GlorotUniform()))
        return g.ReduceSum(hidden, g.constant([hidden.rank - 1]), keepdims=0)


# Multi-head attention over projections of queries, keys and values.
# Keras adds this to masked scores: a query without unmasked keys attends to all keys equally.
_HIDDEN = -0.7 * 3.38953e38


class ProjectedAttention(Layer, arity=(2, 3), pairs_with_itself=True):
    """Base: ``softmax(query · keyᵀ / √size) · value`` of projections in every head, projected to the output.

    The masks of query, value and key, `attention_mask` and the causal order exclude pairs of query and key. If all keys
    of a query are excluded, its result is the mean of the values; with ``dropout``, returned scores or several time
    axes it is 0, as in Keras. The output has the query's mask.
    """

    elsewhere: ClassVar[Mapping[str, str]] = INPUTS_ELSEWHERE | {"mask": "did you mean 'attention_mask'?"}
    handles_mask = True
    penalizes_itself = True
    call_arguments: ClassVar[tuple[str, ...]] = ("attention_mask", "value_mask", "key_mask")

    dropout: DROPPED = 0.0
    use_bias: bool = setting(True, "Whether the projections have a bias.")
    sliding_window: PositiveInt | None = setting(None, "A query attends to keys at a smaller distance; null for all.")
    flash_attention: base.NoEffect = None
    kernel_initializer: base.InitializerField = base.default_initializer("glorot_uniform")
    bias_initializer: base.InitializerField = base.default_initializer("zeros")
    kernel_regularizer: base.RegularizerField = setting(None, "Penalty on every kernel.")
    bias_regularizer: base.RegularizerField = setting(None, "Penalty on every bias.")
    activity_regularizer: base.RegularizerField = setting(None, "Penalty on the output of every projection.")
    kernel_constraint: base.Constraint = None
    bias_constraint: base.Constraint = None
    use_gate: bool = setting(False, "Whether the heads' results are multiplied by a sigmoid gate.")
    seed: base.Seed = None
    use_causal_mask: FLAG_CAUSAL = False
    return_attention_scores: FLAG_SCORES = False

    def heads(self) -> tuple[int, int]:
        """Return the number of query heads, and of key and value heads."""
        raise NotImplementedError

    def head_sizes(self) -> tuple[int, int]:
        """Return the size per head of queries and keys, and of values."""
        raise NotImplementedError

    def time_axes(self, query: Value) -> tuple[int, ...]:
        return (1,)

    def features(self, query: Value) -> tuple[int, ...]:
        """Return the sizes of the output's last axes."""
        return (query.features,)

    def lower(self, g: Builder, query: Value, value: Value, key: Value | None = None, **calls: Any) -> base.Outputs:
        Q, V, K = sources(query, value, key, g)
        time = self.time_axes(Q)
        others = [k for k in range(Q.rank - 1) if k not in time]
        if any(Q.shape[k] != V.shape[k] for k in others):
            text = f"has different axes besides time: query {show(Q.shape)}, value {show(V.shape)}"
            raise shapes_differ(text, "make them equal, or attend over them too: `attention_axes: null` for all")
        (H, G), (size, width) = self.heads(), self.head_sizes()
        q, k, v = (
            self._project(g, role, X, (X.features,), (heads, n))
            for role, X, heads, n in (("query", Q, H, size), ("key", K, G, size), ("value", V, G, width))
        )
        visible = self._visible(g, query, value, key, time, calls)
        if Q.rank > 3 or self.return_attention_scores:
            Y, W = self._composed(g, (q, k, v), time, visible)
        else:
            Y, W = self._fused(g, (q, k, v), visible), None
        if self.use_gate:
            Y = g.Mul(Y, self._project(g, "gate", Q, (Q.features,), (H, width)))
        Y = self._project(g, "attention_output", Y, (H, width), self.features(query)).with_mask(query.mask)
        return Y if W is None or not self.return_attention_scores else (Y, W)

    def _project(self, g: Builder, role: str, X: Value, ins: tuple[int, ...], outs: tuple[int, ...]) -> Value:
        """Emit ``X · kernel + bias`` over the last axis: the axes ``ins`` joined to one, then the axes ``outs``."""
        n, m = math.prod(ins), math.prod(outs)
        in_axes, out_axes = tuple(range(len(ins))), tuple(range(len(ins), len(ins) + len(outs)))
        with g.part(role):
            initializer = oriented(self.kernel_initializer, in_axes, out_axes)
            kernel = self.weight(g, "kernel", (*ins, *outs), layout=Layout(shape=(n, m)), initializer=initializer)
            Y = g.MatMul(X, kernel)
            if self.use_bias:
                Y = g.Add(Y, self.weight(g, "bias", outs, layout=Layout(shape=(m,))))
            if role == "attention_output" and len(outs) > 1:
                Y = g.reshape(Y, (*[0] * (Y.rank - 1), *outs))
            if role == "gate":
                Y = g.Sigmoid(Y)
            g.penalize(self.activity_regularizer, Y)
        return Y

    def _fused(self, g: Builder, qkv: Projected, visible: list[Value]) -> Value:
        """Emit one Attention operator; all values are (batch, time, heads · size)."""
        heads = dict(zip(("q_num_heads", "kv_num_heads"), self.heads(), strict=True))
        scale = 1 / math.sqrt(self.head_sizes()[0])
        if len(visible) == 1 and visible[0].rank == 2 and self.use_causal_mask and not self.sliding_window:
            return self._attend(g, (*qkv, None), is_causal=1, scale=scale, **heads)
        bias: Value | None = None
        if visible:
            seen: Value = reduce(g.And, visible)
            added = seen if self.dropout else g.Where(seen, g.constant(0.0), g.constant(_HIDDEN))
            bias = for_each_pair(g, added, qkv[0], qkv[1])
        return self._attend(g, (*qkv, bias), scale=scale, **heads)

    def _attend(self, g: Builder, inputs: tuple[Value | None, ...], **attributes: Any) -> Value:
        dropped = {"ratio": self.dropout, "seed": self.seed} if self.dropout else {}
        Y: Value = g.emit("DropoutAttention" if dropped else "Attention", inputs, attributes | dropped)
        return Y

    def _composed(self, g: Builder, qkv: Projected, time: tuple[int, ...], visible: list[Value]) -> Attended:
        """Emit the result, and the weights (batch, others, heads, queries, keys) with separate time axes."""
        (H, G), n = self.heads(), qkv[0].rank
        others = [k for k in range(1, n - 1) if k not in time]
        order = (0, *others, *time, n - 1)
        sequences = [_join_axes(g, g.transpose(X, order), 1 + len(others), len(time)) for X in qkv]
        q, k, v = (split_heads(g, X, heads) for X, heads in zip(sequences, (H, G, G), strict=True))
        k, v = repeat_heads(g, k, H), repeat_heads(g, v, H)
        S = scores(g, q, k, 1 / math.sqrt(self.head_sizes()[0]))
        W = weights(g, S, reduce(g.And, visible) if visible else None)
        Y = join_heads(g, g.MatMul(drop(g, W, self.dropout, self.seed), v))
        if len(time) == 1:
            return g.transpose(Y, [order.index(k) for k in range(n)]), W
        queries, keys = ([g.size(X, k) for k in time] for X in qkv[:2])
        lead = [0] * (1 + len(others))
        Y = g.reshape(Y, (*lead, *queries, Y.features))
        return g.transpose(Y, [order.index(k) for k in range(n)]), g.reshape(W, (*lead, 0, *queries, *keys))

    def _visible(
        self, g: Builder, query: Value, value: Value, key: Value | None, time: tuple[int, ...], calls: dict[str, Any]
    ) -> list[Value]:
        """Return masks that broadcast to (batch, others, heads, queries, keys); False excludes a pair."""
        head = query.rank - 1 - len(time)
        masks = []
        if (mask := mask_of(g, query, one(calls, "query_mask"), "query_mask")) is not None:
            masks.append(g.Unsqueeze(_over_time(g, mask, query, time), g.constant([head, head + 2])))
        for X, name in ((value, "value_mask"), (value if key is None else key, "key_mask")):
            explicit = one(calls, name)
            if name == "key_mask" and key is None and explicit is None:
                continue
            if (mask := mask_of(g, X, explicit, name)) is not None:
                masks.append(g.Unsqueeze(_over_time(g, mask, X, time), g.constant([head, head + 1])))
        if self.use_causal_mask or self.sliding_window:
            name = "use_causal_mask" if self.use_causal_mask else "sliding_window"
            if time != (1,):
                text = f"has `{name}`, which needs one time axis, axis 1, got {list(time)}"
                raise wrong_rank(text, f"set `attention_axes: 1`, or leave `{name}` out", key=name)
            before = None if self.sliding_window is None else self.sliding_window - 1
            after = 0 if self.use_causal_mask else before
            masks.append(band(g, g.size(query, 1), g.size(value, 1), before=before, after=after))
        if (attention_mask := one(calls, "attention_mask")) is not None:
            masks.insert(0, self._pairs(g, attention_mask, query, value, time))
        return masks

    def _pairs(self, g: Builder, mask: Value, query: Value, value: Value, time: tuple[int, ...]) -> Value:
        """Emit `attention_mask` over (batch, others, heads, queries, keys); missing axes are added before the time axes."""
        others = [k for k in range(1, query.rank - 1) if k not in time]
        pairs = (*(query.shape[k] for k in time), *(value.shape[k] for k in time))
        full = (query.shape[0], *(query.shape[k] for k in others), self.heads()[0], *pairs)
        lead, start = mask.rank - len(pairs), len(full) - len(pairs)
        fits = 1 <= lead <= start
        if fits:
            shape = (*mask.shape[:lead], *[1] * (len(full) - mask.rank), *mask.shape[lead:])
            tail = shape[start:]
            try:
                fits = broadcast(shape, full) == full and (len(time) == 1 or tail == pairs)
            except ShapeError:
                fits = False
        if not fits:
            text = f"needs an `attention_mask` of shape {show((full[0], *pairs))}, got {show(mask.shape)}"
            hint = f"use one bool per query and key, for all heads, or per head: {show(full)}"
            raise shapes_differ(text, hint, key="attention_mask")
        mask = base.cast_to(g, mask, "bool")
        if len(full) > mask.rank:
            mask = g.Unsqueeze(mask, g.constant(list(range(lead, lead + len(full) - mask.rank))))
        return _join_axes(g, _join_axes(g, mask, start, len(time)), start + 1, len(time))


def _join_axes(g: Builder, X: Value, start: int, count: int) -> Value:
    if count == 1:
        return X
    return g.reshape(X, (*[0] * start, -1, *[g.size(X, k) for k in range(start + count, X.rank)]))


def _over_time(g: Builder, mask: Value, X: Value, time: tuple[int, ...]) -> Value:
    """Return a mask of X as (batch, others, time), with all time axes joined to one."""
    n = X.rank - 1
    if mask.rank < n:
        mask = g.Unsqueeze(mask, g.constant(list(range(mask.rank, n))))
        if len(time) > 1:
            mask = g.Expand(mask, g.ints([g.size(X, k) for k in range(n)]))
    order = [k for k in range(n) if k not in time]
    return _join_axes(g, g.transpose(mask, (*order, *time)), len(order), len(time))


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (value,) if isinstance(value, int) else value


Sizes = Annotated[tuple[PositiveInt, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
Axes = Annotated[tuple[int, ...], BeforeValidator(_as_tuple), Field(min_length=1)]


class MultiHeadAttention(ProjectedAttention, same_by_default={"value_dim": "key_dim"}):
    """Scaled dot-product attention in ``num_heads`` heads, each with its own projections.

    Inputs: query, value and key; without a key the value is the key.

    Shapes: (batch, queries, features), (batch, keys, values), (batch, keys, features) → (batch, queries, features), or
    ``output_shape`` instead of features; with ``return_attention_scores`` also (batch, heads, queries, keys).
    Vaswani et al., *Attention Is All You Need*, NIPS 2017.
    """

    num_heads: PositiveInt = setting(..., "The number of heads.")
    key_dim: PositiveInt = setting(..., "The size of queries and keys in each head.")
    value_dim: PositiveInt | None = setting(None, "The size of values in each head; null for `key_dim`.")
    output_shape: Sizes | None = setting(None, "The output's features; null for the query's.")
    attention_axes: Axes | None = setting(None, "The axes attended over; null: all but the batch and the features.")

    def heads(self) -> tuple[int, int]:
        return self.num_heads, self.num_heads

    def head_sizes(self) -> tuple[int, int]:
        return self.key_dim, self.value_dim or self.key_dim

    def features(self, query: Value) -> tuple[int, ...]:
        return self.output_shape or (query.features,)

    def time_axes(self, query: Value) -> tuple[int, ...]:
        n = query.rank
        if self.attention_axes is None:
            return tuple(range(1, n - 1))
        axes = tuple(k % n if -n <= k < n else 0 for k in self.attention_axes)
        if len(set(axes)) < len(axes) or any(k in (0, n - 1) for k in axes):
            actual = list(self.attention_axes)
            text = f"needs attention_axes from 1 to {n - 2}, each once, for {show(query.shape)}, got {actual}"
            raise wrong_rank(text, "leave out the batch (0) and the features (the last axis)", key="attention_axes")
        return axes


class GroupQueryAttention(
    ProjectedAttention, call_arguments=("attention_mask", "query_mask", "value_mask", "key_mask")
):
    """Scaled dot-product attention in which several query heads share one key and value head.

    Shapes: (batch, queries, features), (batch, keys, features), (batch, keys, features) → (batch, queries, features);
        with
    ``return_attention_scores`` also (batch, heads, queries, keys). Ainslie et al., *GQA*, EMNLP 2023.
    """

    head_dim: PositiveInt = setting(..., "The size of queries, keys and values in each head.")
    num_query_heads: PositiveInt = setting(..., "The number of query heads.")
    num_key_value_heads: PositiveInt = setting(..., "The number of key and value heads.")

    def heads(self) -> tuple[int, int]:
        return self.num_query_heads, self.num_key_value_heads

    def head_sizes(self) -> tuple[int, int]:
        return self.head_dim, self.head_dim

    def lower(self, g: Builder, query: Value, value: Value, key: Value | None = None, **calls: Any) -> base.Outputs:
        H, G = self.heads()
        if H % G:
            text = f"has {H} query heads, not divisible by {G} key and value heads"
            hint = "choose a `num_key_value_heads` that divides `num_query_heads`"
            raise wrong_size(text, hint, key="num_key_value_heads")
        for name, X in (("query", query), ("value", value)):
            hint = "join axes with Reshape, or use MultiHeadAttention, which has `attention_axes`"
            base.need_rank(X, 3, 3, f"(batch, time, features) as its {name}", hint if X.rank > 3 else TIME_HINT)
        if query.features != value.features:
            text = f"needs a query and a value of equal size, got {query.features} and {value.features}"
            raise wrong_size(text, "project one of them with Dense first")
        return super().lower(g, query, value, key, **calls)
