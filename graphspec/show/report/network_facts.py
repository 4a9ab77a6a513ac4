"""What the nodes of a trained network do: costs, norms of activations, dead units, norms of weights and gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.arrays.calls import settings
from graphspec.base.arrays.random import Clock
from graphspec.data.batches import BatchLoader
from graphspec.data.sparse import as_indices
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.cost import Cost, cost
from graphspec.engine.compiler.fetches import TOTAL
from graphspec.engine.runtime.build import build_program
from graphspec.graph.target import Target
from graphspec.show.report.rows import evenly, prepared_in_memory, taken

if TYPE_CHECKING:
    from graphspec.data.batches import Dataset
    from graphspec.engine.compiler.lowered import Lowered
    from graphspec.engine.runtime.session import Session
    from graphspec.graph.ir.graph import Array, Value
    from graphspec.language.declarations import Spec

ROWS = 256
"""Rows whose activations are looked at."""
_MAX_BYTES = 1 << 28  # of activations
_MAX_WORK = 2 * 10**10  # multiply-adds
VANISHING = 1e-3
"""A gradient is small if its norm, relative to the weights', is this small a part of the median over the nodes."""


@dataclass(frozen=True)
class Activation:
    """A node's output for some rows.

    Attributes:
        mean: the mean of the absolute values.
        zeros: the share of zeros.
        dead: units (places on the last axis, or channels) that are 0 in all rows, and their number.
        finite: False if there are NaN or infinite values.
    """

    mean: float
    zeros: float
    dead: int
    units: int
    finite: bool


@dataclass(frozen=True)
class NodeFacts:
    """What is known of a node.

    Attributes:
        activation: None for a node that is computed once per row, before training, and for outputs that are not numbers.
        weights, gradient: Euclidean norms over the node's trainable weights; None without any.
    """

    activation: Activation | None = None
    weights: float | None = None
    gradient: float | None = None

    @property
    def relative(self) -> float | None:
        """The norm of the gradient relative to the weights'; None without weights, or if all are 0."""
        return self.gradient / self.weights if self.gradient is not None and self.weights else None


@dataclass(frozen=True)
class NetworkFacts:
    """What is known of a network.

    Attributes:
        nodes: by name.
        rows: whose activations and gradients were looked at; 0 if none were.
        why_not: a sentence, if none were.
    """

    spec: Spec
    lowered: Lowered
    costs: Cost
    nodes: Mapping[str, NodeFacts]
    rows: int
    why_not: str = ""

    def small_gradients(self) -> list[str]:
        """Return the nodes whose gradient is 0, or small beside those of the others."""
        known = {name: r for name, node in self.nodes.items() if (r := node.relative) is not None}
        if not known or not all(map(math.isfinite, known.values())):
            return []
        usual = float(np.median([*known.values()]))
        return [name for name, r in known.items() if r <= VANISHING * usual]


def lowered_again(model: Session) -> tuple[Spec, Lowered]:
    """Return the spec of a model with what it has learnt, and the outputs of its nodes."""
    return check(model.spec, allow_outside=True, adapted=model.adapted, draws=False).require()


def network_facts(model: Session, raw: Dataset | None) -> NetworkFacts:
    """Look at a trained network.

    Args:
        raw: checked raw rows, for norms of activations and gradients; None if there are none.
    """
    spec, lowered = lowered_again(model)
    costs = cost(spec, lowered, 1)
    if raw is None or not len(raw):
        return NetworkFacts(
            spec, lowered, costs, {}, 0, "Without rows, there are no norms of activations and gradients."
        )
    total = costs.total()
    count = min(ROWS, len(raw), _MAX_BYTES // max(total.activations, 1), _MAX_WORK // max(total.multiply_adds, 1))
    if count < 1:
        return NetworkFacts(spec, lowered, costs, {}, 0, "The network is too large to compute norms for this page.")
    rows = prepared_in_memory(model, taken(raw, evenly(len(raw), count)))
    activations = _activations(model, lowered, rows)
    norms = _norms(model, spec, rows)
    nodes = {
        node.name: NodeFacts(activations.get(node.name), *norms.get(node.name, (None, None))) for node in spec.nodes
    }
    return NetworkFacts(spec, lowered, costs, nodes, len(rows))


def _activations(model: Session, lowered: Lowered, rows: Dataset) -> dict[str, Activation]:
    """Return the activations of the nodes that NumPy computes."""
    known = {output.name: output for node in model.graph.nodes for output in node.outputs}
    wanted: dict[str, Value] = {}
    for name in (node.name for node in model.spec.nodes):
        for value in (lowered.outputs.get(name) or ())[:1]:
            if value.name in known and value.type.is_float:
                wanted[name] = known[value.name]
    if not wanted:
        return {}
    inputs = {name: rows.inputs[name] for name in model.graph.inputs}
    loader = BatchLoader(type(rows)(inputs), len(rows), shuffle=False, seed=model.seed)
    graph = model.graph.with_outputs(wanted)
    program = build_program(graph, model.parameters, Target(loader.shapes(len(rows))), seed=model.seed)
    loader.start(0)
    with model.access.reading(), settings():
        loader.copy(0, program.feeds)
        program.run()
    return {name: activation(np.asarray(program.fetches[name])) for name in wanted}


def activation(values: Array) -> Activation:
    """Return what a node's output for some rows, ``(rows, …, units)``, is like."""
    if not values.size:
        return Activation(0.0, 0.0, 0, 0, True)
    finite = bool(np.isfinite(values).all())
    zero = values == 0
    dead = zero.reshape(-1, values.shape[-1]).all(0) if values.ndim > 1 else zero[:0]
    with np.errstate(invalid="ignore", over="ignore"):
        mean = float(np.abs(values, dtype=np.float64).mean())
    return Activation(mean, float(zero.mean()), int(dead.sum()), int(dead.size), finite)


def gradients(model: Session, rows: Dataset) -> dict[str, Array]:
    """Return the gradient of the loss of one batch for every trainable weight, by name, as in a training step.

    The weights and the statistics of the model stay as they are.

    Args:
        rows: prepared rows, all of one batch.
    """
    objective = model.objective(rows)
    indexed = as_indices(objective.graph, rows)
    loader = BatchLoader(indexed, len(rows), shuffle=False, seed=model.seed)
    with model.access.reading():
        parameters = model.parameters.copy()  # a step in training mode changes moving statistics
    gradient = np.zeros_like(parameters.vectors["trainable"])
    graph = objective.graph.with_outputs({TOTAL: objective.total}, objective.total)
    bind = partial(build_program, graph, parameters, Target(loader.shapes(len(rows))), gradient=gradient)
    program = bind(training=True, seed=model.seed, clock=Clock())
    loader.start(0)
    with settings():
        loader.copy(0, program.feeds)
        program.run()
    return parameters.get(gradient, "trainable")


def _norms(model: Session, spec: Spec, rows: Dataset) -> dict[str, tuple[float, float]]:
    """Return the norms of weights and gradients of each node that owns trainable weights."""
    if not model.parameters.segments["trainable"] or all(head.loss is None for head in spec.heads.values()):
        return {}
    weights = model.parameters.get(group="trainable")
    of = gradients(model, rows)
    names = {node.name for node in spec.nodes}
    squares: dict[str, list[float]] = {}
    for name, weight in weights.items():
        owner = _owner(name, names)
        sums = squares.setdefault(owner, [0.0, 0.0])
        for k, array in enumerate((weight, of[name])):
            sums[k] += float(np.square(array, dtype=np.float64).sum())
    return {name: (math.sqrt(a), math.sqrt(b)) for name, (a, b) in squares.items()}


def _owner(weight: str, names: Sequence[str] | set[str]) -> str:
    """Return the node that owns a weight ``<node>/<role>`` or ``<node>/<part>/<role>``."""
    name = weight
    while name not in names:
        name = name.rpartition("/")[0]
    return name
