"""Entries of the operators in ``graphspec/graph/ops/whole_batch.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import X
from graph.ops.cases.case import Elsewhere, Example, OpCase, ids, normal

CASES = {
    "BatchSum": OpCase(
        None,
        [Example([normal(*shape)]) for shape in ((4,), (3, 2), (2, 3, 4))],
        allocates=[Example([X])],
    ),
    "CircleLoss": OpCase(
        None,
        Elsewhere("graph/ops/test_whole_batch.py"),
        no_rows=[Example([normal(0, 3), ids(3, 0)], totals=(5,))],
        allocates=[Example([X, ids(5, 300)])],
    ),
    "InfoNCE": OpCase(
        None,
        [Example([normal(4, 4), normal(4, 4), np.array(1.7)], {"within": within}) for within in (0, 1)],
        no_rows=[Example([normal(0, 3), normal(0, 3), np.array(1.7)], {"within": k}, totals=(5,)) for k in (0, 1)],
        allocates=[Example([X, X, np.array(0.1)])],
    ),
}
