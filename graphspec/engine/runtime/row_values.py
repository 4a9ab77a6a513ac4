"""What the heads of a network give for each row: their values, masks, targets and losses, for many rows."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from graphspec.base.arrays.calls import settings
from graphspec.data.batches import BatchLoader, Dataset
from graphspec.engine.compiler.objective import Objective, mask_of, target_of
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.session import Session
from graphspec.graph.builder import Target
from graphspec.graph.ir.graph import Array, Value
from graphspec.language.declarations import scale_of

LOSS = "each:"  # begins the names of the losses of each row; names of heads contain no colon


def compute_rows(model: Session, rows: Dataset, found: dict[str, Array], places: Array, total: int) -> None:
    """Put values, masks, targets and losses of the heads for prepared rows to their ``places`` in ``found``, by fetch."""
    size = model.spec.training.batch_size
    objective = model.objective(rows)
    graph = objective.graph.with_outputs(_wanted(model, objective))
    if rows.sizes:
        order = rows.longest_first()
        rows, places = rows.select(order), places[order]
    loader = BatchLoader(rows, size, shuffle=False, seed=model.seed)
    start = 0
    loader.start(0)
    with model.access.reading():
        for batch in range(loader.batches):
            count = loader.rows(batch)
            shapes = loader.shapes(*loader.form(batch))
            bound = partial(build_program, graph, model.parameters, Target(shapes), seed=model.seed)
            with model.programs.borrow(("answers", *sorted(shapes.items())), bound) as program:
                loader.copy(batch, program.feeds)
                with settings():
                    program.run()
                for name, array in program.fetches.items():
                    _put(found, name, array, places[start : start + count], total)
            start += count


def _put(collected: dict[str, Array], name: str, array: Array, places: Array, total: int) -> None:
    """Copy a batch into the array of all rows, which grows where later batches have longer sequences."""
    whole, sizes = collected.get(name), array.shape[1:]
    if whole is None or whole.shape[1:] != sizes:
        old = np.zeros((0, *sizes), array.dtype) if whole is None else whole
        whole = collected[name] = np.zeros((total, *np.maximum(old.shape[1:], sizes)), array.dtype)
        whole[tuple(map(slice, old.shape))] = old
    ends: tuple[Any, ...] = tuple(map(slice, sizes))
    whole[(places, *ends)] = array


def _wanted(model: Session, objective: Objective) -> dict[str, Value]:
    """Return the heads, their masks, and their losses before they are reduced to a scalar, by fetch."""
    wanted: dict[str, Value] = {}
    reduced = {node.outputs[0].name: node for node in objective.graph.nodes if node.op == "ReduceLoss"}
    for name, value in model.graph.outputs.items():
        wanted[name] = value
        if value.mask is not None:
            wanted[mask_of(name)] = value.mask
        if name in objective.targets:
            wanted[target_of(name)] = objective.targets[name]
        wanted |= {key: model.graph.loss_inputs[key] for key in scale_of(name) if key in model.graph.loss_inputs}
        loss = objective.answers.losses.get(name)
        node = None if loss is None else reduced.get(loss.name)
        if node is not None and node.inputs[0] is not None and node.inputs[0].rank:
            wanted[LOSS + name] = node.inputs[0]
    return wanted
