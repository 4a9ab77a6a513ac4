"""Crop convolutions and poolings to the rows and columns that later windows read.

A window that does not fit into the end of an axis is never computed: pooling by 2 does not read the last of 11 rows. The
convolution before it computes this row in vain, forward and backward, and perhaps also reads rows that nothing else needs.
From the outputs backwards, this pass finds how much of each spatial axis is read. It then gives convolutions and poolings
negative padding at the end of the axis, so they compute no more than that.

It is for programs only: a file keeps the padding of the spec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphspec.graph.ir.graph import Graph, Node, Value
from graphspec.graph.kernels.compiled import use_fast_kernel
from graphspec.graph.kernels.windows import Window
from graphspec.graph.ops import OPS, operator
from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target

Need = tuple[int | None, ...]
"""The number of elements of each axis that are read, counted from the start; None for all."""


def crop_unread(graph: Graph, target: Target) -> Graph:
    """Crop rows and columns that nothing reads.

    Values and gradients are the same, but sums may be computed in another order.

    >>> g, x, W = sketch({"x": ("N", 1, 11, 11)}, {"W": (4, 1, 3, 3)})
    >>> graph = g.graph.with_outputs({"y": g.MaxPool(g.Conv(x, W), kernel_shape=(2, 2), strides=(2, 2))})
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
        X, windows = inputs[0], _windows(node)
        if windows is None or X is None:
            return state.copy_inferred(node, inputs)
        out = _needed_shape(node, needs[node.outputs[0].name])
        return state.copy_inferred(node, inputs, auto_pad="NOTSET", pads=_pads(node, windows, X, out))

    return rebuild(graph, visit)


def _needed_shape(node: Node, need: Need) -> list[Any]:
    """Return the output's shape, with the needed size on axes that are read partially."""
    return [d if n is None else n for d, n in zip(node.outputs[0].shape, need, strict=True)]


def _is_partial(needs: Mapping[str, Need], value: Value) -> bool:
    """Return whether only a part of the value is read."""
    return any(n is not None and n != d for n, d in zip(needs[value.name], value.shape, strict=True))


def _needs(nodes: Sequence[Node], roots: Sequence[Value]) -> dict[str, Need]:
    """Return the needed part of each value, by the value's name."""
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
        for k, X in enumerate(node.inputs):
            if X is not None:
                read(X, _reads(node, k, needs[node.outputs[0].name]) if len(node.outputs) == 1 else _all(X))
    return needs


def _all(value: Value) -> Need:
    return (None,) * value.rank


def _reads(node: Node, k: int, out: Need) -> Need:
    """Return the part of input ``k`` that a node reads to compute the needed part ``out`` of its output."""
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
    """Return whether the other operands are broadcast along the axes that are read partially."""
    others = [v for i, v in enumerate(node.inputs) if i != k and v is not None]
    partial = [len(out) - axis for axis, n in enumerate(out) if n is not None]  # axes counted from the last
    return all(v.rank < k or v.shape[-k] == 1 for v in others for k in partial)


def _read_by_windows(value: Value, counts: Sequence[Any], windows: list[Window]) -> Need:
    """Return the number of elements that ``counts`` windows read of each spatial axis; None if all or unknown."""
    lengths: list[int | None] = []
    for size, count, (stride, extent, begin) in zip(value.shape[2:], counts, windows, strict=True):
        if not isinstance(size, int) or not isinstance(count, int):
            lengths.append(None)
            continue
        end = (count - 1) * stride + extent - begin
        lengths.append(end if 0 < end < size else None)
    return (None, None, *lengths)


def _windows(node: Node) -> list[Window] | None:
    """Return the windows of a convolution or a pooling; None for another operator, or if a window is symbolic."""
    X, W = (*node.inputs, None, None)[:2]
    return None if X is None else operator(node).windows(X, W)


def _pads(node: Node, windows: list[Window], X: Value, out: Sequence[Any]) -> list[int]:
    """Return the padding for which the windows over X produce the shape ``out``."""
    pads, ends = node.attrs["pads"], []
    for axis, (stride, extent, begin) in enumerate(windows):
        size, count = X.shape[2 + axis], out[2 + axis]
        if isinstance(size, int) and isinstance(count, int):
            ends.append((count - 1) * stride + extent - size - begin)
        else:
            ends.append(pads[len(windows) + axis] if pads is not None else 0)
    return [*(begin for _, _, begin in windows), *ends]
