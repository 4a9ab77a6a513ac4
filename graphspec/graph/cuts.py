"""Cuts of a graph: into a prelude and what is trained, and where what is differentiable begins.

The prelude is a part of the graph before anything trained or random, or that mixes rows: the values of a row are the same
in every epoch, and onnxruntime computes them once per row. It contains every operator that only onnxruntime computes, such
as lookups of texts. The cut is where the values that cross it need the fewest bytes per row (a minimum cut): ids, not
one-hot vectors. Of several such cuts it is the last one.

Texts, ids and gaps have no gradient. An explanation therefore attributes an answer to *leaves*: the values that cross from
what is not differentiable to what is, such as an embedding's output, a one-hot vector, a filled and standardized number, or
the pixels. Each leaf depends on raw inputs of the network, its *sources*, to which its attribution belongs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import NamedTuple

from graphspec.graph.ir.dims import Dim, has_rows
from graphspec.graph.ir.graph import Graph, Node, Type, Value
from graphspec.graph.ops import OPS
from graphspec.graph.row_axes import SIZES, RowAxes

_ASSUMED = 64  # elements along an axis that varies
_MANY_INPUTS = 8
_NO_ROWS = 1 << 50  # bytes that a value counts that is no row of anything, such as a size
# bools become floats, beside which they stay
_ITEM_BYTES = {"float32": 4, "int32": 4, "int64": 8, "uint8": 1, "bool": 4}


class Cut(NamedTuple):
    """A graph in two parts.

    The ``prelude`` computes the values that cross the cut, its outputs, from inputs of the graph. The ``rest`` computes the
    graph's outputs; its inputs are the values that cross the cut, and inputs of the graph.
    """

    prelude: Graph
    rest: Graph


def cut(graph: Graph, *, always: bool = False) -> Cut | None:
    """Return the two parts of a graph; None if nothing is cut off.

    A graph that NumPy computes alone is cut only if this joins many inputs, such as the columns of a record: in every step,
    the small operators of each column would take longer than the network. Or if numbers are spread to several. Or
    ``always``: with weights that are constants, behind these.
    """
    nodes = graph.needed(_roots(graph))
    once = set() if all(OPS[n.op].has_kernel for n in nodes) else repeatable(nodes)
    by_numpy = all(OPS[n.op].has_kernel or (OPS[n.op].by_step and n.name not in once) for n in nodes)
    opened = set[str]().union(*any_size(graph).values())
    plain = by_numpy and not opened and repeatable(nodes).isdisjoint(n.name for n in nodes if _spreads(n))
    plain = plain and not always
    if plain and len(graph.inputs) < _MANY_INPUTS:
        return None
    # The nodes that depend on constants alone. Each part of the graph computes those that it reads.
    same = [n for n in nodes if OPS[n.op].has_kernel]
    alike = _followed(same, lambda n, own: all(v.kind == "constant" or own(v) for v in n.sources))
    rows = RowAxes(nodes)
    others, early = [n for n in nodes if n.name not in alike], by_row(nodes, rows) - alike
    opened |= _before_matrices([n for n in others if n.name in early]) if always else set()
    chosen = _before_the_cut(graph, others, early, alike, rows, opened)
    if chosen is None:  # then what can be computed in every step is, and what depends on it
        early -= _followed(nodes, lambda n, own: OPS[n.op].by_step or any(map(own, n.sources)))
        chosen = _before_the_cut(graph, others, early, alike, rows, opened)
    if not chosen:
        return None
    parts = _split(graph, nodes, chosen, alike)
    return None if plain and len(parts.rest.inputs) > len(graph.inputs) // 2 else parts


def _before_matrices(nodes: Sequence[Node]) -> set[str]:
    """Return the names of the values that a product with a constant matrix depends on: weights that do not train."""
    names = set[str]()
    for node in reversed(nodes):
        constants = [v for v in node.sources if v.kind == "constant" and v.type.is_float and v.rank > 1]
        if constants or any(v.name in names for v in node.outputs):
            names.update(v.name for v in node.sources if v.kind != "constant")
    return names


def any_size(graph: Graph) -> dict[str, set[str]]:
    """Return the inputs of pictures of which every row may have a height and a width of its own.

    What reads them is computed for each row alone and before everything trained, up to values of one size: the prelude. With
    each come the names of the values that have its size, or depend on it: they cannot cross the cut.
    """
    several = [v for v in graph.inputs.values() if len(v.shape) == 4 and not v.type.is_string]
    pictures = [v for v in several if _is_fixed(v.shape[3]) and not all(map(_is_fixed, v.shape[1:3]))]
    if not pictures:
        return {}
    nodes, open_values = graph.needed(_roots(graph)), {}
    fixed, rows = by_row(nodes), RowAxes(nodes)
    for picture in pictures:
        sizes = {d for d in picture.shape[1:] if not _is_fixed(d)}
        shared = any(sizes & {*v.shape} for v in graph.inputs.values() if v is not picture)
        opened, late = {picture.name}, _roots(graph)
        for node in nodes:
            if any(v.name in opened for v in node.sources):
                late += [] if node.name in fixed else node.sources
                front = [v for v in node.outputs if rows.axis(v) == 0 and rows.in_front(v)]
                closed = {v.name for v in front if all(map(_is_fixed, v.shape[1:]))}
                opened |= {v.name for v in node.outputs} - closed
        if not shared and opened.isdisjoint(v.name for v in late):
            open_values[picture.name] = opened
    return open_values


def _is_fixed(size: Dim) -> bool:
    return isinstance(size, int)


def computed_once(graph: Graph) -> set[str]:
    """Return the owners of nodes whose values are all computed in the prelude; none without a prelude."""
    if (parts := cut(graph)) is None:
        return set()
    return {node.owner for node in parts.prelude.nodes} - {node.owner for node in parts.rest.nodes}


def not_computable(graph: Graph) -> list[Node]:
    """Return the nodes that only onnxruntime computes although they depend on weights, random numbers or other rows."""
    nodes = graph.needed(_roots(graph))
    late = [n for n in nodes if _by_onnxruntime(n)]
    if not late:
        return []
    early, at_once = by_row(nodes), _trained(nodes) | repeatable(nodes)
    return [n for n in late if n.name not in early and (not _may_wait(n) or n.name in at_once)]


def _by_onnxruntime(node: Node) -> bool:
    return not OPS[node.op].has_kernel or any(v.type.is_string for v in node.sources)


def computed_in_steps(graph: Graph) -> list[Node]:
    """Return the nodes that onnxruntime computes in every step, since random numbers come before them."""
    nodes = graph.needed(_roots(graph))
    late = [n for n in nodes if OPS[n.op].by_step]
    other = {n.name for n in not_computable(graph)} | repeatable(nodes) if late else set()
    return [n for n in late if n.name not in other]


def _may_wait(node: Node) -> bool:
    """Return whether a node can be computed in every step, too: texts have no buffers."""
    return OPS[node.op].by_step and not any(v.type.is_string for v in (*node.outputs, *node.sources))


def _trained(nodes: Iterable[Node]) -> set[str]:
    """Return the names of the nodes that get values of trained weights with a gradient."""
    moved, names = set[str](), set[str]()
    for node in nodes:
        if any(v.name in moved or (v.param is not None and v.param.trainable) for v in node.sources):
            names.add(node.name)
            if not OPS[node.op].stops_gradient or OPS[node.op].by_step:
                moved.update(v.name for v in node.outputs if v.type.is_float)
    return names


def _roots(graph: Graph) -> list[Value]:
    """Return everything that a training computes, with the masks of the heads and the penalties."""
    roots = graph.trained_roots()
    return [*roots, *(v.mask for v in roots if v.mask is not None), *graph.penalties]


def _followed(nodes: Iterable[Node], belongs: Callable[[Node, Callable[[Value], bool]], bool]) -> set[str]:
    """Return the names of the nodes that belong; ``belongs`` may ask whether the maker of a value does."""
    names: set[str] = set()
    for node in nodes:
        if belongs(node, lambda value: _name(value) in names):
            names.add(node.name)
    return names


def repeatable(nodes: Iterable[Node], *, at_inference: bool = False) -> set[str]:
    """Return the names of the nodes with the same values in every epoch: they depend on no weight and are not random.

    With ``at_inference`` what is random in training alone counts, too.
    """

    def belongs(node: Node, own: Callable[[Value], bool]) -> bool:
        op = OPS[node.op]
        varies = not at_inference and (op.identity_in_inference or op.inference is not None or op.varies_in_training)
        return not varies and all(v.kind in ("input", "constant") or own(v) for v in node.sources)

    return _followed(nodes, belongs)


def by_row(nodes: Sequence[Node], rows: RowAxes | None = None, *, at_inference: bool = False) -> set[str]:
    """Return the names of the :func:`repeatable` nodes whose values can be computed for a part of the rows at a time.

    They do not depend on what mixes rows. What onnxruntime alone computes has the rows in front.
    """
    rows = rows or RowAxes(nodes)
    apart = repeatable(nodes, at_inference=at_inference) - {node.name for node in rows.mixing}

    def belongs(node: Node, own: Callable[[Value], bool]) -> bool:
        first = OPS[node.op].has_kernel or OPS[node.op].by_step or all(map(rows.in_front, node.outputs))
        return first and node.name in apart and all(v.node is None or own(v) for v in node.sources)

    return _followed(nodes, belongs)


def _name(value: Value) -> str:
    return value.node.name if value.node is not None else ""


def _bytes(kind: Type) -> int:
    sizes = kind.shape[1:] if kind.shape[:1] == ("N",) else kind.shape
    return _ITEM_BYTES.get(kind.dtype, 8) * prod(d if isinstance(d, int) else _ASSUMED for d in sizes)


def _spreads(node: Node) -> bool:
    """Return whether a node makes several numbers of one (not of a pixel): steps should not, despite the bytes."""
    sources, made = [v for v in node.sources if v.kind != "constant"], node.outputs[0].type
    wider = len(sources) == 1 and sources[0].type.is_float and made.is_float and _bytes(made) > _bytes(sources[0].type)
    return wider and OPS[node.op].elementwise and len(made.shape) <= 3


def _before_the_cut(
    graph: Graph, nodes: list[Node], fixed: set[str], alike: set[str], rows: RowAxes, opened: set[str]
) -> set[str] | None:
    """Return the names of the nodes of the prelude, by a minimum cut between the inputs and everything that is trained.

    None if something would have to cross that cannot, such as a head with its rows in another axis than 0. Each value is an
    edge whose capacity is its bytes per row; texts, what has its rows in another axis than 0, and the values ``opened``
    cannot cross, and what has no rows only if it must. A node that is computed before the cut has its inputs computed
    there, too. Values of the nodes ``alike`` are constants.
    """
    import networkx as nx
    from networkx.algorithms.flow import boykov_kolmogorov  # a third of the time of the others; the cut is the same

    flow = nx.DiGraph()
    start, end = "start", "end"

    def add(value: Value) -> None:
        apart = rows.in_front(value) or rows.axis(value) == SIZES
        stays = value.type.is_string or not apart or value.name in opened  # an edge without a capacity is never cut
        capacity = {"capacity": _bytes(value.type) if has_rows(value.shape) else _NO_ROWS}
        flow.add_edge(("in", value.name), ("out", value.name), **({} if stays else capacity))

    def need(values: Iterable[Value]) -> None:
        flow.add_edges_from((("out", v.name), end) for v in values if v.kind == "input" or _name(v) in fixed)

    for value in graph.inputs.values():
        add(value)
        flow.add_edge(start, ("in", value.name))
    for node in nodes:
        sources = [v for v in node.sources if v.kind != "constant" and _name(v) not in alike]
        if node.name not in fixed:
            need(sources)
            continue
        for output in node.outputs:
            add(output)
            if not OPS[node.op].has_kernel or not sources or _spreads(node):
                flow.add_edge(start, ("in", output.name))
            flow.add_edges_from((("out", v.name), ("in", output.name)) for v in sources)
            flow.add_edges_from((("in", output.name), ("in", v.name)) for v in sources)
    need(_roots(graph))
    if end not in flow:
        return set(fixed)
    try:
        _, (before, _) = nx.minimum_cut(flow, start, end, flow_func=boykov_kolmogorov)
    except nx.NetworkXUnbounded:
        return None
    return {n.name for n in nodes if n.name in fixed and all(("in", v.name) in before for v in n.outputs)}


def _as_input(value: Value) -> Value:
    """Return a value that crosses a cut as an input of the part behind it."""
    return Value(value.name, value.type, "input", dims=value.dims, range=value.range)


def _copied(node: Node, current: Callable[[Value], Value]) -> Node:
    """Return a copy of a node in another graph, whose values for the node's inputs ``current`` returns."""
    inputs = tuple(None if v is None else current(v) for v in node.inputs)
    copy = Node(node.name, node.op, inputs, node.attrs, node.owner)
    copy.outputs = tuple(replace(v, node=copy, mask=None) for v in node.outputs)
    return copy


def _split(graph: Graph, nodes: list[Node], chosen: set[str], alike: set[str]) -> Cut:
    """Return the prelude of the ``chosen`` nodes, and the rest; both compute what they read of the nodes ``alike``."""
    rest = Graph(graph.name, params=dict(graph.params), values=dict(graph.values), targets=dict(graph.targets))
    inputs, crossing, copies = dict[str, Value](), dict[str, Value](), dict[str, Value]()

    def current(value: Value) -> Value:
        if value.kind in ("constant", "param", "target"):
            return value
        if value.name not in copies:  # it crosses the cut, or is an input of the graph
            copies[value.name] = inputs[value.name] = _as_input(value)
            if value.kind == "op":
                crossing[value.name] = value
        copy = copies[value.name]
        return copy if value.mask is None else copy.with_mask(current(value.mask))

    for node in nodes:
        if node.name not in chosen:
            rest.nodes.append(_copied(node, current))
            copies.update((v.name, v) for v in rest.nodes[-1].outputs)
    rest.outputs = {name: current(value) for name, value in graph.outputs.items()}
    rest.loss_inputs = {name: current(value) for name, value in graph.loss_inputs.items()}
    rest.penalties = [current(value) for value in graph.penalties]
    rest.inputs = {name: inputs[name] for name in graph.inputs if name in inputs} | inputs
    rest.nodes = rest.needed(_roots(rest))
    first = [n for n in nodes if n.name in chosen | alike]
    prelude = Graph(graph.name, nodes=first, outputs=crossing)
    used = {v.name for n in first for v in n.sources if v.kind == "input"}
    prelude.inputs = {name: v for name, v in graph.inputs.items() if name in used}
    prelude.nodes = prelude.needed(crossing.values())
    return Cut(prelude, rest)


_CHANNELS = (1, 3, 4)


class Leaf(NamedTuple):
    """A value at which differentiable computation begins; ``sources`` are the raw inputs on which it depends."""

    value: Value
    sources: tuple[str, ...]


class Frontier(NamedTuple):
    """A graph, cut at the ``leaves``, the values to differentiate by.

    The ``sides`` are other values that the differentiable part reads, such as masks; they stay as they are for a row. The
    ``rest`` computes the output from leaves and sides, which are its inputs; none of its weights is trainable.
    """

    leaves: list[Leaf]
    sides: list[Value]
    rest: Graph


def is_picture(value: Value) -> bool:
    """Return whether an input has the shape of pictures: ``(N, height, width, channels)``."""
    return value.rank == 4 and value.shape[-1] in _CHANNELS and not value.type.is_string


def frontier(graph: Graph, head: str) -> Frontier:
    """Cut a graph where the differentiable part of a head begins.

    A value is a leaf if the head depends on it through floats alone, and its own node reads nothing of that kind. From
    there, leaves move forward through operators without weights as long as nothing is lost: through everything that is
    computed from one number or one text per row, and element by element for arrays. So the leaf of a column is what the
    network gets from it, such as its standardized number. Pictures stay pictures: their leaves are the raw pixels.

    A number and what is computed from it in jumps, such as its bin, count as two independent variables, each with its own
    attribution. A mask is held as it is for the row, as are all choices that depend on ids and texts.
    """
    return _Finder(graph, graph.outputs[head]).frontier(head)


class _Finder:
    def __init__(self, graph: Graph, output: Value) -> None:
        self.graph, self.output = graph, output
        self.nodes = graph.needed([output])
        self.fixed = repeatable(self.nodes)
        self.sources = self._sources()
        tested = {v.name for n in self.nodes if n.op == "IsNaN" for v in n.sources}
        computed = {v.name for n in self.nodes if n.name in self.fixed for v in n.outputs}
        self.gapped = tested & (computed | graph.inputs.keys())
        self.smooth, self.uses = self._smooth()
        self.tested, self.of_masks = self._tested(), self._of_masks()
        self.held: dict[str, Value] = {}

    def _sources(self) -> dict[str, frozenset[str]]:
        """Return the raw inputs on whose values each value depends; a shape depends on none."""
        sources = {name: frozenset([name]) for name in self.graph.inputs}
        for node in self.nodes:
            inputs = [sources.get(v.name, frozenset()) for v in node.sources if node.op != "Shape"]
            joined = frozenset[str]().union(*inputs)
            sources.update((v.name, joined) for v in node.outputs)
        return sources

    def _smooth(self) -> tuple[set[str], dict[str, list[str]]]:
        """Return the values on which the head depends through floats alone, and the values computed from each that way.

        A value with gaps is none of them: where NaN is possible, there is nothing to integrate along.
        """
        smooth, uses = {self.output.name}, dict[str, list[str]]()
        for node in reversed(self.nodes):
            outputs = [v.name for v in node.outputs if v.name in smooth]
            if not outputs or OPS[node.op].piecewise_constant or OPS[node.op].merged:
                continue
            for v in node.sources:
                if v.type.is_float and self.sources.get(v.name) and v.name not in self.gapped:
                    smooth.add(v.name)
                    uses.setdefault(v.name, []).extend(outputs)
        return smooth, uses

    def _tested(self) -> set[str]:
        """Return the floats on which something other than floats depends, such as the bools of a mask."""
        tested: set[str] = set()
        for node in reversed(self.nodes):
            if node.op != "Shape" and any(not v.type.is_float or v.name in tested for v in node.outputs):
                tested.update(v.name for v in node.sources if v.type.is_float)
        return tested

    def _of_masks(self) -> set[str]:
        """Return what is computed from the masks of layers alone, such as the number of words."""
        names = {v.mask.name for n in self.nodes for v in n.sources if v.mask is not None}
        for node in self.nodes:
            read = [v.name for v in node.sources if self.sources.get(v.name)]
            if read and names.issuperset(read):
                names.update(v.name for v in node.outputs)
        return names

    def frontier(self, head: str) -> Frontier:
        leaves = {leaf.value.name: leaf for leaf in self._leaves()}
        texts = self._from_texts(leaves.keys() | self.held.keys())
        rest = part_of(self.graph, {head: self.output}, {*leaves, *self.held, *texts}, frozen=True)
        values = self.graph.inputs | texts | self.held
        sides = [values[name] for name in rest.inputs if name not in leaves]
        return Frontier([leaf for name, leaf in leaves.items() if name in rest.inputs], sides, rest)

    def _from_texts(self, given: Collection[str]) -> dict[str, Value]:
        """Return the values that only onnxruntime computes, and that the part after the leaves reads.

        Everything else is computed again for every point of a path: what is computed from ids, such as the places of steps
        in a batch, may depend on the batch.
        """
        part = part_of(self.graph, {"": self.output}, given)
        names = {v.name for node in part.nodes if _by_onnxruntime(node) for v in node.outputs}
        return {v.name: replace(v, mask=None) for n in self.nodes for v in n.outputs if v.name in names}

    def _leaves(self) -> list[Leaf]:
        values = {v.name: v for v in self.graph.inputs.values() if v.name in self.smooth}
        moved = {name: set[str]() for name in values}  # what may be a leaf, and from what each was moved
        above = {name for name in self.smooth if name in self.graph.inputs}  # it or an ancestor is smooth
        for node in self.nodes:
            read = [v for v in node.sources if self.sources.get(v.name)]
            smooth = [v.name for v in read if v.name in self.smooth]
            inherited = any(v.name in above for v in read)
            for value in node.outputs:
                if value.name in self.smooth or inherited:
                    above.add(value.name)
                if value.name not in self.smooth or not self.sources[value.name]:
                    continue
                begins = not smooth and (node.name in self.fixed or not inherited)
                if begins and (value.name in self.of_masks or (inherited and value.name in self.tested)):
                    self.held[value.name] = value
                elif begins or self._moves(node, value, smooth, moved):
                    values[value.name] = value
                    moved[value.name] = set(smooth)
        self._whole_or_not(moved)
        last = [n for n in moved if n == self.output.name or any(u not in moved for u in self.uses.get(n, ()))]
        return [Leaf(values[name], tuple(n for n in self.graph.inputs if n in self.sources[name])) for name in last]

    def _moves(self, node: Node, value: Value, smooth: list[str], moved: Mapping[str, set[str]]) -> bool:
        """Return whether leaves may move from the inputs of a node to its output."""
        sources = self.sources[value.name]
        if node.name not in self.fixed or not smooth:
            return False
        if any(name not in moved or self.sources[name] != sources for name in smooth):
            return False
        raw = [self.graph.inputs[name] for name in sources]
        if len(raw) == 1 and raw[0].shape[1:] in ((), (1,)):
            return True
        shapes = {v.shape for v in node.sources if v.name in smooth}
        return OPS[node.op].elementwise and shapes == {value.shape} and not any(map(is_picture, raw))

    def _whole_or_not(self, moved: dict[str, set[str]]) -> None:
        """Undo moves from a value that something else reads, too: its attribution would have two baselines."""
        undone = [""]
        while undone:
            split = {n for n in moved if any(u not in moved for u in self.uses.get(n, ()))}
            undone = [name for name, before in moved.items() if before & split or before - moved.keys()]
            for name in undone:
                del moved[name]


def part_of(graph: Graph, outputs: Mapping[str, Value], given: Collection[str], *, frozen: bool = False) -> Graph:
    """Return the part of a graph that computes ``outputs`` from the values ``given`` by name, and from raw inputs.

    All weights can be ``frozen``, untrainable: a backward pass then computes gradients of inputs alone.
    """
    part = Graph(graph.name)
    copies: dict[str, Value] = {}
    needed: set[str] = set()
    stack = list(outputs.values())
    while stack:
        value = stack.pop()
        if value.name not in given and value.node is not None and value.node.name not in needed:
            needed.add(value.node.name)
            stack += value.node.sources

    def current(value: Value) -> Value:
        if value.kind == "constant":
            return value
        if value.name not in copies:
            if value.param is not None:
                param = replace(value.param, trainable=value.param.trainable and not frozen)
                part.params[param.name] = param
                copies[value.name] = part.values[param.name] = replace(value, param=param)
            else:
                copies[value.name] = part.inputs[value.name] = _as_input(value)
        return copies[value.name]

    for node in graph.nodes:
        if node.name in needed:
            part.nodes.append(_copied(node, current))
            copies.update((v.name, v) for v in part.nodes[-1].outputs if v.name not in given)
    part.outputs = {name: current(value) for name, value in outputs.items()}
    return part
