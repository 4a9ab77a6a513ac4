"""The passes before a graph is written to a file, whose operators are those of an opset, in inference.

Programs choose between training and inference when they are bound (``training=True``).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any

from graphspec.graph.builder import Rebuild, append, rebuild
from graphspec.graph.decompositions import DECOMPOSITIONS
from graphspec.graph.ir.graph import Graph, Node, Type, Value
from graphspec.graph.ops import OPS, operator
from graphspec.graph.target import Target


def drop_training(graph: Graph, target: Target) -> Graph:
    """Replace operators that behave differently in training by their inference form.

    Dropout and noise are the identity at inference, so their nodes are removed. Random augmentation is replaced by its
    computation at inference. BatchNormalization uses its moving statistics. Operators for training become ONNX's.

    >>> g, x = sketch({"x": ("N", 4)})
    >>> graph = g.graph.with_outputs({"y": g.Relu(g.Dropout(x, g.constant(0.5)))})
    >>> print_graph(graph)
    %1 = Dropout(x, 0.5)
    y = Relu(%1)
    >>> print_graph(drop_training(graph, Target()))
    y = Relu(x)
    """
    return rebuild(graph, in_inference)


def in_inference(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
    """Return the outputs of the form that a node has at inference, None if it is the same."""
    X = inputs[0] if inputs else None
    ones = node.op == "Mul" and X is not None and X.type == node.outputs[0].type and _is_ones(inputs[1])
    if X is not None and (ones or OPS[node.op].identity_in_inference):
        return (X,)
    if (form := OPS[node.op].inference) is None:
        return None
    attributes = {k: v for k, v in {**node.attrs, **form.attributes}.items() if k not in form.without}
    types = [v.type for v in node.outputs][: form.outputs]
    operands = [inputs[k] for k in form.inputs if k < len(inputs)]
    name = node.name.replace(node.op, form.op)
    return append(state.graph, name, form.op, operands, attributes, node.owner, types)


def _is_ones(value: Value | None) -> bool:
    """Return whether ``value`` is the expanded constant 1: a mask whose Dropout was removed."""
    if value is None or value.node is None or value.node.op != "Expand":
        return False
    one = value.node.inputs[0]
    return one is not None and one.data is not None and bool((one.data == 1.0).all())


BASE = 17  # the opset whose form of an operator is used, if the operator exists in it


@cache
def since(op: str) -> int | None:
    """Return the first opset with an operator in this form, 1 in other domains; None for one that is not exported."""
    from onnx import defs

    if not OPS[op].exported:
        return None
    if OPS[op].domain:
        return 1
    if (changed := OPS[op].since_opset) is not None:
        return changed
    newest = defs.onnx_opset_version()
    first = next((k for k in range(BASE, newest + 1) if defs.has(op, max_inclusive_version=k)), None)
    return first if first is None else min(first, int(defs.get_schema(op, first).since_version))


def is_newer(node: Node, opset: int) -> bool:
    """Return whether ``opset`` lacks the node's operator, or onnxruntime has no kernel for it."""
    first = since(node.op)
    return first is None or first > opset or not OPS[node.op].in_onnxruntime


def legalize(graph: Graph, target: Target) -> Graph:
    """Decompose every operator that is missing in the target's opset; an operator without a decomposition stays.

    A graph uses each operator in its newest form, such as Gelu from opset 20. A file for an older opset contains the
    decomposition from ``graphspec/graph/decompositions.py`` instead. Operators that are in no opset, or have no kernel in
    onnxruntime, are always decomposed.

    >>> g, x = sketch({"x": ("N", 4)})
    >>> graph = g.graph.with_outputs({"y": g.Mish(x)})
    >>> print_graph(graph)
    y = Mish(x)
    >>> print_graph(legalize(graph, Target(opset=17)))
    %1 = Softplus(x)
    %2 = Tanh(%1)
    y = Mul(x, %2)
    """

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.op == "Scan":
            return state.copy(node, inputs, body=legalize(drop_training(node.attrs["body"], target), target))
        if node.op not in DECOMPOSITIONS or not is_newer(node, target.opset):
            return None
        with state.builder(node) as g:
            result = DECOMPOSITIONS[node.op](g, operator(node), *inputs)
        return result if isinstance(result, tuple) else (result,)

    return rebuild(graph, visit)


def constant_values(graph: Graph) -> set[str]:
    """Return the names of the values that depend only on weights and constants, and that NumPy can compute."""
    constant: set[str] = set()
    for node in graph.nodes:
        fixed = node.inputs and all(v.kind in ("param", "constant") or v.name in constant for v in node.sources)
        texts = any(v.type.is_string for v in (*node.outputs, *node.sources))  # they are for onnxruntime alone
        if fixed and OPS[node.op].has_kernel and not texts:
            constant.update(v.name for v in node.outputs)
    return constant


def fold_constants(graph: Graph, target: Target) -> Graph:
    """Replace nodes that depend only on weights and constants by constants.

    Lowering leaves arithmetic on weights in the graph, such as a reshaped bias, because weights change in training. In
    a file they are fixed, so each result, which ``target.compute`` computes, is stored as one constant.

    >>> g, x = sketch({"x": ("N", 4)})
    >>> graph = g.graph.with_outputs({"y": g.Mul(x, g.Sqrt(g.constant(4.0)))})
    >>> print_graph(graph)
    %1 = Sqrt(4.0)
    y = Mul(x, %1)
    >>> target = Target(compute=partial(constants_of, Parameters(graph)))
    >>> print_graph(fold_constants(graph, target))
    y = Mul(x, 2.0)
    """
    constant = constant_values(graph)
    if not constant:
        return graph
    read = [v for n in graph.nodes if n.outputs[0].name not in constant for v in n.sources]
    read += graph.outputs.values()
    arrays = target.compute(graph.with_outputs({v.name: v for v in read if v.name in constant}))

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.outputs[0].name not in constant:
            return None
        stored = [Value(v.name, v.type, "constant", data=arrays.get(v.name)) for v in node.outputs]
        return [v if new.data is None else new for new, v in zip(stored, node.outputs, strict=True)]

    return rebuild(graph, visit)


def remove_identity_arithmetic(graph: Graph, target: Target) -> Graph:
    """Replace each Mul, Div, Add or Sub that returns one of its operands unchanged by that operand.

    Layers such as Rescaling and Normalization emit a scale and an offset even if one of them changes nothing. The
    operand then replaces the node, unless the constant broadcasts it to a larger shape. ``fold_constants`` runs before.

    >>> g, x = sketch({"x": ("N", 4)})
    >>> graph = g.graph.with_outputs({"y": g.Add(g.Mul(x, g.constant(1.0)), g.constant(0.5))})
    >>> print_graph(graph)
    %1 = Mul(x, 1.0)
    y = Add(%1, 0.5)
    >>> print_graph(remove_identity_arithmetic(graph, Target()))
    y = Add(x, 0.5)
    """

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        op = OPS[node.op]
        if op.neutral is None:
            return None
        pairs = [inputs, inputs[::-1]] if op.commutes else [inputs]
        for operand, constant in pairs:
            assert operand is not None
            assert constant is not None
            same = operand.type == node.outputs[0].type  # otherwise the constant broadcasts the operand
            if same and constant.data is not None and bool((constant.data == op.neutral).all()):
                return (operand,)
        return None

    return rebuild(graph, visit)


def merge_equal_nodes(graph: Graph, target: Target) -> Graph:
    """Replace every node by the first node with equal operator, attributes and inputs.

    Lowering works layer by layer, so several layers that read one value may each emit the same Transpose, Shape or Cast
    of it. The first node stays under its own name; readers of the others read the first. ``cancel_transposes``, which runs
    later, then has fewer Transposes to move. Constants are equal if their bytes are equal. Nodes that draw random numbers
    stay, since two draws differ.

    >>> g, x = sketch({"x": ("N", 4)})
    >>> graph = g.graph.with_outputs({"y": g.Add(g.Relu(x), g.Relu(x))})
    >>> print_graph(graph)
    %1 = Relu(x)
    %2 = Relu(x)
    y = Add(%1, %2)
    >>> print_graph(merge_equal_nodes(graph, Target()))
    %1 = Relu(x)
    y = Add(%1, %1)
    """
    first: dict[Hashable, Sequence[Value]] = {}

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if OPS[node.op].identity_in_inference or ("seed" in node.attrs and not OPS[node.op].domain):
            return None
        key = node.op, _frozen(node.attrs), tuple(map(_identity, inputs)), tuple(v.type for v in node.outputs)
        if key not in first:
            first[key] = state.copy(node, inputs)
        return first[key]

    return rebuild(graph, visit)


def _identity(value: Value | None) -> Hashable:
    """Return a key that is equal for equal inputs: the bytes of a constant, or the name of another value."""
    if value is None or value.data is None:
        return None if value is None else value.name
    # The bytes of an array of texts are addresses.
    content = tuple(value.data.flat) if value.type.is_string else value.data.tobytes()
    return value.type, value.data.dtype.str, content


def _frozen(attribute: Any) -> Hashable:
    """Return an attribute as a dictionary key; 1, 1.0 and True are different keys."""
    if isinstance(attribute, dict):
        return tuple((k, _frozen(v)) for k, v in sorted(attribute.items()))
    if isinstance(attribute, list | tuple):
        return tuple(map(_frozen, attribute))
    return type(attribute), attribute


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
            owner, own = value.name.split("/")[0], [value.name]
            moved = value.node is not None and value.node.op != "Transpose"  # the name is that of another node
            name = f"{value.name}/Transpose" if moved else value.name
            attrs, types = {"perm": perm}, [value.type]
            (self.emitted[value.name],) = append(state.graph, name, "Transpose", (base,), attrs, owner, types, own)
        return self.emitted[value.name]


def cancel_transposes(graph: Graph, target: Target) -> Graph:
    """Cancel opposite Transposes, also across elementwise operators, Concat and reductions.

    Layers are channels-last, ONNX's convolutions and poolings are channels-first, so lowering puts a Transpose before
    and after each of them. This pass defers a Transpose and emits it only before an operator that cannot work on the
    untransposed operand. A Transpose moves past an operator if all its operands have the same deferred permutation; two
    opposite permutations cancel. Most channels-last networks keep one Transpose, at their input.

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

    moved = rebuild(_with_sinks(graph), visit)
    sinks = {name: value.node for name, value in moved.outputs.items() if value.node is not None}
    moved.outputs = {name: sink.sources[0] for name, sink in sinks.items()}
    moved.nodes = moved.needed(moved.outputs.values())
    return moved


def _with_sinks(graph: Graph) -> Graph:
    """Return the graph with a Reshape after each output, which forces a pending Transpose to be emitted."""
    copy = graph.copy()
    for name, value in graph.outputs.items():
        node = Node(f"{name}/sink", "Reshape", (value, None), {"allowzero": 0}, name)
        node.outputs = (Value(f"{name}/sink", value.type, "op", node),)
        copy.nodes.append(node)
        copy.outputs[name] = node.outputs[0]
    return copy


def _move_past(state: Rebuild, node: Node, inputs: tuple[Value | None, ...], moves: _Moves) -> Sequence[Value] | None:
    """Apply the node to the untransposed inputs and return its output as pending; None if the Transpose cannot move."""
    tensors = [v for v in inputs if v is not None and v.rank > 0]
    perms = {moves.pending[v.name][1] if v.name in moves.pending else None for v in tensors}
    if len(perms) != 1 or len(node.outputs) != 1 or (perm := perms.pop()) is None:
        return None
    bases = [v if v is None or v.name not in moves.pending else moves.pending[v.name][0] for v in inputs]
    attrs, out_perm = dict(node.attrs), perm
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
    (old,) = node.outputs
    out_type = Type(old.dtype, tuple(old.shape[out_perm.index(k)] for k in range(len(out_perm))))
    (new,) = append(state.graph, node.name, node.op, bases, attrs, node.owner, [out_type], [f"{old.name}^T"])
    return (moves.defer(old, new, out_perm),)
