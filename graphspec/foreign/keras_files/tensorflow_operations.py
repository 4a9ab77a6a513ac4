"""Functions of TensorFlow that a model of Keras 2 calls, as calls of ``keras.ops``: ``tf.math.truediv`` → ``divide``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from graphspec.foreign.keras_files.model_def import Call, LayerDef, Ref

CLASSES = ("TFOpLambda", "SlicingOpLambda")
_BINARY = {
    "__operators__.add": "Add",
    "math.add": "Add",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "math.truediv": "TrueDivide",
    "math.divide": "TrueDivide",
    "math.pow": "Power",
    "math.maximum": "Maximum",
    "math.minimum": "Minimum",
    "math.floormod": "Mod",
    "math.greater": "Greater",
    "math.less": "Less",
    "math.equal": "Equal",
    "math.not_equal": "NotEqual",
    "linalg.matmul": "Matmul",
}
_UNARY = {
    **{
        f"math.{name}": name.title()
        for name in ("square", "sqrt", "rsqrt", "exp", "log", "abs", "negative", "sin", "cos")
    },
    **{
        f"math.{name}": name.title()
        for name in ("sigmoid", "tanh", "round", "floor", "ceil", "sign", "log1p", "softplus")
    },
    **{
        f"nn.{name}": name.title()
        for name in ("relu", "relu6", "softmax", "sigmoid", "silu", "elu", "selu", "softplus", "tanh")
    },
    "nn.swish": "Silu",
    "nn.leaky_relu": "LeakyRelu",
    "nn.gelu": "Gelu",
    "math.reduce_mean": "Mean",
    "math.reduce_sum": "Sum",
    "math.reduce_max": "Max",
    "math.reduce_min": "Min",
    "math.argmax": "Argmax",
    "math.l2_normalize": "Normalize",
    "reshape": "Reshape",
    "transpose": "Transpose",
    "expand_dims": "ExpandDims",
    "squeeze": "Squeeze",
    "cast": "Cast",
    "concat": "Concatenate",
    "stack": "Stack",
    "tile": "Tile",
    "clip_by_value": "Clip",
    "one_hot": "OneHot",
}
_RENAMED = {
    "perm": "axes",
    "shape": "newshape",
    "depth": "num_classes",
    "alpha": "negative_slope",
    "multiples": "repeats",
    "clip_value_min": "x_min",
    "clip_value_max": "x_max",
    "approximate": "approximate",
}
_TENSORS = ("x", "y", "a", "b", "input_tensor", "tensor", "values", "features", "logits", "input", "t", "indices")
_IDLE = ("name", "validate_indices", "output_type")


def as_keras(layer: LayerDef, call: Call) -> tuple[LayerDef, Call] | None:
    """Return a function of TensorFlow as an operation of Keras and its call; None for one that is not known."""
    if layer.class_name == "SlicingOpLambda" or layer.config.get("function") == "__operators__.getitem":
        spec = call.kwargs.get("slice_spec")
        key = [_slice(part) for part in spec] if isinstance(spec, list) else spec
        return replace(layer, class_name="GetItem", config={}), Call((call.args[0], key))
    function = str(layer.config.get("function"))
    name = _BINARY.get(function) or _UNARY.get(function)
    if name is None:
        return None
    kwargs = {key: value for key, value in call.kwargs.items() if key not in _IDLE}
    others = [
        kwargs.pop(key) for key in _TENSORS if key in kwargs and (function in _BINARY or _has_tensor(kwargs[key]))
    ]
    config = {_RENAMED.get(key, key): value for key, value in kwargs.items() if value not in (None, False)}
    first = call.args[0]
    if name == "Normalize":
        config.setdefault("axis", -1)
        config.pop("epsilon", None)
    if name == "Softmax":
        config.setdefault("axis", -1)
    args = (first,) if isinstance(first, list) else (first, *others)
    return replace(layer, class_name=name, config=config), Call(args)


def _has_tensor(value: Any) -> bool:
    return isinstance(value, Ref) or (isinstance(value, list) and any(isinstance(item, Ref) for item in value))


def _slice(part: Any) -> Any:
    if isinstance(part, dict) and {"start", "stop", "step"} >= part.keys() and part:
        return {"class_name": "__slice__", "config": part}
    return part
