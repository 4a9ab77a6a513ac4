"""Preprocessing of ids: CategoryEncoding, and the encoding that other layers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from graphspec.base.codes import Code
from graphspec.base.config import PositiveInt, only
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import show
from graphspec.vocabulary.layers.base import LAYERS, Layer, as_float, cast_to, need_rank, number_of_ids

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

Sparse = Annotated[
    bool,
    AfterValidator(only(False, "sparse tensors are not available: exported graphs have none")),
    Field(description="Refused: exported graphs have no sparse tensors."),
]
Counts = Literal["one_hot", "multi_hot", "count"]


def encode(g: Builder, ids: Value, depth: int, mode: Counts, weights: Value | None = None) -> Value:
    """Emit ids as vectors of size ``depth``: one vector per id, or one for all ids on axis 1.

    Ids out of range do not count.

    Args:
        weights: one weight per id, of the ids' shape.
    """
    if mode == "one_hot":
        if ids.rank < 2 or ids.shape[-1] != 1:
            ids = g.Unsqueeze(ids, g.constant([ids.rank]))
        return g.MultiHot(ids, depth=depth)
    need_rank(ids, 2, None, "(batch, ids, …)", hint="use `output_mode: one_hot` for one id per sample")
    order = (0, *range(2, ids.rank), 1)
    id_weights = None if weights is None else g.transpose(weights, order)
    return g.MultiHot(g.transpose(ids, order), id_weights, depth=depth, count=int(mode == "count"))


@LAYERS.add("CategoryEncoding")
class CategoryEncoding(Layer):
    """Ids 0 … num_tokens − 1 as vectors; without ``num_tokens``, all ids that the layer before makes.

    ``one_hot``: a vector per id. ``multi_hot``: one vector for all ids on axis 1, with ones at these ids. ``count``:
    the same with the number of occurrences. Ids out of range do not count, also in the exported graph (as in Keras on
    JAX; other backends raise an error). Floats are truncated; NaN does not count.

    Shapes: (batch, ids) → (batch, num_tokens); one_hot (batch, …) → (batch, …, num_tokens), without a last axis of size
        1.
    """

    call_arguments = ("count_weights",)

    num_tokens: Annotated[
        PositiveInt | None,
        Field(description="The number of ids: the largest id plus 1; null: as many as the layer before makes."),
    ] = None
    output_mode: Annotated[
        Counts, Field(description="one_hot: a vector per id; multi_hot: ones at all ids; count: occurrences.")
    ] = "multi_hot"
    sparse: Sparse = False

    def lower(self, g: Builder, ids: Value, *, count_weights: Sequence[Value] = ()) -> Value:
        weights = None
        if count_weights:
            if self.output_mode != "count":
                text = f"supports `count_weights` only with `output_mode: count`, not {self.output_mode}"
                raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint="set `output_mode: count`", key="count_weights")
            if len(count_weights) != 1 or count_weights[0].shape != ids.shape:
                shapes = " and ".join(show(v.shape) for v in count_weights)
                text = f"needs one node of the ids' shape {show(ids.shape)} as `count_weights`, got {shapes}"
                raise ShapeError(Code.SHAPES_DIFFER, text, hint="use one weight per id", key="count_weights")
            weights = as_float(g, count_weights[0])
        depth = number_of_ids(ids, "num_tokens") if self.num_tokens is None else self.num_tokens
        if ids.type.is_float:  # NaN and values beyond int64 would become arbitrary ids
            low, high = g.constant(-1.0), g.constant(float(depth))
            ids = g.Where(g.And(g.Greater(ids, low), g.Less(ids, high)), ids, low)
        return encode(g, cast_to(g, ids, "int64"), depth, self.output_mode, weights)
