"""Attention with dot-product or additive scores: queries from one sequence, keys and values from another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.errors import ShapeError
from graphspec.graph.decompositions import band, scores, weights
from graphspec.graph.initializers import GlorotUniform, Ones
from graphspec.graph.ir.dims import show
from graphspec.vocabulary.layers.base import LAYERS, Layer, Seed, as_float, cast_to, need_rank
from graphspec.vocabulary.layers.regularization import DropRate, drop

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

FLAG_CAUSAL = Annotated[bool, Field(description="Whether query i attends only to keys 0 … i.")]
FLAG_SCORES = Annotated[bool, Field(description="Whether the attention weights are a second output, `node:1`.")]
DROPPED = Annotated[DropRate, Field(description="The fraction of attention weights that training drops.")]

TIME_HINT = "embed ids, or add a time axis with Reshape"
_MASKED = -1e9
INPUTS_ELSEWHERE = dict.fromkeys(("query", "value", "key"), "name them in this order: `inputs: [query, value, key]`")


def sources(query: Value, value: Value, key: Value | None, g: Builder) -> tuple[Value, Value, Value]:
    """Return query, value and key as float32; without a key the value is the key.

    Raises:
        ShapeError: the ranks, or the numbers of keys and values, do not fit.
    """
    named = {"query": query, "value": value} | ({} if key is None else {"key": key})
    for name, X in named.items():
        need_rank(X, 3, None, f"(batch, …, time, features) as its {name}", TIME_HINT)
    shapes = ", ".join(f"{name} {show(X.shape)}" for name, X in named.items())
    hint = "list them in this order: `inputs: [query, value, key]`"
    if len({X.rank for X in named.values()}) > 1:
        raise ShapeError(Code.WRONG_RANK, f"needs inputs of equal rank, got {shapes}", hint=hint)
    if key is not None and key.shape[:-1] != value.shape[:-1]:
        raise ShapeError(Code.SHAPES_DIFFER, f"needs one key per value, got {shapes}", hint=hint)
    return as_float(g, query), as_float(g, value), as_float(g, value if key is None else key)


def one(calls: dict[str, Sequence[Value]], name: str) -> Value | None:
    """Return the only node of a call argument, or None if the argument is missing."""
    nodes = calls.get(name)
    if nodes is None:
        return None
    if len(nodes) != 1:
        text = f"expects one node in `{name}`, got {len(nodes)}"
        raise ShapeError(Code.WRONG_INPUT_COUNT, text, key=name, hint="name one node")
    return nodes[0]


def mask_of(g: Builder, X: Value, explicit: Value | None, name: str) -> Value | None:
    """Return the mask of an input, True where a step counts; the call argument ``explicit`` replaces its own mask."""
    mask = X.mask if explicit is None else explicit
    if mask is None:
        return None
    if not 2 <= mask.rank < X.rank or mask.shape != X.shape[: mask.rank]:
        text = f"needs a mask of shape {show(X.shape[:-1])} in `{name}`, got {show(mask.shape)}"
        raise ShapeError(Code.SHAPES_DIFFER, text, key=name, hint="use one bool per step")
    return cast_to(g, mask, "bool")


def for_each_pair(g: Builder, bias: Value, query: Value, key: Value) -> Value:
    """Return ``bias`` with one row per query and one column per key, as onnxruntime's Attention requires."""
    if bias.shape[-2:] == (query.shape[1], key.shape[1]):
        return bias
    sizes = [g.size(query, 1), g.size(key, 1)]
    return g.Expand(bias, g.ints([*[1] * (bias.rank - 2), *sizes]))


class ScoredAttention(Layer):
    """Base: ``softmax(scores) · value``, with one score per pair of query and key.

    Scores of steps that the value's mask hides get −1e9 added. The result is 0 at masked queries, and has the query's
    mask.
    """

    arity: ClassVar[tuple[int, int | None]] = (2, 3)
    pairs_with_itself: ClassVar[bool] = True
    elsewhere: ClassVar[Mapping[str, str]] = INPUTS_ELSEWHERE
    handles_mask = True
    call_arguments: ClassVar[tuple[str, ...]] = ("mask",)

    dropout: DROPPED = 0.0
    seed: Seed = None
    use_causal_mask: FLAG_CAUSAL = False
    return_attention_scores: FLAG_SCORES = False

    def scores(self, g: Builder, query: Value, key: Value) -> Value:
        """Emit the scores, (batch, …, queries, keys)."""
        raise NotImplementedError

    def attend(
        self, g: Builder, query: Value, value: Value, key: Value, bias: Value | None
    ) -> tuple[Value, Value | None]:
        """Emit the result and the weights; the weights are None if one operator computes the result."""
        W = drop(g, weights(g, self.scores(g, query, key), bias), self.dropout, self.seed)
        return g.MatMul(W, value), W

    def lower(
        self, g: Builder, query: Value, value: Value, key: Value | None = None, **calls: Any
    ) -> Value | tuple[Value, ...]:
        masks = calls.get("mask", ())
        if len(masks) not in (0, 2, 3):
            hint = "write `mask: [query_mask, value_mask]`"
            raise ShapeError(
                Code.WRONG_INPUT_COUNT, f"expects two nodes in `mask`, got {len(masks)}", key="mask", hint=hint
            )
        Q, V, K = sources(query, value, key, g)
        if Q.shape[:-2] != V.shape[:-2]:
            text = f"has different axes before time: query {show(Q.shape)}, value {show(V.shape)}"
            raise ShapeError(Code.SHAPES_DIFFER, text, hint="only time and features, the last two axes, may differ")
        if Q.features != K.features:
            text = f"needs queries and keys of equal size, got {Q.features} and {K.features}"
            raise ShapeError(Code.SIZES_DO_NOT_FIT, text, hint="project one of them with Dense first")
        keep = mask_of(g, query, masks[0] if masks else None, "mask")
        Y, W = self.attend(g, Q, V, K, self._bias(g, Q, value, masks[1] if masks else None))
        if keep is not None:
            last = g.Unsqueeze(keep, g.constant(list(range(keep.rank, Y.rank))))
            Y = g.Where(last, Y, g.constant(0.0))
        Y = Y.with_mask(keep)
        return Y if W is None or not self.return_attention_scores else (Y, W)

    def _bias(self, g: Builder, Q: Value, value: Value, explicit: Value | None) -> Value | None:
        """Return what is added to the scores: 0, or −1e9 for masked pairs; None without masks."""
        parts = []
        if (mask := mask_of(g, value, explicit, "mask")) is not None:
            if mask.rank < Q.rank - 1:
                text = f"needs a mask of shape {show(value.shape[:-1])} for its value, got {show(mask.shape)}"
                raise ShapeError(Code.SHAPES_DIFFER, text, key="mask")
            parts.append(g.Unsqueeze(mask, g.constant([Q.rank - 2])))
        if self.use_causal_mask:
            parts.append(band(g, g.size(Q, -2), g.size(value, -2), after=0))
        return g.Where(reduce(g.And, parts), g.constant(0.0), g.constant(_MASKED)) if parts else None


def _sums(g: Builder, query: Value, key: Value) -> Value:
    """Emit ``query + key`` for every pair, (batch, …, queries, keys, features)."""
    n = query.rank
    return g.Add(g.Unsqueeze(query, g.constant([n - 1])), g.Unsqueeze(key, g.constant([n - 2])))


@LAYERS.add("Attention")
class Attention(ScoredAttention):
    """``softmax(query · keyᵀ) · value``; with ``score_mode: concat`` the scores are ``weight · Σ tanh(query + key)``.

    Inputs: query, value and key; without a key the value is the key.

    Shapes: (batch, queries, features), (batch, keys, values), (batch, keys, features) → (batch, queries, values), and
    with ``return_attention_scores`` (batch, queries, keys).
    Luong et al., *Effective Approaches to Attention-based Neural Machine Translation*, EMNLP 2015.
    """

    use_scale: bool = Field(default=False, description="Whether the scores are multiplied by a trained scalar.")
    score_mode: Literal["dot", "concat"] = Field(
        default="dot", description="dot: query · key; concat: the sum of tanh(query + key)."
    )

    def scores(self, g: Builder, query: Value, key: Value) -> Value:
        scale = self.weight(g, "scale", (), initializer=Ones()) if self.use_scale else None
        if self.score_mode == "dot":
            return scores(g, query if scale is None else g.Mul(query, scale), key, 1.0)
        weight = self.weight(g, "concat_score_weight", (), initializer=Ones())
        sums = _sums(g, query, key)
        hidden = g.Tanh(sums if scale is None else g.Mul(sums, scale))
        return g.Mul(g.ReduceSum(hidden, g.constant([hidden.rank - 1]), keepdims=0), weight)

    def attend(
        self, g: Builder, query: Value, value: Value, key: Value, bias: Value | None
    ) -> tuple[Value, Value | None]:
        fusible = self.score_mode == "dot" and query.rank == 3 and not self.dropout
        if not fusible or self.return_attention_scores:
            return super().attend(g, query, value, key, bias)
        if self.use_scale:
            query = g.Mul(query, self.weight(g, "scale", (), initializer=Ones()))
        if bias is not None:
            bias = g.Unsqueeze(bias, g.constant([1])) if bias.rank == 3 else bias
            bias = for_each_pair(g, bias, query, key)
        return g.Attention(query, key, value, bias, scale=1.0, q_num_heads=1, kv_num_heads=1), None


@LAYERS.add("AdditiveAttention")
class AdditiveAttention(ScoredAttention):
    """``softmax(Σ scale · tanh(query + key)) · value``, with one trained scale per feature.

    Inputs: query, value and key; without a key the value is the key.

    Shapes: (batch, queries, features), (batch, keys, values), (batch, keys, features) → (batch, queries, values), and
    with ``return_attention_scores`` (batch, queries, keys).
    Bahdanau et al., *Neural Machine Translation by Jointly Learning to Align and Translate*, ICLR 2015.
    """

    use_scale: bool = Field(default=True, description="Whether the features have trained weights; otherwise 1.")

    def scores(self, g: Builder, query: Value, key: Value) -> Value:
        hidden = g.Tanh(_sums(g, query, key))
        if self.use_scale:
            return g.MatMul(hidden, self.weight(g, "scale", (query.features,), initializer=GlorotUniform()))
        return g.ReduceSum(hidden, g.constant([hidden.rank - 1]), keepdims=0)
