"""What is known about a graph before it runs: needed gradients, looked-up weights, shapes, and ranges of ids.

Ranges of ids are intervals of a graph's values, and the intervals of its inputs for which every lookup finds a row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from graphspec.base.errors import ShapeError
from graphspec.graph.ir.graph import ANY, Graph, Node, Range, Shape, Type, Value, of_array, of_dtype, show
from graphspec.graph.ops import OPS, Op, operator


def needed_gradients(graph: Graph, nodes: Sequence[Node], requested: Collection[str] = ()) -> set[str]:
    """Return the names of the values that need a gradient: they depend on a trainable weight, and the loss depends on them.

    The ``nodes`` are those of the graph in topological order, ``requested`` are inputs.
    """
    if graph.loss is None:
        return set()
    on_path = {n.name for n in graph.needed([graph.loss])}
    needed = set(requested)
    for node in nodes:
        needed.update(v.name for v in node.sources if v.param is not None and v.param.trainable)
        passes = node.name in on_path and not OPS[node.op].stops_gradient
        if passes and any(v.name in needed for v in node.sources):
            needed.update(v.name for v in node.outputs if v.type.is_float)
    return needed


def lookups(nodes: Sequence[Node], names: Iterable[str]) -> dict[str, list[Node]]:
    """Return the nodes that read each of these weights, for the weights of which nodes only read the rows of some ids."""
    readers: dict[str, list[Node]] = {name: [] for name in names}
    for node in nodes:
        for name in {v.name for v in node.sources}.intersection(readers):
            readers[name].append(node)
    return {name: those for name, those in readers.items() if all(_looks_up(node, name) for node in those)}


def _looks_up(node: Node, name: str) -> bool:
    if not operator(node).looks_up_rows():
        return False
    weight, ids = node.sources
    return weight.name == name and ids.name != name and ids.rank > 0


def infer_shapes(
    graph: Graph,
    nodes: Sequence[Node],
    shapes: Mapping[str, Shape],
    *,
    assumed: int | None = None,
    total: int | None = None,
) -> dict[str, Value]:
    """Return all values with concrete types for input shapes without symbolic dimensions.

    An axis that depends on values, such as the number of words of a text, keeps its name, or has an ``assumed`` size. The
    rows of all workers are ``total``, by default those of the shapes. A ShapeError for sizes that do not fit a node names
    it, and the shapes of the inputs.
    """
    values: dict[str, Value] = {}

    def lookup(value: Value | None) -> Value | None:
        if value is None or value.kind == "constant":
            return value
        if value.name not in values:
            shape = value.type.shape if value.kind == "param" else tuple(shapes[value.name])
            values[value.name] = Value(value.name, Type(value.dtype, shape), value.kind)
        return values[value.name]

    for node in nodes:
        op = operator(node)
        inputs = [lookup(v) for v in node.inputs]
        try:
            types = op.infer(*inputs)
        except ShapeError as error:
            sizes = ", ".join(f"'{name}' {show(shape)}" for name, shape in shapes.items() if name in graph.inputs)
            text = f"node '{node.owner}' {error.problem.message}, for inputs of shape {sizes}"
            raise error.changed(message=text) from None
        for value, inferred in zip(node.outputs, types if isinstance(types, tuple) else (types,), strict=True):
            if node.op == "AllRows" and total is not None:
                inferred = replace(inferred, shape=(total, *inferred.shape[1:]))
            if assumed is not None:
                inferred = replace(inferred, shape=tuple(assumed if isinstance(d, str) else d for d in inferred.shape))
            values[value.name] = Value(value.name, inferred)
        if node.outputs[0].dims is not None:
            values[node.outputs[0].name].dims = op.dims(*inputs)
    return values


CHECK = "CheckIds"
_MAX_TRIED = 16  # single ids that are tried if no range is known to be valid


class Ranges:
    """The ranges of a graph's values, given the ranges of some ``inputs``; the others have the range of their dtype."""

    def __init__(self, inputs: Mapping[str, Range] | None = None) -> None:
        self._inputs = inputs or {}
        self._known: dict[str, Range] = {}

    def of(self, value: Value) -> Range:
        stack = [value]
        while stack:
            top = stack[-1]
            # Ranges of a node's inputs are computed before those of its outputs.
            before = top.node.sources if top.node is not None and bounded(OPS[top.node.op]) else []
            missing = [] if top.name in self._known else [v for v in before if v.name not in self._known]
            if missing:
                stack += missing
                continue
            if top.name not in self._known:
                self._compute(top)
            stack.pop()
        return self._known[value.name]

    def _compute(self, value: Value) -> None:
        node = value.node
        if node is None:
            own = of_dtype(value.dtype) if value.data is None else of_array(value.data)
            self._known[value.name] = own & self._inputs.get(value.name, ANY)
            return
        op = operator(node)
        ranges = [ANY if v is None else self._known.get(v.name, ANY) for v in node.inputs]
        for output in node.outputs:
            representable, result = of_dtype(output.dtype), op.bounds(output, ranges)
            result = result if result.within(representable) else representable
            self._known[output.name] = result if output.range is None else result & output.range


def bounded(cls: type[Op]) -> bool:
    """Whether the range of an operator's output depends on its inputs."""
    return cls.copied_inputs is not None or cls.bounds is not Op.bounds


class Demand(NamedTuple):
    """The range that a value must have, and the spec node with the lookup that requires it."""

    value: Value
    range: Range
    owner: str

    def __and__(self, other: Demand) -> Demand:
        both = self.range & other.range
        return Demand(self.value, both, other.owner if both == other.range else self.owner)


def demands(graph: Graph, *, exact: bool) -> dict[str, Demand]:
    """Return the ranges that values must have for every lookup of ids to find a row, by name, without unbounded values.

    With ``exact`` they are necessary: a value outside makes some id invalid, whatever the other values are. Else they are
    sufficient: if all values are inside, all ids are valid.
    """
    result: dict[str, Demand] = {}
    if all(node.op != CHECK for node in graph.nodes):
        return result
    actual = Ranges()
    for node in reversed(graph.needed([*graph.trained_roots(), *graph.penalties])):
        of_outputs = [result[v.name] for v in node.outputs if v.name in result]
        if not of_outputs and node.op != CHECK:
            continue
        out, owner = ANY, node.owner
        for demand in of_outputs:
            out, owner = out & demand.range, demand.owner
        ranges = [ANY if v is None else actual.of(v) for v in node.inputs]
        for i, needed in operator(node).demands(node, out, ranges, exact).items():
            if (value := node.inputs[i]) is not None:
                own = Demand(value, needed, node.owner if node.op == CHECK else owner)
                result[value.name] = own & result[value.name] if value.name in result else own
    return result


def invalid_ids(graph: Graph) -> Iterator[tuple[Demand, Range]]:
    """Yield the ids that are certainly out of range for a lookup: constants, and outputs of layers with a known range."""
    for demand in demands(graph, exact=True).values():
        value = demand.value
        actual = value.range if value.data is None else of_array(value.data)
        if actual is not None and not actual.within(demand.range):
            yield demand, actual


def id_ranges(graph: Graph) -> dict[str, Range]:
    """Return the valid ranges of inputs; values outside are wrong whatever the other inputs are, so data are checked.

    Values that may be cropped before the lookup, or corrected by another input, are checked by the lookup.
    """
    return _of_inputs(graph, demands(graph, exact=True))


def input_bounds(graph: Graph) -> dict[str, tuple[int, int]]:
    """Return ``input → (low, high)`` for the inputs of lookups: with ids ``low <= id < high`` every lookup finds a row.

    These ranges are for random rows; data may contain more, see :func:`id_ranges`.
    """
    sufficient, necessary = _of_inputs(graph, demands(graph, exact=False)), id_ranges(graph)
    names = sufficient.keys() | necessary.keys()
    allowed = {n: of_dtype(graph.inputs[n].dtype) & necessary.get(n, ANY) for n in names}
    widest = {n: sufficient.get(n, ANY) & limit for n, limit in allowed.items()}
    candidates = chain([widest], ({n: Range(k, k) for n in allowed} for k in range(_MAX_TRIED)))
    valid = (c for c in candidates if all(r.within(allowed[n]) for n, r in c.items()) and _all_found(graph, c))
    chosen = next(valid, {n: allowed[n] if r.empty else r for n, r in widest.items()})
    return {n: (int(r.low), int(r.high) + 1) for n, r in chosen.items() if r.finite}


def _all_found(graph: Graph, inputs: Mapping[str, Range]) -> bool:
    """Whether the ranges guarantee that all lookups find a row."""
    actual = Ranges(inputs)
    checks = [n for n in graph.needed(graph.trained_roots()) if n.op == CHECK]
    return all(actual.of(n.sources[0]).within(Range(0, n.attrs["size"] - 1)) for n in checks)


def _of_inputs(graph: Graph, limits: Mapping[str, Demand]) -> dict[str, Range]:
    """Return the demands on inputs that are narrower than the range of the dtype."""
    inputs = {d.value.name: d for d in limits.values() if d.value.kind == "input"}
    return {name: d.range for name, d in inputs.items() if not of_dtype(d.value.dtype).within(d.range)}
