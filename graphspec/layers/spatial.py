"""What convolution, pooling and resizing share: axis order, windows and their padding.

The graph is channels first, as ONNX is. A layer of Keras's ``channels_last`` is lowered between two Transposes: they are
views when running, and a pass cancels them between neighbours in the exported file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from graphspec.codes import Code
from graphspec.errors import ShapeError
from graphspec.ir.dims import Dim, free, show
from graphspec.layers.base import as_float

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

DataFormat = Annotated[
    Literal["channels_last", "channels_first"] | None,
    Field(description="Where the channels stand; null means channels_last."),
]
_AXES = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def axes_of(rank: int, data_format: str | None) -> str:
    """``(batch, height, width, channels)``."""
    spatial = _AXES[rank]
    names = ("channels", *spatial) if data_format == "channels_first" else (*spatial, "channels")
    return f"({', '.join(('batch', *names))})"


def need_spatial(X: Value, rank: int, data_format: str | None) -> None:
    """GS301 unless ``X`` has a batch, ``rank`` spatial axes and channels."""
    if X.rank != rank + 2:
        text = f"needs rank-{rank + 2} data {axes_of(rank, data_format)}, got {show(X.shape)}"
        raise ShapeError(Code.WRONG_RANK, text, hint=rank_hint(X, rank, data_format))


def channels_first(g: Builder, X: Value, rank: int, data_format: str | None) -> Value:
    """``X`` as float32, its mask kept, with its channels in front of ``rank`` spatial axes; GS301 for another rank."""
    need_spatial(X, rank, data_format)
    return in_front(g, as_float(g, X), rank, data_format)


def in_front(g: Builder, X: Value, rank: int, data_format: str | None) -> Value:
    """``X``, its mask kept, with its channels in front of ``rank`` spatial axes."""
    if data_format == "channels_first":
        return X
    return g.transpose(X, (0, rank + 1, *range(1, rank + 1))).with_mask(X.mask)


def rank_hint(X: Value, rank: int, data_format: str | None) -> str:
    """How to bring ``X`` to a batch, ``rank`` spatial axes and channels."""
    if X.rank == rank + 1:
        sizes = [d if isinstance(d, int) else -1 for d in X.shape[1:]]
        shape = [1, *sizes] if data_format == "channels_first" else [*sizes, 1]
        if shape.count(-1) < 2:
            return f"add a channel axis: a Reshape with `target_shape: {shape}`"
    if X.rank < rank + 2:
        return f"bring it to {axes_of(rank, data_format)} first, such as with Reshape"
    if rank == 1 and X.rank == 4:
        return "for images use the layer's 2D form"
    return "wrap the layer in TimeDistributed, or join axes with Reshape"


def from_channels_first(g: Builder, Y: Value, data_format: str | None) -> Value:
    """The inverse of :func:`channels_first`."""
    return Y if data_format == "channels_first" else g.transpose(Y, (0, *range(2, Y.rank), 1))


def window(
    X: Value,
    size: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int] | None = None,
    *,
    key: str,
) -> dict[str, Any]:
    """The attributes ``pads`` or ``auto_pad`` of a window over the channels-first ``X``; GS303 where it does not fit.

    ``same`` is TensorFlow's: as many outputs as strides, the odd element of padding at the end. ``causal`` pads in front.
    """
    extents = [(k - 1) * d + 1 for k, d in zip(size, dilations or [1] * len(size), strict=True)]
    spatial = X.shape[2:]
    if padding == "causal":
        return {"pads": (extents[0] - 1, 0)}
    if padding == "valid":
        for k, (name, extent, d) in enumerate(zip(_AXES[len(size)], extents, spatial, strict=True)):
            if isinstance(d, int) and extent > d:
                made = f" ({key} {size[k]}, dilation_rate {dilations[k]})" if dilations and dilations[k] > 1 else ""
                text = f"has a window of {extent}{made} along the {name}, but its input has {d} there"
                hint = f"set `padding: same`, or a smaller `{key}`"
                raise ShapeError(Code.WINDOW_TOO_LARGE, text, hint=hint, key=key)
        return {}
    before, after = [], []
    for name, extent, stride, d in zip(_AXES[len(size)], extents, strides, spatial, strict=True):
        if isinstance(d, int):
            most = least = max((-(-d // stride) - 1) * stride + extent - d, 0)
        else:  # by the remainder of its size
            most, least = extent - 1, max(extent - stride, 0)
        if most // 2 != least // 2:  # what stands in front is known only when running
            need_auto_pad(name, d, size, strides, dilations)
            return {"auto_pad": "SAME_UPPER"}
        before.append(most // 2)
        after.append(most - most // 2)
    return {"pads": (*before, *after)} if any(before) or any(after) else {}


def need_auto_pad(
    name: str, d: Dim, size: Sequence[int], strides: Sequence[int], dilations: Sequence[int] | None
) -> None:
    """GS305 where onnxruntime has no ``SAME_UPPER``: with dilation, and in pooling with strides beyond the window."""
    if dilations is None:
        refused, key = any(s > k for s, k in zip(strides, size, strict=True)), "strides"
        where, hint = "with strides above the pool_size", "use strides up to the pool_size"
    else:
        refused, key = max(dilations) > 1, "dilation_rate"
        where, hint = "with strides and a dilation_rate above 1", "set one of them to 1"
    if refused:
        text = f"cannot pad along the {name}, whose size '{d}' varies, by `padding: same` {where}"
        hint = f"{hint}, set `padding: valid`, or give {free(str(d))} a number in `inputs`"
        raise ShapeError(Code.SIZE_NOT_FIXED, text, hint=hint, key=key)
