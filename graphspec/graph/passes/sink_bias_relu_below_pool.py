"""The largest number under a window before a bias and ReLU, not after them: fewer numbers to go through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphspec.graph.rebuild import Rebuild, readers, rebuild
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Node, Value
from graphspec.kernels.fast import faster


@dataclass(frozen=True)
class _Before:
    """What a MaxPool alone reads, maybe transposed: a Relu, and the convolution before it whose bias can be added later."""

    relu: Node | None
    conv: Node | None


def sink_bias_relu_below_pool(graph: Graph, target: Target) -> Graph:
    """The graph with Relu and the bias of a convolution behind a MaxPool that alone reads them.

    For programs, never for a file. Values are the same, and so are gradients: a window's goes to its first largest number if
    that is above 0, else nowhere. But numbers that are equal only as the bias rounds them are told apart, and a bias's
    gradient is summed in another order.
    """
    times = readers(graph)
    found = {node.name: before for node in graph.needed(graph.roots()) if (before := _before(node, times)) is not None}
    if not found:
        return graph
    relus = {before.relu.name for before in found.values() if before.relu is not None}
    convs = {before.conv.name for before in found.values() if before.conv is not None}

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.name in relus:
            (X,) = inputs
            return None if X is None else (X,)
        if node.name in convs:
            return state.copy(node, inputs[:2])
        if node.name not in found:
            return None
        before, g = found[node.name], state.builder(node)
        (Y,) = state.copy(node, inputs)
        if before.conv is not None:
            Y = g.Add(Y, g.Unsqueeze(before.conv.inputs[2], g.constant(list(range(1, Y.rank - 1)))))
        return (Y if before.relu is None else g.Relu(Y),)

    return rebuild(graph, visit)


def _before(node: Node, times: Mapping[str, int]) -> _Before | None:
    """What can move behind a MaxPool, if every window surely has a number."""
    if node.op != "MaxPool" or node.attrs["ceil_mode"] or any(d != 1 for d in node.attrs["dilations"] or ()):
        return None
    value, relu, channel = node.inputs[0], None, 1
    while value is not None and value.node is not None and times[value.name] == 1:
        source = value.node
        if source.op == "Conv" and channel == 1 and len(source.inputs) > 2:
            bias = source.inputs[2]
            if bias is not None and bias.kind == "param" and faster(True):
                return _Before(relu, source)
            break
        if source.op == "Relu" and relu is None:
            relu = source
        elif source.op == "Transpose":
            channel = (source.attrs["perm"] or list(range(value.rank))[::-1])[channel]
        else:
            break
        value = source.inputs[0]
    return None if relu is None else _Before(relu, None)
