"""Which nodes of a model only pass on masks that a spec infers again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphspec.foreign.keras_files.model_def import Call, LayerDef, ModelDef, Ref, refs_in

MASK_KEYS = ("mask", "query_mask", "value_mask", "key_mask")
_JOINED = {"LogicalOr", "LogicalAnd", "Any", "All", "Concatenate", "ExpandDims", "Squeeze", "ConvertToTensor", "Cast"}
"""The operations with which Keras's layers make the mask of their output from those of their inputs."""
_SAME_FOR_ALL = {"ZerosLike", "OnesLike"}
"""Operations with which these read data: they hide nothing, or give a mask the shape of the data."""


def inferred_masks(model: ModelDef) -> set[str]:
    """Return the operations that compute the masks of Embedding and Masking, and only these, for other layers' ``mask``.

    Keras 3 writes them as nodes: ``NotEqual(ids, 0)`` beside an Embedding with ``mask_zero``, ``Any(NotEqual(x, value))``
    beside a Masking.
    """
    operations = {layer.name: layer for layer in model.layers if layer.is_operation}
    if not operations:
        return set()
    masks = set(operations) - {ref.layer for ref in refs_in(model.outputs)}
    while True:
        used = {
            ref.layer
            for layer in model.layers
            if layer.name not in masks
            for call in layer.calls
            for ref in _data_of(call)
        }
        if not (used & masks):
            break
        masks -= used
    starts = set(_starts(model))
    ours = {name for name in masks if any(_is_start(call, starts) for call in operations[name].calls)}
    alike = {name for name in masks if operations[name].class_name in _SAME_FOR_ALL}
    while True:  # what Keras's layers compute from masks
        more = set[str]()
        for name in (name for name in masks - ours if operations[name].class_name in _JOINED):
            read = {ref.layer for call in operations[name].calls for ref in call.refs()}
            if read & ours and read <= ours | alike:
                more |= {name} | (read & alike)
        if not more:
            return ours
        ours |= more


def makes_masks(raw: Any) -> bool:
    """Return whether a configuration, or a model within it, has an Embedding with ``mask_zero`` or a Masking."""
    return any(item.get("mask_zero") is True or item.get("class_name") == "Masking" for item in _mappings(raw))


def takes_masks_off(raw: Any) -> bool:
    """Return whether there is a layer that removes the masks of its inputs, for other layers as well."""
    return any(item.get("class_name") == "MultiHeadAttention" for item in _mappings(raw))


def _mappings(raw: Any) -> Iterator[dict[str, Any]]:
    stack = [raw]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack += item.values()
        elif isinstance(item, list):
            stack += item


def _data_of(call: Call) -> Iterator[Ref]:
    """Yield the references of a call that are no masks."""
    yield from refs_in([*call.args, *(value for key, value in call.kwargs.items() if key not in MASK_KEYS)])


def _starts(model: ModelDef) -> Iterator[tuple[str, int, int, float]]:
    """Yield the tensors with which masks are computed, and the number with which they are compared."""
    for layer in model.layers:
        value = _compared_with(layer)
        if value is not None:
            for call in layer.calls:
                for ref in refs_in(call.args):
                    yield ref.layer, ref.call, ref.output, value


def _compared_with(layer: LayerDef) -> float | None:
    if layer.config.get("mask_zero") is True:
        return 0.0
    value = layer.config.get("mask_value", 0.0) if layer.class_name == "Masking" else None
    return float(value) if isinstance(value, int | float) else None


def _is_start(call: Call, starts: set[tuple[str, int, int, float]]) -> bool:
    if len(call.args) != 2 or not isinstance(call.args[0], Ref) or not isinstance(call.args[1], int | float):
        return False
    ref = call.args[0]
    return (ref.layer, ref.call, ref.output, float(call.args[1])) in starts
