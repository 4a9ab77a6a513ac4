"""Small graphs that are sketched and printed, for the examples of the passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphspec.graph.builder import Builder
from graphspec.graph.ir.dims import Shape, show
from graphspec.graph.ir.graph import Graph, Node, Param, Type, Value
from graphspec.graph.ops import OPS
from graphspec.graph.ops.op import declared_attributes

_MAX_PRINTED = 8  # constants of at most this many elements are printed in full


def sketch(inputs: Mapping[str, Shape | Type], weights: Mapping[str, tuple[int, ...]] | None = None) -> tuple[Any, ...]:
    """Return a builder of a new graph, then the inputs and the weights as values.

    An input with a shape instead of a type is float32.

    >>> g, x, W = sketch({"x": ("N", 4)}, {"W": (4, 2)})
    >>> print_graph(g.graph.with_outputs({"y": g.Relu(g.MatMul(x, W))}))
    %1 = MatMul(x, W)
    y = Relu(%1)
    """
    graph = Graph("sketch")
    for name, spec in inputs.items():
        graph.inputs[name] = Value(name, spec if isinstance(spec, Type) else Type("float32", spec), "input")
    for name, shape in (weights or {}).items():
        graph.params[name] = param = Param(name, shape, lambda shape, random: np.zeros(shape))
        graph.values[name] = Value(name, Type("float32", shape), "param", param=param)
    return Builder(graph, "sketch"), *graph.inputs.values(), *graph.values.values()


def print_graph(graph: Graph, *, shapes: bool = False) -> None:
    """Print the nodes on which the outputs and the loss depend, one per line: ``y = Relu(x)``.

    Outputs have their own names, other values are numbered. Attributes with their default value are omitted. With
    ``shapes`` every line ends with the shapes of its results.
    """
    names: dict[str, str] = {}
    extra: dict[str, Value] = {}  # outputs that are another name of a named value
    outputs = graph.outputs if graph.loss is None else graph.outputs | {"loss": graph.loss}
    for name, value in outputs.items():
        if value.kind == "op" and value.name not in names:
            names[value.name] = name
        else:
            extra[name] = value
    for node in graph.needed(graph.roots()):
        for value in node.outputs:
            names.setdefault(value.name, f"%{1 + sum(n.startswith('%') for n in names.values())}")
        results = ", ".join(names[value.name] for value in node.outputs)
        sizes = f"  # {', '.join(show(value.shape) for value in node.outputs)}" if shapes else ""
        print(f"{results} = {_call(node, names)}{sizes}")
    for name, value in extra.items():
        print(f"{name} = {_operand(value, names)}")


def _call(node: Node, names: Mapping[str, str]) -> str:
    defaults = declared_attributes(OPS[node.op])
    attrs = [f"{key}={value}" for key, value in node.attrs.items() if key not in defaults or value != defaults[key]]
    return f"{node.op}({', '.join([*(_operand(value, names) for value in node.inputs), *attrs])})"


def _operand(value: Value | None, names: Mapping[str, str]) -> str:
    if value is None:
        return "None"
    if value.data is None:
        return names.get(value.name, value.name)
    return str(value.data.tolist()) if value.data.size <= _MAX_PRINTED else str(value.type)
