"""Targets that are scaled by a window of their own: the level and the deviation that a WindowScaling gives each row."""

from __future__ import annotations

from graphspec.base.errors import Code, Problem
from graphspec.engine.compiler.lowered_network import Lowered
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Value, show
from graphspec.language.declarations import HeadDecl, Spec, scale_of


def problem_of(head: HeadDecl, value: Value, lowered: Lowered, spec: Spec | None = None) -> Problem | None:
    """Return what is wrong with the window by which a head is scaled, or with its columns; None if nothing is."""
    outputs = None if head.window is None else lowered.outputs.get(head.window.name)
    if head.window is None or head.loss is None or outputs is None:
        return None
    from graphspec.vocabulary.layers.columns import WindowScaling  # loaded with the spec's layer

    layer = getattr(lowered.declared.get(head.window.name), "layer", None)
    if not isinstance(layer, WindowScaling):
        text = f"cannot have `scale` by '{head.window.name}', which is no WindowScaling"
        hint = "scale the past of the target by one, `{name: scaled, type: WindowScaling, inputs: past}`, and name it"
        return Problem(Code.VALUE_NOT_ALLOWED, text, hint)
    level, target = outputs[1].shape, head.loss.target(value).shape
    columns, has = _columns(head, value), level[2] if len(level) == 3 else 1
    shown = f"the window {show(outputs[0].shape)}"
    if isinstance(has, int) and max(columns) >= has:
        text = f"cannot have `scale` by column {max(columns)}, counted from 0: {shown} has {has}"
        return Problem(Code.VALUE_NOT_ALLOWED, text, "name the columns that are the target's, such as `columns: [0]`")
    if len(columns) > 1 and (len(target) < 2 or target[-1] != len(columns)):
        text = f"cannot have `scale` by {len(columns)} columns of {shown}: its target is {show(target)}"
        return Problem(Code.VALUE_NOT_ALLOWED, text, "name one column for each index of the target's last axis")
    source = None if spec is None else next((s for s in spec.data.values() if s.has_rows), None)
    read = next((n.inputs[0] for n in (() if spec is None else spec.nodes) if n.name == head.window.name), None)
    if source is None or read is None:
        return None
    names, aim = (source.inputs or {}).get(read.name), (source.targets or {}).get(head.name, head.name)
    wanted = [aim] if isinstance(aim, str) else aim
    known = isinstance(names, list) and len(names) > max(columns) and set(wanted) <= set(names)
    if isinstance(names, list) and known and [names[c] for c in columns] != wanted:
        text = f"has the target '{wanted[0]}', but is scaled by '{names[columns[0]]}', column {columns[0]} of the past"
        hint = f"write `columns: {[names.index(name) for name in wanted]}` beside `window`"
        return Problem(Code.VALUE_NOT_ALLOWED, text, hint)
    return None


def _columns(head: HeadDecl, value: Value) -> tuple[int, ...]:
    """Return the columns of the window that are the target's: by default as many of the first ones as it has."""
    assert head.loss is not None
    last = (head.loss.target(value).shape[2:] or (1,))[-1]
    return head.columns or tuple(range(last if isinstance(last, int) else 1))


def scale_by_window(head: HeadDecl, value: Value, result: Lowered) -> None:
    """Let the loss and the answers of a head read the level and the deviation of its target's window."""
    outputs = () if head.window is None else result.outputs.get(head.window.name) or ()
    if not outputs or head.loss is None or head.layer is None or problem_of(head, value, result) is not None:
        return  # reported with the head
    g, columns = Builder(result.graph, head.layer.name), _columns(head, value)
    rank = len(head.loss.target(value).shape)
    with g, g.part(f"{head.name}_window"):
        for name, own in zip(scale_of(head.name), outputs[1:], strict=False):
            found = g.StopGradient(own)
            if own.rank == 3:
                found = g.Gather(found, g.constant(list(columns)), axis=2)
            if rank < found.rank:  # (batch, 1, 1) to (batch, 1), or the columns of one step of time
                found = g.Squeeze(found, g.constant(list(range(1, found.rank - rank + 1))))
            elif rank > found.rank:
                found = g.Unsqueeze(found, g.constant(list(range(found.rank, rank))))
            result.graph.loss_inputs[name] = found


def is_scaled(head: HeadDecl, graph: Graph) -> bool:
    """Return whether a window scales the head's target."""
    return scale_of(head.name)[0] in graph.loss_inputs


def scaled(g: Builder, head: HeadDecl, graph: Graph, value: Value) -> Value:
    """Emit ``(value − level) / deviation``."""
    level, *deviation = _of(g, head, graph, value)
    found = g.Sub(value, level)
    return (g.Div(found, deviation[0]) if deviation else found).with_mask(value.mask)


def unscaled(g: Builder, head: HeadDecl, graph: Graph, value: Value) -> Value:
    """Emit ``value · deviation + level``."""
    level, *deviation = _of(g, head, graph, value)
    return g.Add(g.Mul(value, deviation[0]) if deviation else value, level)


def _of(g: Builder, head: HeadDecl, graph: Graph, value: Value) -> list[Value]:
    """Return the level and the deviation, with axes for those of the value that the target lacks, such as quantiles."""
    found = [graph.loss_inputs[name] for name in scale_of(head.name) if name in graph.loss_inputs]
    more = list(range(found[0].rank, value.rank))
    return [g.Unsqueeze(v, g.constant(more)) if more else v for v in found]
