"""Fuse a network's first convolution with the max pooling behind it.

The fused operator ConvPool computes the convolution as one plane per tap of the pooling window and takes the maximum of
whole planes, some samples at a time, so the large result of the convolution stays in the cache. It computes no gradient of
its input, hence the convolution must read a value that needs none, such as an image. The pooling must be the only reader,
with windows that do not overlap.

It is for programs only: ONNX has no such operator.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from graphspec.graph.gradients import wanted_gradients
from graphspec.graph.rebuild import Rebuild, readers, rebuild
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Node, Value
from graphspec.kernels.fast import use_fast_kernel

_THIN = 200
"""Elements under a convolution window up to which fusing is faster. With more, the products outweigh the memory traffic,
and other algorithms may apply. A 1×1 convolution is not fused either, since it copies nothing."""


def fuse_conv_max_pool(graph: Graph, target: Target) -> Graph:
    """Replace Conv and MaxPool by ConvPool where that is possible and faster.

    >>> g, x, W = sketch({"x": ("N", 1, 11, 11)}, {"W": (4, 1, 3, 3)})
    >>> graph = g.graph.asking({"y": g.MaxPool(g.Conv(x, W), kernel_shape=(2, 2), strides=(2, 2))})
    >>> print_graph(graph)
    %1 = Conv(x, W)
    y = MaxPool(%1, kernel_shape=(2, 2), strides=(2, 2))
    >>> print_graph(fuse_conv_max_pool(graph, Target()))
    y = ConvPool(x, W, window=(2, 2))
    """
    pools = [node for node in graph.nodes if node.op == "MaxPool" and _tiles(node)]
    if not pools:
        return graph
    times = readers(graph)
    differentiated = wanted_gradients(graph, graph.nodes, target.input_grads)
    convs = {node.name: conv for node in pools if (conv := _convolution_before(node, times)) is not None}
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


def _tiles(pool: Node) -> bool:
    """Whether a MaxPool's windows have several elements, do not overlap, leave no gaps and need no padding."""
    attrs, window = pool.attrs, list(pool.attrs["kernel_shape"])
    plain = attrs["auto_pad"] in ("NOTSET", "VALID") and not any(attrs["pads"] or ()) and not attrs["ceil_mode"]
    if not plain or any(d != 1 for d in attrs["dilations"] or ()):
        return False
    return math.prod(window) > 1 and window == list(attrs["strides"] or (1,) * len(window))


def _convolution_before(pool: Node, times: Mapping[str, int]) -> Node | None:
    """The convolution whose only reader is this MaxPool, possibly through Transposes that cancel."""
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
    """Whether a convolution's input needs no gradient, it has no groups and no bias, and fusing it is faster."""
    X, W, bias = (*conv.inputs, None)[:3]
    if X is None or W is None or X.name in differentiated or bias is not None or conv.attrs["group"] != 1:
        return False
    taps = math.prod(W.fixed(k) for k in range(2, W.rank))
    return use_fast_kernel(taps > 1 and taps * W.fixed(1) <= _THIN)
