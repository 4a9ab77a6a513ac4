"""Entries of the operators in ``graphspec/graph/ops/multi_hot.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import large
from graph.ops.cases.case import Example, OpCase, batch, ids, normal

IDS = np.array([[3, 0, 3, 9, 2], [1, 1, 1, -4, 6], [5, 2, 0, 1, 4]])

CASES = {
    "GatherSum": OpCase(
        None,
        [Example([IDS, normal(7, width)], {"count": count}) for width in (3, 4) for count in (0, 1)],
        allocates=[Example([ids(1000, *shape), large(1000, 8)]) for shape in ((300, 50), (3000, 1))],
    ),
    "MultiHot": OpCase(
        None,
        [Example([IDS, normal(3, 5)], {"depth": 7, "count": 1})],
        allocates=[Example([ids(400, 300, 40)], {"depth": 400, "count": count}) for count in (0, 1)],
        batched=batch(0, 1),
    ),
}
