"""What every node of a spec costs: parameters, multiply-adds, and the memory of its values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphspec.errors import ShapeError
from graphspec.graph.memory_estimate import VIEWS
from graphspec.graph.shapes import infer_shapes
from graphspec.ir.dims import Shape
from graphspec.ir.graph import Graph, Node, Param, Value
from graphspec.ops.einsum import sizes_of, terms

if TYPE_CHECKING:
    from graphspec.compiler.lowered import Lowered
    from graphspec.language.declarations import Spec

_LENGTHS = (16, 64, 256, 1024, 4096)
"""Sizes to assume on an axis that varies: the first that the network takes."""


@dataclass(slots=True)
class NodeCost:
    """One node of the spec.

    Attributes:
        trainable, frozen: parameters of its own; frozen ones include moving statistics.
        multiply_adds: of matrix products, convolutions and recurrent layers, for the whole batch, forward.
        activations: bytes of the values that it computes for the whole batch.
    """

    trainable: int = 0
    frozen: int = 0
    multiply_adds: int = 0
    activations: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of every node by name, the inputs' shapes, and the sizes assumed in them for the axes that vary."""

    nodes: dict[str, NodeCost]
    shapes: dict[str, Shape]
    lengths: dict[str, int]

    def total(self) -> NodeCost:
        nodes = self.nodes.values()
        return NodeCost(
            sum(n.trainable for n in nodes),
            sum(n.frozen for n in nodes),
            sum(n.multiply_adds for n in nodes),
            sum(n.activations for n in nodes),
        )


def cost(spec: Spec, lowered: Lowered, batch_size: int) -> Cost:
    """The cost of a spec without errors, at a batch size; what no head needs is not computed and costs nothing."""
    graph = lowered.graph
    nodes = {node.name: NodeCost() for node in spec.nodes}
    for param in graph.params.values():
        owner = nodes[_owner(param, nodes)]
        owner.trainable += param.size if param.trainable else 0
        owner.frozen += 0 if param.trainable else param.size
    shapes, types, lengths = _assume(graph, batch_size)
    for node in graph.needed(graph.outputs.values()):
        if node.owner in nodes:
            nodes[node.owner].multiply_adds += _multiply_adds(node, types)
            if node.op not in VIEWS:
                nodes[node.owner].activations += sum(_bytes(types[v.name]) for v in node.outputs)
    return Cost(nodes, shapes, lengths)


def _owner(param: Param, nodes: Mapping[str, NodeCost]) -> str:
    """The node of ``<node>/<role>`` or ``<node>/<part>/<role>``; names of nodes hold slashes too."""
    return next(name for name in _parents(param.name) if name in nodes)


def _parents(name: str) -> Iterator[str]:
    while name:
        name = name.rpartition("/")[0]
        yield name


def _assume(graph: Graph, batch_size: int) -> tuple[dict[str, Shape], dict[str, Value], dict[str, int]]:
    """Input shapes, all types, and the lengths assumed: the shortest of ``_LENGTHS`` that the network takes.

    Raises:
        ShapeError: none of them fits.
    """
    symbols = sorted({d for v in graph.inputs.values() for d in v.shape[1:] if isinstance(d, str)})
    needed = graph.needed(graph.outputs.values())
    problem: ShapeError | None = None
    for length in _LENGTHS:
        lengths = dict.fromkeys(symbols, length)
        known = lengths | {"N": batch_size}
        shapes: dict[str, Shape] = {
            name: tuple(known[d] if isinstance(d, str) else d for d in value.shape)
            for name, value in graph.inputs.items()
        }
        try:
            return shapes, infer_shapes(graph, needed, shapes), lengths
        except ShapeError as error:
            problem = error
    assert problem is not None
    raise problem


def _bytes(value: Value) -> int:
    return _size(value.shape) * np.dtype(value.dtype).itemsize


def _size(shape: Shape) -> int:
    return math.prod(int(d) for d in shape)


_PRODUCTS = {"Attention", "Conv", "ConvTranspose", "Einsum", "GRU", "Gemm", "LSTM", "MatMul", "RNN"}


def _multiply_adds(node: Node, types: Mapping[str, Value]) -> int:
    """Of one operator, forward; 0 for those that are no product of matrices."""
    if node.op.removeprefix("Dropout") not in _PRODUCTS:
        return 0
    shapes = [() if v is None else _shape(v, types) for v in node.inputs]
    X, W = (*shapes, ())[:2]
    Y = types[node.outputs[0].name].shape
    match node.op:
        case "Gemm":
            return _size(X) * int(Y[1])
        case "MatMul":
            return _size(Y) * int(X[-1])
        case "Conv":
            return _size(Y) * _size(W[1:])
        case "Attention":  # queries by keys, weights by values
            return (_size(X) + _size(Y)) * int(W[-2])
        case "Einsum":
            names, _ = terms(node.attrs["equation"], [len(shape) for shape in shapes])
            sizes = sizes_of(node.attrs["equation"], names, shapes)
            return _size(tuple(sizes.values())) * (len(shapes) - 1)
        case "ConvTranspose":
            return _size(X) * _size(W[1:])
        case _:  # LSTM, GRU, RNN: every step multiplies the input by W and the state by R
            return _size(X[:2]) * (_size(W) + _size(shapes[2]))


def _shape(value: Value, types: Mapping[str, Value]) -> Shape:
    return types[value.name].shape if value.name in types else value.shape
