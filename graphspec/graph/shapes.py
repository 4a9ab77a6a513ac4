"""The types of all values for concrete input shapes, by the operators' own inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import Shape, show
from graphspec.graph.ir.graph import Graph, Node, Type, Value
from graphspec.graph.ops import operator


def infer_shapes(
    graph: Graph, nodes: Sequence[Node], shapes: Mapping[str, Shape], *, assumed: int | None = None
) -> dict[str, Value]:
    """Return all values with concrete types for input shapes without symbolic dimensions.

    Args:
        assumed: the size of an axis that depends on values, such as the number of words of a text; None to keep its name.

    Raises:
        ShapeError: these sizes do not fit a node. The message names it, and the shapes of the inputs.
    """
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
        try:
            types = op.infer(*inputs)
        except ShapeError as error:
            sizes = ", ".join(f"'{name}' {show(shape)}" for name, shape in shapes.items() if name in graph.inputs)
            text = f"node '{node.owner}' {error.problem.message}, for inputs of shape {sizes}"
            raise error.changed(message=text) from None
        for value, inferred in zip(node.outputs, types if isinstance(types, tuple) else (types,), strict=True):
            if assumed is not None and any(isinstance(d, str) for d in inferred.shape):
                shape = tuple(assumed if isinstance(d, str) else d for d in inferred.shape)
                inferred = replace(inferred, shape=shape)
            known[value.name] = Value(value.name, inferred)
        if node.outputs[0].dims is not None:
            known[node.outputs[0].name].dims = op.dims(*inputs)
    return known
