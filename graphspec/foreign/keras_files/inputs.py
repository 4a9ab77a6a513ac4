"""InputLayers as ``inputs`` of a spec."""

from __future__ import annotations

from typing import Any

from graphspec.foreign.keras_files.layer_entries import policy_name
from graphspec.foreign.keras_files.model_def import LayerDef, ModelDef, refs_in
from graphspec.foreign.keras_files.values import Notes

_DTYPES = {
    **dict.fromkeys(("float32", "float16", "bfloat16", "float64"), "float32"),
    **dict.fromkeys(("int8", "int16", "int32", "uint16"), "int32"),
    **dict.fromkeys(("int64", "uint32"), "int64"),
    "uint8": "uint8",
    "bool": "bool",
    "string": "string",
}
READS_IDS = ("Embedding", "IntegerLookup", "ReversibleEmbedding", "TokenAndPositionEmbedding")
"""Layers that need integers, where Keras takes floats, too."""


def input_entry(layer: LayerDef, model: ModelDef, notes: Notes) -> dict[str, Any]:
    """Return the value of an input: its shape without the batch, and its dtype."""
    config = layer.config
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    sizes: list[Any] | None
    if isinstance(shape, list) and len(shape) > 1:
        sizes = shape[1:]
    elif isinstance(shape, list) and len(shape) == 1:
        sizes = [1] if policy_name(config.get("dtype")) == "string" else []  # a text of a row has the shape [1]
    else:
        given = config.get("shape")
        sizes = given if isinstance(given, list) else None
    if sizes is None or not all(n is None or (isinstance(n, int) and n > 0) for n in sizes):
        notes.problems.unsupported(layer.place, f"the input '{layer.name}' has no shape", "give it one, and save again")
        sizes = [None]
    if isinstance(shape, list) and shape and shape[0] is not None:
        notes.say(f"input '{layer.name}' has a batch of {shape[0]} rows in the file; in the spec the batch is free")
    for key in ("ragged", "optional"):
        if config.get(key) is True:
            text = f"the input '{layer.name}' is {key}"
            notes.problems.unsupported(layer.place, text, f"save the model without `{key}`")
    if config.get("sparse") is True:
        notes.say(f"input '{layer.name}' is sparse in the file; the spec's is dense")
    name = policy_name(config.get("dtype"))
    dtype = _DTYPES.get(name)
    if dtype is None:
        notes.problems.unsupported(layer.place, f"the input '{layer.name}' has the dtype {name}", "use another one")
        dtype = "float32"
    if dtype == "float32" and reads_only_ids(layer.name, model):
        dtype = "int64"
        notes.say(f"input '{layer.name}' is of ids: its dtype is int64, where the file has {name}")
    return {"shape": list(sizes)} | ({} if dtype == "float32" else {"dtype": dtype})


def reads_only_ids(name: str, model: ModelDef) -> bool:
    """Return whether every layer that reads an input needs integers; nodes of masks do not count."""
    readers = [other for other in model.layers for call in other.calls for ref in call.refs() if ref.layer == name]
    readers = [other for other in readers if not (other.is_operation and other.class_name == "NotEqual")]
    is_output = any(ref.layer == name for ref in refs_in(model.outputs))
    return bool(readers) and not is_output and all(other.class_name in READS_IDS for other in readers)
