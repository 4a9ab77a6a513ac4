"""What a model answers for the rows that its training has held out."""

from __future__ import annotations

import numpy as np

from graphspec.data.batches import Dataset
from graphspec.data.targets import with_class_ids
from graphspec.engine.runtime.row_values import compute_rows
from graphspec.engine.runtime.session import Session
from graphspec.engine.training.copies import is_out_of_fold, out_of_fold
from graphspec.engine.training.prepare import part_rows
from graphspec.graph.ir.graph import Array


def held_out_answers(model: Session) -> tuple[dict[str, Array], dict[str, Array], Dataset]:
    """Return answers and targets by head for the validation rows, or the rows of all folds, and these checked raw rows.

    Targets are class ids where the head has labels. Raises UsageError: the spec has no validation rows.
    """
    raw, found = part_rows(model, "validation"), dict[str, Array]()
    pieces = [(model, model.prepared(raw), np.arange(len(raw)))]
    for member, rows, places in out_of_fold(model, raw) if is_out_of_fold(model, "validation") else pieces:
        compute_rows(member, rows, found, places, len(raw))
    targets = with_class_ids(raw, model.labels, model.needed.targets, model.needed.ctc).targets
    of_rows = {n: a if raw.chosen is None else a[raw.chosen] for n, a in targets.items()}
    return {name: found[name] for name in model.graph.outputs}, of_rows, raw
