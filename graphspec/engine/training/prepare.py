"""Prepare a training for ``fit`` and the command line: check the data against the graph, and create the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from graphspec.base.arguments import bad_argument, flag, is_share, positive_int
from graphspec.base.arrays.pictures import of_one_size
from graphspec.base.arrays.random import generator
from graphspec.base.errors import Code, UsageError
from graphspec.data.batches import Dataset, class_ids, split, split_at_origins, split_by_time, split_last
from graphspec.data.signature import SAMPLE_ROWS, Data, user_arrays, user_inputs, x_and_y
from graphspec.data.tables import is_frame
from graphspec.engine.compiler.adaptation import Adapted
from graphspec.engine.compiler.heads import log_keys
from graphspec.engine.compiler.training_checks import refuse_untrainable
from graphspec.engine.runtime.session import Session
from graphspec.engine.training.adapt import adapt, learn
from graphspec.engine.training.copies import CopiesTrainer
from graphspec.engine.training.reporting import Observer
from graphspec.engine.training.trainer import (
    Fitting,
    GivenCallbacks,
    Trainer,
    given_callbacks,
    prepared_parts,
    refuse_misspelt_monitors,
)
from graphspec.engine.training.uncertainty import refuse_unlearnable
from graphspec.graph.ir.graph import Array, numpy_dtype
from graphspec.language.declarations import WEIGHT, DataSource, Spec


@dataclass(frozen=True)
class FitData:
    """The data that a caller passes to ``fit``, before any checks; without ``x``, the data files of the spec are read."""

    x: Data = None
    y: Data = None
    sample_weight: Data = None
    class_weight: Mapping[Any, Any] | Literal["balanced"] | None = None  # see :meth:`graphspec.api.model.Model.fit`
    validation_data: Any = None  # ``(x, y)``, ``(x, y, sample_weight)``, or rows with the columns of the targets
    validation_split: float | None = None  # the fraction of the rows to use for validation


@dataclass(frozen=True)
class FitSettings:
    """The arguments of ``fit`` that override the spec's ``training``; None for the spec's value."""

    epochs: int | None = None
    batch_size: int | None = None
    shuffle: bool | None = None
    callbacks: GivenCallbacks | None = None


def prepare_fit(
    model: Session,
    data: FitData | None = None,  # data, settings: override the spec
    settings: FitSettings | None = None,
    *,
    observer: Observer,
    directory: Path | None = None,  # receives a checkpoint at the end of every epoch; None for no checkpoints
) -> Trainer:
    """Check everything that a training needs, and create the trainer; large memory is allocated only after all checks.

    Raises SpecError: GS404, there is nothing to train; GS5, an error in the data. RunError: GS602, not enough memory.
    """
    data, settings, training = data or FitData(), settings or FitSettings(), model.spec.training
    callbacks = training.callbacks if settings.callbacks is None else given_callbacks(settings.callbacks)
    fitting = Fitting(
        positive_int("epochs", settings.epochs, training.epochs),
        positive_int("batch_size", settings.batch_size, training.batch_size),
        flag("shuffle", settings.shuffle, training.shuffle),
        callbacks,
        data.class_weight,
        trusted=settings.callbacks is not None,
    )
    if fitting.trusted:  # the check of the spec has seen its own
        refuse_misspelt_monitors(callbacks, log_keys(model.spec, model.graph.outputs))
    refuse_untrainable(d for d in model.warnings if d.code == Code.NOTHING_TO_TRAIN)
    raw, of_validation = _parts(model, data)
    held_out = raw if training.folds is not None else of_validation
    refuse_unlearnable(model.spec, None if held_out is None else len(held_out))
    learn(model, raw)
    model.sample_rows = raw.sample(SAMPLE_ROWS)
    if training.several:
        return CopiesTrainer(model, (raw, of_validation), fitting, observer, directory)
    return fitting.trainer(model, *prepared_parts(model, raw, of_validation), observer, directory)


def part_rows(model: Session, part: str) -> Dataset:
    """Return the rows of ``train``, ``validation`` or ``test`` of the spec's data, split as for training.

    Raises UsageError: the spec has no such data. SpecError: GS5, the data do not fit.
    """
    source = model.spec.data.get("validation")
    if part == "test" or source is None or source.has_rows:
        return model.part(part)
    train, validation = train_and_validation(model)
    return train if part == "train" or validation is None else validation


def train_and_validation(model: Session) -> tuple[Dataset, Dataset | None]:
    """Return both parts of the spec's data, read once if validation rows are split off; errors as for :func:`part_rows`."""
    return _parts(model, FitData())


def adapted_to(spec: Spec, parts: Mapping[str, Dataset]) -> Adapted:
    """Return what a spec learns from its own data: from the training rows that are not split off for validation.

    Raises SpecError: a layer has nothing to learn from, or there are too few rows to be split.
    """
    train, source = parts["train"], spec.data.get("validation")
    if source is not None and source.is_split:
        train, _ = _split(train, source, spec.training.seed)
    return adapt(spec, train)


def _parts(model: Session, data: FitData) -> tuple[Dataset, Dataset | None]:
    """Return training rows and validation rows as they were read."""
    held = data.validation_data is not None or data.validation_split is not None
    if model.spec.training.folds is not None and held:
        raise UsageError("with `folds`, every row is held out once: leave out `validation_data` and `validation_split`")
    validation = None if data.validation_data is None else _with_targets(model, data.validation_data)
    source, by = model.spec.data.get("validation"), cast("DataSource | float | None", data.validation_split)
    if data.x is not None:
        train = user_arrays(model.needed, data.x, data.y, data.sample_weight)
        source = model.spec.data.get("train")
        if source is not None and source.group and (model.spec.training.folds or by is not None):
            text = f"the spec keeps rows with the same '{source.group}' together, but arrays of inputs have no groups"
            raise UsageError(f"{text}: train on the spec's own data, or override `data.train.group=null`")
    else:
        if data.sample_weight is not None:
            raise UsageError(f"`sample_weight` requires `x` and `y`; in data files use `<head>{WEIGHT}`")
        train = model.part("train")
        if source is not None and validation is None and by is None:
            if source.has_rows:
                validation = model.part("validation")
            elif source.is_split:
                by = source
    if by is not None and validation is None:
        if not isinstance(by, DataSource) and not (is_share(by) and by):
            raise bad_argument("validation_split", "a number between 0 and 1", by)
        train, validation = _split(train, by, model.seed)
    return train, validation


def _with_targets(model: Session, rows: Any) -> Dataset:
    if isinstance(rows, Mapping) or is_frame(rows):
        rows = x_and_y("validation_data=", model.needed, rows, None, model.spec)
    if not isinstance(rows, list | tuple) or len(rows) not in (2, 3):
        raise bad_argument("validation_data", "`(x, y)`, `(x, y, sample_weight)` or rows with targets", rows)
    return user_arrays(model.needed, *rows)


def _split(rows: Dataset, by: DataSource | float, seed: int) -> tuple[Dataset, Dataset]:
    source = by if isinstance(by, DataSource) else None
    share = float(by) if not isinstance(by, DataSource) else by.split or 0.0
    if source is not None and source.origins is not None:
        return split_at_origins(rows, source.origins)
    if rows.times is not None:
        train, validation = split_by_time(rows, share)
    elif source is not None and source.in_order:
        train, validation = split_last(len(rows), share)
    else:
        classes = None if source is None or source.stratify is None else class_ids(rows.targets[source.stratify])
        train, validation = split(len(rows), share, seed, classes, rows.of_groups())
    return rows.select(train), rows.select(validation)


# The rows that a quantized network is judged on, and those that show the ranges of its activations.
CALIBRATION_ROWS = 256


def held_out_rows(model: Session, given: Any = None) -> tuple[Dataset, str]:
    """Return checked raw rows with targets, and what they are: those given, else test rows, else validation rows.

    Raises UsageError: the spec names none, or ``given`` is no ``(x, y[, sample_weight])``. SpecError: GS5, they do not fit.
    """
    if given is not None:
        return _with_targets(model, given), "rows given"
    for part in ("test", "validation"):
        if part in model.spec.data:
            return part_rows(model, part), f"{part} rows"
    raise UsageError(
        "a quantized network is compared with the float32 one on rows that it was not trained on, and the spec names none: "
        "add `data.test` or `data.validation` to it, or pass `validation_data` in Python"
    )


def calibration_rows(model: Session, given: Data | str | Path = None) -> Mapping[str, Array]:
    """Return at most 256 training rows by input, drawn by the seed of the run; those given if the spec names no data.

    Raises UsageError: there are no such rows. SpecError: GS5, the rows do not fit.
    """
    source = model.spec.data.get("train")
    if source is not None and source.has_rows:
        rows = part_rows(model, "train")
        arrays, indices = rows.inputs, np.arange(len(rows)) if rows.chosen is None else rows.chosen
    elif given is not None and not isinstance(given, str | Path):
        arrays = user_inputs(model.needed_inputs, given)
        indices = np.arange(len(next(iter(arrays.values()))))
    else:
        raise UsageError(
            "convolutions are quantized with ranges that training rows show, and the spec names no training data: pass "
            "rows of them, `rows=x`, in Python"
        )
    indices = of_one_size(arrays.values(), indices)
    order = indices[np.sort(generator(model.seed, "calibration").permutation(len(indices))[:CALIBRATION_ROWS])]
    types = {name: value.type for name, value in model.whole.inputs.items()}
    found = {name: np.array(arrays[name][order]) for name in types}
    dtypes = {name: object if t.is_string else numpy_dtype(t.dtype) for name, t in types.items()}
    return {name: array.astype(dtypes[name]) for name, array in found.items()}
