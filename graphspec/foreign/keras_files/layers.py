"""Layers, inputs and objects of a configuration as entries of a spec, with valid names, each once."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphspec.base.config import ANY_VALUE, Config, Neutral, Registry
from graphspec.foreign.keras_files.containers import ArchiveProblems
from graphspec.foreign.keras_files.model_config import MODELS, LayerDef, ModelDef, refs_in, simple_class
from graphspec.graph.constraints import CONSTRAINTS
from graphspec.graph.initializers import INITIALIZERS
from graphspec.graph.regularizers import REGULARIZERS
from graphspec.graph.schedules import SCHEDULES
from graphspec.language.explain import fields_of
from graphspec.language.names import MAX_NAME, is_name, snake_case
from graphspec.language.tree import each
from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.layers import CELLS, LAYERS
from graphspec.vocabulary.layers.layer import Layer


class Names:
    """The names of a scope: of the whole spec, or of a block."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self.taken = set(reserved)

    def new(self, wanted: str) -> str:
        """Return a name like ``wanted`` that is valid and free."""
        base = valid(wanted)
        numbered = (f"{base[: MAX_NAME - 8]}_{k}" for k in itertools.count(2))
        name = next(name for name in itertools.chain([base], numbered) if name not in self.taken)
        self.taken.add(name)
        return name


def valid(name: str) -> str:
    """Return the nearest valid name: ``block1/conv`` → ``block1_conv``."""
    better = re.sub(r"[^\w.-]+", "_", name)[:MAX_NAME]
    better = better if is_name(better) else re.sub(r"[^\w]+", "_", better).strip("_")
    return better if is_name(better) else "layer"


# Objects of a configuration, such as initializers, as values of a spec: ``{class_name, config}`` → ``{type, …}``.
_KERAS = ("keras", "tensorflow", "tf_keras", "tensorflow_addons", "builtins", "keras_hub", "keras_nlp", "keras_cv")
_KINDS: dict[str, Registry[Any]] = {r.kind: r for r in (INITIALIZERS, REGULARIZERS, CONSTRAINTS, ACTIVATIONS)}
_KINDS["learning_rate"] = SCHEDULES
_ACTIVATION_LAYERS = {"LeakyReLU": "leaky_relu", "ReLU": "relu", "ELU": "elu", "Softmax": "softmax"}
_CONSTANTS = ("__tuple__", "__numpy__", "__tensor__", "__bytes__", "TensorShape")


@dataclass
class Notes:
    """What a conversion says besides its result: problems, and sentences on what is not as in Keras, or was left out."""

    problems: ArchiveProblems
    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Add a sentence, once."""
        if text not in self.said:
            self.said.append(text)

    def refuse(self, layer: LayerDef, predicate: str, hint: str) -> None:
        """Note what a layer has and a spec cannot say, by a predicate of the layer."""
        self.problems.unsupported(layer.place, f"'{layer.name}' {predicate}", hint)


def is_kerass_own(module: str, registered: str) -> bool:
    """Return whether an object is from Keras (or KerasHub), not from the code of whoever saved the file."""
    return (not module or module.partition(".")[0] in _KERAS) and not registered.startswith("Custom>")


def is_kerass_object(value: Mapping[str, Any]) -> bool:
    """Return :func:`is_kerass_own` of a serialized object."""
    return is_kerass_own(str(value.get("module") or ""), str(value.get("registered_name") or ""))


def check_class(raw: Any, place: str, problems: ArchiveProblems) -> None:
    """Note that a model is of a class of its own. Its layers are read if the file has them."""
    name = raw.get("class_name") if isinstance(raw, dict) else None
    if not isinstance(name, str) or (simple_class(name) in MODELS and is_kerass_object(raw)):
        return
    hint = "save `keras.Model(model.inputs, model.outputs)`, which has the same layers without the class"
    problems.unsupported(place, f"the model is of the class {name}, which is code", hint)
    if not isinstance(raw.get("config"), dict) or "layers" not in raw["config"]:
        problems.check()


def is_object(value: Any) -> bool:
    """Return whether a value is a serialized object."""
    return isinstance(value, dict) and isinstance(value.get("class_name"), str) and "config" in value


def constant(value: Any) -> Any:
    """Return tuples, arrays and bytes of a configuration as lists and text; other values as they are."""
    if not isinstance(value, dict) or "class_name" not in value:
        return each(constant, value)
    if value["class_name"] not in _CONSTANTS:
        return value
    config = value.get("config", value.get("items"))
    return constant(config.get("value", config) if isinstance(config, dict) else config)


def argument(key: str, value: Any, place: str, notes: Notes) -> Any:
    """Return an argument as a value of a spec; what cannot be one is noted as a problem."""
    value = constant(value)
    registry = next((registry for word, registry in _KINDS.items() if key.endswith(word)), None)
    if registry is not None and isinstance(value, str):
        return value if registry.get(value) or not registry.get(snake_case(value)) else snake_case(value)
    return made(registry, value, f"{place}: {key}", notes) if is_object(value) else value


def made(registry: Registry[Any] | None, value: Mapping[str, Any], place: str, notes: Notes) -> Any:
    """Return an object as ``{type: …}`` with its arguments, or as its name if it is a function."""
    name, config = simple_class(value["class_name"]), value["config"]
    is_own = is_kerass_object(value)
    if name == "__lambda__" or (name == "function" and not is_own):
        said = config if isinstance(config, str) else "a function"
        hint = "a file may not contain code: use a function of Keras, and save it again"
        notes.problems.unsupported(place, f"{place} is Python code: {said}", hint)
        return None
    if name == "function":
        return str(config)
    names = (name, snake_case(name), _ACTIVATION_LAYERS.get(name, "")) if registry is not None else ()
    classes = [cls for word in names if registry is not None and (cls := registry.get(word))]
    if not classes or not is_own or not isinstance(config, dict):
        if registry is INITIALIZERS:  # weights have their values
            notes.say(f"{place}: the initializer {name} is left out: weights of the file do not need it")
            return None
        text = f"{place} is {name}, no {registry.kind if registry else 'object'} of a spec"
        notes.problems.unsupported(place, text, "use one of Keras's, and save the model again")
        return None
    named = name if registry is not None and registry.get(name) else _ACTIVATION_LAYERS.get(name, snake_case(name))
    return {"type": named} | arguments(classes[0], config, place, notes)


def arguments(cls: type[Config], config: Mapping[str, Any], place: str, notes: Notes) -> dict[str, Any]:
    """Return the arguments of a configuration that a class has. Others are problems, unless they say nothing."""
    fields, found = fields_of(cls), {}
    for key, value in config.items():
        if key in fields:
            kept = argument(key, value, place, notes)
            if kept is not None or not (is_object(value) or key.endswith("initializer")):
                found[key] = kept
        elif (neutral := cls.neutral.get(key)) is not None:
            if not neutral.accepts(constant(value)):
                hint = neutral.hint if isinstance(neutral.hint, str) else f"save the model without `{key}`"
                text = f"{place} has `{key}: {value}`: {neutral.reason or 'it has no meaning here'}"
                notes.problems.unsupported(place, text, hint)
        elif key not in ("name", "dtype", "trainable") and value not in (None, False, [], {}):
            text = f"{place} has `{key}: {str(value)[:60]}`, which {cls.__name__} cannot have"
            notes.problems.unsupported(place, text, f"save the model without `{key}`")
    return found


# A layer's configuration as the type and the arguments of a node.
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
_IDLE: dict[str, dict[str, Neutral]] = {
    "LayerScale": {"projection_dim": ANY_VALUE},
    "StringLookup": {"oov_method": Neutral(("floormod", None)), "encoding": Neutral(("utf-8",))},
    "IntegerLookup": {"oov_method": Neutral((None,))},
    "TextVectorization": {"oov_method": Neutral(("floormod", None))},
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
        notes.refuse(layer, f"has quantized weights ({name})", hint)
    elif name in _IN_FLOAT32:
        notes.say(f"the file computes in {name}, the spec in float32")


def layer_class(layer: LayerDef, notes: Notes) -> type[Layer] | None:
    """Return our class of a layer; None if there is none, which is noted."""
    name = _RENAMED.get(layer.class_name, simple_class(layer.class_name))
    if not is_kerass_own(layer.module, layer.registered) or layer.class_name.startswith("Custom>"):
        notes.refuse(layer, f"is of the class {name}, which is not one of Keras's but code", _OWN_CODE)
        return None
    if name in _OTHER_BINS:
        text = f"hashes by SipHash or FarmHash, {name} of a spec by MurmurHash3: the bins would be others"
        notes.refuse(layer, text, "use StringLookup, or train again with the spec's hashing")
        return None
    if name == "ThresholdedReLU":
        return LAYERS.get("ReLU")
    found = LAYERS.get(name)
    if found is None:
        reason, hint = LAYERS.refused.get(name, ("it is no layer of a spec", _OWN_CODE))
        said = "is Python code" if name == "Lambda" else f"is {name}, which a spec cannot have: {reason}"
        notes.refuse(layer, said, _OWN_CODE if name == "Lambda" else hint)
    return found


def layer_arguments(layer: LayerDef, cls: type[Layer], notes: Notes) -> dict[str, Any]:
    """Return the ``type`` and the arguments of a layer, as a node or as the layer inside another one has them."""
    check_dtype(layer, notes)
    name = _RENAMED.get(layer.class_name, simple_class(layer.class_name))
    idle, renamed = dict.fromkeys(_DROPPED, ANY_VALUE) | _IDLE.get(name, {}), _OLD_KEYS.get(name, {})
    kept = {key: v for key, v in layer.config.items() if key not in idle or not idle[key].accepts(v)}
    config = {renamed.get(key, key): value for key, value in kept.items()}
    if config.get("stateful") is True:
        text = "is stateful: its result depends on earlier batches, which a graph does not store"
        notes.refuse(layer, text, "save it with `stateful=False`; states may be inputs and outputs")
        config["stateful"] = False
    if name == "ThresholdedReLU":
        name, config = "ReLU", {"threshold": config.get("theta", 1.0)}
    axis = constant(config.get("axis"))
    if name in _ONE_AXIS and isinstance(axis, list) and len(axis) == 1:  # Keras 2
        config["axis"] = axis[0]
    inner = {key: config.pop(key) for key in ("layer", "backward_layer", "cell") if is_object(config.get(key))}
    found = {"type": name} | arguments(cls, config, layer.place, notes)
    found |= {key: _inner(layer, key, value, notes) for key, value in inner.items()}
    if name == "Bidirectional" and _is_mirror(inner.get("layer"), inner.get("backward_layer")):
        found.pop("backward_layer", None)
    return found


def _inner(outer: LayerDef, key: str, value: Mapping[str, Any], notes: Notes) -> Any:
    config = value["config"] if isinstance(value["config"], dict) else {}
    module, registered = str(value.get("module") or ""), str(value.get("registered_name") or "")
    name = str(value["class_name"])
    layer = LayerDef(str(config.get("name") or key), name, config, f"{outer.place}: {key}", module, registered)
    if key == "cell":
        return _cell(layer, notes)
    if name in MODELS:
        hint = "apply the layers of the model one by one, each in a TimeDistributed, and save the model again"
        notes.refuse(outer, f"wraps the model '{layer.name}'", hint)
        return None
    cls = layer_class(layer, notes)
    return None if cls is None else layer_arguments(layer, cls, notes)


def _cell(layer: LayerDef, notes: Notes) -> Any:
    name = simple_class(layer.class_name)
    cls: type[Config] | None = CELLS.get(name) if is_kerass_own(layer.module, layer.registered) else None
    if cls is None:
        text = f"is the cell {name}, which is not one of Keras's but code"
        notes.refuse(layer, text, "use LSTMCell, GRUCell, SimpleRNNCell or StackedRNNCells")
        return None
    config = {key: value for key, value in layer.config.items() if key not in _DROPPED}
    cells = config.pop("cells", None)
    found = {"type": name} | arguments(cls, config, layer.place, notes)
    if isinstance(cells, list):
        found["cells"] = []
        for k, cell in enumerate(cells):
            if is_object(cell) and isinstance(cell["config"], dict):
                at, module = f"cells[{k}]", str(cell.get("module") or "")
                inner = LayerDef(at, str(cell["class_name"]), cell["config"], f"{layer.place}: {at}", module)
                found["cells"].append(_cell(inner, notes))
    return found


_NO_DIFFERENCE = ("name", "seed", "shared_object_id", "go_backwards")


def _is_mirror(forward: Any, backward: Any) -> bool:
    """Return whether a backward layer differs from the forward one in nothing but its direction."""
    if not (is_object(forward) and is_object(backward)) or forward["class_name"] != backward["class_name"]:
        return False

    def compared(value: Any) -> Any:
        if isinstance(value, dict):
            value = {k: v for k, v in value.items() if k not in _NO_DIFFERENCE}
        return each(compared, value)

    ahead, back = forward["config"], backward["config"]
    if not (isinstance(ahead, dict) and isinstance(back, dict)):
        return False
    turned = bool(ahead.get("go_backwards")) != bool(back.get("go_backwards"))
    return turned and bool(compared(ahead) == compared(back))


# InputLayers as ``inputs`` of a spec.
_DTYPES = {
    **dict.fromkeys(("float32", "float16", "bfloat16", "float64"), "float32"),
    **dict.fromkeys(("int8", "int16", "int32", "uint16"), "int32"),
    **dict.fromkeys(("int64", "uint32"), "int64"),
    **{dtype: dtype for dtype in ("uint8", "bool", "string")},
}
READS_IDS = ("Embedding", "IntegerLookup", "ReversibleEmbedding", "TokenAndPositionEmbedding")
"""Layers that need integers, where Keras takes floats, too."""


def input_entry(layer: LayerDef, model: ModelDef, notes: Notes) -> dict[str, Any]:
    """Return the value of an input: its shape without the batch, and its dtype."""
    config, subject = layer.config, f"the input '{layer.name}'"
    name = policy_name(config.get("dtype"))
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    sizes = config.get("shape")
    if isinstance(shape, list) and shape:
        sizes = shape[1:] or ([1] if name == "string" else [])  # a text of a row has the shape [1]
    if not isinstance(sizes, list) or not all(n is None or (isinstance(n, int) and n > 0) for n in sizes):
        notes.problems.unsupported(layer.place, f"{subject} has no shape", "give it one, and save again")
        sizes = [None]
    if isinstance(shape, list) and shape and shape[0] is not None:
        notes.say(f"input '{layer.name}' has a batch of {shape[0]} rows in the file; in the spec the batch is free")
    for key in ("ragged", "optional"):
        if config.get(key) is True:
            notes.problems.unsupported(layer.place, f"{subject} is {key}", f"save the model without `{key}`")
    if config.get("sparse") is True:
        notes.say(f"input '{layer.name}' is sparse in the file; the spec's is dense")
    if name not in _DTYPES:
        notes.problems.unsupported(layer.place, f"{subject} has the dtype {name}", "use another one")
    dtype = _DTYPES.get(name, "float32")
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


# Layers of ``keras.applications`` that are not in ``keras.layers``, and models that are applied at every step.
SCALED_SUM = "CustomScaleLayer"  # of InceptionResNetV2


def scaled_sum(layer: LayerDef, inputs: Sequence[str], names: Names) -> list[dict[str, Any]]:
    """Return the entries of ``a + b * scale``; the last one has no name yet."""
    scaled = names.new(f"{layer.name}_scaled")
    product = {"name": scaled, "type": "Rescaling", "scale": layer.config.get("scale", 1.0), "inputs": inputs[-1]}
    return [product, {"type": "Add", "inputs": [inputs[0], scaled]}]


_ELEMENTWISE = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
_SAME_EVERYWHERE = ("Activation", "ReLU", "LeakyReLU", "ELU", "Dropout", "Rescaling", "Identity", "GaussianNoise")


def at_every_step(layer: LayerDef, entry: dict[str, Any], count: int, notes: Notes) -> dict[str, Any]:
    """Return the entry of a layer that is applied at every step, as a TimeDistributed around its model applies it."""
    kind = entry["type"]
    if kind in _SAME_EVERYWHERE or (kind in _ELEMENTWISE and count > 1):
        return entry
    if kind == "Concatenate":
        axis = entry.get("axis", -1)
        return entry | {"axis": axis if axis < 0 else axis + 1}
    if count > 1:
        text = f"has {count} inputs in a model that a TimeDistributed wraps"
        notes.refuse(layer, text, "apply the layers of the model one by one, and save it again")
    frozen = {"trainable": entry.pop("trainable")} if "trainable" in entry else {}
    return {"type": "TimeDistributed", "layer": entry} | frozen
