"""Layers that rearrange values: Flatten, Reshape, Permute, RepeatVector; and images by tiles."""

from __future__ import annotations

import math
from functools import reduce
from typing import Annotated

from pydantic import AfterValidator

from graphspec.base.config import FROM_LIST, Ints, PositiveInt, Size2, described, invalid, setting
from graphspec.graph.ir.dims import Shape, show, show_dim
from graphspec.graph.ir.dims import product as count
from graphspec.graph.size_formulas import Formulas, Size, parse, product
from graphspec.vocabulary import Builder, ShapeError, Value, not_fixed, wrong_rank, wrong_size
from graphspec.vocabulary.layers.layer import Layer, need_rank
from graphspec.vocabulary.layers.spatial import DataFormat, channels_last, from_channels_last, need_spatial


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
        sizes = [d for d in X.shape[1:] if isinstance(d, int)]
        return g.reshape(X, (0, math.prod(sizes) if len(sizes) == X.rank - 1 else -1))  # 0 keeps the batch


def _sizes(shape: tuple[int | str, ...]) -> tuple[int | str, ...]:
    if any(isinstance(d, int) and d < -1 for d in shape) or shape.count(-1) > 1:
        text = "must have sizes of at least 1, 0 for the size at that place, and at most one -1 for the remaining size"
        raise invalid(text, show_value=True)
    for d in shape:
        if isinstance(d, str):
            parse(d)
    return shape


class Reshape(Layer):
    r"""The same values in another shape.

    A size is a number, a name of a size that varies, such as ``time``, or a formula of them: ``time * 2``, ``height / 4``.
    A division must work out; a batch for which it does not is an error.

    Shapes: (batch, …) → (batch, \*target_shape).
    """

    target_shape: Annotated[tuple[int | str, ...], FROM_LIST, AfterValidator(_sizes)] = setting(
        ...,
        "The sizes without the batch: numbers, formulas of sizes that vary, 0 for the input's size at that "
        "place; one may be -1 for the remaining size.",
    )

    def lower(self, g: Builder, X: Value) -> Value:
        shape = X.shape[1:]
        formulas = Formulas(g, X, "target_shape")
        sizes = [self._size(formulas, shape, k) for k in range(len(self.target_shape))]
        total, fixed = product(map(Size.of, shape)), product(size for size in sizes if size is not None)
        rest = total.times(fixed, -1)
        if rest != Size() if None not in sizes else not rest.divides or not (rest.atoms or rest.is_integer):
            raise self._misfit(shape, total, fixed)
        target = [rest if size is None else size for size in sizes]
        dims = [
            0 if d == 0 else formulas.value(size) if size.atoms else int(size.coefficient)
            for d, size in zip(self.target_shape, target, strict=True)
        ]
        if count(shape) == count(tuple(size.dim for size in target)):
            return g.reshape(X, (0, *dims))
        # Divisions are rounded up. If one has a remainder, there are fewer elements than wanted, and Reshape fails.
        dims = [g.size(X, k + 1) if d == 0 else d for k, d in enumerate(dims)]
        wanted = reduce(g.Mul, (g.constant([d]) if isinstance(d, int) else d for d in dims))
        flat = g.Slice(g.reshape(X, (0, -1)), g.constant([0]), wanted, g.constant([1]))
        return g.reshape(flat, (0, *dims))

    def _size(self, formulas: Formulas, shape: Shape, k: int) -> Size | None:
        """Return size ``k`` of the target; None for -1."""
        d = self.target_shape[k]
        if isinstance(d, str):
            return formulas.size(parse(d))
        if d == 0 and k >= len(shape):
            text = f"has a 0 for axis {k + 1}, which {show(shape)} does not have"
            raise wrong_rank(text, "write the size itself", key="target_shape")
        return None if d == -1 else Size.of(shape[k] if d == 0 else d)

    def _misfit(self, shape: Shape, total: Size, fixed: Size) -> ShapeError:
        target = f"({', '.join(map(str, self.target_shape))}{',' if len(self.target_shape) == 1 else ''})"
        if total.atoms and not fixed.atoms and -1 not in self.target_shape:
            text = f"cannot reshape {show(shape)}, which varies, to the fixed {target}"
            return not_fixed(text, "use -1 for the size that varies, or its name", key="target_shape")
        elements, size = show_dim(total.dim), show_dim(fixed.dim)
        what = f"a multiple of {size}" if -1 in self.target_shape else f"{size} elements"
        text = f"cannot reshape {show(shape)}, which has {elements} elements, to {target}, which needs {what}"
        return wrong_size(text, f"set one size to -1, or choose sizes whose product is {elements}", key="target_shape")


def _permutation(dims: tuple[int, ...]) -> tuple[int, ...]:
    if sorted(dims) != list(range(1, len(dims) + 1)):
        raise invalid("must contain every axis from 1 on once, without the batch", show_value=True)
    return dims


class Permute(Layer):
    """The axes in another order: axis k of the output is axis ``dims[k-1]`` of the input.

    Shapes: (batch, …) → (batch, the sizes in the order of ``dims``).
    """

    dims: Annotated[Ints, AfterValidator(_permutation)] = setting(
        ..., "The order of the axes, counted from 1, without the batch."
    )

    def lower(self, g: Builder, X: Value) -> Value:
        if X.rank != len(self.dims) + 1:
            text = f"needs rank-{len(self.dims) + 1} data for dims {list(self.dims)}, got {show(X.shape)}"
            raise wrong_rank(text, f"list the axes 1 to {X.rank - 1} in the new order", key="dims")
        return g.transpose(X, (0, *self.dims))


class RepeatVector(Layer):
    """A vector, repeated n times along a new time axis.

    Shapes: (batch, features) → (batch, n, features).
    """

    n: PositiveInt = setting(..., "The number of repetitions.")

    def lower(self, g: Builder, X: Value) -> Value:
        need_rank(X, 2, 2, "(batch, features)", hint="add Flatten before it")
        return g.Expand(g.Unsqueeze(X, g.constant([1])), g.constant([1, self.n, 1]))


class Tiles(Layer):
    """Base: images of tiles of fixed size, channels last inside."""

    data_format: DataFormat = None

    def image(self, g: Builder, X: Value) -> Value:
        """Return images with the channels last."""
        need_spatial(X, 2, self.data_format)
        return channels_last(g, X, self.data_format)

    def tiled(self, g: Builder, X: Value, height: int, width: int, key: str) -> Value:
        """Return (batch, rows, columns, height, width, channels) from images in the order of ``data_format``."""
        X = self.image(g, X)
        sizes = X.fixed(1), X.fixed(2)
        if sizes[0] % height or sizes[1] % width:
            text = f"cannot divide images of {sizes[0]} · {sizes[1]} pixels into tiles of {height} · {width}"
            raise wrong_size(text, "crop or resize them first", key=key)
        rows, columns = sizes[0] // height, sizes[1] // width
        return g.transpose(g.reshape(X, (0, rows, height, columns, width, X.features)), (0, 1, 3, 2, 4, 5))


class Patches(Tiles):
    """Images cut into patches that do not overlap, row by row: each is a vector of its pixels.

    A Dense layer after it is the patch embedding of a vision transformer. In a vector, pixels are in the order of their
    rows, then columns, then channels.

    Shapes: (batch, height, width, channels) → (batch, patches, patch height · patch width · channels).
    """

    patch_size: Size2 = setting(..., "Height and width of a patch.")

    def lower(self, g: Builder, X: Value) -> Value:
        height, width = self.patch_size
        Y = self.tiled(g, X, height, width, "patch_size")
        return g.reshape(Y, (0, Y.fixed(1) * Y.fixed(2), height * width * Y.features))


BlockSize = Annotated[int, described("Height and width of a block of pixels.", ge=1, le=1 << 15)]


class SpaceToDepth(Tiles):
    """Blocks of pixels become channels, as in TensorFlow: in a block by rows, then columns, then channels.

    Shapes: (batch, height, width, c) → (batch, height / b, width / b, b² · c) for the block size b.
    """

    block_size: BlockSize

    def lower(self, g: Builder, X: Value) -> Value:
        b = self.block_size
        Y = self.tiled(g, X, b, b, "block_size")
        return from_channels_last(g, g.reshape(Y, (0, Y.fixed(1), Y.fixed(2), b * b * Y.features)), self.data_format)


class DepthToSpace(Tiles):
    """Channels become blocks of pixels: the reverse of SpaceToDepth, as in TensorFlow. Also called pixel shuffle.

    PyTorch's PixelShuffle has the channels of its input in another order.

    Shapes: (batch, height, width, b² · c) → (batch, b · height, b · width, c) for the block size b.
    Shi et al., *Real-Time Single Image and Video Super-Resolution*, CVPR 2016.
    """

    block_size: BlockSize

    def lower(self, g: Builder, X: Value) -> Value:
        X, b = self.image(g, X), self.block_size
        if X.features % (b * b):
            text = f"cannot make blocks of {b} · {b} pixels from {X.features} channels"
            raise wrong_size(text, f"give it a multiple of {b * b} channels", key="block_size")
        channels = X.features // (b * b)
        height, width = g.size(X, 1), g.size(X, 2)
        split = g.transpose(g.reshape(X, (0, height, width, b, b, channels)), (0, 1, 3, 2, 4, 5))
        sizes = [n * b if isinstance(n, int) else g.Mul(n, g.constant([b])) for n in (height, width)]
        return from_channels_last(g, g.reshape(split, (0, *sizes, channels)), self.data_format)
