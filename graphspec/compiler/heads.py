"""Heads: checked against their losses and metrics, and the graph extended by targets and one scalar loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from graphspec.callbacks import CALLBACKS, Callback
from graphspec.callbacks.outputs import Output, check_outputs
from graphspec.codes import Code
from graphspec.compiler.fetches import logged_losses
from graphspec.compiler.lowered import Lowered
from graphspec.errors import Diagnostic, Mark, Problem
from graphspec.ir.dims import show
from graphspec.ir.graph import Value
from graphspec.language.head_arrays import WEIGHT
from graphspec.metrics import METRICS

if TYPE_CHECKING:
    from graphspec.language.declarations import HeadDecl, Spec
    from graphspec.language.tree import Tree
    from graphspec.losses import Loss
    from graphspec.metrics import Metric


Place = tuple[str | int, ...]
"""Keys and indices that lead to a value below a head or below `training`."""


def check_heads(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """GS401 to GS403 and GS405 for every head whose value is known."""
    found: list[Diagnostic] = []
    for head in spec.heads.values():
        value = lowered.graph.outputs.get(head.name)
        if value is None:
            continue
        nodes = () if head.layer is None else (lowered.node_ref(head.layer),)
        for at, subject, problem in _problems(head, value):
            mark, path = _place(head.tree, at, (head.mark, head.tree.path))
            found.append(Diagnostic.of(subject, problem, mark, path=path, nodes=nodes))
    return found + _stratify(spec, lowered.graph.outputs)


def _stratify(spec: Spec, outputs: Mapping[str, Value]) -> list[Diagnostic]:
    """GS405: a split by the classes of a head whose rows have no class each."""
    source = spec.data.get("validation")
    value = outputs.get(source.stratify or "") if source is not None else None
    if source is None or value is None or value.rank == 2:
        return []
    at = source.tree.find(("stratify",))[0] or source.tree
    text = f"`stratify` needs one class a row, but head '{source.stratify}' has shape {show(value.shape)}"
    return [
        Diagnostic.at(at.mark, Code.CLASSES_MISMATCH, text, path=at.path, hint="leave it out, or name another head")
    ]


def _problems(head: HeadDecl, value: Value) -> list[tuple[Place, str, Problem]]:
    """What is wrong with a head: where, of what, and what."""
    name = f"head '{head.name}'"
    problems: list[tuple[Place, str, Problem]] = []
    if head.loss is not None:
        problems += [(("loss",), f"{head.loss.label} of {name}", p) for p in head.loss.check(value)]
    if not any(p.severity == "error" for *_, p in problems):
        taken = {"loss"}
        for k, metric in enumerate(head.metrics):
            found = [*metric.check(value, head.loss, head.labels), *_same_names(metric, value, taken)]
            problems += [(("metrics", k), f"metric '{metric.key}' of {name}", p) for p in found]
    if head.labels is not None:
        problems += [(("labels",), name, p) for p in _labels(head.labels, head.loss, value)]
    if head.class_weight is not None:
        problems += [(at, name, p) for at, p in _class_weight(head, value)]
    return problems


def _labels(labels: Sequence[str], loss: Loss | None, value: Value) -> list[Problem]:
    """GS405 unless there is a name for each unit of the last axis, which are the classes."""
    axis = value.rank - 1 if loss is None or value.rank < 2 else loss.class_axis(value)
    if axis is None:
        text = f"has labels, which name units, but {type(loss).__name__} compares rows: no unit stands for a class"
        return [Problem(Code.CLASSES_MISMATCH, text, "leave `labels` out, and give the targets as integers")]
    if axis != value.rank - 1:
        text = f"has labels, which name the units of the last axis, but {type(loss).__name__} has the classes on axis {axis}"
        hint = "move them to the last axis with a Permute before the head, and leave the loss's `axis` out"
        return [Problem(Code.CLASSES_MISMATCH, text, hint)]
    classes = value.shape[-1] if value.rank > 1 else 1
    wanted = 2 if classes == 1 else classes
    if len(labels) == wanted:
        return []
    text = f"has {len(labels)} labels for {wanted} classes"
    return [Problem(Code.CLASSES_MISMATCH, text, f"give {wanted} names, in the order of the classes")]


def _same_names(metric: Metric, value: Value, taken: set[str]) -> list[Problem]:
    """GS403 where a figure of the metric would be logged under a name that is ``taken``; its names are taken then."""
    keys = metric.keys(value) or [metric.key]
    twice = next((key for key in keys if key in taken), None)
    taken.update(keys)
    if twice is None:
        return []
    known = next(name for name in METRICS.names() if METRICS.get(name) is type(metric))
    hint = f"give it a name of its own, `{{type: {known}, …, name: …}}`, or remove it"
    return [Problem(Code.METRIC_MISMATCH, f"would be logged as '{twice}', which is another figure", hint)]


def refuse_class_weight(head: HeadDecl, value: Value) -> Problem | None:
    """GS405 where the rows of a head have no class each, by which they could be weighted."""
    if head.loss is not None and head.loss.fits == "classes" and value.rank == 2:
        return None
    text = "cannot have class weights, which need a classification loss and one label a row"
    hint = f"use sample weights: an array '{head.name}{WEIGHT}' in the data"
    return Problem(Code.CLASSES_MISMATCH, text, hint)


def _class_weight(head: HeadDecl, value: Value) -> list[tuple[Place, Problem]]:
    if refused := refuse_class_weight(head, value):
        return [(("class_weight",), refused)]
    classes = 2 if value.shape[-1] == 1 else value.shape[-1]
    if not isinstance(head.class_weight, dict) or not isinstance(classes, int):
        return []
    hint = f"classes are 0 to {classes - 1}" + (", or a label" if head.labels else "")
    return [
        (
            ("class_weight", str(key)),
            Problem(Code.CLASSES_MISMATCH, f"has a class weight for an unknown class {key}", hint),
        )
        for key in head.class_weight
        if key >= classes
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
        for problem in problems:
            mark, path = _place(tree, ("callbacks", k, str(problem.key)), (item.mark, item.path))
            found.append(Diagnostic.of(type(callback).__name__, problem, mark, path=path))
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
