"""Heads: checked against their losses and metrics, and the graph extended by targets and one scalar loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphspec.compiler.build import Builder
from graphspec.compiler.ir import Graph, Type, Value
from graphspec.compiler.lower import Lowered
from graphspec.errors import Diagnostic, Mark

if TYPE_CHECKING:
    from graphspec.spec.model import HeadDecl, Spec


@dataclass
class Objective:
    """A graph with its losses: the scalar to minimise and every head's own loss."""

    graph: Graph
    total: Value
    losses: dict[str, Value] = field(default_factory=dict)


def check_heads(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """GS401 to GS405 for every head whose value is known; GS404 (a warning) where there is nothing to train."""
    found: list[Diagnostic] = []
    for head in spec.heads.values():
        value = lowered.graph.outputs.get(head.name)
        if value is None:
            continue
        nodes = () if head.layer is None else (lowered.node_ref(head.layer),)
        for key, problem in _problems(head, value):
            severity, code, message, hint = problem
            mark, path = _place(head, key)
            found.append(
                Diagnostic.at(
                    mark, code, f"head '{head.name}': {message}", path=path, hint=hint, nodes=nodes, severity=severity
                )
            )
    if not any(head.loss is not None or head.wrong for head in spec.heads.values()) and spec.heads:
        first = next(iter(spec.heads.values()))
        text = "no head has a loss: there is nothing to train"
        hint = "give a head a loss, such as `loss: mean_squared_error`"
        found.append(Diagnostic.at(first.mark, "GS404", text, path="outputs", hint=hint).as_warning())
    elif lowered.graph.outputs and not any(p.trainable for p in lowered.graph.params.values()):
        first = next(iter(spec.heads.values()))
        text = "no layer has a weight that is trained: there is nothing to train"
        hint = "add a layer with weights, or remove `trainable: false`"
        found.append(Diagnostic.at(first.mark, "GS404", text, path="outputs", hint=hint).as_warning())
    return found


def _problems(head: HeadDecl, value: Value) -> list[tuple[str | tuple[str | int, ...], tuple]]:  # type: ignore[type-arg]
    problems: list[tuple[str | tuple[str | int, ...], tuple]] = []  # type: ignore[type-arg]
    if head.loss is not None:
        problems += [("loss", p) for p in head.loss.check(value)]
    if not any(p[0] == "error" for _, p in problems):
        for k, metric in enumerate(head.metrics):
            problems += [(("metrics", k), p) for p in metric.check(value, head.loss)]
    classes = value.shape[-1] if value.rank > 1 else 1
    if head.labels is not None:
        wanted = 2 if classes == 1 else classes
        if len(head.labels) != wanted:
            text = f"has {len(head.labels)} labels for {wanted} classes"
            problems.append(("labels", ("error", "GS405", text, f"give {wanted} names, in the order of the classes")))
    if head.class_weight is not None:
        problems += [("class_weight", p) for p in _class_weight(head, value)]
    return problems


def _class_weight(head: HeadDecl, value: Value) -> list[tuple[str, str, str, str | None]]:
    name = type(head.loss).__name__
    if (
        name not in ("BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy")
        or value.rank != 2
    ):
        text = "class weights need a head with one label a row and a classification loss"
        return [("error", "GS405", text, "use `<head>_sample_weight` in the data instead")]
    classes = 2 if value.shape[-1] == 1 else value.shape[-1]
    if isinstance(head.class_weight, dict) and isinstance(classes, int):
        for key in head.class_weight:
            known = key in (head.labels or ()) or (isinstance(key, int) and 0 <= key < classes) or _digits(key, classes)
            if not known:
                text = f"class weight for an unknown class {key!r}"
                return [
                    (
                        "error",
                        "GS405",
                        text,
                        f"classes are 0 to {classes - 1}" + (", or a label" if head.labels else ""),
                    )
                ]
    return []


def _digits(key: object, classes: int) -> bool:
    return isinstance(key, str) and key.isdigit() and int(key) < classes


def _place(head: HeadDecl, key: str | tuple[str | int, ...]) -> tuple[Mark, str]:
    tree, _ = head.tree.find((key,) if isinstance(key, str) else key)
    return (head.mark, head.tree.path) if tree is None else (tree.mark, tree.path)


def add_losses(
    graph: Graph,
    spec: Spec,
    *,
    weighted: Mapping[str, int] | None = None,
    lengths: Mapping[str, set[str]] | None = None,
) -> Objective:
    """A copy of ``graph`` with a target for every head that has a loss, the heads' losses, and the scalar total.

    Args:
        weighted: heads whose rows come with ``<head>_sample_weight``, and the rank of that array.
        lengths: CTC heads that come with ``<head>_length`` or ``<head>_input_length``.
    """
    from graphspec.losses import reduce

    graph = graph.copy()
    losses: dict[str, Value] = {}
    for head in spec.heads.values():
        if head.loss is None:
            continue
        y_pred = graph.outputs[head.name]
        g = Builder(graph, f"{head.name}.loss")
        y_true = _target(graph, head.name, head.loss.target(y_pred))
        more = {}
        for key, suffix in (("label_length", "length"), ("input_length", "input_length")):
            if suffix in (lengths or {}).get(head.name, ()):
                more[key] = _target(graph, f"{head.name}_{suffix}", Type("int64", ("N",)))
        values = head.loss.lower(g, y_true, y_pred, **more)
        weight = None
        if weighted and head.name in weighted:
            shape = values.shape[: weighted[head.name]]
            weight = _target(graph, f"{head.name}_sample_weight", Type("float32", shape))
        mask = y_pred.mask if head.loss.uses_mask else None
        losses[head.name] = reduce(g, values, weight=weight, mask=mask, reduction=head.loss.reduction)
    return Objective(graph, _total(graph, spec, losses), losses)


def _target(graph: Graph, name: str, kind: Type) -> Value:
    value = Value(name, kind, "target")
    graph.targets[name] = value
    return value


def _total(graph: Graph, spec: Spec, losses: Mapping[str, Value]) -> Value:
    """``Σ wᵢLᵢ / Σ wᵢ`` (combine: mean) or ``Σ wᵢLᵢ``, plus the penalties."""
    g = Builder(graph, "total.loss")
    weights = {name: spec.heads[name].weight for name in losses}
    divisor = sum(weights.values()) if spec.training.combine == "mean" else 1.0
    terms = []
    for name, loss in losses.items():
        scale = weights[name] / divisor if divisor else 0.0
        terms.append(loss if scale == 1.0 else g.Mul(loss, g.constant(scale, "float32")))
    terms += penalties(graph)
    total: Value = terms[0] if len(terms) == 1 else g.Sum(*terms)
    return total


def penalties(graph: Graph) -> list[Value]:
    """The scalar penalties: activity regularizers, and those of the weights that are trained."""
    terms = list(graph.penalties)
    for name, param in graph.params.items():
        if param.regularizer is not None and param.trainable:
            g = Builder(graph, f"{name}.penalty")
            terms.append(g.RowShare(param.regularizer.lower(g, graph.values[name])))
    return terms
