"""A first convolution and the max pooling that alone reads it as one operator, which takes a window tap by tap."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from graphspec.graph.gradients import wanted_gradients
from graphspec.graph.rebuild import Rebuild, readers, rebuild
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Node, Value
from graphspec.kernels.fast import faster

_THIN = 200
"""Numbers under a window up to which it is faster: with more, planes of less work than the products save nothing, and there
may be other algorithms for these. With one place under a window the convolution copies nothing, so that it is not faster."""


def fuse_conv_max_pool(graph: Graph, target: Target) -> Graph:
    """The graph with ConvPool where it fits and pays: for programs, never for a file.

    A convolution stays if it reads a value whose gradient is needed.
    """
    pools = [node for node in graph.nodes if node.op == "MaxPool" and _apart(node)]
    if not pools:
        return graph
    times = readers(graph)
    differentiated = wanted_gradients(graph, graph.nodes, target.input_grads)
    convs = {node.name: conv for node in pools if (conv := _before(node, times)) is not None}
    found = {name: conv for name, conv in convs.items() if _fits(conv, differentiated)}
    if not found:
        return graph
    names = {conv.name for conv in found.values()}
    made_of: dict[str, tuple[Value | None, ...]] = {}

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.name in names:
            made_of[node.name] = inputs[:2]
        if node.name not in found:
            return None
        conv = found[node.name]
        attrs = {key: conv.attrs[key] for key in ("auto_pad", "dilations", "pads", "strides")}
        return (state.builder(node).ConvPool(*made_of[conv.name], window=node.attrs["kernel_shape"], **attrs),)

    return rebuild(graph, visit)


def _apart(pool: Node) -> bool:
    """Whether a MaxPool's windows are several numbers each, and lie side by side from the first number on."""
    attrs, window = pool.attrs, list(pool.attrs["kernel_shape"])
    plain = attrs["auto_pad"] in ("NOTSET", "VALID") and not any(attrs["pads"] or ()) and not attrs["ceil_mode"]
    if not plain or any(d != 1 for d in attrs["dilations"] or ()):
        return False
    return math.prod(window) > 1 and window == list(attrs["strides"] or (1,) * len(window))


def _before(pool: Node, times: Mapping[str, int]) -> Node | None:
    """The convolution that a MaxPool alone reads, maybe transposed to and fro."""
    value = pool.inputs[0]
    assert value is not None
    order = list(range(value.rank))  # the axes of `value` that the MaxPool's are
    while value is not None and value.node is not None and times[value.name] == 1:
        node = value.node
        if node.op == "Conv":
            return node if order == sorted(order) else None
        if node.op != "Transpose":
            return None
        perm = node.attrs["perm"] or list(range(value.rank))[::-1]
        order, value = [perm[k] for k in order], node.inputs[0]
    return None


def _fits(conv: Node, differentiated: Collection[str]) -> bool:
    """Whether a convolution is one of what needs no gradient, without groups and bias, and better off tap by tap."""
    X, W, bias = (*conv.inputs, None)[:3]
    if X is None or W is None or X.name in differentiated or bias is not None or conv.attrs["group"] != 1:
        return False
    places = math.prod(W.fixed(k) for k in range(2, W.rank))
    return faster(places > 1 and places * W.fixed(1) <= _THIN)
