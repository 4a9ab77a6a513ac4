"""Wrong ONNX files made of right ones: one mistake each, of the kind that an exporter makes."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

Change = Callable[[ModelProto, random.Random], str | None]


def _weights(model: ModelProto, ndim: int = 1) -> list[TensorProto]:
    floats = [t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT]
    return [t for t in floats if len(t.dims) >= ndim and int(np.prod(t.dims)) > 1]


def _write(tensor: TensorProto, array: np.ndarray[Any, Any]) -> str:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))
    return tensor.name


def _attributes(model: ModelProto, *names: str) -> list[tuple[Any, Any]]:
    return [(n, a) for n in model.graph.node for a in n.attribute if a.name in names]


def wrong_epsilon(model: ModelProto, draw: random.Random) -> str | None:
    found = _attributes(model, "epsilon", "alpha", "beta")
    if not found:
        return None
    node, attribute = draw.choice(found)
    attribute.f = attribute.f * draw.choice([10, 100]) if attribute.name == "epsilon" else attribute.f + 0.05
    return f"{node.name} {attribute.name}"


def swapped_weights(model: ModelProto, draw: random.Random) -> str | None:
    floats = _weights(model)
    pairs = [(a, b) for k, a in enumerate(floats) for b in floats[k + 1 :] if a.dims == b.dims]
    if not pairs:
        return None
    a, b = draw.choice(pairs)
    values = numpy_helper.to_array(a), numpy_helper.to_array(b)
    return f"{_write(a, values[1])} {_write(b, values[0])}"


def missing_bias(model: ModelProto, draw: random.Random) -> str | None:
    vectors = [t for t in _weights(model) if len(t.dims) == 1]
    if not vectors:
        return None
    tensor = draw.choice(vectors)
    return _write(tensor, np.zeros_like(numpy_helper.to_array(tensor)))


def transposed_kernel(model: ModelProto, draw: random.Random) -> str | None:
    square = [
        (t, i, j)
        for t in _weights(model, 2)
        for i in range(len(t.dims))
        for j in range(i)
        if t.dims[i] == t.dims[j] > 1
    ]
    if not square:
        return None
    tensor, i, j = draw.choice(square)
    return _write(tensor, numpy_helper.to_array(tensor).swapaxes(i, j))


def flipped_kernel(model: ModelProto, draw: random.Random) -> str | None:
    kernels = _weights(model, 2)
    if not kernels:
        return None
    tensor = draw.choice(kernels)
    axis = draw.choice([k for k, d in enumerate(tensor.dims) if d > 1])
    return _write(tensor, np.flip(numpy_helper.to_array(tensor), axis))


def moved_pads(model: ModelProto, draw: random.Random) -> str | None:
    found = [(n, a) for n, a in _attributes(model, "pads") if len(a.ints) == 4]
    if not found:
        return None
    node, attribute = draw.choice(found)
    top, left, bottom, right = attribute.ints
    moved = (bottom, right, top, left) if (top, left) != (bottom, right) else (top + 1, left, bottom - 1, right)
    if min(moved) < 0:
        return None
    attribute.ints[:] = moved
    return str(node.name)


def another_gate_order(model: ModelProto, draw: random.Random) -> str | None:
    gated = [n for n in model.graph.node if n.op_type in ("LSTM", "GRU")]
    tensors = {t.name: t for t in model.graph.initializer}
    gated = [n for n in gated if n.input[1] in tensors]
    if not gated:
        return None
    node = draw.choice(gated)
    gates = {"LSTM": 4, "GRU": 3}[node.op_type]
    order = list(range(gates))
    while order == sorted(order):
        draw.shuffle(order)
    tensor = tensors[draw.choice([i for i in node.input[1:3] if i in tensors])]
    blocks = np.split(numpy_helper.to_array(tensor), gates, axis=1)
    return _write(tensor, np.concatenate([blocks[k] for k in order], axis=1))


def another_reset(model: ModelProto, draw: random.Random) -> str | None:
    found = _attributes(model, "linear_before_reset")
    if not found:
        return None
    node, attribute = draw.choice(found)
    attribute.i = 1 - attribute.i
    return str(node.name)


def another_axis(model: ModelProto, draw: random.Random) -> str | None:
    found = [
        (n, a)
        for n, a in _attributes(model, "axis")
        if n.op_type in ("Softmax", "LogSoftmax", "LayerNormalization", "Concat")
    ]
    found += [(n, a) for n, a in _attributes(model, "axes", "perm") if len(a.ints) > 1]
    if not found:
        return None
    node, attribute = draw.choice(found)
    if attribute.name == "axis":
        attribute.i += draw.choice([-1, 1])
    elif attribute.name == "perm":
        i, j = draw.sample(range(len(attribute.ints)), 2)
        attribute.ints[i], attribute.ints[j] = attribute.ints[j], attribute.ints[i]
    else:
        attribute.ints[draw.randrange(len(attribute.ints))] += 1
    return str(node.name)


def swapped_inputs(model: ModelProto, draw: random.Random) -> str | None:
    found = [n for n in model.graph.node if n.op_type in ("Concat", "Sub", "Div", "MatMul", "Where")]
    if not found:
        return None
    node = draw.choice(found)
    i, j = draw.sample(range(len(node.input)), 2)
    node.input[i], node.input[j] = node.input[j], node.input[i]
    return str(node.name)


ANOTHER = {
    "Relu": "Elu", "Elu": "Relu", "Sigmoid": "HardSigmoid", "Tanh": "Softsign", "Add": "Sub", "Sub": "Add", "Mul": "Add",
    "MaxPool": "AveragePool", "AveragePool": "MaxPool", "GlobalAveragePool": "GlobalMaxPool", "ReduceMean": "ReduceMax",
    "Softmax": "Identity", "Max": "Min", "Min": "Max", "Exp": "Identity", "Erf": "Tanh", "Softplus": "Relu",
    "Sqrt": "Identity",
}  # fmt: skip


def another_operator(model: ModelProto, draw: random.Random) -> str | None:
    found = [n for n in model.graph.node if n.op_type in ANOTHER]
    if not found:
        return None
    node = draw.choice(found)
    before, node.op_type = node.op_type, ANOTHER[node.op_type]
    keep = {"MaxPool": ("kernel_shape", "strides", "pads"), "AveragePool": ("kernel_shape", "strides", "pads")}
    kept = [a for a in node.attribute if a.name in (keep.get(before) or ("axes", "keepdims"))]
    del node.attribute[:]
    node.attribute.extend(kept)
    return f"{node.name} {before}"


def without_an_operator(model: ModelProto, draw: random.Random) -> str | None:
    found = [n for n in model.graph.node if n.op_type in (*ANOTHER, "BatchNormalization", "LayerNormalization")]
    if not found:
        return None
    node = draw.choice(found)
    name, output = node.name, node.output[0]
    node.CopyFrom(helper.make_node("Identity", [node.input[0]], [output], name=name))
    return str(name)


def another_direction(model: ModelProto, draw: random.Random) -> str | None:
    found = [n for n in model.graph.node if n.op_type in ("LSTM", "GRU", "RNN")]
    if not found:
        return None
    node = draw.choice(found)
    words = [a for a in node.attribute if a.name == "direction"]
    if words and words[0].s == b"bidirectional":
        return None
    if words:
        words[0].s = b"forward" if words[0].s == b"reverse" else b"reverse"
    else:
        node.attribute.append(helper.make_attribute("direction", "reverse"))
    return str(node.name)


def one_wrong_weight(model: ModelProto, draw: random.Random) -> str | None:
    tensor = draw.choice(_weights(model))
    array = numpy_helper.to_array(tensor).copy()
    place = draw.randrange(array.size)
    array.flat[place] = array.flat[place] * draw.choice([-1, 0, 2]) + draw.choice([0.1, 0.5])
    return _write(tensor, array)


def scaled_weights(model: ModelProto, draw: random.Random) -> str | None:
    tensor = draw.choice(_weights(model))
    return _write(tensor, numpy_helper.to_array(tensor) * np.float32(draw.choice([0.9, 1.01, 1.1])))


CHANGES: list[Change] = [
    wrong_epsilon, swapped_weights, missing_bias, transposed_kernel, flipped_kernel, moved_pads, another_gate_order,
    another_reset, another_axis, swapped_inputs, another_operator, without_an_operator, another_direction,
    one_wrong_weight, scaled_weights,
]  # fmt: skip


def mutant(model: ModelProto, draw: random.Random) -> tuple[ModelProto, str]:
    """A copy of a file with one mistake, and what it is."""
    for change in draw.sample(CHANGES, len(CHANGES)):
        copied = copy.deepcopy(model)
        place = change(copied, draw)
        if place is not None:
            return copied, f"{change.__name__} of {place}"
    raise ValueError("nothing can be changed")
