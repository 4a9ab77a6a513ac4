"""The objective: the losses of the heads, combined into one scalar to minimise."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from graphspec.engine.compiler.window_scale import is_scaled, scaled
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.language.declarations import LENGTH, STEPS, TRAINED, WEIGHT, HeadDecl, Spec, given_of, nodes_of
from graphspec.vocabulary.losses import reduce

if TYPE_CHECKING:
    from graphspec.data.batches import Dataset


def objective_for(network: Network, arrays: Dataset) -> Objective:
    """Return the graph with the losses that fit ``arrays``: with their sample weights and CTC lengths."""
    weighted = {head: array.ndim for head, array in arrays.weights.items()}
    return add_losses(network.graph, network.spec, weighted=weighted, lengths=arrays.lengths)


class Network(Protocol):
    """A spec with its graph: a model, or a worker's part of one."""

    @property
    def spec(self) -> Spec: ...
    @property
    def graph(self) -> Graph: ...


class Answers(NamedTuple):
    """What an evaluation returns: the losses of the heads' answers, such as their members' mean, without penalties."""

    total: Value
    losses: dict[str, Value]


@dataclass
class Objective:
    """A graph with losses; ``targets`` are the compared values that the network computes, by head."""

    graph: Graph
    total: Value  # the scalar to minimise
    losses: dict[str, Value]  # every head's own loss, by head
    targets: dict[str, Value]
    answers: Answers


def add_losses(
    graph: Graph, spec: Spec, *, weighted: Mapping[str, int] | None = None, lengths: Collection[str] = ()
) -> Objective:
    """Return a copy of ``graph`` with the targets that the data have, the heads' losses, and the scalar total.

    ``weighted``: the rank of ``<head>_sample_weight``, for heads that have this array. ``lengths``: the names of the
    available arrays ``<head>_length`` and ``<head>_input_length`` of CTC heads.
    """
    graph, losses, given = graph.copy(), dict[str, Value](), dict[str, Value]()
    answers = dict[str, Value]()
    for head in spec.trained:
        assert head.loss is not None
        predicted = nodes_of(graph, head)
        y_pred, y_true = predicted[0], None
        g = Builder(graph, f"{head.name}.loss")
        if head.needs_data:
            y_true = _target(graph, head.name, head.loss.target(y_pred))
        elif head.target is not None:
            y_true = given[head.name] = graph.loss_inputs[given_of(head.name)]
        ctc_lengths = {}
        for key, name in (("label_length", head.name + LENGTH), ("input_length", head.name + STEPS)):
            if name in lengths:
                ctc_lengths[key] = _target(graph, name, Type("int64", ("N",)))
        with g:
            if head.statistics is not None and y_true is not None:  # the loss sees ``(value − mean) / deviation``
                mean, deviation = (g.constant(number, "float32") for number in head.statistics)
                y_true, *predicted = (g.Div(g.Sub(v, mean), deviation).with_mask(v.mask) for v in (y_true, *predicted))
            if is_scaled(head, graph) and y_true is not None:
                y_true, *predicted = (scaled(g, head, graph, v) for v in (y_true, *predicted))
            values = head.loss.lower_values(g, y_true, predicted, **ctc_lengths)
            trained = graph.loss_inputs.get(TRAINED + head.name)
            each = values if trained is None or y_true is None else _of_trained(g, head, y_true, trained)
        weight = None
        if weighted and head.name in weighted:
            shape = values.shape[: weighted[head.name]] if values.rank else ("N",)  # one value for the whole batch
            weight = _target(graph, head.name + WEIGHT, Type("float32", shape))
        mask = y_pred.mask if head.loss.uses_mask else None
        with g:
            scalar = partial(reduce, g, weight=weight, mask=mask, reduction=head.loss.reduction)
            losses[head.name] = answers[head.name] = scalar(values)
            if each is not values:
                losses[head.name] = scalar(each)
    more = penalties(graph)
    total = of_answers = _total(graph, spec, losses, "total.loss", more)
    if more or answers != losses:
        of_answers = _total(graph, spec, answers, "total:answers")
    return Objective(graph, total, losses, given, Answers(of_answers, answers))


def _of_trained(g: Builder, head: HeadDecl, y_true: Value, trained: Value) -> Value:
    """Return one loss per sample of the node that is trained: the mean over its members, each with the same target."""
    assert head.loss is not None
    if head.members is None:
        return head.loss.lower_values(g, y_true, [trained])
    sizes = [g.size(y_true, k) for k in range(y_true.rank)]
    y_true = g.Unsqueeze(y_true, g.constant([1]))
    y_true = g.Expand(y_true, g.ints([sizes[0], trained.fixed(1), *sizes[1:]]))
    values = head.loss.lower_values(g, y_true, [trained])
    each = g.ReduceMean(values, axes=(1,), keepdims=0)
    return each if values.mask is None else each.with_mask(g.Gather(values.mask, g.constant(0), axis=1))


def _target(graph: Graph, name: str, type_: Type) -> Value:
    value = Value(name, type_, "target")
    graph.targets[name] = value
    return value


def _total(graph: Graph, spec: Spec, losses: Mapping[str, Value], name: str, more: Sequence[Value] = ()) -> Value:
    """Return ``Σ wᵢLᵢ / Σ wᵢ`` (combine: mean) or ``Σ wᵢLᵢ``, plus ``more``, the penalties."""
    g = Builder(graph, name)
    weights = {name: spec.all_heads[name].weight for name in losses}
    divisor = sum(weights.values()) if spec.training.combine == "mean" else 1.0
    terms = []
    for name, loss in losses.items():
        scale = weights[name] / divisor if divisor else 0.0
        terms.append(loss if scale == 1.0 else g.Mul(loss, g.constant(scale, "float32")))
    terms += more
    total: Value = terms[0] if len(terms) == 1 else g.Sum(*terms)
    return total


def penalties(graph: Graph) -> list[Value]:
    """Return the scalar penalties of activity regularizers and of the regularizers of trainable weights."""
    terms = list(graph.penalties)
    for name, param in graph.params.items():
        if param.regularizer is not None and param.trainable:
            with Builder(graph, f"{name}.penalty") as g:
                terms.append(g.RowShare(param.regularizer.lower(g, graph.values[name])))
    return terms


# The fetches of a training or evaluation step, by name: losses, heads with metrics, and the masks of these heads.
TOTAL = "loss:loss"  # the scalar that training minimises; names of heads contain no colon
# By head: of its own loss, of its values' mask, and of what it compares with, if the network computes that.
loss_of, mask_of, target_of = "loss:{}_loss".format, "mask:{}".format, "target:{}".format


def logged_losses(spec: Spec) -> dict[str, str]:
    """Return the fetch of every logged loss by Keras's key: ``loss`` and, with several heads, ``<head>_loss``."""
    heads = [h.name for h in spec.trained] if len(spec.all_heads) > 1 else []
    return {"loss": TOTAL} | {f"{head}_loss": loss_of(head) for head in heads}


def fetches(
    network: Network, objective: Objective, counted: Collection[str] = (), *, evaluates: bool = False
) -> dict[str, Value]:
    """Return the values to fetch in a step, by name: losses, and the heads that have metrics or are ``counted``."""
    source = objective.answers if evaluates else objective
    found = {TOTAL: source.total} | {loss_of(head): value for head, value in source.losses.items()}
    for head in network.spec.heads.values():
        if head.metrics or head.name in counted:
            value = network.graph.outputs[head.name]
            found[head.name] = value
            if value.mask is not None:
                found[mask_of(head.name)] = value.mask
            if head.name in objective.targets:
                found[target_of(head.name)] = objective.targets[head.name]
    return found
