"""Attention over one sequence by queries from another: dot-product and additive scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from graphspec.codes import Code
from graphspec.errors import ShapeError
from graphspec.graph.decompositions.attention import band, scores, weights
from graphspec.initializers import GlorotUniform, Ones
from graphspec.ir.dims import show
from graphspec.layers.base import LAYERS, Layer, Seed, as_float, cast_to, need_rank
from graphspec.layers.regularization import Share, drop

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

FLAG_CAUSAL = Annotated[bool, Field(description="Whether query i attends to keys up to i only.")]
FLAG_SCORES = Annotated[bool, Field(description="Whether the weights are output 1, `node:1`, beside the result.")]
DROPPED = Annotated[Share, Field(description="The share of attention weights that are dropped in training.")]

TIME_HINT = "embed ids, or add a time axis with Reshape"
_MASKED = -1e9
INPUTS_ELSEWHERE = dict.fromkeys(("query", "value", "key"), "name them in this order: `inputs: [query, value, key]`")


def sources(query: Value, value: Value, key: Value | None, g: Builder) -> tuple[Value, Value, Value]:
    """Query, value and key as floats; the value is the key where none is given.

    Raises:
        ShapeError: ranks, batches or the numbers of keys and values that do not fit.
    """
    named = {"query": query, "value": value} | ({} if key is None else {"key": key})
    for what, X in named.items():
        need_rank(X, 3, None, f"(batch, …, time, features) as its {what}", TIME_HINT)
    shapes = ", ".join(f"{what} {show(X.shape)}" for what, X in named.items())
    hint = "list them in this order: `inputs: [query, value, key]`"
    if len({X.rank for X in named.values()}) > 1:
        raise ShapeError(Code.WRONG_RANK, f"needs inputs of one rank, got {shapes}", hint=hint)
    if key is not None and key.shape[:-1] != value.shape[:-1]:
        raise ShapeError(Code.SHAPES_DIFFER, f"needs one key for each value, got {shapes}", hint=hint)
    return as_float(g, query), as_float(g, value), as_float(g, value if key is None else key)


def one(calls: dict[str, Sequence[Value]], name: str) -> Value | None:
    """The node that a call argument names."""
    given = calls.get(name)
    if given is not None and len(given) != 1:
        raise ShapeError(
            Code.WRONG_INPUT_COUNT, f"takes one node in `{name}`, got {len(given)}", key=name, hint="name one node"
        )
    return None if given is None else given[0]


def mask_of(g: Builder, X: Value, explicit: Value | None, name: str) -> Value | None:
    """The mask of an input, true where a step counts; a call argument comes before the mask that travels with the input."""
    mask = X.mask if explicit is None else explicit
    if mask is None:
        return None
    if not 2 <= mask.rank < X.rank or mask.shape != X.shape[: mask.rank]:
        text = f"needs a mask of shape {show(X.shape[:-1])} in `{name}`, got {show(mask.shape)}"
        raise ShapeError(Code.SHAPES_DIFFER, text, key=name, hint="one bool for each step")
    return cast_to(g, mask, "bool")


def for_each_pair(g: Builder, bias: Value, query: Value, key: Value) -> Value:
    """What is added to scores with a row for each query and a column for each key: onnxruntime's Attention wants them."""
    if bias.shape[-2:] == (query.shape[1], key.shape[1]):
        return bias
    sizes = [g.size(query, 1), g.size(key, 1)]
    return g.Expand(bias, g.ints([*[1] * (bias.rank - 2), *sizes]))


class ScoredAttention(Layer):
    """``softmax(scores) · value``, with a score for each pair of a query and a key.

    A step that the value's mask leaves out gets −1e9 added to its scores; where the query's mask is false the result is 0.
    The output has the query's mask.
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
        """The score of every query and key, (batch, …, queries, keys)."""
        raise NotImplementedError

    def attend(
        self, g: Builder, query: Value, value: Value, key: Value, bias: Value | None
    ) -> tuple[Value, Value | None]:
        """The result and the weights; None where these are not made."""
        W = drop(g, weights(g, self.scores(g, query, key), bias), self.dropout, self.seed)
        return g.MatMul(W, value), W

    def lower(
        self, g: Builder, query: Value, value: Value, key: Value | None = None, **calls: Any
    ) -> Value | tuple[Value, ...]:
        given = calls.get("mask", ())
        if len(given) not in (0, 2, 3):
            hint = "`mask: [query_mask, value_mask]`"
            raise ShapeError(
                Code.WRONG_INPUT_COUNT, f"takes two nodes in `mask`, got {len(given)}", key="mask", hint=hint
            )
        Q, V, K = sources(query, value, key, g)
        if Q.shape[:-2] != V.shape[:-2]:
            text = f"has axes before time that differ: query {show(Q.shape)}, value {show(V.shape)}"
            raise ShapeError(Code.SHAPES_DIFFER, text, hint="only the last two axes may differ, time and features")
        if Q.features != K.features:
            text = f"needs queries and keys of one size, got {Q.features} and {K.features}"
            raise ShapeError(Code.SIZES_DO_NOT_FIT, text, hint="project one of them with Dense first")
        keep = mask_of(g, query, given[0] if given else None, "mask")
        Y, W = self.attend(g, Q, V, K, self._bias(g, Q, value, given[1] if given else None))
        if keep is not None:
            last = g.Unsqueeze(keep, g.constant(list(range(keep.rank, Y.rank))))
            Y = g.Where(last, Y, g.constant(0.0))
        Y = Y.with_mask(keep)
        return Y if W is None or not self.return_attention_scores else (Y, W)

    def _bias(self, g: Builder, Q: Value, value: Value, explicit: Value | None) -> Value | None:
        """What is added to the scores: 0 or −1e9."""
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
    """query + key for every pair, (batch, …, queries, keys, features)."""
    n = query.rank
    return g.Add(g.Unsqueeze(query, g.constant([n - 1])), g.Unsqueeze(key, g.constant([n - 2])))


@LAYERS.add("Attention")
class Attention(ScoredAttention):
    """``softmax(query · keyᵀ) · value``, or with scores ``weight · Σ tanh(query + key)`` (``concat``).

    Shapes: (batch, queries, features), (batch, keys, values), (batch, keys, features) → (batch, queries, values), and
    with ``return_attention_scores`` (batch, queries, keys). Without a third input the value is the key. Luong et al., 2015.
    """

    use_scale: bool = Field(default=False, description="Whether the scores are multiplied by a learnt number.")
    score_mode: Literal["dot", "concat"] = Field(
        default="dot", description="The scores: products of query and key, or a sum of the tanh of their sums."
    )

    def scores(self, g: Builder, query: Value, key: Value) -> Value:
        scale = self.weight(g, "scale", (), initializer=Ones()) if self.use_scale else None
        if self.score_mode == "dot":
            return scores(g, query if scale is None else g.Mul(query, scale), key, 1.0)
        weight = self.weight(g, "concat_score_weight", (), initializer=Ones())
        both = _sums(g, query, key)
        bent = g.Tanh(both if scale is None else g.Mul(both, scale))
        return g.Mul(g.ReduceSum(bent, g.constant([bent.rank - 1]), keepdims=0), weight)

    def attend(
        self, g: Builder, query: Value, value: Value, key: Value, bias: Value | None
    ) -> tuple[Value, Value | None]:
        whole = self.score_mode == "dot" and query.rank == 3 and not self.dropout
        if not whole or self.return_attention_scores:
            return super().attend(g, query, value, key, bias)
        if self.use_scale:
            query = g.Mul(query, self.weight(g, "scale", (), initializer=Ones()))
        if bias is not None:
            bias = g.Unsqueeze(bias, g.constant([1])) if bias.rank == 3 else bias
            bias = for_each_pair(g, bias, query, key)
        return g.Attention(query, key, value, bias, scale=1.0, q_num_heads=1, kv_num_heads=1), None


@LAYERS.add("AdditiveAttention")
class AdditiveAttention(ScoredAttention):
    """``softmax(Σ scale · tanh(query + key)) · value``, with a learnt number for each feature.

    Shapes: (batch, queries, features), (batch, keys, values), (batch, keys, features) → (batch, queries, values), and
    with ``return_attention_scores`` (batch, queries, keys). Without a third input the value is
    the key. Bahdanau et al., 2015.
    """

    use_scale: bool = Field(default=True, description="Whether features are weighed by learnt numbers, else by 1.")

    def scores(self, g: Builder, query: Value, key: Value) -> Value:
        bent = g.Tanh(_sums(g, query, key))
        if self.use_scale:
            return g.MatMul(bent, self.weight(g, "scale", (query.features,), initializer=GlorotUniform()))
        return g.ReduceSum(bent, g.constant([bent.rank - 1]), keepdims=0)
