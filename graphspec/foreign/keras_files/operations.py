"""Functions of ``keras.ops`` that a model calls: as operations, or as the layers that say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from graphspec.base.config import Config
from graphspec.foreign.keras_files.layers import Notes, constant, is_object
from graphspec.foreign.keras_files.model_config import Call, LayerDef, ModelDef, Ref, refs_in
from graphspec.language.explain import fields_of
from graphspec.language.names import snake_case
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.layers.layer import Layer
from graphspec.vocabulary.operations.operation import Operation


def _pairs(text: str) -> dict[str, str]:
    """Return the table of a text: ``a b, c d``."""
    return dict(pair.split() for pair in text.split(","))


# The key of a slice, ``x[:, 0]``, as the text that a spec has.
def key_text(key: Any) -> str | None:
    """Return the text between the brackets, such as ``":, 0"``; None if a part is no number, slice, ``...`` or None."""
    parts = key if isinstance(key, list) else [key]
    if isinstance(key, dict) and key.get("class_name") == "__tuple__":
        parts = key.get("items") or key.get("config", {}).get("value") or []
    found = [_part(part) for part in parts]
    return None if not found or None in found else f"[{', '.join(part for part in found if part is not None)}]"


def _part(part: Any) -> str | None:
    if part is None or _is_integer(part):
        return str(part)
    match part:
        case {"class_name": "__ellipsis__"}:
            return "..."
        case {"class_name": "__slice__", "config": dict() as config}:
            ends = [config.get(name) for name in ("start", "stop", "step")]
            if all(end is None or _is_integer(end) for end in ends):
                start, stop, step = ("" if end is None else str(end) for end in ends)
                return f"{start}:{stop}" + (f":{step}" if step else "")
    return None


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# Which nodes of a model only pass on masks that a spec infers again.
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
        readers = [call for layer in model.layers if layer.name not in masks for call in layer.calls]
        data = [(*call.args, *(v for key, v in call.kwargs.items() if key not in MASK_KEYS)) for call in readers]
        used = {ref.layer for ref in refs_in(data)}
        if not (used & masks):
            break
        masks -= used
    starts = {  # the tensors with which masks are computed, and the numbers with which they are compared
        (ref.layer, ref.call, ref.output, value)
        for layer in model.layers
        if (value := _compared_with(layer)) is not None
        for call in layer.calls
        for ref in refs_in(call.args)
    }
    ours = {name for name in masks if any(_compared(call) in starts for call in operations[name].calls)}
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


def masks_of(raw: Any) -> tuple[bool, bool]:
    """Return whether a model makes masks, by Masking or an Embedding with ``mask_zero``, and whether a layer drops them."""
    makes, takes, stack = False, False, [raw]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            makes = makes or item.get("mask_zero") is True or item.get("class_name") == "Masking"
            takes = takes or item.get("class_name") == "MultiHeadAttention"
        stack += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return makes, takes


def _compared_with(layer: LayerDef) -> float | None:
    if layer.config.get("mask_zero") is True:
        return 0.0
    value = layer.config.get("mask_value", 0.0) if layer.class_name == "Masking" else None
    return float(value) if isinstance(value, int | float) else None


def _compared(call: Call) -> tuple[str, int, int, float] | None:
    match call.args:
        case (Ref() as ref, int() | float() as value):
            return ref.layer, ref.call, ref.output, float(value)
    return None


# The arguments of a layer's call as the ``inputs`` and the keys of a node.
Text = Callable[[Ref], str]  # the name of a tensor in the spec
_ATTENTION = (
    *("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask"),
    *("return_attention_scores", "training", "use_causal_mask"),
)
_RECURRENT = ("sequences", "initial_state", "mask", "training")
_ATTEND_LISTS = ("inputs", "mask", "training", "return_attention_scores", "use_causal_mask")
_POSITIONS = {
    **dict.fromkeys(("MultiHeadAttention", "GroupQueryAttention"), _ATTENTION),
    **dict.fromkeys(("Attention", "AdditiveAttention"), _ATTEND_LISTS),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional"), _RECURRENT),
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), _RECURRENT),
    "ReversibleEmbedding": ("inputs", "reverse"),
    "BatchNormalization": ("inputs", "training", "mask"),
}
_INPUTS = ("inputs", "sequences", "query", "value", "key", "input", "x", "images", "data", "sequence")
"""The parameters of Keras's ``call`` that are inputs of a node."""


class CallReader:
    """Reads one call. ``masks`` are operations whose results a spec infers again."""

    def __init__(
        self, layer: LayerDef, cls: type[Layer], call: Call, text: Text, masks: set[str], notes: Notes
    ) -> None:
        self._layer, self._cls, self._text, self._masks, self._notes = layer, cls, text, masks, notes
        self._parameters = _POSITIONS.get(cls.__name__, ("inputs", "training"))
        names = [*self._parameters, *(f"argument {k}" for k in range(len(self._parameters), len(call.args)))]
        self._given: dict[str, Any] = dict(zip(names, call.args, strict=False)) | call.kwargs
        training = self._given.pop("training", None)
        self.training: bool | None = training if isinstance(training, bool) else None
        if not call.is_old and self.training is not None:
            if cls.__name__ == "BatchNormalization":
                notes.say(
                    f"'{layer.name}' is called with `training={self.training}`, which Keras 3's `fit` ignores, as the "
                    "spec does: `trainable: false` keeps its statistics"
                )
            self.training = None

    def inputs(self) -> list[Any]:
        """Return the names of the node's inputs, in order, and constants where the layer takes them."""
        values = [item for key in _INPUTS if key in self._given for item in _tensors(self._given[key])]
        if any(not isinstance(item, Ref) for item in values):
            if self._cls.takes_numbers:
                return [self._text(item) if isinstance(item, Ref) else constant(item) for item in values]
            text = "is called with numbers, not only with tensors of the network"
            self._notes.refuse(self._layer, text, "use `keras.ops` for sums with numbers")
        found = [item for item in values if isinstance(item, Ref)]
        if self._parameters is _RECURRENT and len(found) > 1:
            self._given["initial_state"] = found[1:]  # Keras 2 writes the states behind the sequence
            found = found[:1]
        if not found:
            self._notes.problems.invalid(self._layer.place, f"a call of '{self._layer.name}' has no input")
        names = [self._text(ref) for ref in found]
        if self._parameters in (_ATTENTION, _ATTEND_LISTS) and len(names) == 3 and names[1] == names[2]:
            names.pop()  # the key is the value
        return names

    def options(self) -> dict[str, Any]:
        """Return the call's other arguments as keys of the node."""
        found: dict[str, Any] = {}
        for key, value in self._given.items():
            is_nothing = isinstance(value, list) and all(item is None for item in value)
            if key in _INPUTS or value is None or value is False or value == {} or is_nothing:
                continue
            refs = list(refs_in(value))
            if key in MASK_KEYS and all(ref.layer in self._masks for ref in refs):
                continue
            if key in self._cls.call_arguments and refs:
                names = [self._text(ref) for ref in refs]
                found[key] = names[0] if len(names) == 1 and key not in ("initial_state", "mask") else names
            elif (key in self._cls.call_options or key in self._cls.model_fields) and not refs:
                found[key] = value
            else:
                masks = "a mask comes from Embedding with `mask_zero` or from Masking"
                text = f"is called with `{key}`, which {self._cls.__name__} of a spec cannot have"
                hint = masks if "mask" in key else "leave it out"
                self._notes.refuse(self._layer, text, f"{hint}, and save the model again")
        return found


def _tensors(value: Any) -> list[Any]:
    if isinstance(value, list | tuple) and any(True for _ in refs_in(value)):
        return [item for part in value for item in _tensors(part)]
    if isinstance(value, dict) and "class_name" not in value:
        return [item for key in sorted(value) for item in _tensors(value[key])]
    return [] if value is None else [value]


_NAMES = _pairs("""
    BatchNorm batch_normalization, LayerNorm layer_normalization, RMSNorm rms_normalization,
    CDist cdist, IsIn isin, SearchSorted searchsorted, GetItem get_item
""")
_TAKING = """
    isclose x1 x2 rtol atol, digitize x bins, pad x constant_values, percentile x q, quantile x q, full_like x fill_value,
    slice inputs start_indices, slice_update inputs start_indices updates, get_item x key,
    dot_product_attention query key value bias mask scale
"""
_PARAMETERS = {name: words for name, *words in map(str.split, _TAKING.split(","))}  # some are arguments here
_DTYPES = {  # those that operations of a spec have in place of others
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16", "uint32"), "int64"),
    **dict.fromkeys(("float16", "bfloat16", "float64"), "float32"),
}
_NEUTRAL = {"sorted": (True, False), "axisa": (-1,), "axisb": (-1,), "axisc": (-1,), "initial": (None,), "dx": (1, 1.0)}
_WITH_NUMBER: dict[str, Callable[[float], dict[str, float]]] = {
    "add": lambda c: {"scale": 1.0, "offset": c},
    "subtract": lambda c: {"scale": 1.0, "offset": -c},
    "multiply": lambda c: {"scale": c},
    **dict.fromkeys(("true_divide", "divide"), lambda c: {"scale": 1.0 / c}),
}
_MERGING = {"add": "Add", "subtract": "Subtract", "multiply": "Multiply", "maximum": "Maximum", "minimum": "Minimum"}


def operation_entry(layer: LayerDef, call: Call, text: Text, notes: Notes, *, plain: bool) -> dict[str, Any] | None:
    """Return the entry of an operation, without its name; None if there is none, which is noted.

    ``plain``: the model has masks. An operation then stays one, since it drops the mask as in Keras.
    """
    name = _NAMES.get(layer.class_name) or snake_case(layer.class_name)
    cls = LAYERS.get("GetItem" if name == "get_item" else f"ops.{name}") or LAYERS.get(f"ops.image.{name}")
    if cls is None or not issubclass(cls, Operation):
        unknown = ("there is no such operation", "write it with other operations")
        reason, hint = LAYERS.refused.get(f"ops.{name}", unknown)
        notes.refuse(layer, f"is keras.ops.{name}, which a spec cannot have: {reason}", hint)
        return None
    parameters = _PARAMETERS.get(name) or list(cls.input_names())
    given: dict[str, Any] = dict(zip(_plain(parameters), call.args, strict=False)) | call.kwargs
    if len(parameters) == 1 and parameters[0].startswith("*"):
        given = {parameters[0][1:]: call.args[0] if len(call.args) == 1 else list(call.args)} | call.kwargs
    if name == "get_item":
        key = key_text(given.get("key"))
        if key is None or not isinstance(given.get("x"), Ref):
            notes.refuse(layer, "takes a part that depends on values", "use `ops.take`, and save again")
            return None
        return {"type": "GetItem", "key": key, "inputs": text(given["x"])}
    if not plain and (readable := _readable(name, given, text)) is not None:
        return readable
    values = [item for key in _plain(cls.input_names()) if key in given for item in _flat(given.pop(key))]
    inputs = [text(value) if isinstance(value, Ref) else constant(value) for value in values]
    while inputs and inputs[-1] is None:
        inputs.pop()
    options = _options(layer, cls, given, notes)
    type_ = name if LAYERS.get(f"ops.{name}") else f"image.{name}"
    return {"type": f"ops.{type_}"} | options | {"inputs": inputs[0] if len(inputs) == 1 else inputs}


def _plain(names: Iterable[str]) -> list[str]:
    """Return the names of parameters without the marks of lists, ``*``, and of those that may be left out, ``?``."""
    return [name.lstrip("*").rstrip("?") for name in names]


def _flat(value: Any) -> list[Any]:
    """Return the tensors of a list of them; a list of numbers is one constant."""
    return list(value) if isinstance(value, list) and any(True for _ in refs_in(value)) else [value]


def _options(layer: LayerDef, cls: type[Config], given: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    """Return the arguments of an operation; those that it lacks must say nothing."""
    fields, found = fields_of(cls), {}
    for key, raw in ({k: v for k, v in layer.config.items() if k != "name"} | dict(given)).items():
        value = constant(raw)
        if is_object(value) and value["class_name"] == "DTypePolicy":
            value = value["config"].get("name")
        if value is None and key in fields and fields[key].default is not None:
            continue  # Keras's default, which is ours
        if key in fields or f"{key}_" in fields:
            found[key] = _DTYPES.get(value, value) if key == "dtype" and isinstance(value, str) else value
        elif value not in (None, False, [], {}, *_NEUTRAL.get(key, ())) and not (key == "dtype" and value == "float32"):
            text = f"has `{key}: {str(value)[:60]}`, which {cls.__name__} cannot have"
            notes.refuse(layer, text, f"leave `{key}` out, and save the model again")
    return found


def _readable(name: str, given: Mapping[str, Any], text: Text) -> dict[str, Any] | None:
    """Return the layer that says the same: a sum of two tensors is Add, a tensor times a number Rescaling."""
    values = list(given.values())
    refs = [value for value in values if isinstance(value, Ref)]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(values) == 2 and len(refs) == len(numbers) == 1 and refs[0].dtype in ("float32", "float16", "bfloat16"):
        number, inputs = float(numbers[0]), {"inputs": text(refs[0])}
        is_first = isinstance(values[0], Ref) and name in _WITH_NUMBER and (number or "divide" not in name)
        if is_first or name in ("add", "multiply"):
            return {"type": "Rescaling"} | _WITH_NUMBER[name](number) | inputs
        if name == "subtract":
            return {"type": "Rescaling", "scale": -1.0, "offset": number} | inputs
    same = len(refs) == 2 and refs[0].shape is not None and refs[0].shape == refs[1].shape
    if len(values) == 2 and same and refs[0].dtype == refs[1].dtype and name in _MERGING:
        return {"type": _MERGING[name], "inputs": [text(ref) for ref in refs]}
    return None


# Functions of TensorFlow that a model of Keras 2 calls, as calls of ``keras.ops``: ``tf.math.truediv`` → ``divide``.
CLASSES = ("TFOpLambda", "SlicingOpLambda")
_BINARY = _pairs("""
    __operators__.add Add, math.add Add, math.subtract Subtract, math.multiply Multiply, math.maximum Maximum,
    math.minimum Minimum, math.greater Greater, math.less Less, math.equal Equal, math.not_equal NotEqual,
    math.truediv TrueDivide, math.divide TrueDivide, math.pow Power, math.floormod Mod, linalg.matmul Matmul
""")
_OF_MATH = "square sqrt rsqrt exp log abs negative sin cos sigmoid tanh round floor ceil sign log1p softplus argmax"
_OF_NN = "relu relu6 softmax sigmoid silu elu selu softplus tanh gelu"
_UNARY = {
    **{f"math.{name}": name.title() for name in _OF_MATH.split()},
    **{f"nn.{name}": name.title() for name in _OF_NN.split()},
    **{name: name.title() for name in ("reshape", "transpose", "squeeze", "cast", "stack", "tile")},
} | _pairs("""
    nn.swish Silu, nn.leaky_relu LeakyRelu, math.l2_normalize Normalize, expand_dims ExpandDims, one_hot OneHot,
    math.reduce_mean Mean, math.reduce_sum Sum, math.reduce_max Max, math.reduce_min Min,
    concat Concatenate, clip_by_value Clip
""")
_RENAMED = _pairs("""
    perm axes, shape newshape, depth num_classes, alpha negative_slope, multiples repeats,
    clip_value_min x_min, clip_value_max x_max
""")
_TENSORS = ("x", "y", "a", "b", "input_tensor", "tensor", "values", "features", "logits", "input", "t", "indices")
_IDLE = ("name", "validate_indices", "output_type")


def as_keras(layer: LayerDef, call: Call) -> tuple[LayerDef, Call] | None:
    """Return a function of TensorFlow as an operation of Keras and its call; None for one that is not known."""
    if layer.class_name == "SlicingOpLambda" or layer.config.get("function") == "__operators__.getitem":
        spec = call.kwargs.get("slice_spec")
        key = spec
        if isinstance(spec, list):
            key = [{"class_name": "__slice__", "config": part} if _is_slice(part) else part for part in spec]
        return replace(layer, class_name="GetItem", config={}), Call((call.args[0], key))
    function = str(layer.config.get("function"))
    name = _BINARY.get(function) or _UNARY.get(function)
    if name is None:
        return None
    kwargs = {key: value for key, value in call.kwargs.items() if key not in _IDLE}
    is_binary = function in _BINARY
    others = [kwargs.pop(key) for key in _TENSORS if key in kwargs and (is_binary or _has_tensor(kwargs[key]))]
    config = {_RENAMED.get(key, key): value for key, value in kwargs.items() if value not in (None, False)}
    first = call.args[0]
    if name == "Normalize":
        config.pop("epsilon", None)
    if name in ("Normalize", "Softmax"):
        config.setdefault("axis", -1)
    args = (first,) if isinstance(first, list) else (first, *others)
    return replace(layer, class_name=name, config=config), Call(args)


def _has_tensor(value: Any) -> bool:
    return isinstance(value, Ref) or (isinstance(value, list) and any(isinstance(item, Ref) for item in value))


def _is_slice(part: Any) -> bool:
    return isinstance(part, dict) and {"start", "stop", "step"} >= part.keys() and bool(part)
