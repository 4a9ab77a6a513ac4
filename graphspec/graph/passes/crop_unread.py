"""Convolutions and poolings without the last rows and columns that no window behind them reads.

Where a window does not fit into what is left of an axis, that is never looked at: pooling by 2 leaves out the last of 11
rows, and what the convolution before it computes there is in vain, forward and backward. So are the rows of its input that
only these are made of, and so forth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Node, Value
from graphspec.kernels.fast import faster
from graphspec.kernels.windows import padding, spread
from graphspec.ops import OPS
from graphspec.ops.unary import Unary

_WINDOWS = ("Conv", "MaxPool", "AveragePool")
_TERMS = ("Add", "Sub", "Mul")
_Steps = list[tuple[int, int, int]]
Need = tuple[int | None, ...]
"""How many numbers of each axis are read, from the first one on; None for all."""


def crop_unread(graph: Graph, target: Target) -> Graph:
    """The graph, computed from no more than is read: for programs, never for a file.

    Values and gradients are the same, but sums may be taken in another order.
    """
    nodes = graph.needed(graph.roots())
    if not faster(True) or not any(node.op in _WINDOWS for node in nodes):
        return graph
    needs = _needs(nodes, graph.roots())
    cropped = {node.name for node in nodes if _steps(node) is not None and _less(needs, node.outputs[0])}
    if not cropped:
        return graph

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        changed = any(a is not b and a.shape != b.shape for a, b in zip(inputs, node.inputs, strict=True) if a and b)
        if not changed and node.name not in cropped:
            return None
        now, steps = inputs[0], _steps(node)
        if steps is None or now is None:
            return state.again(node, inputs)
        out = _counts(node, needs[node.outputs[0].name])
        return state.again(node, inputs, auto_pad="NOTSET", pads=_pads(node, steps, now, out))

    return rebuild(graph, visit)


def _counts(node: Node, need: Need) -> list[Any]:
    """The output's shape, with what is needed of it where that is not all."""
    return [d if n is None else n for d, n in zip(node.outputs[0].shape, need, strict=True)]


def _less(needs: Mapping[str, Need], value: Value) -> bool:
    return any(n is not None and n != d for n, d in zip(needs[value.name], value.shape, strict=True))


def _needs(nodes: Sequence[Node], roots: Sequence[Value]) -> dict[str, Need]:
    """What is read of every value that is computed, by its name."""
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
    """What a node reads of an input for what is needed of its output."""
    value = node.inputs[k]
    assert value is not None
    if k == 0 and (steps := _steps(node)) is not None:
        return _under_windows(value, _counts(node, out)[2:], steps)
    if node.op == "Transpose":
        perm = node.attrs["perm"] or list(range(value.rank))[::-1]
        return tuple(out[perm.index(axis)] for axis in range(value.rank))
    if issubclass(OPS[node.op], Unary):
        return out
    if node.op in _TERMS and value.shape == node.outputs[0].shape and _ones_elsewhere(node, k, out):
        return out
    return _all(value)


def _ones_elsewhere(node: Node, k: int, out: Need) -> bool:
    """Whether the other operands are the same all along the axes of which not everything is needed."""
    others = [v for i, v in enumerate(node.inputs) if i != k and v is not None]
    cut = [len(out) - axis for axis, n in enumerate(out) if n is not None]  # axes counted from the last
    return all(v.rank < c or v.shape[-c] == 1 for v in others for c in cut)


def _under_windows(value: Value, counts: Sequence[Any], steps: _Steps) -> Need:
    """The numbers of each spatial axis that so many windows read, where these are known and not all."""
    found: list[int | None] = []
    for size, count, (stride, extent, begin) in zip(value.shape[2:], counts, steps, strict=True):
        if not isinstance(size, int) or not isinstance(count, int):
            found.append(None)
            continue
        reached = (count - 1) * stride + extent - begin
        found.append(reached if 0 < reached < size else None)
    return (None, None, *found)


def _steps(node: Node) -> _Steps | None:
    """Of each spatial axis the stride, the extent of a window, and the padding in front; None if that is not all known."""
    attrs, value = node.attrs, node.inputs[0] if node.inputs else None
    if node.op not in _WINDOWS or attrs.get("ceil_mode") or value is None:
        return None
    rank = value.rank - 2
    kernel = node.inputs[1].shape[2:] if node.op == "Conv" and node.inputs[1] is not None else attrs["kernel_shape"]
    strides = spread(attrs["strides"], rank, 1, "strides")
    dilations = spread(attrs.get("dilations"), rank, 1, "dilations")
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    known = [d if isinstance(d, int) else None for d in value.shape[2:]]
    begins = [p[0] for p in padding(known, extents, strides, attrs["pads"], attrs["auto_pad"]) if p is not None]
    return list(zip(strides, extents, begins, strict=True)) if len(begins) == rank else None


def _pads(node: Node, steps: _Steps, now: Value, out: Sequence[Any]) -> list[int]:
    """The padding with which the windows over an input as it is now are as many as ``out`` says."""
    given, ends = node.attrs["pads"], []
    for axis, (stride, extent, begin) in enumerate(steps):
        size, count = now.shape[2 + axis], out[2 + axis]
        if isinstance(size, int) and isinstance(count, int):
            ends.append((count - 1) * stride + extent - size - begin)
        else:
            ends.append(given[len(steps) + axis] if given is not None else 0)
    return [*(begin for _, _, begin in steps), *ends]
