"""Move Transposes towards the outputs and cancel opposite ones.

Layers are channels-last, ONNX's convolutions and poolings are channels-first, so lowering puts a Transpose before and after
each of them. This pass defers a Transpose and emits it only before an operator that cannot work on the untransposed
operand. A Transpose moves past elementwise operators, Concat and reductions if all their operands have the same deferred
permutation; two opposite permutations cancel. Most channels-last networks keep one Transpose, at their input.

It is for files.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.graph.ir.graph import Graph, Node, Type, Value
from graphspec.graph.ops import OPS
from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target

Perm = tuple[int, ...]


class _Moves:
    """Deferred Transposes: ``pending[name] = (base, perm)`` for every value that is a transposed ``base``."""

    def __init__(self) -> None:
        self.pending: dict[str, tuple[Value, Perm]] = {}
        self.emitted: dict[str, Value] = {}

    def defer(self, value: Value, base: Value, perm: Perm) -> Value:
        """Record ``value`` as pending; return ``base`` if ``perm`` is the identity, else ``value``."""
        if perm == tuple(range(len(perm))):
            return base
        self.pending[value.name] = (base, perm)
        return value

    def resolve(self, state: Rebuild, value: Value | None) -> Value | None:
        """Return the value; if it is pending, emit its Transpose on the first call."""
        if value is None or value.name not in self.pending:
            return value
        if value.name not in self.emitted:
            base, perm = self.pending[value.name]
            owner = value.name.split("/")[0]
            name = value.name if "Transpose" in value.name else f"{value.name}/Transpose"
            self.emitted[value.name] = state.node(
                name, "Transpose", (base,), {"perm": perm}, owner, [value.type], [value.name]
            )[0]
        return self.emitted[value.name]


def cancel_transposes(graph: Graph, target: Target) -> Graph:
    """Cancel opposite Transposes, also across elementwise operators, Concat and reductions.

    >>> g, x = sketch({"x": ("N", 8, 8, 3)})
    >>> channels_first = g.Relu(g.Transpose(x, perm=(0, 3, 1, 2)))
    >>> graph = g.graph.with_outputs({"y": g.Transpose(channels_first, perm=(0, 2, 3, 1))})
    >>> print_graph(graph)
    %1 = Transpose(x, perm=(0, 3, 1, 2))
    %2 = Relu(%1)
    y = Transpose(%2, perm=(0, 2, 3, 1))
    >>> print_graph(cancel_transposes(graph, Target()))
    y = Relu(x)
    """
    moves = _Moves()

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.op == "Transpose" and inputs[0] is not None:
            base, inner = moves.pending.get(inputs[0].name, (inputs[0], tuple(range(inputs[0].rank))))
            perm = tuple(inner[p] for p in node.attrs["perm"])
            return (moves.defer(node.outputs[0], base, perm),)
        moved = _move_past(state, node, inputs, moves)
        return moved or state.copy(node, [moves.resolve(state, v) for v in inputs])

    return _without_sinks(rebuild(_with_sinks(graph), visit))


def _with_sinks(graph: Graph) -> Graph:
    """Return the graph with a Reshape after each output, which forces a pending Transpose to be emitted."""
    copy = graph.copy()
    for name, value in graph.outputs.items():
        node = Node(f"{name}/sink", "Reshape", (value, None), {"allowzero": 0}, name)
        node.outputs = (Value(f"{name}/sink", value.type, "op", node),)
        copy.nodes.append(node)
        copy.outputs[name] = node.outputs[0]
    return copy


def _without_sinks(graph: Graph) -> Graph:
    """Return the graph without the nodes that :func:`_with_sinks` added."""
    for name, value in graph.outputs.items():
        assert value.node is not None
        source = value.node.inputs[0]
        assert source is not None
        graph.outputs[name] = source
    graph.nodes = graph.needed(graph.outputs.values())
    return graph


def _move_past(state: Rebuild, node: Node, inputs: tuple[Value | None, ...], moves: _Moves) -> Sequence[Value] | None:
    """Apply the node to the untransposed inputs and return its output as pending.

    Return None if the permutations of the inputs differ or the Transpose cannot move past the node.
    """
    tensors = [v for v in inputs if v is not None and v.rank > 0]
    pending = [moves.pending[v.name] for v in tensors if v.name in moves.pending]
    if not pending or len(node.outputs) != 1:
        return None
    perm = pending[0][1]
    if any(p != perm for _, p in pending) or len(pending) != len(tensors):
        return None
    bases = [v if v is None or v.name not in moves.pending else moves.pending[v.name][0] for v in inputs]
    attrs = dict(node.attrs)
    out_perm = perm
    if {"axes", "keepdims"} <= attrs.keys():  # a reduction over axes that are an attribute
        if attrs["axes"] is None:
            return None
        axes = [a % len(perm) for a in attrs["axes"]]
        attrs["axes"] = tuple(sorted(perm[a] for a in axes))
        if not attrs["keepdims"]:
            remaining = [p for k, p in enumerate(perm) if k not in axes]
            out_perm = tuple(sorted(remaining).index(p) for p in remaining)
    elif node.op == "Concat":
        attrs["axis"] = perm[attrs["axis"] % len(perm)]
    elif not OPS[node.op].elementwise or len({v.rank for v in tensors}) > 1:
        return None
    shape = node.outputs[0].shape
    base_shape = tuple(shape[out_perm.index(k)] for k in range(len(out_perm)))
    out_type = Type(node.outputs[0].dtype, base_shape)
    moved = state.node(f"{node.name}", node.op, bases, attrs, node.owner, [out_type], [f"{node.outputs[0].name}^T"])
    return (moves.defer(node.outputs[0], moved[0], out_perm),)
