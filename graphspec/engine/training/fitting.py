"""The settings of a training, and its rows: prepared, and weighted by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from graphspec.base.arguments import literal
from graphspec.base.arrays.memory import available, free
from graphspec.base.errors import Diagnostic, SpecError, UsageError
from graphspec.data.batches import BatchLoader, Dataset, as_indices, row_weights
from graphspec.engine.compiler.heads import refuse_class_weight
from graphspec.engine.compiler.training_checks import refuse_memory
from graphspec.engine.runtime.session import Session
from graphspec.engine.training.choose_workers import Plan
from graphspec.engine.training.reporting import Observer
from graphspec.engine.training.trainer import Trainer
from graphspec.graph.analysis import estimate
from graphspec.vocabulary.callbacks.callback import Callback, Outputs


@dataclass(frozen=True)
class Fitting:
    """The checked settings of a training, of ``fit`` or of the spec."""

    epochs: int
    batch_size: int
    shuffle: bool
    callbacks: Sequence[Callback]
    class_weight: Mapping[Any, Any] | Literal["balanced"] | None
    trusted: bool  # whether the callbacks are the caller's, who may write anywhere

    def trainer(
        self, model: Session, train: Dataset, validation: Dataset | None, observer: Observer, directory: Path | None
    ) -> Trainer:
        """Return the trainer for prepared rows. GS602 (RunError): too little memory. SpecError: wrong class weights."""
        train = replace(train, weights=dict(train.weights))  # a copy: class weights will be added
        _check_memory(model, train, min(self.batch_size, len(train)))
        _apply_class_weights(model, train, self.class_weight)
        objective = model.objective(train)
        validation = None if validation is None else as_indices(objective.graph, validation)
        train = as_indices(objective.graph, train)
        loader = BatchLoader(train, self.batch_size, shuffle=self.shuffle, seed=model.seed)
        total = self.epochs + (0 if directory is not None else model.epochs_done)
        outputs = Outputs(directory, trusted=self.trusted, allow_outside=model.allow_outside, source=model.source)
        return Trainer(model, Plan(objective, loader, validation, list(self.callbacks), total), observer, outputs)


def prepared_parts(model: Session, raw: Dataset, of_validation: Dataset | None) -> tuple[Dataset, Dataset | None]:
    """Return training rows and validation rows as the graph reads them."""
    train = model.prepared(raw)
    if of_validation is None or of_validation.inputs is not raw.inputs:
        return train, None if of_validation is None else model.prepared(of_validation)
    # rows split from one file are prepared once
    return train, replace(train, weights=of_validation.weights, chosen=of_validation.chosen)


def _check_memory(model: Session, arrays: Dataset, rows: int) -> None:
    shapes = {n: (rows, *a.shape[1:]) for n, a in arrays.inputs.items()}
    slots = len(model.spec.training.optimizer.slots())
    need = model.once(("memory", *shapes.items()), lambda: estimate(model.graph, shapes, slots))
    usable = min(available(), free() + model.nbytes())  # the estimate includes the memory that the model uses already
    refuse_memory(model.graph, need, usable, shapes)


def _apply_class_weights(
    model: Session, arrays: Dataset, class_weight: Mapping[Any, Any] | Literal["balanced"] | None
) -> None:
    heads = [h for h in model.spec.heads.values() if h.needs_data]
    by_head: Mapping[str, Any] = {h.name: h.class_weight for h in heads if h.class_weight is not None}
    nested = isinstance(class_weight, Mapping) and all(isinstance(v, Mapping | str) for v in class_weight.values())
    if isinstance(class_weight, Mapping) and nested and set(class_weight) <= {h.name for h in heads}:
        by_head = class_weight
    elif class_weight is not None:
        if len(heads) != 1:
            raise UsageError("with several heads, `class_weight` must be {head: {class: weight}}")
        by_head = {heads[0].name: class_weight}
    for name, weights in by_head.items():
        if not isinstance(weights, Mapping):
            expected = "a mapping such as `{0: 1.0, 1: 5.0}`, or 'balanced'"
            weights = literal("class_weight", weights, "balanced", expected)
        head = model.spec.heads[name]
        if refused := refuse_class_weight(head, model.graph.outputs[name]):
            raise SpecError([Diagnostic.of(f"head '{name}'", refused)])
        target, chosen = arrays.targets[name], arrays.chosen
        chosen_target = target if chosen is None else target[chosen]
        ignored = getattr(head.loss, "ignore_class", None)
        width = model.graph.outputs[name].fixed(-1)
        rows = row_weights(weights, chosen_target, 2 if width == 1 else width, head.labels, ignored)
        if chosen is not None:
            all_rows = np.ones(len(target), np.float32)
            all_rows[chosen] = rows
            rows = all_rows
        if (before := arrays.weights.get(name)) is not None:
            rows = (before * rows.reshape(-1, *(1,) * (before.ndim - 1))).astype(np.float32)
        arrays.weights[name] = rows
