"""Whether operators keep the rows of a batch apart: parts of a batch then give the same as the batch.

Each value has the axis of its rows, or none. The batch may be a factor of the size of that axis: the inner one in (T·N, C),
as attention flattens its steps, the outer one in (N·heads, T, d). The layers have it in front. Operations of a spec may do
anything with it: the rules of :mod:`graphspec.graph.row_rules` know what operators do, and what they do not know counts as
mixing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from graphspec.graph.ir.dims import Dim, has_rows
from graphspec.graph.row_rules import OF_SIZES, RULES, SHAPED, SIZES, Axis, MixedError, reshaped_outer, where_rows

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Graph, Node, Value


class RowAxes:
    """The axes of the rows in the values of a graph.

    Attributes:
        axes: the axis of the rows of each value that is computed, by name.
        outer: the elements of that axis in front of each batch, by name, where there are several.
        mixing: the nodes that mix rows, or may do so, in their order.
    """

    def __init__(self, nodes: Iterable[Node], trusted: Collection[str] = ()) -> None:
        """Follow the rows through ``nodes``, in topological order.

        Args:
            trusted: the owners of nodes that do with the rows what they should, if they get them in axis 0.
        """
        self.axes: dict[str, Axis] = {}
        self.outer: dict[str, Dim] = {}
        self.mixing: list[Node] = []
        for node in nodes:
            given = [self.axis(v) for v in node.inputs]
            outer: Dim = 1
            try:
                if node.owner in trusted:
                    found = self._trusted(node, trusted)
                else:
                    found, outer = _after(node, given), self._outer(node, given)
            except MixedError:
                self.mixing.append(node)
                found = [_assumed(v) for v in node.outputs]
            for value, axis in zip(node.outputs, found, strict=True):
                self.axes[value.name] = axis
                if outer != 1 and axis not in (None, SIZES):
                    self.outer[value.name] = outer

    def axis(self, value: Value | None) -> Axis:
        """Return the axis of the rows of a value; None if it has none."""
        if value is None or value.kind in ("constant", "param"):
            return None
        return self.axes[value.name] if value.name in self.axes else _assumed(value)

    def in_front(self, value: Value | None) -> bool:
        """Return whether a value begins with its rows, or has none."""
        return self.axis(value) in (0, None) and (value is None or value.name not in self.outer)

    def _outer(self, node: Node, given: Sequence[Axis]) -> Dim:
        """Return the elements in front of each batch in the axis of the outputs' rows: only a reshape changes them."""
        pairs = zip(node.inputs, given, strict=True)
        found = {self.outer.get(v.name, 1) for v, axis in pairs if v is not None and axis not in (None, SIZES)}
        outer = found.pop() if found else 1
        if found or (outer != 1 and "seed" in node.attrs):  # random numbers are drawn by row, in the order of the rows
            raise MixedError
        at = given[0] if given else None
        reshaped = node.op in ("Reshape", "Flatten") and at is not None and at != SIZES
        return reshaped_outer(node, at, outer) if reshaped and at is not None else outer

    def _trusted(self, node: Node, trusted: Collection[str]) -> list[Axis]:
        for value in node.inputs:
            ours = value is not None and value.node is not None and value.node.owner not in trusted
            if ours and not self.in_front(value):
                raise MixedError
        return [_assumed(v) for v in node.outputs]


def mixing_node(graph: Graph, trusted: Collection[str] = ()) -> Node | None:
    """Return the first node that mixes rows of a batch, or that a head or a loss reads with rows in another axis than 0."""
    roots = graph.trained_roots()
    roots += [v.mask for v in roots if v.mask is not None]
    found = RowAxes([*graph.needed(roots), *_penalized(graph, roots)], trusted)
    if found.mixing:
        return found.mixing[0]
    for value in roots:
        if not found.in_front(value) and value.node is not None and value.node.owner not in trusted:
            return value.node
    return None


def _penalized(graph: Graph, roots: Sequence[Value]) -> list[Node]:
    """Return the nodes that only penalties read, without those that compute the penalties, which sum over rows."""
    known = {node.name for node in graph.needed(roots)}
    owners = {v.node.owner for v in graph.penalties if v.node is not None}
    return [n for n in graph.needed(graph.penalties) if n.name not in known and n.owner not in owners]


def _assumed(value: Value) -> Axis:
    return where_rows(value) if has_rows(value.shape) else None


def _after(node: Node, given: Sequence[Axis]) -> list[Axis]:
    """Return the axis of the rows in each output of an operator."""
    if node.op in ("Shape", "Size"):
        return [_sizes(v) for v in node.outputs] if given[0] is not None else [None]
    if SIZES in given and node.op not in SHAPED:
        if node.op not in OF_SIZES and any(v.dims is None for v in node.outputs):
            raise MixedError
        return [_sizes(v) for v in node.outputs]
    if SIZES in given and given[0] == SIZES and node.op in OF_SIZES:
        return [_sizes(v) for v in node.outputs]
    if given[0] is None and set(given) <= {None, SIZES}:  # the same for all rows, though perhaps once for each
        found = [_assumed(v) for v in node.outputs]
    else:
        rule = RULES.get(node.op)
        if rule is None:
            raise MixedError
        axes = rule(node, [None if a == SIZES else a for a in given])
        found = list(axes) if isinstance(axes, tuple) else [axes] * len(node.outputs)
    for value, at in zip(node.outputs, found, strict=True):
        if any(has_rows((d,)) for k, d in enumerate(value.shape) if k != at):
            raise MixedError  # pairs of rows
    return found


def _sizes(value: Value) -> Axis:
    """Return that a value depends on the number of rows, unless its elements are known and do not."""
    return SIZES if value.dims is None or has_rows(value.dims) else None
