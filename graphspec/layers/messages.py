"""Layers for graphs and sets: reading nodes by index, and adding up what belongs to the same node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from graphspec.codes import Code
from graphspec.config import PositiveInt
from graphspec.errors import ShapeError
from graphspec.ir.dims import show
from graphspec.layers.base import LAYERS, Layer, as_float, cast_to, need_rank

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

Column = Annotated[
    int | None,
    Field(ge=0, description="The column of the indices, if they have a further axis: for edges (from, to), 0 or 1."),
]


def _indices(g: Builder, ids: Value, column: int | None) -> Value:
    """Return int64 indices; only one column of the last axis if ``column`` is set."""
    if ids.dtype in ("float32", "bool"):
        raise ShapeError(Code.WRONG_DTYPE, f"needs integer indices, got {ids.dtype}", hint="feed it integers")
    ids = cast_to(g, ids, "int64").with_mask(ids.mask)
    if column is None:
        return ids
    if ids.rank < 3 or column >= ids.features:
        text = f"cannot read column {column} of indices {show(ids.shape)}"
        raise ShapeError(Code.WRONG_RANK, text, hint="count columns of the last axis from 0", key="column")
    return g.Gather(ids, g.constant(column), axis=ids.rank - 1).with_mask(ids.mask)


@LAYERS.add("GatherNodes")
class GatherNodes(Layer):
    """The vectors of the nodes with the given indices, within each sample: ``y[b, e] = nodes[b, indices[b, e]]``.

    Indices count from 0 and must exist; padding may name any node. The output has the mask of the indices.

    Shapes: nodes (batch, nodes, …), indices (batch, edges) → (batch, edges, …).
    """

    arity = (2, 2)
    handles_mask = True

    column: Column = None

    def lower(self, g: Builder, nodes: Value, ids: Value) -> Value:
        need_rank(nodes, 2, None, "(batch, nodes, …)")
        need_rank(ids, 2, None, "(batch, edges) of indices")
        ids = _indices(g, ids, self.column)
        mask = ids.mask
        if isinstance(nodes.shape[1], int):
            ids = g.CheckIds(ids, size=nodes.shape[1], argument="nodes")
        Y: Value = g.GatherND(nodes, g.Unsqueeze(ids, g.constant([ids.rank])), batch_dims=1)
        return Y.with_mask(mask if mask is None or mask.rank <= ids.rank else None)


class Segments(Layer):
    """Base: values that belong to segments, such as messages to nodes, joined within each sample.

    The number of segments is ``num_segments``, or the size of axis 1 of a third input, such as the nodes. Masked values
    count for nothing, and neither do values whose index is not that of a segment; an empty segment is 0.
    """

    arity: ClassVar[tuple[int, int | None]] = (2, 3)
    handles_mask = True

    num_segments: Annotated[
        PositiveInt | None, Field(description="The number of segments; null for that of the third input.")
    ] = None
    column: Column = None

    def lower(self, g: Builder, values: Value, ids: Value, *like: Value) -> Value:
        need_rank(values, 3, 3, "(batch, edges, features)")
        need_rank(ids, 2, None, "(batch, edges) of indices")
        if (self.num_segments is None) == (not like):
            text = "needs `num_segments` or a third input" if not like else "cannot have `num_segments` and a third input"
            hint = "the third input is the nodes: their number is that of segments"
            raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint=hint, key="num_segments")
        ids = _indices(g, ids, self.column)
        if ids.rank != 2 or ids.shape != values.shape[:2]:
            text = f"has indices {show(ids.shape)} for values {show(values.shape)}"
            raise ShapeError(Code.SHAPES_DIFFER, text, hint="give each value one index, or name a `column`")
        count: int | Value = self.num_segments or g.size(like[0], 1)
        numbers = g.constant(range(count)) if isinstance(count, int) else g.Range(
            g.constant(0), g.Squeeze(count, g.constant([0])), g.constant(1)
        )
        belongs = g.Equal(g.Unsqueeze(ids, g.constant([1])), g.Unsqueeze(numbers, g.constant([0, 2])))
        for mask in (values.mask, ids.mask):
            if mask is not None and mask.rank == 2:
                belongs = g.And(belongs, g.Unsqueeze(mask, g.constant([1])))
        Y = self.join(g, belongs, as_float(g, values))
        mask = like[0].mask if like else None
        return Y.with_mask(mask if mask is not None and mask.rank == 2 else None)

    def join(self, g: Builder, belongs: Value, values: Value) -> Value:
        """Return (batch, segments, features) from ``belongs`` (batch, segments, edges), bools, and the values."""
        raise NotImplementedError


@LAYERS.add("SegmentSum")
class SegmentSum(Segments):
    """The sum of the values of each segment: ``y[b, s] = Σ values[b, e]`` over all e with ``indices[b, e] = s``.

    Shapes: values (batch, edges, features), indices (batch, edges) → (batch, segments, features).
    """

    def join(self, g: Builder, belongs: Value, values: Value) -> Value:
        return g.MatMul(as_float(g, belongs), values)


@LAYERS.add("SegmentMean")
class SegmentMean(Segments):
    """The mean of the values of each segment, see SegmentSum.

    Shapes: values (batch, edges, features), indices (batch, edges) → (batch, segments, features).
    """

    def join(self, g: Builder, belongs: Value, values: Value) -> Value:
        weights = as_float(g, belongs)
        count = g.Max(g.ReduceSum(weights, g.constant([2]), keepdims=1), g.constant(1.0))
        return g.Div(g.MatMul(weights, values), count)


@LAYERS.add("SegmentMax")
class SegmentMax(Segments):
    """The largest of the values of each segment, feature by feature, see SegmentSum.

    It needs memory for segments · edges · features numbers per sample.

    Shapes: values (batch, edges, features), indices (batch, edges) → (batch, segments, features).
    """

    def join(self, g: Builder, belongs: Value, values: Value) -> Value:
        chosen = g.Unsqueeze(belongs, g.constant([3]))
        candidates = g.Where(chosen, g.Unsqueeze(values, g.constant([1])), g.constant(-3.4028234e38, "float32"))
        found = g.Cast(g.ReduceMax(g.Cast(chosen, to="float32"), axes=(2,), keepdims=0), to="bool")
        return g.Where(found, g.ReduceMax(candidates, axes=(2,), keepdims=0), g.constant(0.0))
