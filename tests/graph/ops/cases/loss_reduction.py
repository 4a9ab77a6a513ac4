"""Entries of the operators in ``graphspec/graph/ops/loss_reduction.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import X, large
from graph.ops.cases.case import Example, OpCase, batch, normal, positive

CASES = {
    "PerRow": OpCase(None, [Example([normal(4, 3)])]),
    "ReduceLoss": OpCase(
        None,
        [
            Example([normal(4, 3), weight, mask], {"reduction": reduction}, wrt=[0])
            for reduction in ("sum", "sum_over_batch_size", "mean_with_sample_weight")
            for weight in (None, positive(4), positive(4, 3))
            for mask in (None, np.array([True, False, True, True]))
        ],
        allocates=[Example([X, large(300), X > 0])],
        batched=batch(0, 1, 2),
    ),
    "RowShare": OpCase(None, [Example([normal(4, 3)])]),
}
