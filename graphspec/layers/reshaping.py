"""Layers that rearrange values: Flatten, Reshape, Permute, RepeatVector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, cast

from pydantic import AfterValidator, Field

from graphspec.codes import Code
from graphspec.config import Ints, PositiveInt, invalid
from graphspec.errors import ShapeError
from graphspec.ir.dims import show
from graphspec.layers.base import LAYERS, Layer, need_rank
from graphspec.layers.spatial import DataFormat

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value


@LAYERS.add("Flatten")
class Flatten(Layer):
    """All axes after the batch joined to one.

    Shapes: (batch, a, b, …) → (batch, a·b·…).
    """

    data_format: DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        if self.data_format == "channels_first" and X.rank > 2:
            X = g.transpose(X, (0, *range(2, X.rank), 1))
        if X.rank == 2:
            return X
        fixed = all(isinstance(d, int) for d in X.shape[1:])
        size = math.prod(cast("tuple[int, ...]", X.shape[1:])) if fixed else -1
        return g.reshape(X, (0, size))  # 0 keeps the batch


def _sizes(shape: tuple[int, ...]) -> tuple[int, ...]:
    if any(d < 1 and d != -1 for d in shape) or shape.count(-1) > 1:
        raise invalid("must have sizes of at least 1, and at most one -1 for the remaining size", show_value=True)
    return shape


@LAYERS.add("Reshape")
class Reshape(Layer):
    r"""The same values in another shape.

    Shapes: (batch, …) → (batch, \*target_shape).
    """

    target_shape: Annotated[
        Ints,
        AfterValidator(_sizes),
        Field(description="The sizes without the batch; one may be -1 for the remaining size."),
    ]

    def lower(self, g: Builder, X: Value) -> Value:
        shape, target = X.shape[1:], self.target_shape
        if all(isinstance(d, int) for d in shape):
            total = math.prod(cast("tuple[int, ...]", shape))
            known = math.prod(d for d in target if d != -1)
            if total % known or (-1 not in target and total != known):
                what = f"{known} elements" if -1 not in target else f"a multiple of {known}"
                text = (
                    f"cannot reshape {show(shape)}, which has {total} elements, to {show(target)}, which needs {what}"
                )
                hint = f"set one size to -1, or choose sizes whose product is {total}"
                raise ShapeError(Code.SIZES_DO_NOT_FIT, text, hint=hint, key="target_shape")
            target = tuple(total // known if d == -1 else d for d in target)
        elif -1 not in target:
            text = f"cannot reshape {show(shape)}, which varies, to the fixed {show(target)}"
            raise ShapeError(Code.SIZE_NOT_FIXED, text, hint="use -1 for the size that varies", key="target_shape")
        return g.reshape(X, (0, *target))


def _permutation(dims: tuple[int, ...]) -> tuple[int, ...]:
    if sorted(dims) != list(range(1, len(dims) + 1)):
        raise invalid("must contain every axis from 1 on once, without the batch", show_value=True)
    return dims


@LAYERS.add("Permute")
class Permute(Layer):
    """The axes in another order: axis k of the output is axis ``dims[k-1]`` of the input.

    Shapes: (batch, …) → (batch, the sizes in the order of ``dims``).
    """

    dims: Annotated[
        Ints,
        AfterValidator(_permutation),
        Field(description="The order of the axes, counted from 1, without the batch."),
    ]

    def lower(self, g: Builder, X: Value) -> Value:
        if X.rank != len(self.dims) + 1:
            text = f"needs rank-{len(self.dims) + 1} data for dims {list(self.dims)}, got {show(X.shape)}"
            hint = f"list the axes 1 to {X.rank - 1} in the new order"
            raise ShapeError(Code.WRONG_RANK, text, hint=hint, key="dims")
        return g.transpose(X, (0, *self.dims))


@LAYERS.add("RepeatVector")
class RepeatVector(Layer):
    """A vector, repeated n times along a new time axis.

    Shapes: (batch, features) → (batch, n, features).
    """

    n: Annotated[PositiveInt, Field(description="The number of repetitions.")]

    def lower(self, g: Builder, X: Value) -> Value:
        need_rank(X, 2, 2, "(batch, features)", hint="add Flatten before it")
        return g.Expand(g.Unsqueeze(X, g.constant([1])), g.constant([1, self.n, 1]))
