"""What `make_keras.py` is built on: a section's files, a Keras model from a spec, repairs to Keras's torch backend."""

from __future__ import annotations

import hashlib
import inspect
import json
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import keras
import keras.src.ops.nn
import numpy as np
from cases import Case
from keras.src import backend
from safetensors.numpy import save_file

if keras.backend.backend() == "torch":
    import torch

    keras.config.set_floatx("float64")
HERE = Path(__file__).parent
Dataset = dict[str, np.ndarray]


class Section:
    """Collects cases, then writes the two files."""

    def __init__(self, name: str) -> None:
        self.name, self.cases, self.arrays = name, dict[str, Any](), dict[str, np.ndarray]()

    def add(self, case: str, args: dict[str, Any], **kinds: Any) -> None:
        """`kinds` are arrays, or dicts of arrays by name."""
        assert case not in self.cases, case
        self.cases[case] = args
        for kind, value in kinds.items():
            for name, array in value.items() if isinstance(value, dict) else [("", value)]:
                array = np.asarray(array)
                array = array.astype(np.float32) if array.dtype.kind == "f" else array
                self.arrays[f"{case}/{kind}/{name}".rstrip("/")] = np.ascontiguousarray(array).reshape(array.shape)

    def write(self) -> None:
        path = HERE / f"{self.name}.safetensors"
        if self.arrays:
            save_file(self.arrays, path)
            path.chmod(0o644)
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in self.cases.items())
        (HERE / f"{self.name}.json").write_text("{\n" + lines + "\n}\n")
        print(self.name, len(self.cases), "cases")


def generator(case: str) -> np.random.Generator:
    """One stream a case, so that adding a case changes no other."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(case.encode()).digest()[:8], "little"))


def plain(x: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(x)


def exact(x: Any) -> np.ndarray:
    """Float64 values that float32 holds exactly."""
    return np.asarray(x, np.float32).astype(np.float64)


NAMED = ("count_weights", "attention_mask", "query_mask", "value_mask", "key_mask")
"""Call arguments that are a node each."""
FLAGS = ("use_causal_mask", "return_attention_scores", "reverse")
CALL_ARGUMENTS = {"initial_state", "mask", *NAMED, *FLAGS}


def make(args: dict[str, Any], **more: Any) -> Any:
    """A Keras layer from a node's mapping; its nested mappings become objects."""
    args = {key: value for key, value in args.items() if key not in CALL_ARGUMENTS}
    for key, value in args.items():
        if key in ("layer", "backward_layer", "cell") and isinstance(value, dict):
            args[key] = make(value)
        elif key.endswith("activation") and isinstance(value, dict):
            function = getattr(keras.activations, value["type"])
            given = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k != "type"}
            args[key] = partial(function, **given)
        elif key in ("cell", "cells"):
            args[key] = [make(cell) for cell in value]
        elif key.endswith(("_regularizer", "_constraint")) and isinstance(value, dict):
            kind = keras.regularizers if key.endswith("_regularizer") else keras.constraints
            args[key] = getattr(kind, value["type"])(**{k: v for k, v in value.items() if k != "type"})
        elif isinstance(value, list):
            args[key] = tuple(tuple(item) if isinstance(item, list) else item for item in value)
    return getattr(keras.layers, args.pop("type"))(**args, **more)


def build(spec: dict[str, Any]) -> tuple[keras.Model, dict[str, Any]]:
    """The functional model of a spec, and its layers by node."""
    values: dict[str, Any] = {
        name: keras.Input(tuple(value["shape"]), dtype=value.get("dtype"), name=name)
        for name, value in spec["inputs"].items()
    }
    inputs = dict(values)
    layers: dict[str, Any] = {}
    previous = next(iter(values))

    def value(name: str) -> Any:
        node, _, k = name.partition(":")
        return keras.tree.flatten(values[node])[int(k or 0)]

    for node in spec["layers"]:
        if node.get("type", "").startswith(("ops.", "GetItem")):
            values[node["name"]] = operation(node, value)
            previous = node["name"]
            continue
        args = {key: item for key, item in node.items() if key not in ("name", "inputs", "share")}
        taken = node.get("inputs", previous)
        x = [value(name) for name in taken] if isinstance(taken, list) else value(taken)
        if "share" in node:
            layer = layers[node["share"]]
        else:
            layer = layers[node["name"]] = make(args, name=node["name"])
        call = {}
        if "initial_state" in args:
            call["initial_state"] = [value(name) for name in args["initial_state"]]
            if stacked(layer):
                call["initial_state"] = keras.tree.pack_sequence_as(layer.state_size, call["initial_state"])
        call |= {key: value(args[key]) for key in NAMED if key in args}
        call |= {key: args[key] for key in FLAGS if key in args}
        if "mask" in args:
            call["mask"] = [value(name) for name in args["mask"]]
        values[node["name"]] = layer(*(x if projects(layer) else [x]), **call)
        previous = node["name"]
    outputs = {head: value(item.get("layer", head)) for head, item in spec["outputs"].items()}
    return keras.Model(inputs=inputs, outputs=outputs), layers


def operation(node: dict[str, Any], value: Any) -> Any:
    """What an operation of `keras.ops` gives: inputs in the order of its signature, numbers among them."""
    function = attrgetter(node["type"].removeprefix("ops.").replace("GetItem", "get_item"))(keras.ops)
    given = node["inputs"] if isinstance(node["inputs"], list) else [node["inputs"]]
    x = [value(item) if isinstance(item, str) else vector(item) for item in given]
    args = {k: tuple(v) if isinstance(v, list) else v for k, v in node.items() if k not in ("name", "type", "inputs")}
    names = list(inspect.signature(function).parameters)
    if names[0] in ("xs", "arrays") or function in LISTS:
        return function(x, **args)
    if function is keras.ops.average and len(x) == 2:
        return function(x[0], weights=x[1], **args)
    if function is keras.ops.digitize:
        args["bins"] = np.asarray(args["bins"])
    if function is keras.ops.get_item:
        return function(*x, tuple(part(text.strip()) for text in args["key"].strip("[]").split(",")))
    if "subscripts" in args:
        return function(args["subscripts"], *x)
    if names[-1] in ("args", "kwargs"):
        return function(*x, **args)
    return function(**dict(zip([name for name in names if name not in args], x, strict=False)), **args)


def part(text: str) -> Any:
    """A part of the key of a slice."""
    if text in ("...", "None"):
        return ... if text == "..." else None
    ends = [int(end) if end else None for end in text.split(":")]
    return ends[0] if len(ends) == 1 else slice(*ends)


def vector(item: Any) -> Any:
    """A number as it is; a list of numbers as a tensor."""
    if not isinstance(item, list):
        return item
    array = np.asarray(item)
    return keras.ops.convert_to_tensor(array, dtype="int64" if array.dtype.kind == "i" else keras.config.floatx())


LISTS = (keras.ops.stack,)
"""Operations of a list whose parameter has the name of a single value."""


def projects(layer: Any) -> bool:
    """Whether its inputs are arguments each, and its weights those of projections."""
    return isinstance(layer, (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention))


def stacked(layer: Any) -> list[Any]:
    """The cells of RNN over a stack of them."""
    cell = getattr(layer, "cell", None)
    return cell.cells if isinstance(cell, keras.layers.StackedRNNCells) else []


def held(variable: Any, layer: Any) -> bool:
    return any(variable is v for v in layer.weights)


def variables(layers: dict[str, Any]) -> dict[str, Any]:
    """Keras variables by graphspec's names."""
    named = {}
    for node, layer in layers.items():
        for variable in layer.weights:
            part, inner = "", layer.layer if isinstance(layer, keras.layers.TimeDistributed) else layer
            if isinstance(layer, keras.layers.Bidirectional):
                part = "forward/" if held(variable, layer.forward_layer) else "backward/"
                inner = layer.forward_layer if part == "forward/" else layer.backward_layer
            if projects(layer):
                part = variable.path.split("/")[-2] + "/"
            part += "".join(f"{k}/" for k, cell in enumerate(stacked(inner)) if held(variable, cell))
            named[f"{node}/{part}{variable.name}"] = variable
    return named


def draw_weights(rng: np.random.Generator, named: dict[str, Any]) -> Dataset:
    made = {}
    for name, variable in named.items():
        role, shape = name.rsplit("/", 1)[-1], tuple(variable.shape)
        if role == "moving_variance":
            made[name] = exact(rng.uniform(0.5, 1.5, shape))
        elif role == "gamma":
            made[name] = exact(1 + 0.3 * rng.normal(size=shape))
        else:
            made[name] = exact(0.5 * rng.normal(size=shape))
        variable.assign(made[name])
    return made


def draw_inputs(rng: np.random.Generator, case: Case) -> Dataset:
    made = {}
    for name, item in case["spec"]["inputs"].items():
        shape = (case.get("batch", 2), *(case.get("time", 5) if d is None else d for d in item["shape"]))
        dtype = item.get("dtype", "float32")
        if name in case.get("values", {}):
            array = np.asarray(case["values"][name])
        elif dtype == "float32":
            array = rng.normal(size=shape)
        else:
            array = rng.integers(0, 6, shape)
        made[name] = exact(array) if dtype == "float32" else array.astype(dtype)
    return made


def tensors(arrays: Dataset) -> dict[str, Any]:
    """Torch tensors; the float ones want their gradient."""
    return {name: torch.tensor(a).requires_grad_(a.dtype.kind == "f") for name, a in arrays.items()}


def gradients(named: dict[str, Any], x: dict[str, Any]) -> dict[str, Dataset]:
    """After `backward`: by weight that trains, and by float input (zero where nothing arrived)."""

    def grad(t: Any) -> np.ndarray:
        return np.zeros(tuple(t.shape)) if t.grad is None else plain(t.grad)

    weights = {name: grad(v.value) for name, v in named.items() if v.trainable}
    return {"gradients": weights, "input_gradients": {name: grad(t) for name, t in x.items() if t.requires_grad}}


def state(named: dict[str, Any]) -> Dataset:
    return {name: plain(v) for name, v in named.items() if name.rsplit("/", 1)[-1].startswith(("moving_", "vector_u"))}


def average_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: Any = None
) -> Any:
    """Average pooling that leaves padding out, as TensorFlow's and JAX's.

    Keras's torch backend repeats the edge instead where the padding is uneven.
    """
    from keras.src.backend.torch import nn

    if padding == "valid":
        return original_average_pool(inputs, pool_size, strides, padding, data_format)
    rank = inputs.ndim - 2
    size = nn.standardize_tuple(pool_size, rank, "pool_size")
    step = size if strides is None else nn.standardize_tuple(strides, rank, "strides")
    x = inputs if data_format == "channels_first" else torch.movedim(inputs, -1, 1)
    pads = [p for d in reversed(range(rank)) for p in nn._compute_padding_length(x.shape[2 + d], size[d], step[d])]
    parts = [torch.nn.functional.pad(part, pads) for part in (x, torch.ones_like(x))]
    total, count = (original_average_pool(p, size, step, "valid", "channels_first") for p in parts)
    y = total / count
    return y if data_format == "channels_first" else torch.movedim(y, 1, -1)


def resize(images: Any, size: Any, **how: Any) -> Any:
    """Resizing by JAX, which is TensorFlow's, with its gradient.

    Keras's torch backend has another cubic kernel, other nearest pixels and no Lanczos.
    """
    import jax
    from keras.src.backend.jax.image import resize as on_jax

    class Resize(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y, ctx.transposed = jax.vjp(lambda x: on_jax(x, size, **how), x.numpy())
            return torch.tensor(np.asarray(y)).to(x.dtype)

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            return torch.tensor(np.asarray(ctx.transposed(dy.numpy().astype(np.float32))[0])).to(dy.dtype)

    if images.dtype.is_floating_point:
        return Resize.apply(images)
    return torch.tensor(np.asarray(on_jax(images.numpy(), size, **how)))


def dot_product_attention(
    query: Any, key: Any, value: Any, mask: Any = None, scale: Any = None, is_causal: bool = False, **_: Any
) -> Any:
    """Attention as TensorFlow's and JAX's: masked scores are replaced, so that they have no gradient.

    PyTorch's kernel for the CPU gives a row without keys a wrong gradient: its weights are 1 there, not 1 / n.
    """
    scores = torch.einsum("btnh,bsnh->bnts", query * scale, key)
    seen = torch.ones(scores.shape[-2:], dtype=torch.bool)
    seen = torch.tril(seen) if is_causal else seen
    seen = seen if mask is None else seen & mask
    weights = torch.softmax(torch.where(seen, scores, -0.7 * 3.38953e38), -1)
    return torch.einsum("bnts,bsnh->btnh", weights, value)


def sparsemax(x: Any, axis: int = -1) -> Any:
    """Martins and Astudillo's function: Keras's takes the threshold from a sum of partial sums, so that it sums to less."""
    ranked = torch.sort(x, dim=axis, descending=True).values
    partial_sums = torch.cumsum(ranked, dim=axis)
    rank = torch.ones_like(x).cumsum(axis)
    size = (1 + rank * ranked > partial_sums).sum(axis, keepdim=True)
    threshold = (torch.take_along_dim(partial_sums, size - 1, axis) - 1) / size
    return torch.clamp(x - threshold, min=0.0)


original_average_pool = backend.nn.average_pool
if keras.backend.backend() == "torch":
    backend.nn.average_pool = average_pool
    backend.nn.sparsemax = sparsemax
    backend.nn.dot_product_attention = dot_product_attention
    backend.image.resize = resize
    # The torch path of LayerNormalization takes axis 1 of rank 3 for the last one and fails.
    keras.src.ops.nn.is_continuous_axis = lambda axis: False
    # Its sparse cross-entropy over the last axis of rank 3 hands PyTorch a view that its gradient refuses.
    nll_loss = torch.nn.functional.nll_loss
    torch.nn.functional.nll_loss = lambda x, *args, **kwargs: nll_loss(x.contiguous(), *args, **kwargs)
