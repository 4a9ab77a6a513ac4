"""Nodes → a graph of operators. Checking shapes is lowering: whatever fails here is reported with its place in the spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphspec.compiler.build import Builder
from graphspec.compiler.ir import Graph, Type, Value
from graphspec.errors import Diagnostic, Mark, NodeRef, ShapeError

if TYPE_CHECKING:
    from graphspec.spec.model import InputDecl, NodeDecl, Ref, Spec

_NOTED = ("padding", "strides", "pool_size", "axis", "return_sequences", "target_shape", "data_format")


@dataclass
class Lowered:
    """A graph, the outputs of every node (None where they are unknown because of an error), and what was found."""

    graph: Graph
    outputs: dict[str, tuple[Value, ...] | None] = field(default_factory=dict)
    declared: dict[str, NodeDecl | InputDecl] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def value(self, ref: Ref | None) -> Value | None:
        """What a reference stands for; None where that is unknown."""
        if ref is None:
            return None
        outputs = self.outputs.get(ref.name)
        return outputs[ref.output] if outputs is not None and ref.output < len(outputs) else None

    def node_ref(self, ref: Ref) -> NodeRef:
        """The line about a node in a diagnostic: its shape, its place, and the arguments that shape it."""
        decl = self.declared.get(ref.name)
        value = self.value(ref)
        name = ref.name if ref.output == 0 else f"{ref.name}:{ref.output}"
        layer = getattr(decl, "layer", None)
        given = {} if layer is None else {k: getattr(layer, k) for k in _NOTED if hasattr(layer, k)}
        written = set() if layer is None else layer.model_fields_set
        note = ", ".join(f"{k}: {_plain(v)}" for k, v in given.items() if k == "padding" or k in written)
        mark = None if decl is None else decl.mark
        kind = "input" if layer is None and getattr(decl, "type", None) is None else getattr(decl, "type", None)
        return NodeRef(name, kind, None if value is None else value.shape, mark.line if mark else None, note)


def _plain(value: Any) -> str:
    return (
        str(list(value)) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else str(value)
    )


def lower(spec: Spec, order: Sequence[NodeDecl]) -> Lowered:
    """Lower the nodes in ``order``; the heads become the graph's outputs.

    A node whose lowering fails is reported, its output becomes unknown, and what depends on it says nothing.
    """
    result = Lowered(Graph(spec.name))
    for decl in spec.inputs.values():
        value = Value(decl.name, Type(decl.dtype, ("N", *decl.shape)), "input")
        result.graph.inputs[decl.name] = value
        result.outputs[decl.name] = (value,)
        result.declared[decl.name] = decl
    layers = {node.name: node for node in spec.nodes}
    result.declared.update(layers)
    for node in _owners_first(order, layers):
        result.outputs[node.name] = _lower_node(node, layers, result)
    for head in spec.heads.values():
        if head.layer is not None and _exists(head.layer, result, f"head '{head.name}'"):
            value_or_none = result.value(head.layer)
            if value_or_none is not None:
                result.graph.outputs[head.name] = value_or_none
    return result


def _owners_first(order: Sequence[NodeDecl], layers: dict[str, NodeDecl]) -> list[NodeDecl]:
    """``order``; weights are made by whichever of a node and those that share it comes first, so any order does."""
    return [n for n in order if n.share is None or n.share in layers]


def _exists(ref: Ref, result: Lowered, who: str) -> bool:
    outputs = result.outputs.get(ref.name)
    if outputs is None or ref.output < len(outputs):
        return True
    have = f"only output 0, '{ref.name}'" if len(outputs) == 1 else f"outputs 0 to {len(outputs) - 1}"
    hint = "set `return_state: true` on a recurrent layer to get its states" if len(outputs) == 1 else None
    text = f"{who} takes '{ref.name}:{ref.output}', but '{ref.name}' has {have}"
    result.diagnostics.append(Diagnostic.at(ref.mark, "GS201", text, hint=hint))
    return False


def _lower_node(node: NodeDecl, layers: dict[str, NodeDecl], result: Lowered) -> tuple[Value, ...] | None:
    owner = layers[node.share] if node.share is not None else node
    layer = owner.layer
    refs = [r for r in node.inputs if r is not None]
    calls_refs = {k: [r for r in v if r is not None] for k, v in node.call.items()}
    every = refs + [r for v in calls_refs.values() for r in v]
    who = f"{owner.type} '{node.name}'"
    if layer is None or len(refs) < len(node.inputs) or any(len(calls_refs[k]) < len(v) for k, v in node.call.items()):
        return None
    missing = [r for r in every if not _exists(r, result, who)]
    if missing:
        return None
    least, most = layer.arity
    if len(refs) < least or (most is not None and len(refs) > most):
        wanted = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} to {most}"
        text = f"{who} takes {wanted} input{'s' if wanted != '1' else ''}, got {len(refs)}"
        hint = None
        if len(refs) > 1 and most == 1:
            hint = f"join {', '.join(repr(r.name) for r in refs)} first, such as with Concatenate"
        elif len(refs) < least:
            hint = "list them: `inputs: [a, b]`"
        result.diagnostics.append(_diagnose(node, result, every, "GS203", text, hint, "inputs"))
        return None
    inputs = [result.value(r) for r in refs]
    calls = {k: [result.value(r) for r in v] for k, v in calls_refs.items()}
    if any(v is None for v in inputs) or any(v is None for vs in calls.values() for v in vs):
        return None
    g = Builder(result.graph, node.name, owner.name, trainable=owner.trainable and node.trainable)
    before = len(result.graph.nodes)
    try:
        values = layer.lower(g, *inputs, **calls)
    except ShapeError as error:
        del result.graph.nodes[before:]
        text = f"{who}{_joint(error.message)}{error.message}"
        hint = error.hint or _merge_hint(error, refs, result)
        result.diagnostics.append(_diagnose(node, result, every, error.code, text, hint, error.key))
        return None
    outputs = values if isinstance(values, tuple) else (values,)
    outputs = _carry_mask(node, owner, result, every, [v for v in inputs if v is not None], outputs)
    g.penalize(getattr(layer, "activity_regularizer", None), *outputs)
    return outputs


_VERBS = ("needs", "joins", "shares", "takes", "gets", "has", "cannot", "does", "is", "would", "expects", "divides")


def _joint(message: str) -> str:
    """``Dense 'x' needs …`` but ``Dense 'x': sizes differ``."""
    return " " if message.split(" ", 1)[0] in _VERBS else ": "


def _carry_mask(
    node: NodeDecl,
    owner: NodeDecl,
    result: Lowered,
    refs: Sequence[Ref],
    inputs: Sequence[Value],
    outputs: tuple[Value, ...],
) -> tuple[Value, ...]:
    """Keras's default: a layer that supports masking hands its input's mask on; another drops it, with a warning."""
    layer = owner.layer
    assert layer is not None
    mask = next((v.mask for v in inputs if v.mask is not None), None)
    if mask is not None and node.call.get("initial_state"):
        text = (
            f"{owner.type} '{node.name}' does not use the mask of its input where `initial_state` is given, as in Keras"
        )
        hint = "steps that were masked count as data here; the output keeps the mask"
        result.diagnostics.append(_diagnose(node, result, refs, "GS308", text, hint, "initial_state").as_warning())
    if mask is None or layer.handles_mask:
        return outputs
    if layer.supports_masking:
        return tuple(v if v.mask is not None else v.with_mask(mask) for v in outputs)
    if mask.rank <= min(v.rank for v in inputs):
        text = f"{owner.type} '{node.name}' does not support masks: the mask of its input ends here"
        hint = "steps that were masked count as data from here on; put it behind the layer that consumes the mask"
        result.diagnostics.append(_diagnose(node, result, refs, "GS308", text, hint, None).as_warning())
    return tuple(v.with_mask(None) for v in outputs)


def _merge_hint(error: ShapeError, refs: Sequence[Ref], result: Lowered) -> str | None:
    """The fix for sizes that differ because one branch pads and the other does not."""
    if error.code != "GS302":
        return None
    nodes = [result.declared.get(r.name) for r in refs]
    paddings = [getattr(getattr(n, "layer", None), "padding", None) for n in nodes]
    if "valid" in paddings and len({r.name for r in refs}) > 1:
        k = paddings.index("valid")
        place = nodes[k].mark.line if nodes[k] is not None else None  # type: ignore[union-attr]
        return f"set `padding: same` on '{refs[k].name}'" + (f" (line {place})" if place else "")
    shapes = [result.value(r) for r in refs]
    ranks = {v.rank for v in shapes if v is not None}
    if len(ranks) > 1:
        return "bring them to one rank first, such as with Flatten or Reshape"
    return "make the sizes equal, such as with a Dense or a 1×1 convolution in front"


def _diagnose(
    node: NodeDecl, result: Lowered, refs: Sequence[Ref], code: str, text: str, hint: str | None, key: str | None
) -> Diagnostic:
    mark, path = place(node, key)
    unique = {(r.name, r.output): r for r in refs}
    nodes = tuple(result.node_ref(r) for r in unique.values())
    return Diagnostic.at(mark, code, text, path=path, hint=hint, nodes=nodes)


def place(node: NodeDecl, key: str | None) -> tuple[Mark, str]:
    """The mark and path of a node's ``key``, or of the node where it has no such key."""
    if key is not None:
        tree, _ = node.tree.find((key,))
        if tree is not None:
            return tree.mark, tree.path
    return node.mark, node.tree.path
