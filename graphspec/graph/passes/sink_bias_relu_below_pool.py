"""Move bias and ReLU from before a MaxPool to after it, where there are fewer elements.

Adding a bias and ReLU, with or without a maximum, are monotonic, so they commute with the maximum of a window. After a 2×2
pooling there is a quarter of the elements, forward and backward. The pooling must be the only reader of the nodes that move,
possibly through Transposes.

It is for programs only: a file keeps the order of the spec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphspec.graph.ir.graph import Graph, Node, Value
from graphspec.graph.kernels.compiled import use_fast_kernel
from graphspec.graph.rebuild import Rebuild, readers, rebuild
from graphspec.graph.target import Target


@dataclass(frozen=True)
class _Movable:
    """The operations that can move below a MaxPool: a Relu or Clip, and the bias of the convolution before it."""

    relu: Node | None
    conv: Node | None


def sink_bias_relu_below_pool(graph: Graph, target: Target) -> Graph:
    """Apply the bias of a convolution and Relu after a MaxPool instead of before it.

    Values and gradients are the same: a window's gradient goes to its first maximum if that is above 0 (and below a Clip's
    bound), otherwise nowhere.
    There are two differences by rounding: elements that are equal only after the bias is added are now different, and the
    gradient of the bias is summed in another order.

    >>> g, x, W, b = sketch({"x": ("N", 3, 8, 8)}, {"W": (4, 3, 3, 3), "b": (4,)})
    >>> graph = g.graph.with_outputs({"y": g.MaxPool(g.Relu(g.Conv(x, W, b)), kernel_shape=(2, 2))})
    >>> print_graph(graph)
    %1 = Conv(x, W, b)
    %2 = Relu(%1)
    y = MaxPool(%2, kernel_shape=(2, 2))
    >>> print_graph(sink_bias_relu_below_pool(graph, Target()))
    %1 = Conv(x, W)
    %2 = MaxPool(%1, kernel_shape=(2, 2))
    %3 = Unsqueeze(b, [1, 2])
    %4 = Add(%2, %3)
    y = Relu(%4)
    """
    reads = readers(graph)
    found = {node.name: moved for node in graph.needed(graph.roots()) if (moved := _movable(node, reads)) is not None}
    if not found:
        return graph
    relus = {moved.relu.name for moved in found.values() if moved.relu is not None}
    convs = {moved.conv.name for moved in found.values() if moved.conv is not None}

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.name in relus:
            X = inputs[0]
            return None if X is None else (X,)
        if node.name in convs:
            return state.copy(node, inputs[:2])
        if node.name not in found:
            return None
        moved, g = found[node.name], state.builder(node)
        (Y,) = state.copy(node, inputs)
        if moved.conv is not None:
            Y = g.Add(Y, g.Unsqueeze(moved.conv.inputs[2], g.constant(list(range(1, Y.rank - 1)))))
        if moved.relu is not None:
            Y = g.emit(moved.relu.op, (Y, *moved.relu.inputs[1:]), moved.relu.attrs)
        return (Y,)

    return rebuild(graph, visit)


def _movable(node: Node, reads: Mapping[str, int]) -> _Movable | None:
    """Return the operations that can move below the node.

    Return None if the node is not a MaxPool, or if a window could contain only padding.
    """
    if node.op != "MaxPool" or node.attrs["ceil_mode"] or any(d != 1 for d in node.attrs["dilations"] or ()):
        return None
    value, relu, channel = node.inputs[0], None, 1
    while value is not None and value.node is not None and reads[value.name] == 1:
        source = value.node
        if source.op == "Conv" and channel == 1 and len(source.inputs) > 2:
            bias = source.inputs[2]
            if bias is not None and bias.kind == "param" and use_fast_kernel(True):
                return _Movable(relu, source)
            break
        if source.op in ("Relu", "Clip") and relu is None:
            if any(bound is not None and bound.kind != "constant" for bound in source.inputs[1:]):
                break
            relu = source
        elif source.op == "Transpose":
            channel = (source.attrs["perm"] or list(range(value.rank))[::-1])[channel]
        else:
            break
        value = source.inputs[0]
    return None if relu is None else _Movable(relu, None)
