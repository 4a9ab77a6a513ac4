"""How much memory training takes, estimated from the graph before anything is allocated, and how much there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphspec.errors import ShapeError
from graphspec.ir.dims import Shape
from graphspec.ir.graph import Graph, Node, Type
from graphspec.ops import Op, operator

_VARIED = 16  # elements assumed on an axis whose size only the data will tell


def estimate(graph: Graph, shapes: Mapping[str, Shape], slots: int = 1, *, training: bool = True) -> int:
    """Bytes of a training run: weights, gradients and optimizer slots, then every value and its gradient, float32.

    Args:
        shapes: the shape of every input of a batch.
        slots: state vectors of the optimizer.
    """
    sizes = [(p.size * 4, p.trainable) for p in graph.params.values()]
    weights, trained = sum(size for size, _ in sizes), sum(size for size, trains in sizes if trains)
    return weights + (trained * (1 + slots) if training else 0) + activations(graph, shapes) * (2 if training else 1)


def assumed_shapes(graph: Graph, batch_size: int) -> dict[str, Shape]:
    """Input shapes before data are seen: an axis that varies counts as 16 steps, a lower bound."""
    return {
        n: tuple(d if isinstance(d, int) else batch_size if d == "N" else _VARIED for d in v.shape)
        for n, v in graph.inputs.items()
    }


def activations(graph: Graph, shapes: Mapping[str, Shape]) -> int:
    """Bytes of all values of a batch, views not counted."""
    from graphspec.graph.pipelines import FOR_PRODUCTS, prepare
    from graphspec.graph.target import Target

    graph = prepare(graph, FOR_PRODUCTS, Target(shapes))
    nodes = graph.needed(graph.outputs.values())
    try:
        sizes = shapes_of(graph, nodes, shapes)
    except ShapeError:  # a window longer than the 16 steps assumed: the data will tell
        return 0
    total = sum(Type(v.dtype, shapes[n]).nbytes for n, v in graph.inputs.items())
    for node in nodes:
        op = operator(node)
        if takes_memory(op):
            total += sum(Type(v.dtype, sizes[v.name]).nbytes for v in node.outputs)
        inputs = [v.shape if v.data is not None else sizes.get(v.name, v.shape) for v in node.inputs if v is not None]
        if (hidden := op.hidden_shape(inputs)) is not None:
            total += Type("float32", hidden).nbytes
    return total


def shapes_of(graph: Graph, nodes: Sequence[Node], shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shapes of inputs and of what ``nodes`` compute, in numbers.

    Where dimensions are numbers or names of inputs' axes, nothing is inferred anew: half the time for a deep network.
    """
    from graphspec.graph.shapes import infer_shapes

    axes = {d: n for name, v in graph.inputs.items() for d, n in zip(v.shape, shapes[name], strict=True)}
    values = [*graph.inputs.values(), *(v for node in nodes for v in node.outputs)]
    if all(isinstance(d, int) or d in axes for v in values for d in v.shape):
        return {v.name: tuple(d if isinstance(d, int) else axes[d] for d in v.shape) for v in values}
    return {name: value.shape for name, value in infer_shapes(graph, nodes, shapes).items()}


def takes_memory(op: Op) -> bool:
    """Whether an operator's outputs need memory of their own; dropout and noise are made in place."""
    return not (op.is_view or op.identity_in_inference)
