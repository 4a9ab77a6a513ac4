"""Fuse a network's first convolution with the max pooling after it.

The fused operator ConvPool computes one plane of the convolution per tap of the pooling window, then the elementwise
maximum of the planes. It processes a few samples at a time, so the large result of the convolution stays in the cache. It
computes no gradient of its input, so the convolution must read a value that needs none, such as an image. The pooling must
be the only reader of the convolution, and its windows must not overlap.

It is for programs only: ONNX has no such operator.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from graphspec.graph.gradients import needed_gradients
from graphspec.graph.ir.graph import Graph, Node, Value
from graphspec.graph.kernels.compiled import use_fast_kernel
from graphspec.graph.rebuild import Rebuild, readers, rebuild
from graphspec.graph.target import Target

# Fusing is faster for convolution windows of at most this many elements. For larger windows the products take longer than
# the memory traffic, and other algorithms may be applicable. A 1×1 convolution is not fused, because it copies nothing.
_MAX_WINDOW = 200


def fuse_conv_max_pool(graph: Graph, target: Target) -> Graph:
    """Replace Conv and MaxPool by ConvPool if this is possible and faster.

    >>> g, x, W = sketch({"x": ("N", 1, 11, 11)}, {"W": (4, 1, 3, 3)})
    >>> graph = g.graph.with_outputs({"y": g.MaxPool(g.Conv(x, W), kernel_shape=(2, 2), strides=(2, 2))})
    >>> print_graph(graph)
    %1 = Conv(x, W)
    y = MaxPool(%1, kernel_shape=(2, 2), strides=(2, 2))
    >>> print_graph(fuse_conv_max_pool(graph, Target()))
    y = ConvPool(x, W, window=(2, 2))
    """
    pools = [node for node in graph.nodes if node.op == "MaxPool" and _tiles(node)]
    if not pools:
        return graph
    reads = readers(graph)
    differentiated = needed_gradients(graph, graph.nodes, target.input_grads)
    convs = {node.name: conv for node in pools if (conv := _convolution_before(node, reads)) is not None}
    found = {name: conv for name, conv in convs.items() if _fits(conv, differentiated)}
    if not found:
        return graph
    names = {conv.name for conv in found.values()}
    conv_inputs: dict[str, tuple[Value | None, ...]] = {}

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.name in names:
            conv_inputs[node.name] = inputs[:2]
        if node.name not in found:
            return None
        conv = found[node.name]
        attrs = {key: conv.attrs[key] for key in ("auto_pad", "dilations", "pads", "strides")}
        return (state.builder(node).ConvPool(*conv_inputs[conv.name], window=node.attrs["kernel_shape"], **attrs),)

    return rebuild(graph, visit)


def _tiles(pool: Node) -> bool:
    """Return whether a MaxPool's windows have several elements, no overlap, no gaps and no padding."""
    attrs, window = pool.attrs, list(pool.attrs["kernel_shape"])
    unpadded = attrs["auto_pad"] in ("NOTSET", "VALID") and not any(attrs["pads"] or ()) and not attrs["ceil_mode"]
    if not unpadded or any(d != 1 for d in attrs["dilations"] or ()):
        return False
    return math.prod(window) > 1 and window == list(attrs["strides"] or (1,) * len(window))


def _convolution_before(pool: Node, reads: Mapping[str, int]) -> Node | None:
    """Return the convolution whose only reader is this MaxPool, possibly through Transposes that cancel, or None."""
    value = pool.inputs[0]
    assert value is not None
    order = list(range(value.rank))  # the axis of `value` for each axis of the MaxPool's input
    while value is not None and value.node is not None and reads[value.name] == 1:
        node = value.node
        if node.op == "Conv":
            return node if order == sorted(order) else None
        if node.op != "Transpose":
            return None
        perm = node.attrs["perm"] or list(range(value.rank))[::-1]
        order, value = [perm[k] for k in order], node.inputs[0]
    return None


def _fits(conv: Node, differentiated: Collection[str]) -> bool:
    """Return whether a convolution has no groups and no bias, its input needs no gradient, and fusing is faster."""
    X, W, bias = (*conv.inputs, None)[:3]
    if X is None or W is None or X.name in differentiated or bias is not None or conv.attrs["group"] != 1:
        return False
    taps = math.prod(W.fixed(k) for k in range(2, W.rank))
    return use_fast_kernel(taps > 1 and taps * W.fixed(1) <= _MAX_WINDOW)
