"""Check heads against their losses, metrics, labels and class weights, and callbacks against the logged values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pydantic_core import PydanticCustomError

from graphspec.base.config import failure, is_from_plugin
from graphspec.base.errors import Code, Diagnostic, Mark, Problem, did_you_mean
from graphspec.base.files import suffix_of
from graphspec.base.text import count
from graphspec.engine.compiler.lowered_network import Lowered
from graphspec.engine.compiler.objective import logged_losses
from graphspec.engine.compiler.window_scale import problem_of
from graphspec.graph.builder import Builder
from graphspec.graph.ir.dims import Dim, Shape, ceildiv, has_rows, mul, show
from graphspec.graph.ir.graph import Graph, Range, Type, Value
from graphspec.language.declarations import TRAINED, WEIGHT, HeadDecl, Ref, Spec, node_of
from graphspec.language.tree import Tree
from graphspec.vocabulary.callbacks import CALLBACKS, Callback
from graphspec.vocabulary.callbacks.callback import Output, check_outputs
from graphspec.vocabulary.losses import Loss
from graphspec.vocabulary.metrics import METRICS, Metric, direction, targets_of

_wrong_loss = partial(Problem, Code.LOSS_MISMATCH)
_wrong_classes = partial(Problem, Code.CLASSES_MISMATCH)
_wrong_value = partial(Problem, Code.VALUE_NOT_ALLOWED)


# Heads that compare with an input or a node, not with an array of the data.
def fails(loss: Loss, y_pred: Value) -> bool:
    """Return whether a loss cannot be computed for a head at all."""
    return any(problem.severity == "error" for problem in loss.check(y_pred))


def check_target(loss: Loss, y_pred: Value, target: Value) -> Problem | None:
    """Return GS402 if a loss cannot compare a head with ``target``; the subject of the message is the head."""
    name = type(loss).__name__
    if loss.targets == "none":
        return _wrong_loss(f"has a `target`, but {name} compares with nothing", "remove `target`")
    if loss.targets == "labels":
        text = f"has a `target`, but {name} needs label sequences with their lengths, which only data have"
        return _wrong_loss(text, "remove `target`, and store the labels in the data")
    expected = loss.target(y_pred)
    if not expected.is_float and (target.type.is_float or target.type.is_string):
        text = f"compares with {target.dtype} values, but the targets of {name} are integers"
        return _wrong_loss(text, "declare the input with `dtype: int64`, or use a loss of numbers")
    if target.type.is_string:
        return _wrong_loss("compares with texts, but a loss compares numbers", "use a layer that encodes them")
    allowed = class_ids(loss, y_pred)
    if allowed is not None and target.range is not None and not target.range.within(allowed):
        text = f"has {int(allowed.high) + 1} classes, but its target has ids from {target.range.low} to {target.range.high}"
        return _wrong_classes(text, "give the head a unit for each id")
    if _axes(target, expected) is None:
        text = f"compares with values of shape {show(target.shape)}, but {name} expects {show(expected.shape)}"
        return _wrong_loss(text, "give both the same shape, for example with a Reshape")
    return None


def _axes(target: Value, expected: Type) -> str | None:
    """Return how the target gets the expected shape: as it is (an empty text), with an axis more or less; else None."""
    if target.shape == expected.shape:
        return ""
    if (*target.shape, 1) == expected.shape:
        return "add"
    return "drop" if target.shape == (*expected.shape, 1) else None


def lower_target(g: Builder, head: HeadDecl, y_pred: Value, target: Value) -> Value:
    """Emit the target that the loss expects; no gradient flows through it unless the head says so."""
    assert head.loss is not None
    expected = head.loss.target(y_pred)
    axes = _axes(target, expected)
    target = target.with_mask(None)
    if axes:
        last = g.constant([target.rank - (axes == "drop")])
        target = g.Unsqueeze(target, last) if axes == "add" else g.Squeeze(target, last)
    if target.dtype != expected.dtype:
        target = g.Cast(target, to=expected.dtype)
    if target.kind == "op" and not head.target_gradient:
        target = g.StopGradient(target)
    classes = class_ids(head.loss, y_pred)
    return target if classes is None else g.CheckIds(target, size=int(classes.high) + 1, argument="units")


def class_ids(loss: Loss, y_pred: Value) -> Range | None:
    """Return the ids of classes that a loss accepts; None if its targets are no ids, or if it ignores one of them."""
    axis = loss.class_axis(y_pred)
    if loss.targets != "ids" or axis is None or getattr(loss, "ignore_class", None) is not None:
        return None
    size = y_pred.shape[axis]
    return Range(0, size - 1) if isinstance(size, int) else None


_SHOWN_CLASSES = 6  # in a message
KeyPath = tuple[str | int, ...]  # keys and indices from a head, or from `training`, to a value below it


def check_heads(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """Return GS401 to GS403 and GS405 for every head whose value is known."""
    found: list[Diagnostic] = []
    for head in spec.all_heads.values():
        if head.name in spec.terms:
            problems = _term(head, lowered)
        elif (value := lowered.graph.outputs.get(head.name)) is not None:
            problems = [*_problems(head, value, lowered, spec), *_target(head, value, lowered)]
        else:
            continue
        nodes = tuple(lowered.node_ref(ref) for ref in head.layers if ref is not None)
        for keys, subject, problem in problems:
            mark, path = _locate(head.tree, keys, (head.mark, head.tree.path))
            found.append(Diagnostic.of(subject, problem, mark, path=path, nodes=nodes))
    if not any(d.is_error for d in found):
        found += _one_column(spec, lowered.graph.outputs)
    return found + _stratify(spec, lowered.graph.outputs)


def _one_column(spec: Spec, outputs: Mapping[str, Value]) -> list[Diagnostic]:
    """Return GS503 for a head with several values in a row whose target is one column of a table of text."""
    found = []
    for source in spec.data.values():
        if source.file is None or source.windows is not None or not suffix_of(source.file).startswith((".csv", ".tsv")):
            continue
        for head in spec.heads.values():
            column = (source.targets or {}).get(head.name, head.name)
            if head.loss is None or not head.needs_data or head.name not in outputs or not isinstance(column, str):
                continue
            kind, shape = targets_of(head.loss), head.loss.target(outputs[head.name]).shape
            classes = kind == "one_hot" or head.labels is not None or head.loss.binary
            if kind == "labels" or len(shape) < 2 or (len(shape) == 2 and (shape[1] == 1 or classes)):
                continue
            at = source.tree.find(("targets", head.name))[0] or source.tree
            text = f"has one value in each row, but the target of head '{head.name}' has shape {show(shape)}"
            hint = f"end with one value for each row, as Flatten and Dense do, before head '{head.name}'"
            if len(shape) == 2 and not isinstance(shape[1], int):
                hint = "write lists in JSON Lines, or end with one value for each row"
            elif len(shape) == 2:
                hint = f"list {shape[1]} columns, `targets: {{{head.name}: [a, b, …]}}`, or change the head's size"
            problem = Problem(Code.WRONG_ARRAY_SHAPE, text, hint)
            found.append(Diagnostic.of(f"column '{column}' of {source.where}", problem, at.mark, path=at.path))
    return found


def _target(head: HeadDecl, value: Value, lowered: Lowered) -> list[tuple[KeyPath, str, Problem]]:
    """Return what is wrong with the target of a head that names an input or a node."""

    def wrong(key: str, text: str, hint: str) -> list[tuple[KeyPath, str, Problem]]:
        return [((key,), f"head '{head.name}'", _wrong_value(text, hint))]

    if head.target is None:
        text = "has `target_gradient`, but no `target`"
        return wrong("target_gradient", text, "remove it") if head.target_gradient else []
    if head.loss is None:
        return wrong("target", "has a `target`, but no loss that compares with it", "set a `loss`, or remove `target`")
    for key in ("scale", "class_weight"):
        if getattr(head, key) is not None:
            text = f"cannot have `{key}`, which is computed from targets in the data"
            return wrong(key, f"{text}: its target is '{head.target.name}'", f"remove `{key}`")
    target = lowered.value(head.target)
    if target is None or fails(head.loss, value) or (problem := check_target(head.loss, value, target)) is None:
        return []
    return [(("target",), f"head '{head.name}'", problem)]


def _term(head: HeadDecl, lowered: Lowered) -> list[tuple[KeyPath, str, Problem]]:
    name, loss = f"head '{head.name}'", head.loss
    if head.wrong or None in head.layers:
        return []
    if loss is None:
        text = "has several nodes, but no loss that compares them"
        return [(("layer",), name, _wrong_loss(text, "set a loss such as `info_nce`, or name one node"))]
    least, most = loss.nodes
    if not least <= len(head.layers) <= most:
        return [(("layer",) if head.others else ("loss",), name, _wrong_count(head, loss))]
    for key in ("metrics", "labels", "class_weight", "scale", "clip", "members", "interval", "calibrate", "threshold"):
        if head.tree.get(key) is not None and getattr(head, key):
            text = f"cannot have `{key}`: with {type(loss).__name__} it is a term of the loss, without an output"
            return [((key,), name, _wrong_value(text, f"remove `{key}`, or add a head without a loss"))]
    values = [lowered.graph.loss_inputs.get(node_of(head.name, k)) for k in range(len(head.layers))]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return []
    found = loss.check_values(known)
    if not found and known[0].shape[:1] != ("N",) and (loss.label != "value" or has_rows(known[0].shape)):
        text = f"needs one value per row, but the node has shape {show(known[0].shape)}"
        found = [_wrong_loss(text, "name a node with the batch axis")]
    return [(("loss",), f"{loss.label} of {name}", p) for p in found] or _target(head, known[0], lowered)


def _wrong_count(head: HeadDecl, loss: Loss) -> Problem:
    least, most = loss.nodes
    kind, given = type(loss).__name__, len(head.layers)
    if most == 1:
        text = f"has {given} nodes, but {kind} compares one node with a target"
        names = [ref.name for ref in head.layers if ref is not None]
        hint = f"write `layer: {names[0]}` and `target: {names[1]}`" if len(names) == 2 else "name one node"
        return _wrong_loss(text, hint)
    wanted = f"{least}" if least == most else f"{least} or {most}"
    text = f"has {count(given, 'node')}, but {kind} compares {wanted}"
    return _wrong_loss(text, f"list them: `layer: {getattr(loss, 'names', '[a, b]')}`")


def _stratify(spec: Spec, outputs: Mapping[str, Value]) -> list[Diagnostic]:
    """Return GS405 if `stratify` names a head without one class per row."""
    source = spec.data.get("validation")
    head = None if source is None else spec.heads.get(source.stratify or "")
    if source is None or head is None or (value := outputs.get(head.name)) is None:
        return []
    if value.rank == 2 and (head.loss is None or head.needs_data):
        return []
    at = source.tree.find(("stratify",))[0] or source.tree
    has = f"has shape {show(value.shape)}" if value.rank != 2 else "has no targets in the data"
    text, hint = f"needs one class per row, but head '{head.name}' {has}", "leave it out, or name another head"
    return [Diagnostic.of("`stratify`", _wrong_classes(text, hint), at.mark, path=at.path)]


def _problems(head: HeadDecl, value: Value, lowered: Lowered, spec: Spec) -> list[tuple[KeyPath, str, Problem]]:
    name = f"head '{head.name}'"
    node = None if head.layer is None else lowered.value(head.layer)
    if head.members is not None and node is not None and (refused := _members(head, node)) is not None:
        return [(("members",), name, refused)]
    if head.scale is not None and (refused := _scale(head, value)) is not None:
        return [(("scale",), name, refused)]
    if (refused := problem_of(head, value, lowered, spec)) is not None:
        return [(("scale",), name, refused)]
    if head.clip is True and head.scale != "standard":
        text = "cannot have `clip`, which needs `scale: standard`: the range of the targets is learnt with their mean"
        return [(("clip",), name, _wrong_value(text, "add `scale: standard`, or write the range, such as `{min: 0}`"))]
    if head.clip and ((head.loss is not None and head.loss.fits == "classes") or not value.type.is_float):
        text = "cannot have `clip`, which is for heads that answer numbers"
        return [(("clip",), name, _wrong_value(text, "remove `clip`"))]
    low, high = head.limits or (None, None)
    if low is not None and high is not None and low >= high:
        text = f"has `clip` from {low:g} to {high:g}, which leaves no range"
        return [(("clip",), name, _wrong_value(text, "write a `min` below `max`"))]
    if (unfit := _uncertain(head, value, spec)) is not None:
        return [((unfit[0],), name, unfit[1])]
    problems: list[tuple[KeyPath, str, Problem]] = []
    if head.loss is not None:
        trained = lowered.graph.loss_inputs.get(TRAINED + head.name, value)
        problems += [(("loss",), f"{head.loss.label} of {name}", p) for p in _of_loss(head.loss, trained)]
    given = head.tree.get("loss")
    unknown = head.loss is None and given is not None and given.plain() is not None  # which is told by itself
    if not unknown and not any(p.severity == "error" for *_, p in problems):
        used = {"loss"}
        for k, metric in enumerate(head.metrics):
            found = [*metric.check(value, head.loss, head.labels), *_duplicate_keys(metric, value, used)]
            problems += [(("metrics", k), f"metric '{metric.key}' of {name}", p) for p in found]
    if head.labels is not None:
        learnt = head.tree.get("labels") is None
        problems += [(("labels",), name, p) for p in _labels(head.labels, head.loss, value, learnt)]
    if head.class_weight is not None:
        problems += [(keys, name, p) for keys, p in _class_weight(head, value)]
    return problems


def _of_loss(loss: Loss, y_pred: Value) -> list[Problem]:
    """Return what does not fit a loss. A plugin's is lowered, too, so that its errors have a place."""
    found = loss.check(y_pred)
    if not found and is_from_plugin(type(loss)):
        try:
            with Builder(Graph("trial"), "trial") as g:
                loss.lower(g, Value("y_true", loss.target(y_pred), "target"), y_pred)
        except Exception as error:  # whatever its code raises
            return [_wrong_loss(f"fails in its plugin: {failure(error) or error}", "correct the plugin")]
    return found


def _labels(labels: Sequence[str], loss: Loss | None, value: Value, learnt: bool) -> list[Problem]:
    """Return GS405 unless the classes are the units of the last axis and each has a label."""
    axis = value.rank - 1 if loss is None or value.rank < 2 else loss.class_axis(value)
    if axis is None:
        text = f"has labels, which name units, but {type(loss).__name__} compares rows: no unit stands for a class"
        return [_wrong_classes(text, "remove `labels`, and store the targets as integers")]
    if axis != value.rank - 1:
        text = f"has labels, which name the units of the last axis, but {type(loss).__name__} has the classes on axis {axis}"
        hint = "move them to the last axis with a Permute before the head, and remove the loss's `axis`"
        return [_wrong_classes(text, hint)]
    classes = value.shape[-1] if value.rank > 1 else 1
    required = 2 if classes == 1 else classes
    if len(labels) == required:
        return []
    if loss is not None and targets_of(loss) == "labels":
        return [_alphabet(labels, required)]
    if learnt:
        return [_learnt(labels, classes)]
    hint = f"write {required} labels, in the order of the classes"
    return [_wrong_classes(f"has {len(labels)} labels for {required} classes", hint)]


def _alphabet(labels: Sequence[str], classes: object) -> Problem:
    """Return GS405 for labels of CTC, the first of which is the blank."""
    if len(labels) == 0 or labels[0] != "":
        text = f"has {len(labels)} labels for {classes} classes, the first of which is the blank"
        return _wrong_classes(text, 'begin the labels with "" for the blank, and give each class one')
    named = " ".join(labels[1:41]) + (" …" if len(labels) > 41 else "")
    hint = f"give it {len(labels)} units: one for the blank, and one for each of {named}"
    return _wrong_classes(f"has {len(labels) - 1} labels and the blank for {classes} classes", hint)


def _learnt(labels: Sequence[str], units: object) -> Problem:
    """Return GS405 for labels that come from the training rows: these have more or fewer classes than the head."""
    more = ", …" if len(labels) > _SHOWN_CLASSES else ""
    shown = ", ".join(f"'{label}'" for label in labels[:_SHOWN_CLASSES]) + more
    need = f"{units} units" if units != 1 else "1 unit, for 2 classes"
    text = f"has {need}, but the training rows have {count(len(labels), 'class', 'classes')}: {shown}"
    if isinstance(units, int) and len(labels) < max(units, 2):
        hint = "name all classes in `labels` if other rows have more; a split with `stratify` keeps rows of each"
    elif units == 1:
        hint = f"give it {len(labels)} units, softmax and sparse_categorical_crossentropy, or correct the column"
    else:
        hint = f"give it {len(labels)} units, or correct the column if two of them are one class"
    return _wrong_classes(text, hint)


def _members(head: HeadDecl, node: Value) -> Problem | None:
    """Return the problem of a head whose node has no members, or whose loss has no value for each of them; or None."""
    if node.rank < 3 or not isinstance(node.shape[1], int) or node.mask is not None or not node.type.is_float:
        what = "has a mask, which hides time steps" if node.mask is not None else f"is {node.type}"
        text = f"cannot have `members`, which needs a node (batch, members, …) of numbers, but its node {what}"
        return _wrong_value(text, "put a Members layer before the layers, or remove `members`")
    loss = head.loss
    if loss is None or (loss.targets in ("like", "one_hot", "ids", "one") and getattr(loss, "axis", -1) == -1):
        return None
    text = f"cannot have `members` with {loss.label}, which has no value for each row and member"
    return _wrong_value(text, "use a loss over the last axis alone, or remove `members`")


def _uncertain(head: HeadDecl, value: Value, spec: Spec) -> tuple[str, Problem] | None:
    """Return why a head can have no `interval`, `calibrate` or `threshold`, with that key; or None."""
    loss, ints = head.loss, value.mask is None and all(isinstance(d, int) for d in value.shape[1:])
    fits = loss.fits if loss is not None and head.needs_data else None
    numbers = ints and fits == "numbers" and loss is not None and loss.targets in ("like", "one")
    classes = fits == "classes" and loss is not None and loss.class_axis(value) == value.rank - 1
    two = classes and loss is not None and loss.binary and value.shape[-1] == 1
    none = head.held_out_weights and spec.data and "validation" not in spec.data
    unheld, add = "is learnt from rows that the training has held out, but there are none", "`training.folds`"
    for key, wrong, why, hint in (
        ("interval", not numbers, "needs numbers, as many in each row, and a loss with targets in the data", ""),
        ("calibrate", not classes, "needs classes on the last axis, and a loss with targets in the data", ""),
        ("threshold", not two, "needs one unit for two classes, and a loss such as binary_crossentropy", ""),
        *((key, none, unheld, add) for key in ("interval", "calibrate", "threshold")),
    ):
        if wrong and getattr(head, key) is not None:
            hint = f"add `data.validation`, such as `{{split: 0.2}}`, or {hint}" if hint else f"remove `{key}`"
            return key, _wrong_value(f"cannot have `{key}`, which {why}", hint)
    return None


def _scale(head: HeadDecl, value: Value) -> Problem | None:
    """Return the problem of a head whose targets cannot be standardised, or None."""
    text = "cannot have `scale`, which is for numbers that are trained"
    if head.loss is None:
        return _wrong_value(text, "set a `loss`, or remove `scale`")
    loss = type(head.loss).__name__
    if head.loss.fits == "classes" or not head.loss.target(value).is_float or head.labels is not None:
        what = "`labels`" if head.labels is not None else f"the targets of {loss}"
        return _wrong_value(f"{text}: {what} are classes", "remove `scale`")
    if head.loss.of_differences:
        return None
    text = f"cannot have `scale` with {loss}, which is another loss after a shift of the targets"
    return _wrong_value(text, "use mean_squared_error, or remove `scale`")


def _duplicate_keys(metric: Metric, value: Value, used: set[str]) -> list[Problem]:
    """Return GS403 if the metric would be logged under a key that is ``used``. Its keys are added to ``used``."""
    keys = metric.keys(value) or [metric.key]
    duplicate = next((key for key in keys if key in used), None)
    used.update(keys)
    if duplicate is None:
        return []
    metric_type = next(name for name in METRICS.names() if METRICS.get(name) is type(metric))
    hint = f"give it another name, `{{type: {metric_type}, …, name: …}}`, or remove it"
    return [Problem(Code.METRIC_MISMATCH, f"would be logged as '{duplicate}', but another value has this name", hint)]


def refuse_class_weight(head: HeadDecl, value: Value) -> Problem | None:
    """Return GS405 if a head does not have one class per row, which class weights need."""
    if head.loss is not None and head.loss.fits == "classes" and value.rank == 2:
        return None
    text = "cannot have class weights, which need a classification loss and one label per row"
    return _wrong_classes(text, f"use sample weights: add an array '{head.name}{WEIGHT}' to the data")


def _class_weight(head: HeadDecl, value: Value) -> list[tuple[KeyPath, Problem]]:
    """Return GS405 for class weights that the head cannot use, each with its keys."""
    if refused := refuse_class_weight(head, value):
        return [(("class_weight",), refused)]
    classes = 2 if value.shape[-1] == 1 else value.shape[-1]
    if not isinstance(head.class_weight, dict) or not isinstance(classes, int):
        return []
    hint = f"classes are 0 to {classes - 1}" + (", or a label" if head.labels else "")
    unknown = [key for key in head.class_weight if key >= classes]
    texts = {key: f"has a class weight for an unknown class {key}" for key in unknown}
    return [(("class_weight", str(key)), _wrong_classes(text, hint)) for key, text in texts.items()]


def _locate(tree: Tree, keys: KeyPath, default: tuple[Mark, str]) -> tuple[Mark, str]:
    """Return mark and path of the value at ``keys``, else ``default``. A class weight is marked at its key."""
    value, key_mark = tree.find(keys)
    if value is None:
        return default
    return (key_mark if keys[0] == "class_weight" and len(keys) > 1 and key_mark else value.mark), value.path


def check_callbacks(spec: Spec, lowered: Lowered, allow_outside: bool) -> list[Diagnostic]:
    """Return GS105 for callbacks that contradict the optimizer, monitor values that are not logged, or must not write."""
    tree, outputs = spec.training.tree, lowered.graph.outputs
    if tree is None or any(head.wrong or head.name not in outputs for head in spec.heads.values()):
        return []
    keys = log_keys(spec, outputs)
    rate, average = (tree.find(("optimizer", key))[0] for key in ("learning_rate", "use_ema"))
    scheduled = rate is not None and isinstance(rate.value, dict)
    averaged = average is not None and average.value is True
    declared, choose, found = tree.get("callbacks"), spec.training.choose, list[Diagnostic]()
    if choose is not None and not (choose.startswith("val_") and choose in keys and direction(choose)):
        hint = did_you_mean(choose, keys) or f"use one of {', '.join(key for key in keys if key.startswith('val_'))}"
        problem = Problem(Code.VALUE_NOT_ALLOWED, f"cannot be '{choose}'", hint, "choose")
        found.append(Diagnostic.of("`choose`", problem, tree.value["choose"].mark, path=tree.value["choose"].path))
    written: list[tuple[str, Output]] = []
    for k, item in enumerate(declared.value if declared is not None and isinstance(declared.value, list) else ()):
        try:  # not from `spec.training`, which has no callbacks if one of them is wrong
            callback = CALLBACKS.parse(item.plain())
        except PydanticCustomError:
            continue
        if not isinstance(callback, Callback):
            continue
        problems = callback.check(keys, scheduled=scheduled, averaged=averaged)
        problems += check_outputs(callback.outputs(), written, allow_outside=allow_outside)
        written += [(type(callback).__name__, output) for output in callback.outputs()]
        for problem in problems:
            mark, path = _locate(tree, ("callbacks", k, str(problem.key)), (item.mark, item.path))
            found.append(Diagnostic.of(type(callback).__name__, problem, mark, path=path))
    return found


def prefix_of(spec: Spec, head: HeadDecl) -> str:
    """Return the prefix of a head's metrics in logs, as in Keras."""
    return f"{head.name}_" if len(spec.all_heads) > 1 else ""


def log_keys(spec: Spec, outputs: Mapping[str, Value]) -> list[str]:
    """Return Keras's keys of everything that a run logs, including validation if there may be validation rows."""
    keys = [*logged_losses(spec)]
    for head in spec.heads.values():
        keys += [prefix_of(spec, head) + key for metric in head.metrics for key in metric.keys(outputs[head.name])]
    if "validation" in spec.data or not spec.data:  # without data in the spec, `fit` may get validation rows
        keys += [f"val_{key}" for key in keys]
    return keys


def merge_hint(refs: Sequence[Ref], lowered: Lowered, axis: int | None) -> str:
    """Return how to make shapes equal; ``axis``: that of a concatenation, where they may differ; None to broadcast."""
    values = [v for r in refs if (v := lowered.value(r)) is not None]
    if len({v.rank for v in values}) > 1:
        return "give them the same rank first, for example with Flatten or Reshape"
    if padding := _padding_hint(refs, lowered):
        return padding
    rank = values[0].rank
    broadcasts: set[Dim] = {1} if axis is None else set()
    sizes = {k: {v.shape[k] for v in values} - broadcasts for k in range(1, rank) if axis is None or k != axis % rank}
    differing = [k for k, found in sizes.items() if len(found) > 1]
    names = {str(d) for k in differing for d in sizes[k] if str(d).isidentifier()}
    if differing and sum(len(sizes[k]) for k in differing) == len(names):
        return f"if these sizes are equal, give them one name in `inputs`: {', '.join(sorted(names))}"
    if differing == [rank - 1]:
        layer = "a 1×1 convolution" if rank > 3 else "a Dense"
        return f"make the sizes of the last axis equal, for example with {layer} before the merge"
    if not differing:
        return "make the shapes equal"
    axes = f"axis {differing[0]}" if len(differing) == 1 else f"axes {' and '.join(map(str, differing))}"
    enlarging = f", UpSampling{rank - 2}D or ZeroPadding{rank - 2}D" if 3 <= rank <= 5 else " or padding"
    return f"make the sizes of {axes} equal, for example with pooling{enlarging}"


def _padding_hint(refs: Sequence[Ref], lowered: Lowered) -> str | None:
    """Return a hint to the nodes that must pad, or None if padding does not make all spatial sizes equal."""
    wrong: dict[str, str] = {}
    spatial: set[Shape] = set()
    for ref in refs:
        decl: Any = lowered.declared.get(ref.name)
        layer: Any = getattr(decl, "layer", None)
        value = lowered.value(ref)
        assert value is not None
        shape = _spatial(layer, value.shape)
        before = lowered.value(decl.inputs[0]) if layer is not None and len(decl.inputs) == 1 else None
        if getattr(layer, "padding", None) == "valid" and before is not None:
            strides = getattr(layer, "strides", None) or layer.pool_size
            size = mul if hasattr(layer, "output_padding") else ceildiv  # a transposed convolution enlarges
            padded = tuple(size(d, s) for d, s in zip(_spatial(layer, before.shape), strides, strict=True))
            if padded != shape:
                wrong[ref.name] = f"'{ref.name}'" + (f" (line {decl.mark.line})" if decl.mark.line else "")
            shape = padded
        spatial.add(shape)
    return f"set `padding: same` on {' and '.join(wrong.values())}" if wrong and len(spatial) == 1 else None


def _spatial(layer: Any, shape: Shape) -> Shape:
    return shape[2:] if getattr(layer, "data_format", None) == "channels_first" else shape[1:-1]
