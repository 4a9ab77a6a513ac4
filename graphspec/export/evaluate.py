"""Evaluate an exported file: onnxruntime computes the heads, and graphspec their losses and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.arrays.strings import Strings
from graphspec.base.errors import UsageError
from graphspec.data.batches import Dataset, in_batches
from graphspec.engine.compiler.objective import penalties
from graphspec.engine.runtime.running_metrics import HeadCounts
from graphspec.engine.runtime.session import Session
from graphspec.graph.ir.graph import Array, Graph, Value

if TYPE_CHECKING:
    from graphspec.engine.runtime.running_metrics import RunningMetrics
    from graphspec.export.read import Exported
    from graphspec.language.declarations import Spec

_ANSWER = "answer:"  # names of inputs contain no colon


def evaluate_exported(found: Exported, spec: Spec, rows: Dataset) -> RunningMetrics:
    """Return the losses and metrics of a file on checked raw rows, and the counts of its heads.

    The total loss lacks the penalties of regularizers (:func:`has_penalties`), which the file does not contain.

    Raises:
        UsageError: the file fails to run, or masks of its heads depend on weights.
    """
    return evaluate_answers(found, spec, rows, answers_of(found, rows, spec.training.batch_size))


def evaluate_answers(
    found: Exported,
    spec: Spec,
    rows: Dataset,
    answers: Mapping[str, Array],
    weights: Mapping[str, Array] | None = None,
) -> RunningMetrics:
    """Return the losses and metrics of what a file has answered (:func:`answers_of`), as :func:`evaluate_exported`.

    Args:
        weights: those of the trained network, which compute the masks that depend on weights.
    """
    _, lowered = found.checked.require()
    given = {_ANSWER + name: array for name, array in answers.items()}
    graph = _of_answers(lowered.graph)
    if graph.params and weights is None:
        why = "trained layers decide which steps of its heads count"
        if graph.loss_inputs:
            why = "its loss reads values of trained layers that the file does not compute"
        raise UsageError(f"{found.file} cannot be evaluated: {why}; evaluate its run")
    session = Session(spec, replace(lowered, graph=graph))
    if graph.params and weights is not None:
        session.set_weights({name: weights[name] for name in graph.params})
    return session.evaluate_arrays(
        replace(rows, inputs=rows.inputs | given), spec.training.batch_size, HeadCounts(session)
    )


def has_penalties(graph: Graph) -> bool:
    """Return whether regularizers add to the loss of a graph."""
    return bool(penalties(graph.copy()))


def answers_of(found: Exported, rows: Dataset, size: int) -> dict[str, Array]:
    """Return the heads for the rows of a dataset; rows that are not chosen have zeros."""
    types = {name: value.type for name, value in found.graph.inputs.items()}
    chosen = rows.chosen
    feeds = {name: a if chosen is None else a[chosen] for name, a in rows.inputs.items() if name in types}

    def run(batch: dict[str, Array]) -> dict[str, Array]:
        given = {n: a[:] if isinstance(a, Strings) else a for n, a in batch.items()}
        outputs = found.run({n: a if types[n].is_string else a.astype(types[n].dtype) for n, a in given.items()})
        return {name: outputs[name] for name in found.graph.outputs}

    computed = in_batches(feeds, size, run)
    if chosen is None:
        return computed
    total, answers = len(next(iter(rows.inputs.values()))), {}
    for name, array in computed.items():
        answers[name] = np.zeros((total, *array.shape[1:]), array.dtype)
        answers[name][chosen] = array
    return answers


def _of_answers(graph: Graph) -> Graph:
    """Return a graph whose heads are inputs; what is left of the network computes their masks."""
    heads = {name: Value(_ANSWER + name, value.type, "input", mask=value.mask) for name, value in graph.outputs.items()}
    masks = [v.mask for v in heads.values() if v.mask is not None]
    nodes = graph.needed([*masks, *graph.loss_inputs.values()])
    read = {v.name: v for node in nodes for v in node.inputs if v is not None}
    read |= {v.name: v for v in (*masks, *graph.loss_inputs.values())}
    inputs = {name: value for name, value in graph.inputs.items() if name in read}
    params = {name: graph.params[name] for name, value in read.items() if value.kind == "param"}
    values = {name: value for name, value in graph.values.items() if name in params}
    inputs |= {v.name: v for v in heads.values()}
    return Graph(
        graph.name, inputs, params=params, values=values, nodes=nodes, outputs=heads, loss_inputs=graph.loss_inputs
    )
