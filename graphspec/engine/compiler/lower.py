"""Lower: turn the nodes into a graph of operators. This checks all shapes; errors are reported at their position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import pairwise
from pathlib import Path

from graphspec.base.config import failure
from graphspec.base.errors import Code, Diagnostic, Mark, NodeRef, ShapeError, shorten
from graphspec.engine.compiler.adaptation import learning_nodes
from graphspec.engine.compiler.heads import check_target, fails, lower_target, merge_hint
from graphspec.engine.compiler.lowered_network import Lowered, visible
from graphspec.engine.compiler.uncertainty import add_interval, calibrated, clipped
from graphspec.engine.compiler.window_scale import is_scaled, scale_by_window, unscaled
from graphspec.graph.analysis import Demand, invalid_ids
from graphspec.graph.builder import Builder
from graphspec.graph.cuts import by_row, computed_in_steps, not_computable, repeatable
from graphspec.graph.initializers import Constant
from graphspec.graph.ir.dims import LearntSize, has_rows
from graphspec.graph.ir.graph import Graph, Node, Range, Type, Value
from graphspec.graph.ops import OPS, operator
from graphspec.language.declarations import TRAINED, HeadDecl, NodeDecl, Ref, Spec, given_of, node_of, operand_text
from graphspec.language.tree import Tree, format_cycle, format_names
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.layers.layer import Layer


def operands(g: Builder, layer: Layer, node: NodeDecl, values: Sequence[Value]) -> list[Value | None]:
    """Return the inputs of ``node`` in order: the ``values`` that it names, constants for numbers, None if absent."""
    found: list[Value | None] = list(values)
    for position, number in sorted(node.written.items()):
        found.insert(position, None if number is None else layer.number(g, number, position, values))
    return found


# Values without a batch axis, such as parameters: layers see them as a batch of one row.
#
# A value lacks the batch axis if ``N`` is in none of its dimensions. If no input of a layer has the axis, its outputs lack
# it, too. Beside inputs that have it, a value is repeated for each row, unless the layer broadcasts rows itself.
Inputs = Sequence["Value | None"]
Calls = Mapping[str, Sequence["Value"]]
Outputs = tuple[Value, ...]
Span = tuple[int, int] | None  # a part of the text of a key


def lower_layer(layer: Layer, g: Builder, inputs: Inputs, calls: Calls, options: Mapping[str, bool]) -> Outputs:
    """Return the outputs of a layer, some of whose inputs may lack the batch axis."""
    run = partial(_outputs, layer, g, options)
    every = [*(v for v in inputs if v is not None), *(v for values in calls.values() for v in values)]
    with_rows = [v for v in every if has_rows(v.shape)]
    if layer.takes_values_as_they_are or len(with_rows) == len(every):
        return run(inputs, calls)
    if with_rows:
        like = next((v for v in with_rows if v.shape[0] == "N"), with_rows[0])
        size = None if layer.broadcasts_rows else g.size(like, 0)
        rows = {v.name: v if has_rows(v.shape) else _with_rows(g, v, size) for v in every}
        return run(*_replaced(inputs, calls, rows))
    g.one_row = True
    rows = {v.name: _with_rows(g, v, None) for v in every}
    return tuple(_without_rows(g, v) for v in run(*_replaced(inputs, calls, rows)))


def _outputs(layer: Layer, g: Builder, options: Mapping[str, bool], inputs: Inputs, calls: Calls) -> tuple[Value, ...]:
    values = layer.lower(g, *inputs, **calls, **options)
    outputs = values if isinstance(values, tuple) else (values,)
    if not all(isinstance(Y, Value) for Y in outputs):
        raise ShapeError(
            Code.VALUE_NOT_ALLOWED, f"returns {shorten(repr(values))}, which is no Value", "return a Value"
        )
    if not layer.penalizes_itself:
        g.penalize(getattr(layer, "activity_regularizer", None), *outputs)
    return outputs


def _replaced(inputs: Inputs, calls: Calls, rows: Mapping[str, Value]) -> tuple[Inputs, Calls]:
    replaced = {key: [rows[v.name] for v in values] for key, values in calls.items()}
    return [None if v is None else rows[v.name] for v in inputs], replaced


def _with_rows(g: Builder, X: Value, size: int | Value | None) -> Value:
    Y: Value = g.Unsqueeze(X, g.constant([0]))
    if size is not None:
        Y = g.Expand(Y, g.ints([size, *(1,) * X.rank]))
    return Y.with_mask(None if X.mask is None else _with_rows(g, X.mask, size))


def _without_rows(g: Builder, Y: Value) -> Value:
    X: Value = g.Squeeze(Y, g.constant([0]))
    return X.with_mask(None if Y.mask is None else _without_rows(g, Y.mask))


def lower(spec: Spec, order: Sequence[NodeDecl]) -> Lowered:
    """Lower the nodes in ``order``; the heads become the graph's outputs.

    If a node fails, it is reported and its output becomes unknown. Nodes that depend on it are skipped silently.
    """
    result = Lowered(Graph(spec.name))
    for decl in spec.inputs.values():
        value = Value(decl.name, Type(decl.dtype, ("N", *decl.shape)), "input")
        result.graph.inputs[decl.name] = value
        result.outputs[decl.name] = (value,)
        result.declared[decl.name] = decl
    layers = {node.name: node for node in spec.nodes}
    folder = (spec.base or Path()) if spec.draws else None
    result.declared.update(layers)
    for node in order:  # the first of the nodes that share weights creates them
        if node.share is None or node.share in layers:
            result.outputs[node.name] = _lower_node(node, layers, result, folder)
    for head in spec.heads.values():
        ref, exists = head.layer, head.layer is not None and _exists(head.layer, result, f"head '{head.name}'")
        if ref is None or not exists or (output := result.value(ref)) is None:
            continue
        if output.type.is_string:
            result.diagnostics.append(_text_head(head, ref, result))
        elif not has_rows(output.shape):
            text = f"head '{head.name}' has no batch axis: there is one for all rows"
            hint = "name a node with one value per row; Add, Multiply and Concatenate join this one with a batch"
            result.diagnostics.append(_wrong_head(head, ref, result, Code.WRONG_RANK, text, hint))
        else:
            result.graph.outputs[head.name] = _answers(head, output, result)
            if head.interval is not None:
                add_interval(head, result.graph)
            _read_target(head, result.graph.outputs[head.name], result)
    for term in spec.terms.values():
        _read_term(term, result)
    result.diagnostics += [_not_computable(node, layers, result) for node in not_computable(result.graph)]
    result.diagnostics += [_in_steps(node, layers, result) for node in computed_in_steps(result.graph)]
    result.diagnostics += _not_learnable(spec, result)
    result.diagnostics += [_ids_without_row(lookup, ids, layers, result) for lookup, ids in invalid_ids(result.graph)]
    return result


def _read_term(head: HeadDecl, result: Lowered) -> None:
    """Let the losses read the nodes of a head without an output."""
    for k, ref in enumerate(head.layers):
        if ref is None or not _exists(ref, result, f"head '{head.name}'") or (value := result.value(ref)) is None:
            continue
        if value.type.is_string:
            result.diagnostics.append(_text_head(head, ref, result))
        else:
            result.graph.loss_inputs[node_of(head.name, k)] = value
    if (first := result.graph.loss_inputs.get(node_of(head.name, 0))) is not None:
        _read_target(head, first, result)


def _read_target(head: HeadDecl, y_pred: Value, result: Lowered) -> None:
    """Let the losses read the node or input with which a head compares, if it fits: the others are reported later."""
    if head.target is None or head.layer is None or not _exists(head.target, result, f"head '{head.name}'"):
        return
    target = result.value(head.target)
    if target is None or head.loss is None or fails(head.loss, y_pred) or check_target(head.loss, y_pred, target):
        return
    g = Builder(result.graph, head.layer.name)
    with g, g.part(f"{head.name}_target"):
        result.graph.loss_inputs[given_of(head.name)] = lower_target(g, head, y_pred, target)


def _text_head(head: HeadDecl, layer: Ref, result: Lowered) -> Diagnostic:
    text = f"head '{head.name}' is text, but a head is numbers"
    hint = "a classifier's head is one number per class; `labels` gives the names of the classes"
    return _wrong_head(head, layer, result, Code.WRONG_DTYPE, text, hint)


def _wrong_head(head: HeadDecl, layer: Ref, result: Lowered, code: Code, text: str, hint: str) -> Diagnostic:
    nodes = (result.node_ref(layer),)
    return Diagnostic.at(head.mark, code, text, path=head.tree.path, hint=hint, nodes=nodes)


def _texts(refs: Sequence[Ref], result: Lowered) -> tuple[str, str] | None:
    """Return message and hint if one of ``refs`` is text: the layer takes numbers."""
    texts = [r.name for r in refs if (value := result.value(r)) is not None and value.type.is_string]
    if not texts:
        return None
    known = ((name, LAYERS.get(name)) for name in LAYERS.names() if "." not in name)  # no operators of ONNX
    able = [name for name, cls in known if cls is not None and cls.takes_strings]
    hint = f"put a layer that takes texts between them: {format_names(able)}"
    return f"takes numbers, but '{visible(texts[0])}' is text", hint


def _answers(head: HeadDecl, value: Value, result: Lowered) -> Value:
    """Return the output of a head: the mean of its members, and that of a standardized target in the target's own unit.

    What is trained is then the node itself: it becomes an input of the losses.
    """
    if head.layer is None or not value.type.is_float:
        return value
    graph, g = result.graph, Builder(result.graph, head.layer.name)
    if head.threshold == "f1":  # a weight that labels depend on: no operator reads it
        initial = Constant(value=0.0 if getattr(head.loss, "from_logits", False) else 0.5)
        Builder(graph, head.layer.name, trainable=False).param(f"{head.name}_threshold", (), initial)
    if head.members is not None and value.rank > 2 and isinstance(value.shape[1], int):
        graph.loss_inputs[TRAINED + head.name] = value
        with g.part(f"{head.name}_members"):
            value = g.ReduceMean(value, axes=(1,), keepdims=0)
    elif head.clip:  # a clipped answer has no gradient
        graph.loss_inputs[TRAINED + head.name] = value
    if head.calibrate is not None:
        found = calibrated(head, value, graph)
        graph.loss_inputs.setdefault(TRAINED + head.name, value)
        return found
    scale_by_window(head, value, result)
    answers = value
    with g.part(f"{head.name}_unit"):
        if is_scaled(head, graph):
            answers = unscaled(g, head, graph, value)
        elif head.scale == "standard":
            if head.statistics is None:
                g.learnt("statistics")
            mean, deviation = head.statistics or (0.0, 1.0)
            answers = g.Add(g.Mul(value, g.constant(deviation, "float32")), g.constant(mean, "float32"))
        if head.clip:
            answers = clipped(g, head, answers)
    return answers.with_mask(value.mask)


def _not_learnable(spec: Spec, result: Lowered) -> list[Diagnostic]:
    """Return GS309 for each layer that must learn from values that depend on weights."""
    learners = learning_nodes(spec)
    if not learners:
        return []
    found, (fixed, apart) = [], (f(result.graph.nodes, at_inference=True) for f in (repeatable, by_row))
    for node in learners:
        values = [v for r in node.inputs if (v := result.value(r)) is not None]
        sources = {v.node.name for v in values if v.node is not None}
        if values and not any(has_rows(v.shape) for v in values):
            text, hint = "learns from the training rows, but its input is the same for all", ""
        elif sources - fixed:
            text = "learns from the training rows, before training, but its input depends on weights"
            hint = "feed it from inputs, or "
        elif sources - apart:
            text = "learns from a part of the training rows at a time, but its input depends on several rows"
            hint = "feed it from nodes that work along other axes than 0, or "
        else:
            continue
        assert node.layer is not None
        hint += "give it what it would learn: " + format_names(f"`{key}`" for key in node.layer.learnt_arguments)
        found.append(_no_kernel(node, result, f"{node.type} '{visible(node.name)}' {text}", hint))
    return found


def _type(node: NodeDecl, layers: dict[str, NodeDecl]) -> str | None:
    """Return the type of a node's layer, which may be that of the node whose weights it shares."""
    return node.type if node.layer is not None else layers[str(node.share)].type


def _not_computable(node: Node, layers: dict[str, NodeDecl], result: Lowered) -> Diagnostic:
    """Return GS309 for an operator that only onnxruntime computes, but that depends on weights or random numbers."""
    decl = layers[node.owner]
    layer_type, fixed = _type(decl, layers), node.name in repeatable(result.graph.nodes)
    subject = f"{layer_type} '{visible(decl.name)}'"
    if layer_type == "Onnx" and not fixed:
        text = f"{subject} is frozen: no gradient flows through it, but it follows trained weights"
        hint = "set `trainable: true`, feed it from inputs, or freeze what is before it with `trainable: false`"
        return _no_kernel(decl, result, text, hint)
    depends = "several rows of a batch" if fixed else "weights or random numbers"
    hint = "work along other axes than 0 before it"
    if not fixed:
        hint = "feed it from inputs, or from layers without weights and random numbers"
    return _no_kernel(decl, result, f"{subject} is computed once, before training, but it depends on {depends}", hint)


def _in_steps(node: Node, layers: dict[str, NodeDecl], result: Lowered) -> Diagnostic:
    """Return GS309 as a warning for an ONNX file that follows random numbers: it is computed in every step."""
    decl = layers[node.owner]
    shapes = [v.shape for v in node.inputs if v is not None]
    fixed = all(isinstance(d, int) or has_rows((d,)) for shape in shapes for d in shape)
    count = operator(node).multiply_adds(shapes, ()) if fixed else 0
    cost = f", {count:,} multiply-adds per row" if count else ""
    text = f"Onnx '{visible(decl.name)}' follows random numbers or frozen weights: it is computed in every step{cost}"
    hint = "without them it is computed once per row, before training; or augment the rows of the file of data"
    return _no_kernel(decl, result, text, hint).as_warning()


def _ids_without_row(lookup: Demand, ids: Range, layers: dict[str, NodeDecl], result: Lowered) -> Diagnostic:
    """Return GS304 for a lookup of ids that have no row for any data."""
    node, value = layers[lookup.owner], lookup.value
    source = value.node.owner if value.node is not None else value.name.split("/")[0]
    allowed = ids & lookup.range
    subject = f"{_type(node, layers)} '{visible(node.name)}'"
    text = f"{subject} looks up ids from '{visible(source)}', which range from {ids.low} to {ids.high}; "
    text += "none of them has a row" if allowed.empty else f"only {allowed.low} to {allowed.high} can have a row"
    most = "null" if isinstance(ids.high, LearntSize) else ids.high + 1  # learnt: as many as the layer before makes
    enough = f"`input_dim: {most}`" if lookup.range.low == 0 else "a larger `input_dim`"
    hint = f"set {enough}, or reduce the range of '{visible(source)}'"
    refs = [Ref(source, 0, layers[source].mark)] if source in layers else []
    return _diagnose(node, result, refs, Code.SIZES_DO_NOT_FIT, text, hint, "input_dim")


def _exists(ref: Ref, result: Lowered, user: str) -> bool:
    """Return whether the output exists or may exist; report GS201 if not."""
    outputs = result.outputs.get(ref.name)
    if outputs is None or ref.output < len(outputs):
        return True
    available = "one output" if len(outputs) == 1 else f"outputs 0 to {len(outputs) - 1}"
    layer = getattr(result.declared.get(ref.name), "layer", None)
    hint = f"write '{ref.name}'" if len(outputs) == 1 else f"'{ref.name}:{len(outputs) - 1}' is the last"
    if getattr(layer, "return_state", None) is False:
        hint = f"set `return_state: true` on '{ref.name}' to get its states"
    if getattr(layer, "return_attention_scores", None) is False:
        hint = f"set `return_attention_scores: true` on '{ref.name}' to get its weights"
    text = f"{user} takes '{ref.name}:{ref.output}', but '{ref.name}' has {available}"
    node = (result.node_ref(Ref(ref.name, 0, ref.mark)),)
    result.diagnostics.append(Diagnostic.at(ref.mark, Code.UNKNOWN_NODE, text, path=ref.path, hint=hint, nodes=node))
    return False


def _lower_node(node: NodeDecl, layers: dict[str, NodeDecl], result: Lowered, folder: Path | None) -> Outputs | None:
    """Return a node's outputs; None if an error hides them. ``folder``: that of initial values; None if not opened."""
    owner = layers[node.share] if node.share is not None else node
    layer, subject = owner.layer, f"{owner.type} '{visible(node.name)}'"
    refs, all_refs = [r for r in node.inputs if r is not None], reads(node)
    missing = [r for r in all_refs if not _exists(r, result, subject)]
    unknown = None in node.inputs or any(None in refs for refs in node.call.values())
    if layer is None or missing or unknown:
        return None

    def report(code: Code, text: str, hint: str | None, key: str | None, span: Span = None) -> Outputs | None:
        """Report what is wrong; the outputs are unknown then."""
        result.diagnostics.append(_diagnose(node, result, all_refs, code, f"{subject} {text}", hint, key, span))
        return None

    if (wrong := _wrong_count(node, layer, refs)) is not None:
        return report(Code.WRONG_INPUT_COUNT, *wrong, "inputs")
    inputs = [v for r in refs if (v := result.value(r)) is not None]
    calls = {k: [v for r in call if (v := result.value(r)) is not None] for k, call in node.call.items()}
    if len(inputs) + sum(map(len, calls.values())) < len(all_refs):
        return None
    if not layer.takes_strings and (found := _texts(all_refs, result)) is not None:
        return report(Code.WRONG_DTYPE, *found, "inputs")
    held = owner if node.average is None else node  # the node that has the weights: its own, or means of its owner's
    means = None if held.average is None else (f"{held.share}/", f"{held.name}/", held.average)
    if means is not None and (owner := layers[str(held.share)]).average is not None:
        text = f"averages weights of '{visible(owner.name)}', which are averages"
        return report(Code.WRONG_SHARE, text, "name the node that trains", "share")
    trains = owner.trainable and node.trainable
    g = Builder(result.graph, node.name, owner.name, trainable=trains, folder=folder, means=means)
    before = len(result.graph.nodes)
    try:
        with g:
            outputs = lower_layer(layer, g, operands(g, layer, node, inputs), calls, node.options)
    except ShapeError as error:
        del result.graph.nodes[before:]
        problem, hint = error.problem, error.problem.hint
        if hint is None and problem.code == Code.SHAPES_DIFFER:
            hint = merge_hint(refs, result, getattr(layer, "axis", None))
        if problem.code == Code.SHARED_SHAPES_DIFFER:
            all_refs.append(Ref(owner.name, 0, owner.mark))
        hint = hint or _DEFAULT_HINTS.get(problem.code)
        return report(problem.code, problem.message, hint, problem.key, problem.span)
    except OverflowError:
        del result.graph.nodes[before:]
        text, hint = "has a size that needs more than 64 bits", "make its sizes smaller"
        return report(Code.VALUE_NOT_ALLOWED, text, hint, None)
    except Exception as error:
        del result.graph.nodes[before:]
        if (said := failure(error)) is None:
            raise
        return report(Code.VALUE_NOT_ALLOWED, f"fails in its plugin: {said}", "correct the plugin", None)
    return _propagate_mask(node, owner, result, inputs, outputs)


def _wrong_count(node: NodeDecl, layer: Layer, refs: Sequence[Ref]) -> tuple[str, str] | None:
    least, most = layer.arity
    got = len(refs) + len(node.written)
    if least <= got and (most is None or got <= most):
        return None
    count = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} to {most}"
    if most == 0:
        hint = "remove `inputs`"
    elif got > 1 and most == 1:
        hint = f"join {format_names(repr(r.name) for r in refs)} first, for example with Concatenate"
    elif got == 1 and layer.pairs_with_itself:
        name = refs[0].name
        hint = f"list them: `inputs: [{name}, …]`, or `inputs: [{name}, {name}]` for self-attention"
    elif got < least:
        listed = [*map(operand_text, node.operands()), *["…"] * (least - got)]
        hint = f"list them: `inputs: [{format_names(listed)}]`"
    else:
        hint = f"remove {got - (most or 0)} of them"
    return f"takes {count} input{'s' if count != '1' else ''}, got {got}", hint


_DEFAULT_HINTS = {
    Code.WRONG_RANK: "axes count from 0, the batch; -1 is the last",
    Code.SIZES_DO_NOT_FIT: "choose sizes that divide for every size of the axes that vary",
}  # for errors of operators, which have no hints


def _propagate_mask(
    node: NodeDecl, owner: NodeDecl, result: Lowered, inputs: Sequence[Value], outputs: tuple[Value, ...]
) -> tuple[Value, ...]:
    """Return the outputs with their mask, as in Keras: layers that support masking pass it on, others drop it (GS308)."""
    layer = owner.layer
    assert layer is not None
    mask = next((v.mask for v in inputs if v.mask is not None), None)

    def note(text: str, hint: str, key: str | None) -> None:
        found = _diagnose(node, result, reads(node), Code.MASK_DROPPED, text, hint, key)
        result.diagnostics.append(found.as_warning())

    if mask is not None and node.call.get("initial_state"):
        text = f"{owner.type} '{node.name}' ignores the mask of its input because `initial_state` is set, as in Keras"
        note(text, "masked steps count as data here; the output keeps the mask", "initial_state")
    if mask is None or layer.handles_mask:
        return outputs
    if layer.supports_masking:
        return tuple(v if v.mask is not None else v.with_mask(mask) for v in outputs)
    if mask.rank <= min(v.rank for v in inputs) and not _sees_zeros(layer, inputs[0], result):
        text = f"{owner.type} '{visible(node.name)}' does not support masks: the mask of its input ends here"
        note(text, "masked steps count as data from here on; move the layer after the one that consumes the mask", None)
    return tuple(v.with_mask(None) for v in outputs)


def _sees_zeros(layer: Layer, value: Value, result: Lowered) -> bool:
    """Return whether a layer pads with zeros what another one has set to 0 where it is masked: then nothing is lost."""
    while value.node is not None and layer.pads_with_zeros and getattr(layer, "padding", "valid") != "valid":
        maker = result.declared.get(value.node.owner)
        if isinstance(maker, NodeDecl) and maker.layer is not None and maker.layer.zeroes_masked:
            return True
        if not OPS[value.node.op].identity_in_inference or value.node.inputs[0] is None:
            return False
        value = value.node.inputs[0]
    return False


def _no_kernel(node: NodeDecl, result: Lowered, text: str, hint: str) -> Diagnostic:
    refs = [r for r in node.inputs if r is not None]
    return _diagnose(node, result, refs, Code.NO_TRAINING_KERNEL, text, hint, "inputs")


def _diagnose(
    node: NodeDecl,
    result: Lowered,
    refs: Sequence[Ref],
    code: str,
    text: str,
    hint: str | None,
    key: str | None,
    span: Span = None,
) -> Diagnostic:
    """Return a diagnostic at ``key`` of a node, or a part of that text; it lists the nodes ``refs`` and the instance."""
    mark, path = locate_key(node, key)
    if span is not None and (at := node.tree.get(str(key))) is not None:
        from graphspec.language.formula import place

        mark = place(at, *span)
    unique = {(r.name, r.output): r for r in refs}
    nodes = tuple(result.node_ref(r) for r in unique.values()) + ((node.instance,) if node.instance is not None else ())
    return Diagnostic.at(mark, code, text, path=path, hint=hint, nodes=nodes)


def locate_key(node: NodeDecl, key: str | None) -> tuple[Mark, str]:
    """Return mark and path of ``key`` in a node or in the layer that it wraps, else mark and path of the node."""
    for prefix in ((), ("layer",)) if key is not None else ():
        tree, _ = node.tree.find((*prefix, str(key)))
        if tree is not None:
            return tree.mark, tree.path
    return node.mark, node.tree.path


# Link: order the nodes topologically, and find cycles and unused nodes.
Edges = dict[str, list[str]]
_MAX_LISTED = 12  # at most this many nodes of a cycle are listed in a diagnostic


def reads(node: NodeDecl) -> list[Ref]:
    """Return the resolved references of a node: its inputs, then its call arguments."""
    return [r for refs in (node.inputs, *node.call.values()) for r in refs if r is not None]


def link(spec: Spec) -> tuple[list[NodeDecl], list[Diagnostic]]:
    """Return the nodes in topological order, without nodes that depend on a cycle, and the diagnostics.

    The order of the file decides between independent nodes. Each group of nodes that form cycles gets one GS202 with a
    path; nodes on which no head depends get GS204.
    """
    declared = {node.name: node for node in spec.nodes}
    position = {name: k for k, name in enumerate(declared)}
    before = {n.name: [r for r in dict.fromkeys(ref.name for ref in reads(n)) if r in declared] for n in spec.nodes}
    after: Edges = {name: [] for name in declared}
    for name, sources in before.items():
        for source in sources:
            after[source].append(name)
    order, groups = _sort(before, after, position), list[set[str]]()
    if left := declared.keys() - order:
        import networkx as nx  # slow to import, and needed for wrong specs only

        found = nx.strongly_connected_components(nx.DiGraph((name, reader) for name in left for reader in after[name]))
        groups = [group for group in found if len(group) > 1 or group <= set(after[next(iter(group))])]
        groups.sort(key=lambda names: min(position[n] for n in names))
    diagnostics = [_cycle(group, after, declared, position) for group in groups]
    diagnostics += _unused_nodes(spec, before, after, declared, set().union(*groups)) + _skipped(spec.nodes)
    return [declared[n] for n in order], diagnostics


def _skipped(nodes: Sequence[NodeDecl]) -> list[Diagnostic]:
    """Return GS203, as a warning, for nodes without `inputs` that stand below a Parameter or Constant."""
    found, used = [], {ref.name for node in nodes for ref in reads(node)}
    for above, node in pairwise(nodes):
        derived = node.tree.get("inputs") is None and node.type != "Formula"
        meant = above.name not in used or str(node.type).startswith("ops.")
        ref = node.inputs[0] if node.inputs and derived and meant else None
        alone = above.layer is not None and above.layer.arity == (0, 0) and above.within is node.within
        if ref is None or not alone:
            continue
        (of, _, name), (source, _, read) = node.name.rpartition("/"), ref.name.rpartition("/")
        skipped = above.name.rpartition("/")[2]
        given = f"'{read}'" if of == source else "an input of its block"
        text = f"'{name}' reads {given}, not the {above.type} '{skipped}' above it"
        hint = f"write `inputs: {skipped}`, or `inputs: {read if of == source else '…'}` if that is meant"
        found.append(Diagnostic.at(node.mark, Code.WRONG_INPUT_COUNT, text, path=node.tree.path, hint=hint))
    return [diagnostic.as_warning() for diagnostic in found]


def _sort(before: Edges, after: Edges, position: dict[str, int]) -> list[str]:
    """Return the names that do not depend on a cycle, in topological order. Independent names are sorted by position."""
    names, order = list(position), list[str]()
    waiting = {name: len(sources) for name, sources in before.items()}
    ready = [k for name, k in position.items() if not waiting[name]]
    while ready:
        name = names[heappop(ready)]
        order.append(name)
        for reader in after[name]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heappush(ready, position[reader])
    return order


def _cycle(group: set[str], edges: Edges, declared: dict[str, NodeDecl], position: dict[str, int]) -> Diagnostic:
    """Return GS202 with the shortest cycle through the first node of a strongly connected ``group``."""
    import networkx as nx

    start = min(group, key=position.__getitem__)
    inside = nx.DiGraph((name, reader) for name in group for reader in edges[name] if reader in group)
    before = {reader: name for name, reader in nx.bfs_edges(inside, start)}
    path = [next(name for name in (start, *before) if start in edges[name])]
    while path[-1] != start:
        path.append(before[path[-1]])
    path.reverse()
    first = declared[start]
    nodes = tuple(NodeRef(n, declared[n].type or "node", line=declared[n].mark.line) for n in path[:_MAX_LISTED])
    text, hint = f"'{start}' depends on itself: {format_cycle(path)}", f"give '{start}' another input than '{path[-1]}'"
    return Diagnostic.at(first.mark, Code.CYCLE, text, path=first.tree.path, hint=hint, nodes=nodes)


def _unused_nodes(
    spec: Spec, before: Edges, after: Edges, declared: dict[str, NodeDecl], cyclic: set[str]
) -> list[Diagnostic]:
    """Return GS204 for nodes on which no head depends: for the last node of a chain, or for the instance of a block."""
    every = spec.all_heads.values()
    refs = [refs for node in spec.nodes for refs in (node.inputs, *node.call.values())]
    uncertain = any(None in read for read in refs) or any("#" in node.name for node in spec.nodes)
    if not every or any(None in head.layers for head in every) or uncertain:
        return []  # a wrong reference or name, already reported, may be meant for any node
    heads = [ref.name for h in every for ref in h.refs if ref.name in declared]
    alive, stack = set[str](), list(heads)
    while stack:
        if (name := stack.pop()) not in alive:
            alive.add(name)
            stack.extend(before[name])
    shared = {node.share for node in spec.nodes if node.share is not None and node.name in alive}
    used = {node.name.partition("/")[0] for node in spec.nodes if node.name in alive or node.name in shared}
    found: dict[str, Diagnostic] = {}
    for node in spec.nodes:
        if node.name in alive or node.name in cyclic or node.name in shared or after[node.name]:
            continue  # only the last node of an unused chain is reported
        instance = node.instance
        if instance is not None and node.within is not None and instance.name not in used:
            found[instance.name] = _unused(instance, node.within, f"instance '{instance.name}' of {instance.type}")
        elif node.type is not None:
            ref = NodeRef(node.name, node.type, line=node.mark.line)
            found[node.name] = _unused(ref, node.tree, f"{node.type} '{node.name}'")
    return list(found.values())


def _unused(ref: NodeRef, tree: Tree, subject: str) -> Diagnostic:
    text = f"{subject} reaches no head: it is neither trained nor exported"
    inside = "in the block's `outputs`" if "/" in ref.name else "in `outputs`"
    hint = f"name it in the `inputs` of a layer or {inside}, or remove '{ref.name.rpartition('/')[2]}'"
    return Diagnostic.at(tree.first_key, Code.UNUSED_NODE, text, path=tree.path, hint=hint, nodes=(ref,)).as_warning()
