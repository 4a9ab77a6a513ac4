"""Axis order, windows and padding, shared by convolution, pooling and resizing.

Graphs are channels first, like ONNX. A layer with Keras's ``channels_last`` is lowered between two Transposes. These
are views at run time, and a pass cancels them between neighbours in the exported file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import create_model

from graphspec.base.config import described
from graphspec.graph.ir.dims import Dim, names_in, show
from graphspec.vocabulary import Builder, Code, ShapeError, Value, not_fixed, wrong_rank
from graphspec.vocabulary.layers.layer import LAYERS, Layer, as_float

DataFormat = Annotated[
    Literal["channels_last", "channels_first"] | None,
    described("The position of the channel axis; null means channels_last."),
]
_AXES = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_DATA = {1: "sequences", 2: "images", 3: "volumes"}


def by_rank(
    base: type[Layer],
    names: str,
    sentences: str | Sequence[str],
    shapes: str | Sequence[str] = "(batch, {axes}, channels) → (batch, {out}, channels).",
    ranks: Sequence[int] = (1, 2, 3),
    /,
    **fields: Callable[[int], tuple[Any, Any]] | str,
) -> None:
    """Register the layers of one idea that differ by their number of spatial axes: one of each rank.

    Args:
        names: the name of the layers, with ``{}`` for the rank (``Conv{}D``), then their other names.
        sentences: the first sentence of the docstring, for all ranks or of each. ``{data}`` stands for ``images``,
            ``{over}`` for ``over images`` or ``along time``.
        shapes: what follows behind ``Shapes:``. ``{axes}`` names the axes, ``{out}`` axes of another size; ``{star}`` is
            ``*`` from rank 2 on.
        fields: arguments that depend on the rank: functions that return the type and the default; and class attributes.
    """
    for k, rank in enumerate(ranks):
        axes, data = _AXES[rank], _DATA[rank]
        words = {
            "data": data,
            "over": "along time" if rank == 1 else f"over {data}",
            "axes": ", ".join(axes),
            "out": ", ".join(f"{axis}′" for axis in axes),
            "star": "*" * (rank > 1),
        }
        texts = (text if isinstance(text, str) else text[k] for text in (sentences, shapes))
        each = names.replace("{}", str(rank)).split()
        text = "\n\nShapes: ".join(texts).format_map(words)
        LAYERS.row(each, partial(_of_rank, each[0], base, rank, text, fields))
    # The layers of each rank are unpickled as attributes of their module.
    vars(sys.modules[base.__module__])["__getattr__"] = partial(LAYERS.attribute, base.__module__)


def _of_rank(
    name: str, base: type[Layer], rank: int, text: str, fields: Mapping[str, Callable[[int], tuple[Any, Any]] | str]
) -> type[Layer]:
    own: dict[str, Any] = {key: field(rank) for key, field in fields.items() if not isinstance(field, str)}
    facts = {"rank": rank} | {key: fact for key, fact in fields.items() if isinstance(fact, str)}
    options: dict[str, Any] = {"__module__": base.__module__, "__doc__": text, "__cls_kwargs__": facts}
    return create_model(name, __base__=base, **options, **own)


def of_rank(names: str, rank: int) -> Any:
    """Return the layer for so many spatial axes: ``Conv{}D`` and 2 give Conv2D."""
    return LAYERS.get(names.format(rank))


def of_window(rank: int) -> str:
    """Return how the sizes of a window are called: ``height and width``."""
    *first, last = ("length",) if rank == 1 else _AXES[rank]
    return f"{', '.join(first)} and {last}" if first else last


def axes_of(rank: int, data_format: str | None) -> str:
    """Return the names of the axes, such as ``(batch, height, width, channels)``."""
    spatial = _AXES[rank]
    names = ("channels", *spatial) if data_format == "channels_first" else (*spatial, "channels")
    return f"({', '.join(('batch', *names))})"


def need_spatial(X: Value, rank: int, data_format: str | None) -> None:
    """Raise GS301 unless ``X`` has a batch, ``rank`` spatial axes and channels."""
    if X.rank != rank + 2:
        text = f"needs rank-{rank + 2} data {axes_of(rank, data_format)}, got {show(X.shape)}"
        raise wrong_rank(text, rank_hint(X, rank, data_format))


def channels_first(g: Builder, X: Value, rank: int, data_format: str | None) -> Value:
    """Return ``X`` as float32, channels first, with its mask; raise GS301 unless it has ``rank`` spatial axes."""
    need_spatial(X, rank, data_format)
    return to_channels_first(g, as_float(g, X), rank, data_format)


def to_channels_first(g: Builder, X: Value, rank: int, data_format: str | None) -> Value:
    """Return ``X`` with the channels before the ``rank`` spatial axes, with its mask."""
    if data_format == "channels_first":
        return X
    return g.transpose(X, (0, rank + 1, *range(1, rank + 1))).with_mask(X.mask)


def rank_hint(X: Value, rank: int, data_format: str | None) -> str:
    """Return the hint how to reshape ``X`` to a batch, ``rank`` spatial axes and channels."""
    if X.rank == rank + 1:
        sizes = [d if isinstance(d, int) else -1 for d in X.shape[1:]]
        shape = [1, *sizes] if data_format == "channels_first" else [*sizes, 1]
        if shape.count(-1) < 2:
            return f"add a channel axis: a Reshape with `target_shape: {shape}`"
    if X.rank < rank + 2:
        return f"bring it to {axes_of(rank, data_format)} first, for example with Reshape"
    if rank == 1 and X.rank == 4:
        return "for images use the layer's 2D form"
    return "wrap the layer in TimeDistributed, or join axes with Reshape"


def channels_last(g: Builder, X: Value, data_format: str | None) -> Value:
    """Return images with the channels last."""
    return g.transpose(X, (0, 2, 3, 1)) if data_format == "channels_first" else X


def from_channels_last(g: Builder, Y: Value, data_format: str | None) -> Value:
    """Return the channels-last images ``Y`` in the order of ``data_format``."""
    return g.transpose(Y, (0, 3, 1, 2)) if data_format == "channels_first" else Y


def from_channels_first(g: Builder, Y: Value, data_format: str | None) -> Value:
    """Return the channels-first ``Y`` in the order of ``data_format``."""
    return Y if data_format == "channels_first" else g.transpose(Y, (0, *range(2, Y.rank), 1))


Sizes = Sequence[int]  # numbers, one for each spatial axis


def window(
    X: Value, size: Sizes, strides: Sizes, padding: str, dilations: Sizes | None = None, *, key: str
) -> dict[str, Any]:
    """Return the attributes ``pads`` or ``auto_pad`` of a window over the channels-first ``X``.

    ``same`` is TensorFlow's: one output per stride, with the odd element of padding at the end. ``causal`` pads only at
    the start. A window that is larger than an axis without padding is a ShapeError, GS303.
    """
    extents = [(k - 1) * d + 1 for k, d in zip(size, dilations or [1] * len(size), strict=True)]
    spatial = X.shape[2:]
    if padding == "causal":
        return {"pads": (extents[0] - 1, 0)}
    if padding == "valid":
        for k, (name, extent, d) in enumerate(zip(_AXES[len(size)], extents, spatial, strict=True)):
            if isinstance(d, int) and extent > d:
                details = f" ({key} {size[k]}, dilation_rate {dilations[k]})" if dilations and dilations[k] > 1 else ""
                text = f"has a window of {extent}{details} along the {name}, but its input has size {d} there"
                raise ShapeError(Code.WINDOW_TOO_LARGE, text, f"set `padding: same`, or a smaller `{key}`", key=key)
        return {}
    before, after = [], []
    for name, extent, stride, d in zip(_AXES[len(size)], extents, strides, spatial, strict=True):
        if isinstance(d, int):
            largest = smallest = max((-(-d // stride) - 1) * stride + extent - d, 0)
        else:  # depends on the remainder of size / stride
            largest, smallest = extent - 1, max(extent - stride, 0)
        if largest // 2 != smallest // 2:  # the padding at the start is unknown until run time
            need_auto_pad(name, d, size, strides, dilations)
            return {"auto_pad": "SAME_UPPER"}
        before.append(largest // 2)
        after.append(largest - largest // 2)
    return {"pads": (*before, *after)} if any(before) or any(after) else {}


def need_auto_pad(name: str, d: Dim, size: Sizes, strides: Sizes, dilations: Sizes | None) -> None:
    """Raise GS305 if onnxruntime does not support ``SAME_UPPER``: with dilation, or pooling strides above the window."""
    if dilations is None:
        refused, key = any(s > k for s, k in zip(strides, size, strict=True)), "strides"
        condition, hint = "with strides above the pool_size", "use strides up to the pool_size"
    else:
        refused, key = max(dilations) > 1, "dilation_rate"
        condition, hint = "with strides and a dilation_rate above 1", "set one of them to 1"
    if refused:
        text = f"cannot pad along the {name}, with the varying size '{d}', by `padding: same` {condition}"
        raise not_fixed(text, f"{hint}, set `padding: valid`, or give {names_in(str(d))} a number in `inputs`", key=key)
