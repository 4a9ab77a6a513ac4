"""Heads: checked against their losses and metrics, and the graph extended by targets and one scalar loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from graphspec.callbacks import CALLBACKS, Callback
from graphspec.callbacks.outputs import Output, check_outputs
from graphspec.compiler.fetches import logged_losses
from graphspec.compiler.lowered import Lowered
from graphspec.errors import Diagnostic, Mark
from graphspec.ir.dims import show
from graphspec.ir.graph import Value
from graphspec.language.head_arrays import WEIGHT
from graphspec.metrics import METRICS

if TYPE_CHECKING:
    from graphspec.language.declarations import HeadDecl, Spec
    from graphspec.language.tree import Tree
    from graphspec.losses import Loss, Problem


Place = tuple[str | int, ...]
"""Keys and indices that lead to a value below a head or below `training`."""


def check_heads(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """GS401 to GS405 for every head whose value is known; GS404 (a warning) where there is nothing to train."""
    found: list[Diagnostic] = []
    for head in spec.heads.values():
        value = lowered.graph.outputs.get(head.name)
        if value is None:
            continue
        nodes = () if head.layer is None else (lowered.node_ref(head.layer),)
        for at, (severity, code, message, hint) in _problems(head, value):
            mark, path = _place(head.tree, at, (head.mark, head.tree.path))
            joint = " " if message.startswith(("has ", "gives ")) else ": "
            text = f"head '{head.name}'{joint}{message}"
            found.append(Diagnostic.at(mark, code, text, path=path, hint=hint, nodes=nodes, severity=severity))
    found += _stratify(spec, lowered.graph.outputs)
    if spec.heads and (nothing := _nothing_to_train(spec, lowered)) is not None:
        first = next(iter(spec.heads.values()))
        found.append(Diagnostic.at(first.mark, "GS404", nothing[0], path="outputs", hint=nothing[1]).as_warning())
    return found


def _stratify(spec: Spec, outputs: Mapping[str, Value]) -> list[Diagnostic]:
    """GS405: a split by the classes of a head whose rows have no class each."""
    source = spec.data.get("validation")
    value = outputs.get(source.stratify or "") if source is not None else None
    if source is None or value is None or value.rank == 2:
        return []
    at = source.tree.find(("stratify",))[0] or source.tree
    text = f"`stratify` needs one class a row, but head '{source.stratify}' has shape {show(value.shape)}"
    return [Diagnostic.at(at.mark, "GS405", text, path=at.path, hint="leave it out, or name another head")]


def _nothing_to_train(spec: Spec, lowered: Lowered) -> tuple[str, str] | None:
    """Why training has nothing to do, and what to do about it."""
    if not any(head.loss is not None or head.wrong for head in spec.heads.values()):
        hint = "give a head a loss, such as `loss: mean_squared_error`"
        return "no head has a loss: there is nothing to train", hint
    graph = lowered.graph
    if len(graph.outputs) == len(spec.heads) and not any(p.trainable for p in graph.params.values()):
        hint = "remove `trainable: false`" if graph.params else "add a layer with weights"
        return "no layer has a weight that is trained: there is nothing to train", hint
    return None


def _problems(head: HeadDecl, value: Value) -> list[tuple[Place, Problem]]:
    problems: list[tuple[Place, Problem]] = []
    if head.loss is not None:
        problems += [(("loss",), p) for p in head.loss.check(value)]
    if not any(p[0] == "error" for _, p in problems):
        for k, metric in enumerate(head.metrics):
            problems += [(("metrics", k), p) for p in metric.check(value, head.loss, head.labels)]
        problems += _same_names(head, value)
    if head.labels is not None:
        problems += [(("labels",), p) for p in _labels(head.labels, head.loss, value)]
    if head.class_weight is not None:
        problems += _class_weight(head, value)
    return problems


def _labels(labels: Sequence[str], loss: Loss | None, value: Value) -> list[Problem]:
    """GS405 unless there is a name for each unit of the last axis, which are the classes."""
    axis = value.rank - 1 if loss is None or value.rank < 2 else loss.class_axis(value)
    if axis is None:
        text = f"labels name the units of a head, but {type(loss).__name__} compares rows: no unit stands for a class"
        return [("error", "GS405", text, "leave `labels` out, and give the targets as integers")]
    if axis != value.rank - 1:
        text = f"labels name the units of the last axis, but the classes of {type(loss).__name__} are on axis {axis}"
        hint = "move them to the last axis with a Permute before the head, and leave the loss's `axis` out"
        return [("error", "GS405", text, hint)]
    classes = value.shape[-1] if value.rank > 1 else 1
    wanted = 2 if classes == 1 else classes
    if len(labels) == wanted:
        return []
    text = f"has {len(labels)} labels for {wanted} classes"
    return [("error", "GS405", text, f"give {wanted} names, in the order of the classes")]


def _same_names(head: HeadDecl, value: Value) -> list[tuple[Place, Problem]]:
    """GS403: metrics whose figures would be logged under one name."""
    problems: list[tuple[Place, Problem]] = []
    taken = {"loss"}
    for k, metric in enumerate(head.metrics):
        keys = metric.keys(value) or [metric.key]
        if twice := next((key for key in keys if key in taken), None):
            known = next(name for name in METRICS.names() if METRICS.get(name) is type(metric))
            hint = f"give it a name of its own, `{{type: {known}, …, name: …}}`, or remove it"
            text = f"the name '{twice}' in the logs belongs to another figure"
            problems.append((("metrics", k), ("error", "GS403", text, hint)))
        taken.update(keys)
    return problems


def refuse_class_weight(head: HeadDecl, value: Value) -> list[Problem]:
    """GS405 where the rows of a head have no class each, by which they could be weighted."""
    if head.loss is not None and head.loss.fits == "classes" and value.rank == 2:
        return []
    text = "class weights need a classification loss and one label a row"
    return [("error", "GS405", text, f"use sample weights: an array '{head.name}{WEIGHT}' in the data")]


def _class_weight(head: HeadDecl, value: Value) -> list[tuple[Place, Problem]]:
    if refused := refuse_class_weight(head, value):
        return [(("class_weight",), p) for p in refused]
    classes = 2 if value.shape[-1] == 1 else value.shape[-1]
    if not isinstance(head.class_weight, dict) or not isinstance(classes, int):
        return []
    hint = f"classes are 0 to {classes - 1}" + (", or a label" if head.labels else "")
    wrong = [key for key in head.class_weight if key >= classes]
    return [
        (("class_weight", str(key)), ("error", "GS405", f"class weight for an unknown class {key}", hint))
        for key in wrong
    ]


def _place(tree: Tree, at: Place, otherwise: tuple[Mark, str]) -> tuple[Mark, str]:
    """Where ``at`` stands: the value, for a class its key; ``otherwise`` if there is nothing."""
    value, key_mark = tree.find(at)
    if value is None:
        return otherwise
    return (key_mark if at[0] == "class_weight" and len(at) > 1 and key_mark else value.mark), value.path


def check_callbacks(spec: Spec, lowered: Lowered, allow_outside: bool) -> list[Diagnostic]:
    """GS105: callbacks that do not fit the figures that this spec logs, or its optimizer, or that may not write there."""
    tree, outputs = spec.training.tree, lowered.graph.outputs
    if tree is None or any(head.wrong or head.name not in outputs for head in spec.heads.values()):
        return []
    keys = log_keys(spec, outputs)
    rate, _ = tree.find(("optimizer", "learning_rate"))
    scheduled = rate is not None and isinstance(rate.value, dict)
    average, _ = tree.find(("optimizer", "use_ema"))
    averaged = average is not None and average.value is True
    given = tree.get("callbacks")
    found = []
    written: list[tuple[str, Output]] = []
    for k, item in enumerate(given.value if given is not None and isinstance(given.value, list) else ()):
        try:  # one by one, since one that is wrong leaves `training` without any
            callback = CALLBACKS.parse(item.plain())
        except PydanticCustomError:
            continue
        if not isinstance(callback, Callback):
            continue
        problems = callback.check(keys, scheduled=scheduled, averaged=averaged)
        problems += check_outputs(callback.outputs(), written, allow_outside=allow_outside)
        written += [(type(callback).__name__, output) for output in callback.outputs()]
        for key, severity, code, message, hint in problems:
            mark, path = _place(tree, ("callbacks", k, key), (item.mark, item.path))
            joint = " " if message.startswith(("cannot ", "needs ")) else ": "
            text = f"{type(callback).__name__}{joint}{message}"
            found.append(Diagnostic.at(mark, code, text, path=path, hint=hint, severity=severity))
    return found


def prefix_of(spec: Spec, head: HeadDecl) -> str:
    """What stands before the names of a head's metrics in logs, as in Keras."""
    return f"{head.name}_" if len(spec.heads) > 1 else ""


def log_keys(spec: Spec, outputs: Mapping[str, Value]) -> list[str]:
    """The figures that a run of ``spec`` logs, by Keras's names; validation's too if there may be validation rows."""
    keys = [*logged_losses(spec)]
    for head in spec.heads.values():
        keys += [prefix_of(spec, head) + key for metric in head.metrics for key in metric.keys(outputs[head.name])]
    if "validation" in spec.data or not spec.data:  # without files, `fit` may be given any
        keys += [f"val_{key}" for key in keys]
    return keys
