"""Nodes → a graph of operators. Checking shapes is lowering: whatever fails here is reported with its place in the spec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphspec.codes import Code
from graphspec.compiler.hints import merge_hint
from graphspec.compiler.lowered import Lowered, visible
from graphspec.errors import Diagnostic, Mark, ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.id_bounds import invalid_ids
from graphspec.ir.graph import Graph, Type, Value
from graphspec.language.declarations import Ref
from graphspec.language.tree import listed

if TYPE_CHECKING:
    from graphspec.graph.id_bounds import Demand
    from graphspec.ir.ranges import Range
    from graphspec.language.declarations import NodeDecl, Spec


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
    for node in order:  # weights are made by whichever of a node and those that share it comes first
        if node.share is None or node.share in layers:
            result.outputs[node.name] = _lower_node(node, layers, result)
    for head in spec.heads.values():
        if head.layer is not None and _exists(head.layer, result, f"head '{head.name}'"):
            value_or_none = result.value(head.layer)
            if value_or_none is not None:
                result.graph.outputs[head.name] = value_or_none
    result.diagnostics += [_no_row(demand, held, layers, result) for demand, held in invalid_ids(result.graph)]
    return result


def _no_row(demand: Demand, held: Range, layers: dict[str, NodeDecl], result: Lowered) -> Diagnostic:
    """GS304 for a lookup that is given ids which it has no row for, whatever the data are."""
    node, maker = layers[demand.owner], demand.value
    kind = node.type if node.layer is not None else layers[str(node.share)].type
    source = maker.node.owner if maker.node is not None else maker.name.split("/")[0]
    allowed = held & demand.range
    text = (
        f"{kind} '{visible(node.name)}' looks up ids from '{visible(source)}', which gives {held.low} … {held.high}; "
    )
    text += "none of them has a row" if allowed.empty else f"only {allowed.low} … {allowed.high} can have a row"
    wide = f"`input_dim: {held.high + 1}`" if demand.range.low == 0 else "a larger `input_dim`"
    hint = f"set {wide}, or let '{visible(source)}' give fewer"
    refs = [Ref(source, 0, layers[source].mark)] if source in layers else []
    return _diagnose(node, result, refs, Code.SIZES_DO_NOT_FIT, text, hint, "input_dim")


def _exists(ref: Ref, result: Lowered, who: str) -> bool:
    outputs = result.outputs.get(ref.name)
    if outputs is None or ref.output < len(outputs):
        return True
    have = "one output" if len(outputs) == 1 else f"outputs 0 to {len(outputs) - 1}"
    layer = getattr(result.declared.get(ref.name), "layer", None)
    hint = f"write '{ref.name}'" if len(outputs) == 1 else f"'{ref.name}:{len(outputs) - 1}' is the last"
    if getattr(layer, "return_state", None) is False:
        hint = f"set `return_state: true` on '{ref.name}' to get its states"
    if getattr(layer, "return_attention_scores", None) is False:
        hint = f"set `return_attention_scores: true` on '{ref.name}' to get its weights"
    text = f"{who} takes '{ref.name}:{ref.output}', but '{ref.name}' has {have}"
    node = (result.node_ref(Ref(ref.name, 0, ref.mark)),)
    result.diagnostics.append(Diagnostic.at(ref.mark, Code.UNKNOWN_NODE, text, path=ref.path, hint=hint, nodes=node))
    return False


def _lower_node(node: NodeDecl, layers: dict[str, NodeDecl], result: Lowered) -> tuple[Value, ...] | None:
    owner = layers[node.share] if node.share is not None else node
    layer = owner.layer
    refs = [r for r in node.inputs if r is not None]
    calls_refs = {k: [r for r in v if r is not None] for k, v in node.call.items()}
    every = refs + [r for v in calls_refs.values() for r in v]
    who = f"{owner.type} '{visible(node.name)}'"
    missing = [r for r in every if not _exists(r, result, who)]
    unknown = None in node.inputs or any(None in refs for refs in node.call.values())
    if layer is None or missing or unknown:
        return None
    least, most = layer.arity
    if len(refs) < least or (most is not None and len(refs) > most):
        wanted = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} to {most}"
        text = f"{who} takes {wanted} input{'s' if wanted != '1' else ''}, got {len(refs)}"
        hint = None
        if len(refs) > 1 and most == 1:
            hint = f"join {listed(repr(r.name) for r in refs)} first, such as with Concatenate"
        elif len(refs) == 1 and layer.pairs_with_itself:
            one = refs[0].name
            hint = f"list them: `inputs: [{one}, …]`, or `inputs: [{one}, {one}]` for attention to itself"
        elif len(refs) < least:
            hint = f"list them: `inputs: [{listed([r.name for r in refs] + ['…'] * (least - len(refs)))}]`"
        else:
            hint = f"remove {len(refs) - (most or 0)} of them"
        result.diagnostics.append(_diagnose(node, result, every, Code.WRONG_INPUT_COUNT, text, hint, "inputs"))
        return None
    inputs = [result.value(r) for r in refs]
    calls = {k: [result.value(r) for r in v] for k, v in calls_refs.items()}
    if any(v is None for v in inputs) or any(v is None for vs in calls.values() for v in vs):
        return None
    g = Builder(result.graph, node.name, owner.name, trainable=owner.trainable and node.trainable)
    before = len(result.graph.nodes)
    try:
        values = layer.lower(g, *inputs, **calls)
        outputs = values if isinstance(values, tuple) else (values,)
        if not layer.penalizes_itself:
            g.penalize(getattr(layer, "activity_regularizer", None), *outputs)
    except ShapeError as error:
        del result.graph.nodes[before:]
        problem = error.problem
        hint = problem.hint
        if hint is None and problem.code == Code.SHAPES_DIFFER:
            hint = merge_hint(refs, result, getattr(layer, "axis", None))
        hint = hint or _HINTS.get(problem.code)
        if problem.code == Code.SHARED_SHAPES_DIFFER:
            every.append(Ref(owner.name, 0, owner.mark))
        text = f"{who} {problem.message}"
        result.diagnostics.append(_diagnose(node, result, every, problem.code, text, hint, problem.key))
        return None
    except OverflowError:
        del result.graph.nodes[before:]
        text, hint = f"{who} has a size that takes more than 64 bits", "make its sizes smaller"
        result.diagnostics.append(_diagnose(node, result, every, Code.VALUE_NOT_ALLOWED, text, hint, None))
        return None
    return _carry_mask(node, owner, result, every, [v for v in inputs if v is not None], outputs)


_HINTS = {
    Code.WRONG_RANK: "axes count from 0, the batch; -1 is the last",
    Code.SIZES_DO_NOT_FIT: "choose sizes that divide, whatever those that vary are",
}
"""For operators, which know no fix."""


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
        result.diagnostics.append(
            _diagnose(node, result, refs, Code.MASK_DROPPED, text, hint, "initial_state").as_warning()
        )
    if mask is None or layer.handles_mask:
        return outputs
    if layer.supports_masking:
        return tuple(v if v.mask is not None else v.with_mask(mask) for v in outputs)
    if mask.rank <= min(v.rank for v in inputs):
        text = f"{owner.type} '{visible(node.name)}' does not support masks: the mask of its input ends here"
        hint = "steps that were masked count as data from here on; put it behind the layer that consumes the mask"
        result.diagnostics.append(_diagnose(node, result, refs, Code.MASK_DROPPED, text, hint, None).as_warning())
    return tuple(v.with_mask(None) for v in outputs)


def _diagnose(
    node: NodeDecl, result: Lowered, refs: Sequence[Ref], code: str, text: str, hint: str | None, key: str | None
) -> Diagnostic:
    mark, path = place(node, key)
    unique = {(r.name, r.output): r for r in refs}
    nodes = tuple(result.node_ref(r) for r in unique.values())
    if (instance := node.instance) is not None:
        nodes += (instance,)
    return Diagnostic.at(mark, code, text, path=path, hint=hint, nodes=nodes)


def place(node: NodeDecl, key: str | None) -> tuple[Mark, str]:
    """The mark and path of a node's ``key``, also one of the layer that it wraps; of the node where there is none."""
    for at in ((), ("layer",)) if key is not None else ():
        tree, _ = node.tree.find((*at, str(key)))
        if tree is not None:
            return tree.mark, tree.path
    return node.mark, node.tree.path
