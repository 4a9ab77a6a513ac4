"""The rows that a quantized network is judged on, and those that show the ranges of its activations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arguments import bad_argument
from graphspec.base.arrays.pictures import of_one_size
from graphspec.base.arrays.random import generator
from graphspec.base.errors import UsageError
from graphspec.data.batches import Dataset
from graphspec.data.signature import Data, user_arrays, user_inputs
from graphspec.engine.training.prepare import part_rows
from graphspec.graph.ir.graph import Array, numpy_dtype

if TYPE_CHECKING:
    from graphspec.engine.runtime.session import Session

CALIBRATION_ROWS = 256


def held_out_rows(model: Session, given: Any = None) -> tuple[Dataset, str]:
    """Return checked raw rows with targets, and what they are: those given, else test rows, else validation rows.

    Args:
        given: ``(x, y)`` or ``(x, y, sample_weight)``.

    Raises:
        UsageError: the spec has neither test nor validation data, or ``given`` is something else.
        SpecError: GS5, the rows do not fit.
    """
    if given is not None:
        if not isinstance(given, list | tuple) or len(given) not in (2, 3):
            raise bad_argument("validation_data", "`(x, y)` or `(x, y, sample_weight)`", given)
        return user_arrays(model.needed, *given), "rows given"
    for part in ("test", "validation"):
        if part in model.spec.data:
            return part_rows(model, part), f"{part} rows"
    raise UsageError(
        "a quantized network is compared with the float32 one on rows that it was not trained on, and the spec names none: "
        "add `data.test` or `data.validation` to it, or pass `validation_data` in Python"
    )


def calibration_rows(model: Session, given: Data | str | Path = None) -> Mapping[str, Array]:
    """Return at most 256 training rows by input, drawn by the seed of the run; those given if the spec names no data.

    Raises:
        UsageError: there are no such rows.
        SpecError: GS5, the rows do not fit.
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
    chosen = generator(model.seed, "calibration").permutation(len(indices))[:CALIBRATION_ROWS]
    order = indices[np.sort(chosen)]
    types = {name: value.type for name, value in model.whole.inputs.items()}
    found = {name: np.array(arrays[name][order]) for name in types}
    return {
        n: a.astype(object) if types[n].is_string else a.astype(numpy_dtype(types[n].dtype)) for n, a in found.items()
    }
