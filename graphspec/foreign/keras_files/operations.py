"""Functions of ``keras.ops`` that a model calls: as operations, or as the layers that say the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphspec.base.config import Config
from graphspec.foreign.keras_files.model_def import Call, LayerDef, Ref, refs_in
from graphspec.foreign.keras_files.slices import key_text
from graphspec.foreign.keras_files.values import Notes, constant, is_object
from graphspec.language.names import snake_case
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.operations.base import Operation

_NAMES = {
    "BatchNorm": "batch_normalization",
    "LayerNorm": "layer_normalization",
    "RMSNorm": "rms_normalization",
    "CDist": "cdist",
    "IsIn": "isin",
    "SearchSorted": "searchsorted",
    "GetItem": "get_item",
}
_PARAMETERS = {
    "isclose": ("x1", "x2", "rtol", "atol"),
    "digitize": ("x", "bins"),
    "pad": ("x", "constant_values"),
    "percentile": ("x", "q"),
    "quantile": ("x", "q"),
    "full_like": ("x", "fill_value"),
    "slice": ("inputs", "start_indices"),
    "slice_update": ("inputs", "start_indices", "updates"),
    "dot_product_attention": ("query", "key", "value", "bias", "mask", "scale"),
    "get_item": ("x", "key"),
}
"""The parameters of Keras's calls of which some are arguments here."""
_DTYPES = {
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16", "uint32"), "int64"),
    **dict.fromkeys(("float16", "bfloat16", "float64"), "float32"),
}
"""Dtypes that operations of a spec have in place of others."""
_NEUTRAL = {"sorted": (True, False), "axisa": (-1,), "axisb": (-1,), "axisc": (-1,), "initial": (None,), "dx": (1, 1.0)}
_WITH_NUMBER: dict[str, Callable[[float], dict[str, float]]] = {
    "add": lambda c: {"scale": 1.0, "offset": c},
    "subtract": lambda c: {"scale": 1.0, "offset": -c},
    "multiply": lambda c: {"scale": c},
    "true_divide": lambda c: {"scale": 1.0 / c},
    "divide": lambda c: {"scale": 1.0 / c},
}
_MERGING = {"add": "Add", "subtract": "Subtract", "multiply": "Multiply", "maximum": "Maximum", "minimum": "Minimum"}


def operation_entry(
    layer: LayerDef, call: Call, text: Callable[[Ref], str], notes: Notes, *, plain: bool
) -> dict[str, Any] | None:
    """Return the entry of an operation, without its name; None if there is none, which is noted.

    Args:
        text: the name of a tensor in the spec.
        plain: whether the model has masks. An operation then stays one, since it drops the mask as in Keras.
    """
    name = _NAMES.get(layer.class_name) or snake_case(layer.class_name)
    cls = LAYERS.get("GetItem" if name == "get_item" else f"ops.{name}") or LAYERS.get(f"ops.image.{name}")
    if cls is None or not issubclass(cls, Operation):
        reason, hint = LAYERS.refused.get(
            f"ops.{name}", ("there is no such operation", "write it with other operations")
        )
        text_ = f"'{layer.name}' is keras.ops.{name}, which a spec cannot have: {reason}"
        notes.problems.unsupported(layer.place, text_, hint)
        return None
    given = _by_parameter(name, cls, call)
    if name == "get_item":
        key = key_text(given.get("key"))
        if key is None or not isinstance(given.get("x"), Ref):
            notes.problems.unsupported(
                layer.place, f"'{layer.name}' takes a part that depends on values", "use `ops.take`, and save again"
            )
            return None
        return {"type": "GetItem", "key": key, "inputs": text(given["x"])}
    if not plain and (readable := _readable(name, given, text)) is not None:
        return readable
    names = [n.lstrip("*").rstrip("?") for n in cls.input_names()]
    inputs = [_input(item, text) for key in names if key in given for item in _flat(given.pop(key))]
    while inputs and inputs[-1] is None:
        inputs.pop()
    options = _options(layer, cls, given, notes)
    type_ = name if LAYERS.get(f"ops.{name}") else f"image.{name}"
    return {"type": f"ops.{type_}"} | options | {"inputs": inputs[0] if len(inputs) == 1 else inputs}


def _by_parameter(name: str, cls: type[Operation], call: Call) -> dict[str, Any]:
    """Return the arguments of the call by the names of Keras's parameters."""
    names = _PARAMETERS.get(name) or tuple(cls.input_names())
    if len(names) == 1 and names[0].startswith("*"):
        only = names[0][1:]
        values = list(call.args)
        return {only: values[0] if len(values) == 1 else values} | call.kwargs
    return dict(zip((n.lstrip("*").rstrip("?") for n in names), call.args, strict=False)) | call.kwargs


def _flat(value: Any) -> list[Any]:
    """Return the tensors of a list of them; a list of numbers is one constant."""
    return list(value) if isinstance(value, list) and any(True for _ in refs_in(value)) else [value]


def _input(value: Any, text: Callable[[Ref], str]) -> Any:
    return text(value) if isinstance(value, Ref) else constant(value)


def _options(layer: LayerDef, cls: type[Config], given: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    """Return the arguments of an operation; those that it lacks must say nothing."""
    fields = {(info.alias or key): key for key, info in cls.model_fields.items()}
    found = {}
    for key, raw in ({k: v for k, v in layer.config.items() if k != "name"} | dict(given)).items():
        value = constant(raw)
        if is_object(value) and value["class_name"] == "DTypePolicy":
            value = value["config"].get("name")
        if value is None and key in fields and cls.model_fields[fields[key]].default is not None:
            continue  # Keras's default, which is ours
        if key in fields or f"{key}_" in fields:
            found[key] = _DTYPES.get(value, value) if key == "dtype" and isinstance(value, str) else value
        elif value not in (None, False, [], {}, *_NEUTRAL.get(key, ())) and not (key == "dtype" and value == "float32"):
            text = f"'{layer.name}' has `{key}: {str(value)[:60]}`, which {cls.__name__} cannot have"
            notes.problems.unsupported(layer.place, text, f"leave `{key}` out, and save the model again")
    return found


def _readable(name: str, given: Mapping[str, Any], text: Callable[[Ref], str]) -> dict[str, Any] | None:
    """Return the layer that says the same: a sum of two tensors is Add, a tensor times a number Rescaling."""
    values = list(given.values())
    refs = [value for value in values if isinstance(value, Ref)]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if (
        len(refs) == 1
        and len(numbers) == 1
        and len(values) == 2
        and refs[0].dtype in ("float32", "float16", "bfloat16")
    ):
        number = float(numbers[0])
        if isinstance(values[0], Ref) and name in _WITH_NUMBER and (number or "divide" not in name):
            return {"type": "Rescaling"} | _WITH_NUMBER[name](number) | {"inputs": text(refs[0])}
        if name in ("add", "multiply"):
            return {"type": "Rescaling"} | _WITH_NUMBER[name](number) | {"inputs": text(refs[0])}
        if name == "subtract":
            return {"type": "Rescaling", "scale": -1.0, "offset": number, "inputs": text(refs[0])}
    same = len(refs) == 2 and refs[0].shape is not None and refs[0].shape == refs[1].shape
    if len(values) == 2 and same and refs[0].dtype == refs[1].dtype and name in _MERGING:
        return {"type": _MERGING[name], "inputs": [text(ref) for ref in refs]}
    return None
