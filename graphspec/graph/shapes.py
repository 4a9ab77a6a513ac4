"""Every value's type for given input sizes: the operators' own inference, run on numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphspec.ir.dims import Shape
from graphspec.ir.graph import Graph, Node, Type, Value
from graphspec.ops import operator


def infer_shapes(graph: Graph, nodes: Sequence[Node], shapes: Mapping[str, Shape]) -> dict[str, Value]:
    """Every value's type for given input shapes, by running the operators' inference on numbers."""
    known: dict[str, Value] = {}

    def lookup(value: Value | None) -> Value | None:
        if value is None or value.kind == "constant":
            return value
        if value.name not in known:
            shape = value.type.shape if value.kind == "param" else tuple(shapes[value.name])
            known[value.name] = Value(value.name, Type(value.dtype, shape), value.kind)
        return known[value.name]

    for node in nodes:
        op = operator(node)
        inputs = [lookup(v) for v in node.inputs]
        types = op.infer(*inputs)
        for value, kind in zip(node.outputs, types if isinstance(types, tuple) else (types,), strict=True):
            known[value.name] = Value(value.name, kind)
        if node.outputs[0].dims is not None:
            known[node.outputs[0].name].dims = op.dims(*inputs)
    return known
