"""Operations of ``keras.ops.image``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import Natural, Size2
from graphspec.base.errors import ShapeError
from graphspec.vocabulary.layers.base import LAYERS, as_float
from graphspec.vocabulary.layers.image import Resizing
from graphspec.vocabulary.layers.padding import pad_or_crop
from graphspec.vocabulary.layers.resampling import Interpolation
from graphspec.vocabulary.layers.spatial import DataFormat, need_spatial
from graphspec.vocabulary.operations.base import Function, Operation, layer_class

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

Border = Annotated[Natural | None, Field(description="The rows or columns on this side; null: what the target leaves.")]
Target = Annotated[Natural | None, Field(description="The size afterwards; null: what the borders leave.")]


Given = tuple[int | None, int | None, int | None]
"""The first border, the second one and the target, of which two are given."""


def image(function: Function) -> type[Operation]:
    """Make a layer from a function and register it under ``ops.image.<its name>`` (a decorator)."""
    made = layer_class(f"ops.image.{function.__name__}", function)
    LAYERS.add(made.__name__)(made)
    return made


@image
def resize(
    g: Builder,
    images: Value,
    *,
    size: Annotated[Size2, Field(description="The height and width of the output.")],
    interpolation: Interpolation = "bilinear",
    antialias: Annotated[bool, Field(description="Average over more pixels when an image is reduced.")] = False,
    data_format: DataFormat = None,
) -> Value:
    """Images of another size, as the layer Resizing."""
    layer = Resizing(
        height=size[0], width=size[1], interpolation=interpolation, antialias=antialias, data_format=data_format
    )
    return layer.lower(g, images)


@image
def rgb_to_grayscale(g: Builder, images: Value, *, data_format: DataFormat = None) -> Value:
    """``0.2989 · red + 0.587 · green + 0.114 · blue``, one channel."""
    need_spatial(images, 2, data_format)
    axis = 1 if data_format == "channels_first" else 3
    if images.fixed(axis) != 3:
        raise ShapeError(Code.SIZES_DO_NOT_FIT, f"needs 3 channels, got {images.fixed(axis)}", key="data_format")
    weights = g.constant([0.2989, 0.587, 0.114] if axis == 3 else [[[0.2989]], [[0.587]], [[0.114]]])
    return g.ReduceSum(g.Mul(as_float(g, images), weights), g.constant([axis]), keepdims=1)


def borders(
    size: int, before: int | None, after: int | None, target: int | None, sign: int, key: str
) -> tuple[int, int]:
    """Return both borders of an axis, of which two of three numbers are given; ``sign`` is -1 for cropping."""
    if sum(number is not None for number in (before, after, target)) != 2:
        text = f"needs two of the three numbers of the {key}: both borders, or one and target_{key}"
        raise ShapeError(Code.VALUE_NOT_ALLOWED, text, key=f"target_{key}")
    more = 0 if target is None else sign * (target - size)
    found = (more - (after or 0) if before is None else before, more - (before or 0) if after is None else after)
    if min(found) < 0:
        text = f"needs borders {found[0]} and {found[1]} of the {key}, and no border is negative"
        raise ShapeError(Code.VALUE_NOT_ALLOWED, text, key=f"target_{key}")
    return found


def _bordered(
    g: Builder,
    images: Value,
    rows: Given,
    columns: Given,
    form: DataFormat,
    sign: int,
) -> Value:
    need_spatial(images, 2, form)
    first = 2 if form == "channels_first" else 1
    pairs = [
        borders(images.fixed(axis), *numbers, sign, key)
        for axis, numbers, key in ((first, rows, "height"), (first + 1, columns, "width"))
    ]
    return pad_or_crop(g, images, pairs, form, sign)


@image
def pad_images(  # noqa: PLR0913 (Keras's arguments)
    g: Builder,
    images: Value,
    *,
    top_padding: Border = None,
    left_padding: Border = None,
    bottom_padding: Border = None,
    right_padding: Border = None,
    target_height: Target = None,
    target_width: Target = None,
    data_format: DataFormat = None,
) -> Value:
    """Images with zeros around them; of each axis, two of both borders and the target are given."""
    rows, columns = (top_padding, bottom_padding, target_height), (left_padding, right_padding, target_width)
    return _bordered(g, images, rows, columns, data_format, 1)


@image
def crop_images(  # noqa: PLR0913 (Keras's arguments)
    g: Builder,
    images: Value,
    *,
    top_cropping: Border = None,
    left_cropping: Border = None,
    bottom_cropping: Border = None,
    right_cropping: Border = None,
    target_height: Target = None,
    target_width: Target = None,
    data_format: DataFormat = None,
) -> Value:
    """Images without their borders; of each axis, two of both borders and the target are given."""
    rows, columns = (top_cropping, bottom_cropping, target_height), (left_cropping, right_cropping, target_width)
    return _bordered(g, images, rows, columns, data_format, -1)


@image
def extract_patches(
    g: Builder,
    images: Value,
    *,
    size: Annotated[Size2, Field(description="The height and width of a patch.")],
    strides: Annotated[Size2 | None, Field(description="The step between patches; null for their size.")] = None,
    dilation_rate: Annotated[Size2, Field(description="The distance between the pixels of a patch.")] = (1, 1),
    padding: Annotated[
        Literal["valid", "same"], Field(description="same: zeros around, so that strides divide.")
    ] = "valid",
    data_format: DataFormat = None,
) -> Value:
    """Patches as channels: (batch, h, w, c) → (batch, h′, w′, height · width · c), pixel by pixel."""
    need_spatial(images, 2, data_format)
    first = data_format == "channels_first"
    x = g.transpose(images, [0, 2, 3, 1]) if first else images
    steps = size if strides is None else strides
    places, borders_of = [], []
    for axis in (0, 1):
        whole, extent = x.fixed(axis + 1), (size[axis] - 1) * dilation_rate[axis] + 1
        more = max((-(-whole // steps[axis]) - 1) * steps[axis] + extent - whole, 0) if padding == "same" else 0
        borders_of.append((more // 2, more - more // 2))
        starts = np.arange(0, whole + more - extent + 1, steps[axis])
        if not len(starts):
            text = f"cannot take patches of {extent} pixels from {whole}"
            raise ShapeError(Code.WINDOW_TOO_LARGE, text, key="size")
        places.append(starts[:, None] + np.arange(size[axis]) * dilation_rate[axis])
    padded = pad_or_crop(g, x, borders_of, None, 1) if any(map(any, borders_of)) else x
    rows, columns = places
    width = padded.fixed(2)
    at = rows[:, None, :, None] * width + columns[None, :, None, :]  # h′, w′, height, width
    flat = g.reshape(padded, [g.size(padded, 0), padded.fixed(1) * width, padded.fixed(3)])
    found = g.Gather(flat, g.constant(at.reshape(len(rows), len(columns), -1)), axis=1)
    y = g.reshape(found, [g.size(padded, 0), len(rows), len(columns), size[0] * size[1] * padded.fixed(3)])
    return g.transpose(y, [0, 3, 1, 2]) if first else y
