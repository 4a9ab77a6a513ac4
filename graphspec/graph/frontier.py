"""Where the differentiable part of a network begins: the values whose gradients explain an answer.

Texts, ids and gaps have no gradient. An explanation therefore attributes an answer to *leaves*: the values that cross from
what is not differentiable to what is, such as an embedding's output, a one-hot vector, a filled and standardized number, or
the pixels. Each leaf depends on raw inputs of the network, its *sources*, to which its attribution belongs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from graphspec.graph.ir.graph import Graph, Node, Value
from graphspec.graph.ops import OPS
from graphspec.graph.prelude import repeatable

_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Leaf:
    """A value at which differentiable computation begins.

    Attributes:
        sources: the names of the raw inputs on which it depends.
    """

    value: Value
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Frontier:
    """A graph, cut where its differentiable part begins.

    Attributes:
        leaves: the values to differentiate by.
        sides: other values that the differentiable part reads, such as masks; they stay as they are for a row.
        rest: computes the output from leaves and sides, which are its inputs; none of its weights is trainable.
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
    return _Finder(graph, graph.outputs[head]).found(head)


class _Finder:
    def __init__(self, graph: Graph, output: Value) -> None:
        self.graph, self.output = graph, output
        self.nodes = graph.needed([output])
        self.fixed = repeatable(self.nodes)
        self.sources = self._sources()
        tested = {v.name for n in self.nodes if n.op == "IsNaN" for v in n.inputs if v is not None}
        computed = {v.name for n in self.nodes if n.name in self.fixed for v in n.outputs}
        self.gapped = tested & (computed | graph.inputs.keys())
        self.smooth, self.uses = self._smooth()
        self.tested, self.of_masks = self._tested(), self._of_masks()
        self.held: dict[str, Value] = {}

    def _sources(self) -> dict[str, frozenset[str]]:
        """Return the raw inputs on whose values each value depends; a shape depends on none."""
        found = {name: frozenset([name]) for name in self.graph.inputs}
        for node in self.nodes:
            inputs = [found.get(v.name, frozenset()) for v in node.inputs if v is not None and node.op != "Shape"]
            joined = frozenset[str]().union(*inputs)
            found.update((v.name, joined) for v in node.outputs)
        return found

    def _smooth(self) -> tuple[set[str], dict[str, list[str]]]:
        """Return the values on which the head depends through floats alone, and the values computed from each that way.

        A value with gaps is none of them: where NaN is possible, there is nothing to integrate along.
        """
        smooth, uses = {self.output.name}, dict[str, list[str]]()
        for node in reversed(self.nodes):
            outputs = [v.name for v in node.outputs if v.name in smooth]
            if not outputs or OPS[node.op].piecewise_constant or OPS[node.op].merged:
                continue
            for v in node.inputs:
                if v is not None and v.type.is_float and self.sources.get(v.name) and v.name not in self.gapped:
                    smooth.add(v.name)
                    uses.setdefault(v.name, []).extend(outputs)
        return smooth, uses

    def _tested(self) -> set[str]:
        """Return the floats on which something other than floats depends, such as the bools of a mask."""
        tested: set[str] = set()
        for node in reversed(self.nodes):
            if node.op != "Shape" and any(not v.type.is_float or v.name in tested for v in node.outputs):
                tested.update(v.name for v in node.inputs if v is not None and v.type.is_float)
        return tested

    def _of_masks(self) -> set[str]:
        """Return what is computed from the masks of layers alone, such as the number of words."""
        found = {v.mask.name for n in self.nodes for v in n.inputs if v is not None and v.mask is not None}
        for node in self.nodes:
            read = [v.name for v in node.inputs if v is not None and self.sources.get(v.name)]
            if read and found.issuperset(read):
                found.update(v.name for v in node.outputs)
        return found

    def found(self, head: str) -> Frontier:
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
        names = {
            v.name
            for node in part.nodes
            for v in node.outputs
            if not OPS[node.op].has_kernel or any(v is not None and v.type.is_string for v in node.inputs)
        }
        return {v.name: replace(v, mask=None) for n in self.nodes for v in n.outputs if v.name in names}

    def _leaves(self) -> list[Leaf]:
        values = {v.name: v for v in self.graph.inputs.values() if v.name in self.smooth}
        moved = {name: set[str]() for name in values}  # what may be a leaf, and from what each was moved
        above = {name for name in self.smooth if name in self.graph.inputs}  # it or an ancestor is smooth
        for node in self.nodes:
            read = [v for v in node.inputs if v is not None and self.sources.get(v.name)]
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
        if node.name not in self.fixed or not smooth or any(name not in moved for name in smooth):
            return False
        sources = self.sources[value.name]
        if any(self.sources[name] != sources for name in smooth):
            return False
        raw = [self.graph.inputs[name] for name in sources]
        if len(raw) == 1 and (raw[0].rank == 1 or (raw[0].rank == 2 and raw[0].shape[1] == 1)):
            return True
        shapes = {v.shape for v in node.inputs if v is not None and v.name in smooth}
        return OPS[node.op].elementwise and shapes == {value.shape} and not any(map(is_picture, raw))

    def _whole_or_not(self, moved: dict[str, set[str]]) -> None:
        """Undo moves from a value that something else reads, too: its attribution would have two baselines."""
        while True:
            split = {n for n in moved if any(u not in moved for u in self.uses.get(n, ()))}
            undone = [name for name, before in moved.items() if before & split or before - moved.keys()]
            if not undone:
                return
            for name in undone:
                del moved[name]


def part_of(graph: Graph, outputs: Mapping[str, Value], given: Collection[str], *, frozen: bool = False) -> Graph:
    """Return the part of a graph that computes ``outputs`` from the values ``given`` by name, and from raw inputs.

    Args:
        frozen: make all weights untrainable: a backward pass then computes gradients of inputs alone.
    """
    part = Graph(graph.name)
    known: dict[str, Value] = {}
    needed: set[str] = set()
    stack = list(outputs.values())
    while stack:
        value = stack.pop()
        if value.name not in given and value.node is not None and value.node.name not in needed:
            needed.add(value.node.name)
            stack.extend(v for v in value.node.inputs if v is not None)

    def current(value: Value | None) -> Value | None:
        if value is None or value.kind == "constant":
            return value
        if value.name not in known:
            if value.param is not None:
                param = replace(value.param, trainable=value.param.trainable and not frozen)
                part.params[param.name] = param
                known[value.name] = part.values[param.name] = replace(value, param=param)
            else:
                known[value.name] = part.inputs[value.name] = Value(
                    value.name, value.type, "input", dims=value.dims, range=value.range
                )
        return known[value.name]

    for node in graph.nodes:
        if node.name not in needed:
            continue
        copy = Node(node.name, node.op, tuple(current(v) for v in node.inputs), node.attrs, node.owner)
        copy.outputs = tuple(replace(v, node=copy, mask=None) for v in node.outputs)
        known.update((v.name, v) for v in copy.outputs if v.name not in given)
        part.nodes.append(copy)
    part.outputs = {name: v for name, value in outputs.items() if (v := current(value)) is not None}
    return part
