"""Cut a graph into its prelude, which onnxruntime computes once per row, and the rest, which is trained.

The prelude is a part of the graph before anything trained or random, or that mixes rows: the values of a row are the same
in every epoch. It contains every operator that only onnxruntime computes, such as lookups of texts. The cut is where the
values that cross it need the fewest bytes per row (a minimum cut): ids, not one-hot vectors. Of several such cuts it is the
last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from graphspec.graph.ir.dims import Dim, has_rows
from graphspec.graph.ir.graph import Graph, Node, Type, Value
from graphspec.graph.ops import OPS
from graphspec.graph.row_axes import SIZES, RowAxes

_ASSUMED = 64  # elements along an axis that varies
_MANY_INPUTS = 8
_NO_ROWS = 1 << 50  # bytes that a value counts that is no row of anything, such as a size
_ITEM_BYTES = {"float32": 4, "int32": 4, "int64": 8, "uint8": 1, "bool": 1}


@dataclass(frozen=True)
class Cut:
    """A graph in two parts.

    Attributes:
        prelude: computes the values that cross the cut, its outputs, from inputs of the graph.
        rest: computes the graph's outputs; its inputs are the values that cross the cut, and inputs of the graph.
    """

    prelude: Graph
    rest: Graph


def cut(graph: Graph) -> Cut | None:
    """Return the two parts of a graph; None if nothing is cut off.

    A graph that NumPy computes alone is cut only if this joins many inputs, such as the columns of a record: in every step,
    the small operators of each column would take longer than the network.
    """
    nodes = graph.needed(_roots(graph))
    once = set() if all(OPS[n.op].has_kernel for n in nodes) else repeatable(nodes)
    by_numpy = all(OPS[n.op].has_kernel or (OPS[n.op].by_step and n.name not in once) for n in nodes)
    opened = set[str]().union(*any_size(graph).values())
    if by_numpy and not opened and len(graph.inputs) < _MANY_INPUTS:
        return None
    alike = _without_rows(nodes)
    rows = RowAxes(nodes)
    fixed = _by_row(nodes, rows)
    others = [n for n in nodes if n.name not in alike]
    chosen = _before_the_cut(graph, others, fixed - alike, alike, rows, opened)
    if chosen is None:  # then what can be computed in every step is, and what depends on it
        chosen = _before_the_cut(graph, others, fixed - alike - _behind_steps(nodes), alike, rows, opened)
    if not chosen:
        return None
    parts = _split(graph, nodes, chosen, alike)
    return None if by_numpy and not opened and len(parts.rest.inputs) > len(graph.inputs) // 2 else parts


def any_size(graph: Graph) -> dict[str, set[str]]:
    """Return the inputs of pictures of which every row may have a height and a width of its own.

    What reads them is computed for each row alone and before everything trained, up to values of one size: the prelude. With
    each come the names of the values that have its size, or depend on it: they cannot cross the cut.
    """
    several = [v for v in graph.inputs.values() if len(v.shape) == 4 and not v.type.is_string]
    pictures = [v for v in several if _is_fixed(v.shape[3]) and not all(map(_is_fixed, v.shape[1:3]))]
    if not pictures:
        return {}
    nodes, found = graph.needed(_roots(graph)), {}
    fixed, rows = by_row(nodes), RowAxes(nodes)
    for picture in pictures:
        sizes = {d for d in picture.shape[1:] if not _is_fixed(d)}
        shared = any(sizes & {*v.shape} for v in graph.inputs.values() if v is not picture)
        opened, late = {picture.name}, _roots(graph)
        for node in nodes:
            if any(v is not None and v.name in opened for v in node.inputs):
                late += [v for v in node.inputs if v is not None and node.name not in fixed]
                front = [v for v in node.outputs if rows.axis(v) == 0 and rows.in_front(v)]
                closed = {v.name for v in front if all(map(_is_fixed, v.shape[1:]))}
                opened |= {v.name for v in node.outputs} - closed
        if not shared and opened.isdisjoint(v.name for v in late):
            found[picture.name] = opened
    return found


def _is_fixed(size: Dim) -> bool:
    return isinstance(size, int)


def computed_once(graph: Graph) -> set[str]:
    """Return the owners of nodes whose values are all computed in the prelude; none without a prelude."""
    parts = cut(graph)
    if parts is None:
        return set()
    trained = {node.owner for node in parts.rest.nodes}
    return {node.owner for node in parts.prelude.nodes} - trained


def not_computable(graph: Graph) -> list[Node]:
    """Return the nodes that only onnxruntime computes although they depend on weights, random numbers or other rows."""
    nodes = graph.needed(_roots(graph))
    late = [n for n in nodes if _by_onnxruntime(n)]
    if not late:
        return []
    fixed, trained = by_row(nodes), _trained(nodes)
    once = repeatable(nodes)
    return [n for n in late if n.name not in fixed and (not _may_wait(n) or n.name in trained | once)]


def computed_in_steps(graph: Graph) -> list[Node]:
    """Return the nodes that onnxruntime computes in every step, since random numbers come before them."""
    nodes = graph.needed(_roots(graph))
    late = [n for n in nodes if OPS[n.op].by_step]
    if not late:
        return []
    wrong, once = {n.name for n in not_computable(graph)}, repeatable(nodes)
    return [n for n in late if n.name not in once and n.name not in wrong]


def _may_wait(node: Node) -> bool:
    """Return whether a node can be computed in every step, too: texts have no buffers."""
    values = [*node.outputs, *(v for v in node.inputs if v is not None)]
    return OPS[node.op].by_step and not any(v.type.is_string for v in values)


def _trained(nodes: Iterable[Node]) -> set[str]:
    """Return the names of the nodes that get values of trained weights with a gradient."""
    moved: set[str] = set()
    found: set[str] = set()
    for node in nodes:
        read = [v for v in node.inputs if v is not None]
        if any(v.name in moved or (v.param is not None and v.param.trainable) for v in read):
            found.add(node.name)
            if not OPS[node.op].stops_gradient or OPS[node.op].by_step:
                moved.update(v.name for v in node.outputs if v.type.is_float)
    return found


def _by_onnxruntime(node: Node) -> bool:
    return not OPS[node.op].has_kernel or any(v is not None and v.type.is_string for v in node.inputs)


def _roots(graph: Graph) -> list[Value]:
    """Return everything that a training computes, with the masks of the heads and the penalties."""
    roots = graph.trained_roots()
    return [*roots, *(v.mask for v in roots if v.mask is not None), *graph.penalties]


def repeatable(nodes: Iterable[Node]) -> set[str]:
    """Return the names of the nodes with the same values in every epoch: they depend on no weight and are not random."""
    found: set[str] = set()
    for node in nodes:
        op = OPS[node.op]
        varies = op.identity_in_inference or op.inference is not None or op.varies_in_training
        sources = [v for v in node.inputs if v is not None]
        if not varies and all(v.kind in ("input", "constant") or _name(v) in found for v in sources):
            found.add(node.name)
    return found


def by_row(nodes: Sequence[Node]) -> set[str]:
    """Return the names of the :func:`repeatable` nodes whose values can be computed for a part of the rows at a time.

    They do not depend on what mixes rows. What onnxruntime alone computes has the rows in front.
    """
    return _by_row(nodes, RowAxes(nodes))


def _by_row(nodes: Iterable[Node], rows: RowAxes) -> set[str]:
    mixing = {node.name for node in rows.mixing}
    fixed = repeatable(nodes)
    found: set[str] = set()
    for node in nodes:
        first = OPS[node.op].has_kernel or OPS[node.op].by_step or all(map(rows.in_front, node.outputs))
        sources = [v for v in node.inputs if v is not None and v.node is not None]
        apart = node.name in fixed and node.name not in mixing and all(_name(v) in found for v in sources)
        if apart and first:
            found.add(node.name)
    return found


def _without_rows(nodes: Iterable[Node]) -> set[str]:
    """Return the names of the nodes that depend on constants alone. Each part of a graph computes those that it reads."""
    found: set[str] = set()
    for node in nodes:
        if OPS[node.op].has_kernel and all(v is None or v.kind == "constant" or _name(v) in found for v in node.inputs):
            found.add(node.name)
    return found


def _name(value: Value) -> str:
    return value.node.name if value.node is not None else ""


def _bytes(kind: Type) -> int:
    """Return the bytes of one row."""
    size = _ITEM_BYTES.get(kind.dtype, 8)
    for d in kind.shape[1:] if kind.shape and kind.shape[0] == "N" else kind.shape:
        size *= int(d) if isinstance(d, int) else _ASSUMED
    return size


def _behind_steps(nodes: Iterable[Node]) -> set[str]:
    """Return the names of the nodes that can be computed in every step, and of those that depend on them."""
    found: set[str] = set()
    for node in nodes:
        if OPS[node.op].by_step or any(v is not None and _name(v) in found for v in node.inputs):
            found.add(node.name)
    return found


def _before_the_cut(
    graph: Graph, nodes: list[Node], fixed: set[str], alike: set[str], rows: RowAxes, opened: set[str]
) -> set[str] | None:
    """Return the names of the nodes of the prelude, by a minimum cut between the inputs and everything that is trained.

    None if something would have to cross that cannot, such as a head with its rows in another axis than 0.

    Each value is an edge whose capacity is its bytes per row; texts, what has its
    rows in another axis than 0, and the values ``opened`` cannot cross, and what has no rows only if it must. A
    node that is computed before the cut has its inputs computed there, too. Values of the nodes ``alike`` are constants.
    """
    import networkx as nx

    flow = nx.DiGraph()
    start, end = "start", "end"

    def edge(a: Any, b: Any, capacity: int | None = None) -> None:
        flow.add_edge(a, b, **({} if capacity is None else {"capacity": capacity}))

    def add(value: Value) -> None:
        capacity = _bytes(value.type) if has_rows(value.shape) else _NO_ROWS
        apart = rows.in_front(value) or rows.axis(value) == SIZES
        stays = value.type.is_string or not apart or value.name in opened
        edge(("in", value.name), ("out", value.name), None if stays else capacity)

    for value in graph.inputs.values():
        add(value)
        edge(start, ("in", value.name))
    for node in nodes:
        sources = [v for v in node.inputs if v is not None and v.kind != "constant" and _name(v) not in alike]
        if node.name not in fixed:
            for v in sources:
                if v.kind == "input" or _name(v) in fixed:
                    edge(("out", v.name), end)
            continue
        for output in node.outputs:
            add(output)
            if not OPS[node.op].has_kernel or not sources:
                edge(start, ("in", output.name))
            for v in sources:
                edge(("out", v.name), ("in", output.name))
                edge(("in", output.name), ("in", v.name))
    for value in _roots(graph):
        if value.kind == "input" or _name(value) in fixed:
            edge(("out", value.name), end)
    if end not in flow:
        return set(fixed)
    try:
        _, (before, _) = nx.minimum_cut(flow, start, end)
    except nx.NetworkXUnbounded:
        return None
    return {n.name for n in nodes if n.name in fixed and all(("in", v.name) in before for v in n.outputs)}


def _split(graph: Graph, nodes: list[Node], chosen: set[str], alike: set[str]) -> Cut:
    """Return the prelude of the ``chosen`` nodes, and the rest; both compute what they read of the nodes ``alike``."""
    first = [n for n in nodes if n.name in chosen | alike]
    others = [n for n in nodes if n.name not in chosen]
    inputs: dict[str, Value] = {}
    crossing: dict[str, Value] = {}
    rest = Graph(graph.name, params=dict(graph.params), values=dict(graph.values), targets=dict(graph.targets))
    known: dict[str, Value] = {}

    def current(value: Value | None) -> Value | None:
        if value is None or value.kind in ("constant", "param", "target"):
            return value
        if value.name not in known:  # it crosses the cut, or is an input of the graph
            known[value.name] = inputs[value.name] = Value(
                value.name, value.type, "input", dims=value.dims, range=value.range
            )
            if value.kind == "op":
                crossing[value.name] = value
        found = known[value.name]
        return found if value.mask is None else found.with_mask(current(value.mask))

    for node in others:
        copy = Node(node.name, node.op, tuple(current(v) for v in node.inputs), node.attrs, node.owner)
        copy.outputs = tuple(
            Value(v.name, v.type, "op", copy, v.index, v.data, v.dims, range=v.range) for v in node.outputs
        )
        known.update((v.name, v) for v in copy.outputs)
        rest.nodes.append(copy)
    rest.outputs = {name: v for name, value in graph.outputs.items() if (v := current(value)) is not None}
    rest.loss_inputs = {name: v for name, value in graph.loss_inputs.items() if (v := current(value)) is not None}
    rest.penalties = [v for value in graph.penalties if (v := current(value)) is not None]
    rest.inputs = {name: inputs[name] for name in graph.inputs if name in inputs} | inputs
    rest.nodes = rest.needed(_roots(rest))
    prelude = Graph(graph.name, nodes=first, outputs=crossing)
    used = {v.name for n in first for v in n.inputs if v is not None and v.kind == "input"}
    prelude.inputs = {name: v for name, v in graph.inputs.items() if name in used}
    prelude.nodes = prelude.needed(crossing.values())
    return Cut(prelude, rest)
