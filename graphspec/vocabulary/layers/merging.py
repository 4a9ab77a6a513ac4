"""Layers of several inputs; those of graphs read nodes by index, and join what belongs to the same node."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import Annotated, ClassVar, cast

from graphspec.base.config import FROM_LIST, PositiveInt, described, setting
from graphspec.vocabulary import Builder, Value, not_allowed, shapes_differ, show, wrong_dtype, wrong_rank
from graphspec.vocabulary.activations import feature_axis
from graphspec.vocabulary.layers.layer import Layer, as_float, cast_to, need_rank, positions


class Merge(Layer, arity=(2, None), handles_mask=True, takes_numbers=True, broadcasts_rows=True):
    """Base: an elementwise operator over two or more inputs, which broadcast.

    An input of lower rank gets new axes after the batch. The output has a mask only if every input has one; a step is
    masked if it is masked in every input.
    """

    op: ClassVar[str] = ""  # the operator; it takes two inputs at a time, from left to right

    def lower(self, g: Builder, *inputs: Value) -> Value:
        rank = max(X.rank for X in inputs)
        Y = self.merge(  # new axes, after the batch, drop the mask, as in Keras
            g, [X if X.rank == rank else g.Unsqueeze(X, g.constant(list(range(1, rank - X.rank + 1)))) for X in inputs]
        )
        masks = [X.mask for X in inputs if X.mask is not None]
        if len(masks) < len(inputs) or len({m.rank for m in masks}) > 1:
            return Y.with_mask(None)
        return Y.with_mask(reduce(g.Or, masks))

    def merge(self, g: Builder, inputs: Sequence[Value]) -> Value:
        """Emit the result of the inputs, which have equal rank."""
        return reduce(lambda X, Y: self.pair(g, X, Y), inputs)

    def pair(self, g: Builder, X: Value, Y: Value) -> Value:
        result: Value = g.emit(self.op, (X, Y), {})
        return result


def _over_features(g: Builder, mask: Value, X: Value) -> Value:
    """Return the mask with trailing axes of size 1, up to the rank of ``X``."""
    return g.Unsqueeze(mask, g.constant(list(range(mask.rank, X.rank)))) if mask.rank < X.rank else mask


class Add(Merge, op="Add"):
    """The sum of the inputs. Integers wrap around on overflow, as in Keras.

    Shapes: two or more inputs (batch, …) that broadcast → their broadcast shape.
    """


class Subtract(Merge, arity=(2, 2), op="Sub"):
    """The first input minus the second. Integers wrap around on overflow, as in Keras.

    Shapes: two inputs (batch, …) that broadcast → their broadcast shape.
    """


class Multiply(Merge):
    """The product of the inputs. Masked elements count as 1; the product is 0 where every input is masked.

    Integers wrap around on overflow, as in Keras.

    Shapes: two or more inputs (batch, …) that broadcast → their broadcast shape.
    """

    def merge(self, g: Builder, inputs: Sequence[Value]) -> Value:
        masks = [None if X.mask is None else _over_features(g, X.mask, X) for X in inputs]
        one = g.constant(1.0)
        factors = [X if m is None else g.Where(m, as_float(g, X), one) for X, m in zip(inputs, masks, strict=True)]
        Y = reduce(g.Mul, factors)
        if any(m is None for m in masks):
            return Y
        return g.Where(reduce(g.Or, cast("list[Value]", masks)), Y, g.constant(0.0))


class Average(Merge):
    """The mean of the inputs, always float32; integers are added in 64 bits.

    Shapes: two or more inputs (batch, …) that broadcast → their broadcast shape.
    """

    def merge(self, g: Builder, inputs: Sequence[Value]) -> Value:
        dtype = {"int32": "int64", "int64": "int64"}.get(inputs[0].dtype, "float32")
        inputs = [cast_to(g, X, dtype) for X in inputs]
        return as_float(g, reduce(g.Add, inputs)) * (1 / len(inputs))


class Extremum(Merge):
    """Base: maximum or minimum. Where one input is masked, the other one counts; from left to right, as in Keras."""

    def merge(self, g: Builder, inputs: Sequence[Value]) -> Value:
        Y, merged_mask = inputs[0], inputs[0].mask
        for X in inputs[1:]:
            mask = X.mask
            if mask is not None:
                X = g.Where(_over_features(g, mask, X), X, Y)
            if merged_mask is not None:
                Y = g.Where(_over_features(g, merged_mask, Y), Y, X)
            merged_mask = g.Or(merged_mask, mask) if merged_mask is not None and mask is not None else None
            Y = self.pair(g, Y, X)
        return Y


class Maximum(Extremum, op="Max"):
    """The largest of the inputs, element by element.

    Shapes: two or more inputs (batch, …) that broadcast → their broadcast shape.
    """


class Minimum(Extremum, op="Min"):
    """The smallest of the inputs, element by element.

    Shapes: two or more inputs (batch, …) that broadcast → their broadcast shape.
    """


class Concatenate(Layer, arity=(2, None), handles_mask=True):
    """The inputs, concatenated along ``axis``; all other axes must have equal sizes.

    The output has a mask if an input has one; an input without a mask counts as unmasked. If ``axis`` is a feature
    axis, all inputs must have a mask, and a step is masked if it is masked in every input.

    Shapes: (batch, …, a, …), (batch, …, b, …), … → (batch, …, a + b + …, …).
    """

    axis: int = setting(-1, "The axis along which the inputs are concatenated, not the batch.")

    def lower(self, g: Builder, *inputs: Value) -> Value:
        rank = inputs[0].rank
        axis = feature_axis(inputs[0], self.axis, key="axis")
        for X, Y in pairwise(inputs):
            if X.rank != Y.rank or any(X.shape[k] != Y.shape[k] for k in range(rank) if k != axis):
                raise shapes_differ(f"joins shapes that differ outside axis {self.axis}")
        dtypes = {X.dtype for X in inputs}
        if len(dtypes) > 1:
            hint = "convert the integers first: to floats with Rescaling, or to vectors with Embedding"
            raise wrong_dtype(f"joins different dtypes: {', '.join(sorted(dtypes))}", hint)
        return g.Concat(*inputs, axis=axis).with_mask(_joined_mask(g, inputs, axis))


def _joined_mask(g: Builder, inputs: Sequence[Value], axis: int) -> Value | None:
    """Return the mask of the concatenation. If the masks do not have ``axis``, a step is masked if every mask hides it."""
    masks = [X.mask for X in inputs]
    ranks = {m.rank for m in masks if m is not None}
    if len(ranks) != 1:
        return None
    rank = ranks.pop()
    if axis < rank:
        # An input without a mask gets one that hides nothing.
        every = [X.mask or g.Expand(g.constant(True), g.ints([g.size(X, k) for k in range(rank)])) for X in inputs]
        return g.Concat(*every, axis=axis)
    return None if any(m is None for m in masks) else reduce(g.Or, cast("list[Value]", masks))


Axes = Annotated[int | tuple[int, int], FROM_LIST]


class Dot(Layer, arity=(2, 2), handles_mask=True):
    """The dot product of two inputs over one axis of each, separately for every row of the batch.

    Shapes: (batch, …, k, …), (batch, …, k, …) → (batch, *axes of the first without k, *axes of the second without k).
    """

    axes: Axes = setting(..., "The axis of both inputs, or one per input; not the batch, axis 0.")
    normalize: bool = setting(False, "Whether vectors are first scaled to length 1 (cosine).")

    def lower(self, g: Builder, A: Value, B: Value) -> Value:
        axes = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        a, b = (feature_axis(X, axis, key="axes") for X, axis in zip((A, B), axes, strict=True))
        if A.shape[a] != B.shape[b]:
            text = (
                f"multiplies axes of different sizes: {A.shape[a]} of {show(A.shape)}, {B.shape[b]} of {show(B.shape)}"
            )
            raise shapes_differ(text, key="axes")
        A, B = as_float(g, A), as_float(g, B)
        if self.normalize:
            A, B = g.unit(A, [a]), g.unit(B, [b])
        kept_a = [g.size(A, k) for k in range(1, A.rank) if k != a]
        kept_b = [g.size(B, k) for k in range(1, B.rank) if k != b]
        A = g.transpose(A, (*(k for k in range(A.rank) if k != a), a))
        B = g.transpose(B, (0, b, *(k for k in range(1, B.rank) if k != b)))
        if A.rank != 3:
            A = g.reshape(A, (0, -1, g.size(A, -1))) if kept_a else g.Unsqueeze(A, g.constant([1]))
        if B.rank != 3:
            B = g.reshape(B, (0, g.size(B, 1), -1)) if kept_b else g.Unsqueeze(B, g.constant([2]))
        Y = g.MatMul(A, B)
        kept = [*kept_a, *kept_b] or [1]
        return Y if len(kept_a) == len(kept_b) == 1 else g.reshape(Y, (0, *kept))


Column = Annotated[
    int | None, described("The column of the indices, if they have a further axis: for edges (from, to), 0 or 1.", ge=0)
]


def _indices(g: Builder, ids: Value, column: int | None) -> Value:
    """Return int64 indices; only one column of the last axis if ``column`` is set."""
    if ids.dtype in ("float32", "bool"):
        raise wrong_dtype(f"needs integer indices, got {ids.dtype}", "feed it integers")
    ids = cast_to(g, ids, "int64").with_mask(ids.mask)
    if column is None:
        return ids
    if ids.rank < 3 or column >= ids.features:
        text = f"cannot read column {column} of indices {show(ids.shape)}"
        raise wrong_rank(text, "count columns of the last axis from 0", key="column")
    return g.Gather(ids, g.constant(column), axis=ids.rank - 1).with_mask(ids.mask)


class GatherNodes(Layer, arity=(2, 2), handles_mask=True):
    """The vectors of the nodes with the given indices, within each sample: ``y[b, e] = nodes[b, indices[b, e]]``.

    Indices count from 0 and must exist; padding may name any node. The output has the mask of the indices.

    Shapes: nodes (batch, nodes, …), indices (batch, edges) → (batch, edges, …).
    """

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


class Segments(Layer, arity=(2, 3), handles_mask=True):
    """Base: values that belong to segments, such as messages to nodes, joined within each sample.

    The number of segments is ``num_segments``, or the size of axis 1 of a third input, such as the nodes. Masked values
    count for nothing, and neither do values whose index is not that of a segment; an empty segment is 0.
    """

    num_segments: PositiveInt | None = setting(None, "The number of segments; null for that of the third input.")
    column: Column = None

    def lower(self, g: Builder, values: Value, ids: Value, *like: Value) -> Value:
        need_rank(values, 3, 3, "(batch, edges, features)")
        need_rank(ids, 2, None, "(batch, edges) of indices")
        if (self.num_segments is None) == (not like):
            text = (
                "needs `num_segments` or a third input" if not like else "cannot have `num_segments` and a third input"
            )
            hint = "the third input is the nodes: their number is that of segments"
            raise not_allowed(text, hint, key="num_segments")
        ids = _indices(g, ids, self.column)
        if ids.rank != 2 or ids.shape != values.shape[:2]:
            text = f"has indices {show(ids.shape)} for values {show(values.shape)}"
            raise shapes_differ(text, "give each value one index, or name a `column`")
        count: int | Value = self.num_segments or g.size(like[0], 1)
        numbers = g.constant(range(count)) if isinstance(count, int) else positions(g, count)
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


class SegmentSum(Segments):
    """The sum of the values of each segment: ``y[b, s] = Σ values[b, e]`` over all e with ``indices[b, e] = s``.

    Shapes: values (batch, edges, features), indices (batch, edges) → (batch, segments, features).
    """

    def join(self, g: Builder, belongs: Value, values: Value) -> Value:
        return g.MatMul(as_float(g, belongs), values)


class SegmentMean(Segments):
    """The mean of the values of each segment, see SegmentSum.

    Shapes: values (batch, edges, features), indices (batch, edges) → (batch, segments, features).
    """

    def join(self, g: Builder, belongs: Value, values: Value) -> Value:
        weights = as_float(g, belongs)
        count = g.Max(g.ReduceSum(weights, g.constant([2]), keepdims=1), g.constant(1.0))
        return weights @ values / count


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


class SegmentSoftmax(Segments):
    """The softmax over the values of each segment, feature by feature: ``exp(v[b, e]) / Σ exp(v[b, e'])``, see SegmentSum.

    The sum is over all e' with ``indices[b, e'] = indices[b, e]``. What belongs to no segment becomes 0.

    Shapes: values (batch, edges, features), indices (batch, edges) → (batch, edges, features).
    Veličković et al., *Graph Attention Networks*, ICLR 2018.
    """

    def lower(self, g: Builder, values: Value, ids: Value, *like: Value) -> Value:
        return super().lower(g, values, ids, *like).with_mask(values.mask or ids.mask)

    def join(self, g: Builder, belongs: Value, values: Value) -> Value:
        of_segment = as_float(g, belongs)
        of_edge = g.transpose(of_segment, (0, 2, 1))
        counts = g.Greater(g.ReduceSum(of_edge, g.constant([2]), keepdims=1), g.constant(0.0))
        largest = g.StopGradient(SegmentMax.join(self, g, belongs, values))  # type: ignore[arg-type]
        parts = g.Exp(g.Where(counts, values - of_edge @ largest, g.constant(0.0)))
        return g.Where(counts, parts / g.Max(of_edge @ (of_segment @ parts), g.constant(1e-30)), g.constant(0.0))
