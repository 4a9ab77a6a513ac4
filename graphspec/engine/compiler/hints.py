"""Hints for inputs that cannot be merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphspec.graph.ir.dims import ceildiv, mul

if TYPE_CHECKING:
    from graphspec.engine.compiler.lowered import Lowered
    from graphspec.graph.ir.dims import Dim, Shape
    from graphspec.graph.ir.graph import Value
    from graphspec.language.declarations import Ref


def merge_hint(refs: Sequence[Ref], lowered: Lowered, axis: int | None) -> str:
    """Return a hint how to make the shapes of ``refs`` equal.

    Args:
        axis: the axis of a concatenation, along which sizes may differ; None for a layer that broadcasts.
    """
    values = [v for r in refs if (v := lowered.value(r)) is not None]
    if len({v.rank for v in values}) > 1:
        return "give them the same rank first, for example with Flatten or Reshape"
    if padding := _padding_hint(refs, lowered):
        return padding
    rank = values[0].rank
    broadcasts: set[Dim] = {1} if axis is None else set()
    sizes = {k: {v.shape[k] for v in values} - broadcasts for k in range(1, rank) if axis is None or k != axis % rank}
    differing = [k for k, found in sizes.items() if len(found) > 1]
    names = {str(d) for k in differing for d in sizes[k] if str(d).isidentifier()}
    if differing and sum(len(sizes[k]) for k in differing) == len(names):
        return f"if these sizes are equal, give them one name in `inputs`: {', '.join(sorted(names))}"
    if differing == [rank - 1]:
        layer = "a 1×1 convolution" if rank > 3 else "a Dense"
        return f"make the sizes of the last axis equal, for example with {layer} before the merge"
    if not differing:
        return "make the shapes equal"
    axes = f"axis {differing[0]}" if len(differing) == 1 else f"axes {' and '.join(map(str, differing))}"
    return f"make the sizes of {axes} equal, for example with pooling{_resizing(rank)}"


def _resizing(rank: int) -> str:
    """Return layers that enlarge axes of data of this rank."""
    return f", UpSampling{rank - 2}D or ZeroPadding{rank - 2}D" if 3 <= rank <= 5 else " or padding"


def _padding_hint(refs: Sequence[Ref], lowered: Lowered) -> str | None:
    """Return a hint to the nodes that must pad, or None if padding does not make all spatial sizes equal."""
    wrong: dict[str, str] = {}
    spatial: set[Shape] = set()
    for ref in refs:
        decl, value = lowered.declared.get(ref.name), lowered.value(ref)
        layer = getattr(decl, "layer", None)
        assert value is not None
        if getattr(layer, "padding", None) == "valid" and (before := _input_of(decl, lowered)) is not None:
            strides = getattr(layer, "strides", None) or layer.pool_size  # type: ignore[union-attr]
            size = mul if hasattr(layer, "output_padding") else ceildiv  # a transposed convolution enlarges
            padded = tuple(size(d, s) for d, s in zip(_spatial(layer, before.shape), strides, strict=True))
            if padded != _spatial(layer, value.shape):
                line = decl.mark.line  # type: ignore[union-attr]
                wrong[ref.name] = f"'{ref.name}'" + (f" (line {line})" if line else "")
            spatial.add(padded)
        else:
            spatial.add(_spatial(layer, value.shape))
    return f"set `padding: same` on {' and '.join(wrong.values())}" if wrong and len(spatial) == 1 else None


def _input_of(decl: Any, lowered: Lowered) -> Value | None:
    """Return the input of a layer with a window, or None if it is unknown."""
    return lowered.value(decl.inputs[0]) if len(decl.inputs) == 1 else None


def _spatial(layer: Any, shape: Shape) -> Shape:
    return shape[2:] if getattr(layer, "data_format", None) == "channels_first" else shape[1:-1]
