"""Move Transposes towards the heads and cancel them: a channels-last network keeps one at its input."""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Node, Type, Value
from graphspec.ops import OPS
from graphspec.ops.unary import Unary

_NARY = {"Add", "Sub", "Mul", "Div", "Pow", "Sum", "Max", "Min", "Mean", "Clip", "Where", "And", "Or", "Equal"}
_NARY |= {"Greater", "Less"}
_REDUCE = {"ReduceMean", "ReduceMax", "ReduceMin"}  # those with axes as an attribute at opset 17

Perm = tuple[int, ...]


class _Moves:
    """What is known of values that are transposes of others: ``name → (base, perm)``, not yet written out."""

    def __init__(self) -> None:
        self.pending: dict[str, tuple[Value, Perm]] = {}
        self.written: dict[str, Value] = {}

    def defer(self, value: Value, base: Value, perm: Perm) -> Value:
        if perm == tuple(range(len(perm))):
            return base
        self.pending[value.name] = (base, perm)
        return value

    def write(self, state: Rebuild, value: Value | None) -> Value | None:
        """The value itself; a pending one is written out as a Transpose, once."""
        if value is None or value.name not in self.pending:
            return value
        if value.name not in self.written:
            base, perm = self.pending[value.name]
            owner = value.name.split("/")[0]
            name = value.name if "Transpose" in value.name else f"{value.name}/Transpose"
            self.written[value.name] = state.node(
                name, "Transpose", (base,), {"perm": perm}, owner, [value.type], [value.name]
            )[0]
        return self.written[value.name]


def cancel_transposes(graph: Graph, target: Target) -> Graph:
    """Opposite Transposes cancel, also across elementwise operators, Concat and reductions."""
    moves = _Moves()

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.op == "Transpose" and inputs[0] is not None:
            base, inner = moves.pending.get(inputs[0].name, (inputs[0], tuple(range(inputs[0].rank))))
            perm = tuple(inner[p] for p in node.attrs["perm"])
            return (moves.defer(node.outputs[0], base, perm),)
        moved = _through(state, node, inputs, moves)
        return moved or state.copy(node, [moves.write(state, v) for v in inputs])

    def finish(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        return None

    result = rebuild(_with_sinks(graph), visit)
    return rebuild(_without_sinks(result, graph), finish)


def _with_sinks(graph: Graph) -> Graph:
    """Heads behind an Identity, so that a pending Transpose in front of a head is written out."""
    copy = graph.copy()
    for head, value in graph.outputs.items():
        node = Node(f"{head}/head", "Reshape", (value, None), {"allowzero": 0}, head)
        node.outputs = (Value(f"{head}/head", value.type, "op", node),)
        copy.nodes.append(node)
        copy.outputs[head] = node.outputs[0]
    return copy


def _without_sinks(graph: Graph, original: Graph) -> Graph:
    for head, value in graph.outputs.items():
        assert value.node is not None
        source = value.node.inputs[0]
        assert source is not None
        graph.outputs[head] = source
    graph.nodes = graph.needed(graph.outputs.values())
    return graph


def _through(state: Rebuild, node: Node, inputs: tuple[Value | None, ...], moves: _Moves) -> Sequence[Value] | None:
    """The node applied below its inputs' common Transpose, its output pending; None where that cannot be."""
    full = [v for v in inputs if v is not None and v.rank > 0]
    waiting = [moves.pending[v.name] for v in full if v.name in moves.pending]
    if not waiting or len(node.outputs) != 1:
        return None
    perm = waiting[0][1]
    if any(p != perm for _, p in waiting) or len(waiting) != len(full):
        return None
    bases = [v if v is None or v.name not in moves.pending else moves.pending[v.name][0] for v in inputs]
    attrs = dict(node.attrs)
    out_perm = perm
    if node.op in _REDUCE:
        if attrs["axes"] is None:
            return None
        axes = [a % len(perm) for a in attrs["axes"]]
        attrs["axes"] = tuple(sorted(perm[a] for a in axes))
        if not attrs["keepdims"]:
            rest = [p for k, p in enumerate(perm) if k not in axes]
            out_perm = tuple(sorted(rest).index(p) for p in rest)
    elif node.op == "Concat":
        attrs["axis"] = perm[attrs["axis"] % len(perm)]
    elif not (
        node.op in ("Cast", "Identity")
        or issubclass(OPS[node.op], Unary)
        or (node.op in _NARY and len({v.rank for v in full}) == 1)
    ):
        return None
    shape = node.outputs[0].shape
    base_shape = tuple(shape[out_perm.index(k)] for k in range(len(out_perm)))
    kind = Type(node.outputs[0].dtype, base_shape)
    moved = state.node(f"{node.name}", node.op, bases, attrs, node.owner, [kind], [f"{node.outputs[0].name}^T"])
    return (moves.defer(node.outputs[0], moved[0], out_perm),)
