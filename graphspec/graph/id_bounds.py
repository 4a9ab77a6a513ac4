"""Ids: between which numbers the values of a graph lie, and where its inputs must lie for all lookups to find a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from graphspec.ir.graph import Graph, Node, Value
from graphspec.ir.ranges import ANY, Range, of_array, of_dtype
from graphspec.ops import OPS, Op, operator

CHECK = "CheckIds"
_POINTS = 16
"""How many numbers are tried as the only id where no ranges are known to be right."""


class Ranges:
    """Between which numbers values lie, given where the ``inputs`` lie; all that their element type holds otherwise."""

    def __init__(self, inputs: Mapping[str, Range] | None = None) -> None:
        self._inputs = inputs or {}
        self._known: dict[str, Range] = {}

    def of(self, value: Value) -> Range:
        stack = [value]
        while stack:
            wanted = stack[-1]
            if wanted.name not in self._known:
                missing = self._missing(wanted.node)
                if missing:
                    stack += missing
                    continue
                self._enter(wanted)
            stack.pop()
        return self._known[value.name]

    def _missing(self, node: Node | None) -> list[Value]:
        if node is None or not bounded(OPS[node.op]):
            return []
        return [v for v in node.inputs if v is not None and v.name not in self._known]

    def _enter(self, value: Value) -> None:
        node = value.node
        if node is None:
            held = of_dtype(value.dtype) if value.data is None else of_array(value.data)
            self._known[value.name] = held & self._inputs.get(value.name, ANY)
            return
        op = operator(node)
        ranges = [ANY if v is None else self._known.get(v.name, ANY) for v in node.inputs]
        for output in node.outputs:
            kind, found = of_dtype(output.dtype), op.bounds(output, ranges)
            found = found if found.within(kind) else kind
            self._known[output.name] = found if output.range is None else found & output.range


def bounded(cls: type[Op]) -> bool:
    """Whether an operator's bounds depend on its inputs at all."""
    return cls.copied_inputs is not None or cls.bounds is not Op.bounds


@dataclass(frozen=True, slots=True)
class Demand:
    """Where a value must lie, and the spec node whose lookup needs that."""

    value: Value
    range: Range
    owner: str

    def __and__(self, other: Demand) -> Demand:
        both = self.range & other.range
        return Demand(self.value, both, other.owner if both == other.range else self.owner)


def demands(graph: Graph, *, exact: bool) -> dict[str, Demand]:
    """Where values must lie for every lookup of ids to find a row, by name; those that need not lie anywhere are absent.

    Args:
        exact: only what cannot be broken without an id out of range, whatever other values are; else so little that
            all ids are in range.
    """
    found: dict[str, Demand] = {}
    if all(node.op != CHECK for node in graph.nodes):
        return found
    known = Ranges()
    for node in reversed(graph.needed([*graph.roots(), *graph.penalties])):
        asked = [found[v.name] for v in node.outputs if v.name in found]
        if not asked and node.op != CHECK:
            continue
        out, owner = ANY, node.owner
        for demand in asked:
            out, owner = out & demand.range, demand.owner
        ranges = [ANY if v is None else known.of(v) for v in node.inputs]
        for i, needed in operator(node).demands(node, out, ranges, exact).items():
            value = node.inputs[i]
            if value is not None:
                own = Demand(value, needed, node.owner if node.op == CHECK else owner)
                found[value.name] = own & found[value.name] if value.name in found else own
    return found


def beyond(graph: Graph) -> Iterator[tuple[Demand, Range]]:
    """What ids there surely are that a lookup has no row for: constants, and what layers say that they give."""
    for demand in demands(graph, exact=True).values():
        value = demand.value
        held = value.range if value.data is None else of_array(value.data)
        if held is not None and not held.within(demand.range):
            yield demand, held


def id_ranges(graph: Graph) -> dict[str, Range]:
    """Inputs with numbers that are wrong whatever the others are, and the range that is not: data are checked for it.

    What may be cut away before it is looked up, or made good by another input, is left to the lookup's own check.
    """
    return _of_inputs(graph, demands(graph, exact=True))


def input_bounds(graph: Graph) -> dict[str, tuple[int, int]]:
    """``input → (low, high)`` for inputs that lookups of ids depend on: with ids ``low <= id < high`` all find a row.

    For making up rows: data may hold more than that, see :func:`id_ranges`.
    """
    enough, valid = _of_inputs(graph, demands(graph, exact=False)), id_ranges(graph)
    allowed = {n: of_dtype(graph.inputs[n].dtype) & valid.get(n, ANY) for n in enough.keys() | valid.keys()}
    wide = {n: enough.get(n, ANY) & held for n, held in allowed.items()}
    tried = chain([wide], ({n: Range(k, k) for n in allowed} for k in range(_POINTS)))
    right = (d for d in tried if all(r.within(allowed[n]) for n, r in d.items()) and _all_found(graph, d))
    drawn = next(right, {n: allowed[n] if r.empty else r for n, r in wide.items()})
    return {n: (int(r.low), int(r.high) + 1) for n, r in drawn.items() if r.finite}


def _all_found(graph: Graph, inputs: Mapping[str, Range]) -> bool:
    """Whether all lookups find a row, as far as ranges tell."""
    known = Ranges(inputs)
    checks = [n for n in graph.needed(graph.outputs.values()) if n.op == CHECK]
    return all(known.of(v).within(Range(0, n.attrs["size"] - 1)) for n in checks if (v := n.inputs[0]) is not None)


def _of_inputs(graph: Graph, found: Mapping[str, Demand]) -> dict[str, Range]:
    inputs = {d.value.name: d for d in found.values() if d.value.kind == "input"}
    return {name: d.range for name, d in inputs.items() if not of_dtype(d.value.dtype).within(d.range)}
