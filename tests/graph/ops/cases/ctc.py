"""The entry of the operator in ``graphspec/graph/ops/ctc.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import large
from graph.ops.cases.case import Example, OpCase, batch, ids, ints, normal

LABELS = np.array([[1, 1], [2, 0]])

CASES = {
    "CTCLoss": OpCase(
        None,
        [
            Example([normal(2, 4, 3), LABELS]),
            Example([normal(2, 4, 3), LABELS, ints(4, 3)]),
            Example([normal(2, 4, 3), LABELS, ints(4, 3), ints(2, 1)]),
        ],
        allocates=[Example([large(50, 60, 27), ids(26, 50, 12) + 1])],
        batched=batch(0, 1, 2, 3),
    ),
}
