"""What ``fit``, ``evaluate`` and the command line share: arrays checked against the graph, and a trainer made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from graphspec.arguments import bad_argument, flag, literal, positive_int
from graphspec.callbacks.outputs import Outputs
from graphspec.codes import Code
from graphspec.compiler.heads import refuse_class_weight
from graphspec.compiler.trainable import refuse_memory, refuse_untrainable
from graphspec.data.check import BatchLoader, Dataset, class_ids, row_weights, split
from graphspec.data.signature import SAMPLE_ROWS, user_arrays
from graphspec.data.sparse import as_indices
from graphspec.errors import Diagnostic, SpecError, UsageError
from graphspec.language.head_arrays import WEIGHT
from graphspec.training.observers import Observer
from graphspec.training.trainer import Plan, Trainer

if TYPE_CHECKING:
    from graphspec.callbacks import Callback
    from graphspec.data.signature import Data
    from graphspec.language.declarations import HeadDecl
    from graphspec.runtime.session import Session


@dataclass(frozen=True)
class FitData:
    """The rows that a caller gives to ``fit``, not checked yet; without ``x`` the spec's own data are read.

    Attributes:
        validation_data: ``(x, y)`` or ``(x, y, sample_weight)``.
        validation_split: a fraction of the rows.
        class_weight: see :meth:`graphspec.api.Model.fit`.
    """

    x: Data = None
    y: Data = None
    sample_weight: Data = None
    class_weight: Mapping[Any, Any] | Literal["balanced"] | None = None
    validation_data: tuple[Any, ...] | None = None
    validation_split: float | None = None


@dataclass(frozen=True)
class FitSettings:
    """What a caller of ``fit`` says in place of the spec's ``training``; None for what the spec says."""

    epochs: int | None = None
    batch_size: int | None = None
    shuffle: bool | None = None
    callbacks: Sequence[Callback] | None = None


@dataclass
class _Parts:
    train: Dataset
    validation: Dataset | None


def prepare_fit(
    model: Session,
    data: FitData | None = None,
    settings: FitSettings | None = None,
    *,
    observer: Observer,
    directory: Path | None = None,
) -> Trainer:
    """Check everything that a run needs, and make it; nothing large is allocated before all checks have passed.

    Args:
        data, settings: by default all that the spec says.
        directory: where checkpoints go at the end of every epoch; None for none.

    Raises:
        SpecError: GS404 nothing to train, GS5 the data.
        RunError: GS602 not enough memory.
    """
    data, settings, training = data or FitData(), settings or FitSettings(), model.spec.training
    epochs = positive_int("epochs", settings.epochs, training.epochs)
    size = positive_int("batch_size", settings.batch_size, training.batch_size)
    shuffled = flag("shuffle", settings.shuffle, training.shuffle)
    called = training.callbacks if settings.callbacks is None else _callbacks(settings.callbacks)
    refuse_untrainable(d for d in model.warnings if d.code == Code.NOTHING_TO_TRAIN)
    parts = _parts(model, data)
    _check_memory(model, parts.train, min(size, len(parts.train)))
    _apply_class_weights(model, parts.train, data.class_weight)
    objective = model.objective(parts.train)
    validation = None if parts.validation is None else as_indices(objective.graph, parts.validation)
    loader = BatchLoader(as_indices(objective.graph, parts.train), size, shuffle=shuffled, seed=model.seed)
    model.sample_rows = parts.train.sample(SAMPLE_ROWS)
    first = 0 if directory is not None else model.epochs_done
    free = settings.callbacks is not None
    outputs = Outputs(directory, trusted=free, allow_outside=model.allow_outside, source=model.source)
    return Trainer(model, Plan(objective, loader, validation, called, first + epochs), observer, outputs)


def _callbacks(given: Any) -> Sequence[Callback]:
    from graphspec.callbacks import Callback

    if not isinstance(given, list | tuple) or not all(isinstance(c, Callback) for c in given):
        raise bad_argument("callbacks", "a list of callbacks, such as `[EarlyStopping(patience=3)]`", given)
    return given


def _check_memory(model: Session, arrays: Dataset, rows: int) -> None:
    from graphspec.arrays.system_memory import available, free
    from graphspec.graph.memory_estimate import estimate

    shapes = {n: (rows, *a.shape[1:]) for n, a in arrays.inputs.items()}
    slots = len(model.spec.training.optimizer.slots())
    need = model.once(("memory", *shapes.items()), lambda: estimate(model.graph, shapes, slots))
    have = min(available(), free() + model.held())  # what it holds already, the estimate counts too
    refuse_memory(model.graph, need, have, shapes)


def _parts(model: Session, data: FitData) -> _Parts:
    validation, held_out, fraction = None, data.validation_data, data.validation_split
    if held_out is not None:
        if not isinstance(held_out, list | tuple) or len(held_out) not in (2, 3):
            raise bad_argument("validation_data", "`(x, y)` or `(x, y, sample_weight)`", held_out)
        validation = user_arrays(model.needed, *held_out)
    source = model.spec.data.get("validation")
    stratify = None
    if data.x is not None:
        train = user_arrays(model.needed, data.x, data.y, data.sample_weight)
    else:
        if data.sample_weight is not None:
            raise UsageError(f"`sample_weight` goes with arrays; in data files use `<head>{WEIGHT}`")
        train = model.part("train")
        if source is not None and validation is None and fraction is None:
            if source.file is not None:
                validation = model.part("validation")
            else:
                fraction, stratify = source.split, source.stratify
    if fraction is not None and validation is None:
        if isinstance(fraction, bool) or not isinstance(fraction, Real) or not 0 < fraction < 1:
            raise bad_argument("validation_split", "a number between 0 and 1", fraction)
        classes = None if stratify is None else class_ids(train.targets[stratify])
        rows, held = split(len(train), fraction, model.seed, classes)
        train, validation = train.select(rows), train.select(held)
    return _Parts(replace(train, weights=dict(train.weights)), validation)  # class weights are multiplied in


def _apply_class_weights(
    model: Session, arrays: Dataset, given: Mapping[Any, Any] | Literal["balanced"] | None
) -> None:
    """Class weights multiply the sample weights of the training rows."""
    heads = [h for h in model.spec.heads.values() if h.loss is not None]
    by_head: Mapping[str, Any] = {h.name: h.class_weight for h in heads if h.class_weight is not None}
    of_heads = isinstance(given, Mapping) and all(isinstance(v, Mapping | str) for v in given.values())
    if isinstance(given, Mapping) and of_heads and set(given) <= {h.name for h in heads}:
        by_head = given
    elif given is not None:
        if len(heads) != 1:
            raise UsageError("with several heads, give `class_weight` as {head: {class: weight}}")
        by_head = {heads[0].name: given}
    for name, weights in by_head.items():
        if not isinstance(weights, Mapping):
            weights = literal("class_weight", weights, "balanced", "a mapping or 'balanced'")
        head = model.spec.heads[name]
        if refused := refuse_class_weight(head, model.graph.outputs[name]):
            raise SpecError([Diagnostic.of(f"head '{name}'", refused)])
        target, chosen = arrays.targets[name], arrays.chosen
        own = target if chosen is None else target[chosen]
        ignored = getattr(head.loss, "ignore_class", None)
        rows = row_weights(weights, own, _classes(model, head), head.labels, ignored)
        if chosen is not None:
            of_all = np.ones(len(target), np.float32)
            of_all[chosen] = rows
            rows = of_all
        before = arrays.weights.get(name)
        if before is None:
            arrays.weights[name] = rows
        else:
            arrays.weights[name] = (before * rows.reshape(-1, *(1,) * (before.ndim - 1))).astype(np.float32)


def _classes(model: Session, head: HeadDecl) -> int:
    last = model.graph.outputs[head.name].fixed(-1)
    return 2 if last == 1 else last
