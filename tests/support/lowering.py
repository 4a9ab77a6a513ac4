"""Lowers single layers for tests of shapes, weights, masks and errors."""

from __future__ import annotations

from typing import Any

from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.layers.layer import Layer

Dims = tuple[Any, ...]


def source(name: str, shape: Dims, dtype: str = "float32", mask: Dims | None = None) -> Value:
    value = Value(name, Type(dtype, shape), "input")
    return value.with_mask(None if mask is None else Value(f"{name}/mask", Type("bool", mask), "input"))


def lower(
    layer: str | dict[str, Any], *inputs: Value | Dims, dtype: str = "float32", trainable: bool = True, **calls: Any
) -> tuple[Graph, tuple[Value, ...]]:
    """The graph of one layer called ``y`` on inputs given as values or shapes, and its outputs."""
    parsed: Layer = LAYERS.parse(layer)
    graph = Graph("test")
    values = [v if isinstance(v, Value) else source(f"x{k}", v, dtype) for k, v in enumerate(inputs)]
    with Builder(graph, "y", trainable=trainable) as g:
        outputs = parsed.lower(g, *values, **calls)
    return graph, outputs if isinstance(outputs, tuple) else (outputs,)


def weights(graph: Graph) -> dict[str, Dims]:
    return {name.removeprefix("y/"): param.shape for name, param in graph.params.items()}


def cell(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "units": 5, **more}


IMAGE, SEQUENCE, TIME = ("N", 8, 6, 3), ("N", 7, 3), ("N", "time", 3)
