"""An estimate of the memory for training, computed from the graph before anything is allocated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphspec.base.errors import ShapeError
from graphspec.graph.ir.graph import Graph, Node, Shape, Type
from graphspec.graph.ops import Op, operator

_ASSUMED = 16  # elements on an axis whose size is unknown before data are read


def estimate(graph: Graph, shapes: Mapping[str, Shape], slots: int = 1, *, training: bool = True) -> int:
    """Return the bytes of a run: weights, gradients and optimizer slots, then every value and its gradient, in float32.

    ``shapes`` are those of a batch's inputs. Inference has no gradients and no ``slots``, the optimizer's state vectors.
    """
    weights = sum(p.size * 4 for p in graph.params.values())
    trained = sum(p.size * 4 for p in graph.params.values() if p.trainable)
    return (
        weights
        + (trained * (1 + slots) if training else 0)
        + (activations(graph, shapes, training) * (2 if training else 1))
    )


def assumed_shapes(graph: Graph, batch_size: int) -> dict[str, Shape]:
    """Return input shapes before data are read; an axis without a fixed size counts as 16 elements, a lower bound."""
    return {
        n: tuple(d if isinstance(d, int) else batch_size if d == "N" else _ASSUMED for d in v.shape)
        for n, v in graph.inputs.items()
    }


def activations(graph: Graph, shapes: Mapping[str, Shape], training: bool = False) -> int:
    """Return the bytes of all values of a batch, without views."""
    from graphspec.graph.passes import FOR_PRODUCTS, prepare
    from graphspec.graph.target import Target

    graph = prepare(graph, FOR_PRODUCTS, Target(shapes, training=training))
    nodes = graph.needed(graph.trained_roots())
    try:
        sizes = shapes_of(graph, nodes, shapes)
    except ShapeError:  # a window is longer than the assumed 16 elements
        return 0
    total = sum(Type(v.dtype, shapes[n]).nbytes for n, v in graph.inputs.items())
    for node in nodes:
        op = operator(node)
        if needs_memory(op):
            total += sum(Type(v.dtype, sizes[v.name]).nbytes for v in node.outputs)
        inputs = [v.shape if v.data is not None else sizes.get(v.name, v.shape) for v in node.sources]
        if (hidden := op.hidden_shape(inputs)) is not None:
            total += Type("float32", hidden).nbytes
    return total


def shapes_of(graph: Graph, nodes: Sequence[Node], shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return the shapes of inputs and of the outputs of ``nodes``, as integers.

    If all dimensions are integers or names of input axes, inference is not repeated: half the time for a deep network.
    """
    from graphspec.graph.analysis import infer_shapes

    axes = {d: n for name, v in graph.inputs.items() for d, n in zip(v.shape, shapes[name], strict=True)}
    values = [*graph.inputs.values(), *(v for node in nodes for v in node.outputs)]
    if all(isinstance(d, int) or d in axes for v in values for d in v.shape):
        return {v.name: tuple(d if isinstance(d, int) else axes[d] for d in v.shape) for v in values}
    return {name: value.shape for name, value in infer_shapes(graph, nodes, shapes, assumed=_ASSUMED).items()}


def needs_memory(op: Op) -> bool:
    """Whether an operator's outputs need their own buffers; views do not, and dropout and noise work in place."""
    return not (op.is_view or op.identity_in_inference)
