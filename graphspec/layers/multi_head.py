"""Attention by several heads at once, over projections of queries, keys and values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from graphspec.activations.sigmoids import Sigmoid
from graphspec.codes import Code
from graphspec.config import PositiveInt
from graphspec.errors import ShapeError
from graphspec.graph.decompositions.attention import band, join_heads, repeat_heads, scores, split_heads, weights
from graphspec.ir.dims import show
from graphspec.ir.graph import Layout
from graphspec.kernels.context import broadcast
from graphspec.layers.attention import (
    DROPPED,
    FLAG_CAUSAL,
    FLAG_SCORES,
    INPUTS_ELSEWHERE,
    TIME_HINT,
    for_each_pair,
    mask_of,
    one,
    sources,
)
from graphspec.layers.base import (
    LAYERS,
    Constraint,
    InitializerField,
    Layer,
    Machinery,
    RegularizerField,
    Seed,
    cast_to,
    need_rank,
    starts,
)
from graphspec.layers.einsum import oriented
from graphspec.layers.regularization import drop

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

_MASKED = -0.7 * 3.38953e38
"""What Keras adds to masked scores: a row without keys attends to all of them alike."""


class ProjectedAttention(Layer):
    """``softmax(query · keyᵀ / √size) · value`` of projections, in every head; the heads are projected to the output.

    The masks of query, value and key, `attention_mask` and the causal order exclude pairs. The output has the query's mask.
    Where it excludes all keys of a query, the values' mean is taken, or with ``dropout``, returned scores or more than one
    axis of time zeros, as in Keras.
    """

    arity: ClassVar[tuple[int, int | None]] = (2, 3)
    pairs_with_itself: ClassVar[bool] = True
    elsewhere: ClassVar[Mapping[str, str]] = INPUTS_ELSEWHERE | {"mask": "did you mean 'attention_mask'?"}
    handles_mask = True
    penalizes_itself = True
    call_arguments: ClassVar[tuple[str, ...]] = ("attention_mask", "value_mask", "key_mask")

    dropout: DROPPED = 0.0
    use_bias: bool = Field(default=True, description="Whether the projections add a bias.")
    sliding_window: PositiveInt | None = Field(
        default=None, description="A query attends to keys closer than this, on both sides; null for all."
    )
    flash_attention: Machinery = None
    kernel_initializer: InitializerField = starts("glorot_uniform")
    bias_initializer: InitializerField = starts("zeros")
    kernel_regularizer: RegularizerField = Field(default=None, description="Penalty on every kernel.")
    bias_regularizer: RegularizerField = Field(default=None, description="Penalty on every bias.")
    activity_regularizer: RegularizerField = Field(
        default=None, description="Penalty on the result of every projection."
    )
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    use_gate: bool = Field(default=False, description="Whether the heads' results are multiplied by a sigmoid gate.")
    seed: Seed = None
    use_causal_mask: FLAG_CAUSAL = False
    return_attention_scores: FLAG_SCORES = False

    def heads(self) -> tuple[int, int]:
        """How many of queries, and of keys and values."""
        raise NotImplementedError

    def head_sizes(self) -> tuple[int, int]:
        """Of queries and keys, and of values."""
        raise NotImplementedError

    def time_axes(self, query: Value) -> tuple[int, ...]:
        """The axes over which attention goes."""
        return (1,)

    def features(self, query: Value) -> tuple[int, ...]:
        """The output's last axes."""
        return (query.features,)

    def lower(
        self, g: Builder, query: Value, value: Value, key: Value | None = None, **calls: Any
    ) -> Value | tuple[Value, ...]:
        Q, V, K = sources(query, value, key, g)
        time = self.time_axes(Q)
        others = [k for k in range(Q.rank - 1) if k not in time]
        if any(Q.shape[k] != V.shape[k] for k in others):
            text = f"has axes apart from time that differ: query {show(Q.shape)}, value {show(V.shape)}"
            hint = "make them equal, or attend over them too: `attention_axes: null` is over all"
            raise ShapeError(Code.SHAPES_DIFFER, text, hint=hint)
        (H, G), (size, width) = self.heads(), self.head_sizes()
        q, k, v = (
            self._project(g, role, X, (X.features,), (heads, n))
            for role, X, heads, n in (("query", Q, H, size), ("key", K, G, size), ("value", V, G, width))
        )
        visible = self._visible(g, query, value, key, time, calls)
        if Q.rank > 3 or self.dropout or self.return_attention_scores:
            Y, W = self._composed(g, (q, k, v), time, visible)
        else:
            Y, W = self._whole(g, (q, k, v), visible), None
        if self.use_gate:
            Y = g.Mul(Y, self._project(g, "gate", Q, (Q.features,), (H, width)))
        Y = self._project(g, "attention_output", Y, (H, width), self.features(query)).with_mask(query.mask)
        return Y if W is None or not self.return_attention_scores else (Y, W)

    def _project(self, g: Builder, role: str, X: Value, bound: tuple[int, ...], free: tuple[int, ...]) -> Value:
        """``X · kernel + bias`` over the last axis; the axes ``free`` lie side by side in it."""
        n, m = math.prod(bound), math.prod(free)
        ins, outs = tuple(range(len(bound))), tuple(range(len(bound), len(bound) + len(free)))
        with g.part(role):
            start = oriented(self.kernel_initializer, ins, outs)
            kernel = self.weight(g, "kernel", (*bound, *free), layout=Layout(shape=(n, m)), initializer=start)
            Y = g.MatMul(X, kernel)
            if self.use_bias:
                Y = g.Add(Y, self.weight(g, "bias", free, layout=Layout(shape=(m,))))
            if role == "attention_output" and len(free) > 1:
                Y = g.reshape(Y, (*[0] * (Y.rank - 1), *free))
            if role == "gate":
                Y = g.activate(Sigmoid(), Y)
            g.penalize(self.activity_regularizer, Y)
        return Y

    def _whole(self, g: Builder, qkv: tuple[Value, Value, Value], visible: list[Value]) -> Value:
        """One operator for all: ``(batch, time, heads · size)`` throughout."""
        heads = dict(zip(("q_num_heads", "kv_num_heads"), self.heads(), strict=True))
        scale = 1 / math.sqrt(self.head_sizes()[0])
        if len(visible) == 1 and visible[0].rank == 2 and self.use_causal_mask and not self.sliding_window:
            return g.Attention(*qkv, is_causal=1, scale=scale, **heads)
        bias = None
        if visible:
            low = g.Where(reduce(g.And, visible), g.constant(0.0), g.constant(_MASKED))
            bias = for_each_pair(g, low, qkv[0], qkv[1])
        return g.Attention(*qkv, bias, scale=scale, **heads)

    def _composed(
        self, g: Builder, qkv: tuple[Value, Value, Value], time: tuple[int, ...], visible: list[Value]
    ) -> tuple[Value, Value]:
        """The result and the weights, (batch, others, heads, queries, keys), with the axes of time as they were."""
        (H, G), n = self.heads(), qkv[0].rank
        others = [k for k in range(1, n - 1) if k not in time]
        order = (0, *others, *time, n - 1)
        lines = [_join_axes(g, g.transpose(X, order), 1 + len(others), len(time)) for X in qkv]
        q, k, v = (split_heads(g, X, heads) for X, heads in zip(lines, (H, G, G), strict=True))
        k, v = repeat_heads(g, k, H), repeat_heads(g, v, H)
        S = scores(g, q, k, 1 / math.sqrt(self.head_sizes()[0]))
        W = weights(g, S, reduce(g.And, visible) if visible else None)
        Y = join_heads(g, g.MatMul(drop(g, W, self.dropout, self.seed), v))
        if len(time) == 1:
            return g.transpose(Y, [order.index(k) for k in range(n)]), W
        asked, kept = ([g.size(X, k) for k in time] for X in qkv[:2])
        lead = [0] * (1 + len(others))
        Y = g.reshape(Y, (*lead, *asked, Y.features))
        return g.transpose(Y, [order.index(k) for k in range(n)]), g.reshape(W, (*lead, 0, *asked, *kept))

    def _visible(
        self, g: Builder, query: Value, value: Value, key: Value | None, time: tuple[int, ...], calls: dict[str, Any]
    ) -> list[Value]:
        """Masks that broadcast to (batch, others, heads, queries, keys) and exclude pairs where they are false."""
        n = query.rank
        head = n - 1 - len(time)
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
                text = f"has `{name}`, which needs one axis of time, axis 1, got {list(time)}"
                raise ShapeError(Code.WRONG_RANK, text, key=name, hint="set `attention_axes: 1`, or leave it out")
            before = None if self.sliding_window is None else self.sliding_window - 1
            after = 0 if self.use_causal_mask else before
            masks.append(band(g, g.size(query, 1), g.size(value, 1), before=before, after=after))
        if (given := one(calls, "attention_mask")) is not None:
            masks.insert(0, self._pairs(g, given, query, value, time))
        return masks

    def _pairs(self, g: Builder, mask: Value, query: Value, value: Value, time: tuple[int, ...]) -> Value:
        """`attention_mask` over (batch, others, heads, queries, keys): axes that it lacks are put before those of time."""
        others = [k for k in range(1, query.rank - 1) if k not in time]
        pairs = (*(query.shape[k] for k in time), *(value.shape[k] for k in time))
        full = (query.shape[0], *(query.shape[k] for k in others), self.heads()[0], *pairs)
        lead = mask.rank - len(pairs)
        fits = 1 <= lead <= len(full) - len(pairs)
        if fits:
            shape = (*mask.shape[:lead], *[1] * (len(full) - mask.rank), *mask.shape[lead:])
            tail = shape[len(full) - len(pairs) :]
            try:
                fits = broadcast(shape, full) == full and (len(time) == 1 or tail == pairs)
            except ShapeError:
                fits = False
        if not fits:
            text = f"needs an `attention_mask` of shape {show((full[0], *pairs))}, got {show(mask.shape)}"
            hint = f"one bool for each query and key, for all heads, or for each: {show(full)}"
            raise ShapeError(Code.SHAPES_DIFFER, text, hint=hint, key="attention_mask")
        mask = cast_to(g, mask, "bool")
        if len(full) > mask.rank:
            mask = g.Unsqueeze(mask, g.constant(list(range(lead, lead + len(full) - mask.rank))))
        start = len(full) - len(pairs)
        return _join_axes(g, _join_axes(g, mask, start, len(time)), start + 1, len(time))


def _join_axes(g: Builder, X: Value, start: int, count: int) -> Value:
    """X with ``count`` axes from ``start`` on as one."""
    if count == 1:
        return X
    sizes = [g.size(X, k) for k in range(start + count, X.rank)]
    return g.reshape(X, (*[0] * start, -1, *sizes))


def _over_time(g: Builder, mask: Value, X: Value, time: tuple[int, ...]) -> Value:
    """A mask of X as (batch, others, time), with all axes of time as one."""
    n = X.rank - 1
    if mask.rank < n:
        mask = g.Unsqueeze(mask, g.constant(list(range(mask.rank, n))))
        if len(time) > 1:
            mask = g.Expand(mask, g.ints([g.size(X, k) for k in range(n)]))
    order = [k for k in range(n) if k not in time]
    return _join_axes(g, g.transpose(mask, (*order, *time)), len(order), len(time))


def _some(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (value,) if isinstance(value, int) else value


Sizes = Annotated[tuple[PositiveInt, ...], BeforeValidator(_some), Field(min_length=1)]
Axes = Annotated[tuple[int, ...], BeforeValidator(_some), Field(min_length=1)]


@LAYERS.add("MultiHeadAttention")
class MultiHeadAttention(ProjectedAttention):
    """Scaled dot-product attention in ``num_heads`` heads, each over projections of its own.

    Shapes: (batch, queries, features), (batch, keys, values), (batch, keys, features) → (batch, queries, features), or
    ``output_shape`` in the place of features; with ``return_attention_scores`` also (batch, heads, queries, keys). Without
    a third input the value is the key. Vaswani et al., *Attention is all you need*, 2017.
    """

    num_heads: Annotated[PositiveInt, Field(description="How many heads.")]
    key_dim: Annotated[PositiveInt, Field(description="Size of queries and keys in each head.")]
    value_dim: PositiveInt | None = Field(default=None, description="Size of values in each head; null for `key_dim`.")
    output_shape: Sizes | None = Field(default=None, description="The output's features; null for the query's.")
    attention_axes: Axes | None = Field(
        default=None, description="The axes over which attention goes; null for all but the batch and the features."
    )

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
            got = list(self.attention_axes)
            text = f"needs attention_axes from 1 to {n - 2}, each once, for {show(query.shape)}, got {got}"
            raise ShapeError(
                Code.WRONG_RANK, text, key="attention_axes", hint="not the batch, axis 0, nor the features, the last"
            )
        return axes


@LAYERS.add("GroupQueryAttention")
class GroupQueryAttention(ProjectedAttention):
    """Scaled dot-product attention in which several heads of queries share one of keys and values.

    Shapes: (batch, queries, features), (batch, keys, features), (batch, keys, features) → (batch, queries, features); with
    ``return_attention_scores`` also (batch, heads, queries, keys). Ainslie et al., *GQA*, 2023.
    """

    call_arguments = ("attention_mask", "query_mask", "value_mask", "key_mask")

    head_dim: Annotated[PositiveInt, Field(description="Size of queries, keys and values in each head.")]
    num_query_heads: Annotated[PositiveInt, Field(description="How many heads of queries.")]
    num_key_value_heads: Annotated[PositiveInt, Field(description="How many heads of keys and values.")]

    def heads(self) -> tuple[int, int]:
        return self.num_query_heads, self.num_key_value_heads

    def head_sizes(self) -> tuple[int, int]:
        return self.head_dim, self.head_dim

    def lower(
        self, g: Builder, query: Value, value: Value, key: Value | None = None, **calls: Any
    ) -> Value | tuple[Value, ...]:
        if self.num_query_heads % self.num_key_value_heads:
            H, G = self.heads()
            text = f"has {H} heads of queries, which {G} of keys and values cannot share evenly"
            hint = "choose a `num_key_value_heads` that divides `num_query_heads`"
            raise ShapeError(Code.SIZES_DO_NOT_FIT, text, hint=hint, key="num_key_value_heads")
        for what, X in (("query", query), ("value", value)):
            hint = "join axes with Reshape, or use MultiHeadAttention, which has `attention_axes`"
            need_rank(X, 3, 3, f"(batch, time, features) as its {what}", hint if X.rank > 3 else TIME_HINT)
        if query.features != value.features:
            text = f"needs a query and a value of one size, got {query.features} and {value.features}"
            raise ShapeError(Code.SIZES_DO_NOT_FIT, text, hint="project one of them with Dense first")
        return super().lower(g, query, value, key, **calls)
