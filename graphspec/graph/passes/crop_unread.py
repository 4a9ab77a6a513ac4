"""Crop convolutions and poolings to the rows and columns that later windows read.

A window that does not fit into the rest of an axis is never computed: pooling by 2 leaves out the last of 11 rows. What the
convolution before it computes there is wasted, forward and backward, and so are the rows of its own input that only these
results depend on. This pass finds from the outputs backwards how much of each spatial axis is read, and gives convolutions
and poolings negative padding at the end of the axis so that they compute no more.

It is for programs only: a file keeps the padding of the spec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Node, Value
from graphspec.kernels.fast import use_fast_kernel
from graphspec.kernels.windows import Window
from graphspec.ops import OPS, operator

Need = tuple[int | None, ...]
"""How many elements of each axis are read, counted from the start; None for all."""


def crop_unread(graph: Graph, target: Target) -> Graph:
    """Compute no rows and columns that nothing reads.

    Values and gradients are the same, but sums may be taken in another order.

    >>> g, x, W = sketch({"x": ("N", 1, 11, 11)}, {"W": (4, 1, 3, 3)})
    >>> graph = g.graph.asking({"y": g.MaxPool(g.Conv(x, W), kernel_shape=(2, 2), strides=(2, 2))})
    >>> print_graph(graph, shapes=True)
    %1 = Conv(x, W)  # (N, 4, 9, 9)
    y = MaxPool(%1, kernel_shape=(2, 2), strides=(2, 2))  # (N, 4, 4, 4)
    >>> print_graph(crop_unread(graph, Target()), shapes=True)
    %1 = Conv(x, W, pads=[0, 0, -1, -1])  # (N, 4, 8, 8)
    y = MaxPool(%1, kernel_shape=(2, 2), pads=[0, 0, 0, 0], strides=(2, 2))  # (N, 4, 4, 4)
    """
    nodes = graph.needed(graph.roots())
    if not use_fast_kernel(True) or not any(_windows(node) is not None for node in nodes):
        return graph
    needs = _needs(nodes, graph.roots())
    cropped = {node.name for node in nodes if _windows(node) is not None and _is_partial(needs, node.outputs[0])}
    if not cropped:
        return graph

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        changed = any(a is not b and a.shape != b.shape for a, b in zip(inputs, node.inputs, strict=True) if a and b)
        if not changed and node.name not in cropped:
            return None
        now, windows = inputs[0], _windows(node)
        if windows is None or now is None:
            return state.again(node, inputs)
        out = _needed_shape(node, needs[node.outputs[0].name])
        return state.again(node, inputs, auto_pad="NOTSET", pads=_pads(node, windows, now, out))

    return rebuild(graph, visit)


def _needed_shape(node: Node, need: Need) -> list[Any]:
    """The output's shape; the needed size on axes of which not all is needed."""
    return [d if n is None else n for d, n in zip(node.outputs[0].shape, need, strict=True)]


def _is_partial(needs: Mapping[str, Need], value: Value) -> bool:
    """Whether only a part of the value is read."""
    return any(n is not None and n != d for n, d in zip(needs[value.name], value.shape, strict=True))


def _needs(nodes: Sequence[Node], roots: Sequence[Value]) -> dict[str, Need]:
    """How much of each value is read, by the value's name."""
    needs: dict[str, Need] = {}

    def read(value: Value | None, need: Need) -> None:
        if value is not None:
            before = needs.get(value.name, need)
            needs[value.name] = tuple(
                None if a is None or b is None else max(a, b) for a, b in zip(before, need, strict=True)
            )

    for value in roots:
        read(value, _all(value))
    for node in reversed(nodes):
        for k, given in enumerate(node.inputs):
            if given is not None:
                read(given, _reads(node, k, needs[node.outputs[0].name]) if len(node.outputs) == 1 else _all(given))
    return needs


def _all(value: Value) -> Need:
    return (None,) * value.rank


def _reads(node: Node, k: int, out: Need) -> Need:
    """How much of input ``k`` a node reads to compute the needed part ``out`` of its output."""
    value = node.inputs[k]
    assert value is not None
    if k == 0 and (windows := _windows(node)) is not None:
        return _read_by_windows(value, _needed_shape(node, out)[2:], windows)
    if node.op == "Transpose":
        perm = node.attrs["perm"] or list(range(value.rank))[::-1]
        return tuple(out[perm.index(axis)] for axis in range(value.rank))
    if OPS[node.op].elementwise and value.shape == node.outputs[0].shape and _others_broadcast(node, k, out):
        return out
    return _all(value)


def _others_broadcast(node: Node, k: int, out: Need) -> bool:
    """Whether the other operands are broadcast along the axes of which not all is needed."""
    others = [v for i, v in enumerate(node.inputs) if i != k and v is not None]
    cut = [len(out) - axis for axis, n in enumerate(out) if n is not None]  # axes counted from the last
    return all(v.rank < c or v.shape[-c] == 1 for v in others for c in cut)


def _read_by_windows(value: Value, counts: Sequence[Any], windows: list[Window]) -> Need:
    """How much of each spatial axis ``counts`` windows read; None if that is all, or unknown."""
    found: list[int | None] = []
    for size, count, (stride, extent, begin) in zip(value.shape[2:], counts, windows, strict=True):
        if not isinstance(size, int) or not isinstance(count, int):
            found.append(None)
            continue
        reached = (count - 1) * stride + extent - begin
        found.append(reached if 0 < reached < size else None)
    return (None, None, *found)


def _windows(node: Node) -> list[Window] | None:
    """The windows of a convolution or a pooling, or None if any is symbolic."""
    X, W = (*node.inputs, None, None)[:2]
    return None if X is None else operator(node).windows(X, W)


def _pads(node: Node, windows: list[Window], now: Value, out: Sequence[Any]) -> list[int]:
    """The padding with which the windows over the input ``now`` give the shape ``out``."""
    given, ends = node.attrs["pads"], []
    for axis, (stride, extent, begin) in enumerate(windows):
        size, count = now.shape[2 + axis], out[2 + axis]
        if isinstance(size, int) and isinstance(count, int):
            ends.append((count - 1) * stride + extent - size - begin)
        else:
            ends.append(given[len(windows) + axis] if given is not None else 0)
    return [*(begin for _, _, begin in windows), *ends]
