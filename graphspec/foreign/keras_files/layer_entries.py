"""A layer's configuration as the type and the arguments of a node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphspec.base.config import Config
from graphspec.foreign.keras_files.model_def import MODELS, LayerDef, simple_class
from graphspec.foreign.keras_files.values import Notes, arguments, constant, is_kerass_own, is_object
from graphspec.vocabulary.layers import CELLS, LAYERS
from graphspec.vocabulary.layers.base import Layer

_OWN_CODE = (
    "a spec contains no code: write what it computes with Keras's layers or `keras.ops`, and save the model again"
)
_RENAMED = {"SyncBatchNormalization": "BatchNormalization", "CuDNNLSTM": "LSTM", "CuDNNGRU": "GRU"}
_OLD_KEYS = {
    "LeakyReLU": {"alpha": "negative_slope"},
    "Dropout": {"p": "rate"},
    "BatchNormalization": {"gamma_init": "gamma_initializer", "beta_init": "beta_initializer"},
}
_DROPPED = (
    *("name", "trainable", "dtype", "batch_input_shape", "batch_shape", "autocast", "weights", "time_major"),
    *("implementation", "build_input_shape", "registered_name"),
)
_ANY = object()
_IDLE: dict[str, dict[str, Any]] = {  # keys without effect, and the values that have none
    "LayerScale": {"projection_dim": _ANY},
    "StringLookup": {"oov_method": ("floormod", None), "encoding": ("utf-8",)},
    "IntegerLookup": {"oov_method": (None,)},
    "TextVectorization": {"oov_method": ("floormod", None)},
}
_ONE_AXIS = ("BatchNormalization", "Concatenate", "Softmax", "GroupNormalization")
_OTHER_BINS = ("Hashing", "HashedCrossing")
_QUANTIZED = ("int8", "int4", "float8")
_IN_FLOAT32 = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64")


def policy_name(dtype: Any) -> str:
    """Return the name of a dtype or of a dtype policy: ``float32``."""
    config = dtype.get("config") if isinstance(dtype, dict) else {"name": dtype}
    return str((config.get("name") if isinstance(config, dict) else None) or "float32")


def check_dtype(layer: LayerDef, notes: Notes) -> None:
    """Note that a layer computed in another precision; refuse quantized ones."""
    dtype = layer.config.get("dtype")
    name = policy_name(dtype)
    policy = str(dtype.get("class_name")) if isinstance(dtype, dict) else ""
    if "uant" in policy or name.startswith(_QUANTIZED):
        hint = "save the model before it is quantized; `graphspec export --quantize int8` quantizes the file"
        notes.problems.unsupported(layer.place, f"'{layer.name}' has quantized weights ({name})", hint)
    elif name in _IN_FLOAT32:
        notes.say(f"the file computes in {name}, the spec in float32")


def layer_class(layer: LayerDef, notes: Notes) -> type[Layer] | None:
    """Return our class of a layer; None if there is none, which is noted."""
    name = _RENAMED.get(layer.class_name, simple_class(layer.class_name))
    if not is_kerass_own(layer.module, layer.registered) or layer.class_name.startswith("Custom>"):
        text = f"'{layer.name}' is of the class {name}, which is not one of Keras's but code"
        notes.problems.unsupported(layer.place, text, _OWN_CODE)
        return None
    if name in _OTHER_BINS:
        text = (
            f"'{layer.name}' hashes by SipHash or FarmHash, {name} of a spec by MurmurHash3: the bins would be others"
        )
        notes.problems.unsupported(layer.place, text, "use StringLookup, or train again with the spec's hashing")
        return None
    if name == "ThresholdedReLU":
        return LAYERS.get("ReLU")
    found = LAYERS.get(name)
    if found is None:
        reason, hint = LAYERS.refused.get(name, ("it is no layer of a spec", _OWN_CODE))
        said = "is Python code" if name == "Lambda" else f"is {name}, which a spec cannot have: {reason}"
        notes.problems.unsupported(layer.place, f"'{layer.name}' {said}", _OWN_CODE if name == "Lambda" else hint)
    return found


def layer_arguments(layer: LayerDef, cls: type[Layer], notes: Notes) -> dict[str, Any]:
    """Return the ``type`` and the arguments of a layer, as a node or as the layer inside another one has them."""
    check_dtype(layer, notes)
    name = _RENAMED.get(layer.class_name, simple_class(layer.class_name))
    idle = {**_IDLE.get(name, {}), **dict.fromkeys(_DROPPED, _ANY)}
    config = {key: v for key, v in layer.config.items() if key not in idle or not (idle[key] is _ANY or v in idle[key])}
    renamed = _OLD_KEYS.get(name, {})
    config = {renamed.get(key, key): value for key, value in config.items()}
    if config.get("stateful") is True:
        text = f"'{layer.name}' is stateful: its result depends on earlier batches, which a graph does not store"
        notes.problems.unsupported(layer.place, text, "save it with `stateful=False`; states may be inputs and outputs")
        config["stateful"] = False
    if name == "ThresholdedReLU":
        config = {"threshold": config.get("theta", 1.0)}
        name = "ReLU"
    axis = constant(config.get("axis"))
    if name in _ONE_AXIS and isinstance(axis, list) and len(axis) == 1:  # Keras 2
        config["axis"] = axis[0]
    inner = {key: config.pop(key) for key in ("layer", "backward_layer", "cell") if is_object(config.get(key))}
    found = {"type": name} | arguments(cls, config, layer.place, notes)
    for key, value in inner.items():
        found[key] = _inner(layer, key, value, notes)
    if name == "Bidirectional" and _is_mirror(inner.get("layer"), inner.get("backward_layer")):
        found.pop("backward_layer", None)
    return found


def _inner(outer: LayerDef, key: str, value: Mapping[str, Any], notes: Notes) -> Any:
    """Return the layer or the cell inside another layer."""
    config = value["config"] if isinstance(value["config"], dict) else {}
    module, registered = str(value.get("module") or ""), str(value.get("registered_name") or "")
    name = str(value["class_name"])
    layer = LayerDef(str(config.get("name") or key), name, config, f"{outer.place}: {key}", module, registered)
    if key == "cell":
        return _cell(layer, notes)
    if name in MODELS:
        hint = "apply the layers of the model one by one, each in a TimeDistributed, and save the model again"
        notes.problems.unsupported(outer.place, f"'{outer.name}' wraps the model '{layer.name}'", hint)
        return None
    cls = layer_class(layer, notes)
    return None if cls is None else layer_arguments(layer, cls, notes)


def _cell(layer: LayerDef, notes: Notes) -> Any:
    name = simple_class(layer.class_name)
    cls: type[Config] | None = CELLS.get(name) if is_kerass_own(layer.module, layer.registered) else None
    if cls is None:
        text = f"'{layer.name}' is the cell {name}, which is not one of Keras's but code"
        notes.problems.unsupported(layer.place, text, "use LSTMCell, GRUCell, SimpleRNNCell or StackedRNNCells")
        return None
    config = {key: value for key, value in layer.config.items() if key not in _DROPPED}
    cells = config.pop("cells", None)
    found = {"type": name} | arguments(cls, config, layer.place, notes)
    if isinstance(cells, list):
        made = [
            LayerDef(
                f"cells[{k}]",
                str(c["class_name"]),
                c["config"],
                f"{layer.place}: cells[{k}]",
                str(c.get("module") or ""),
            )
            for k, c in enumerate(cells)
            if is_object(c) and isinstance(c["config"], dict)
        ]
        found["cells"] = [_cell(cell, notes) for cell in made]
    return found


def _is_mirror(forward: Any, backward: Any) -> bool:
    """Return whether a backward layer differs from the forward one in nothing but its direction."""
    if not (is_object(forward) and is_object(backward)) or forward["class_name"] != backward["class_name"]:
        return False

    def compared(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                k: compared(v)
                for k, v in value.items()
                if k not in ("name", "seed", "shared_object_id", "go_backwards")
            }
        return [compared(item) for item in value] if isinstance(value, list) else value

    ahead, back = forward["config"], backward["config"]
    if not (isinstance(ahead, dict) and isinstance(back, dict)):
        return False
    turned = bool(ahead.get("go_backwards")) != bool(back.get("go_backwards"))
    return turned and bool(compared(ahead) == compared(back))
