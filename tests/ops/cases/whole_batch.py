"""Entries of the operators in ``graphspec/ops/whole_batch.py``."""

from __future__ import annotations

from ops.cases.case import Elsewhere, Example, OpCase, ids, normal
from ops.cases.elementwise import X

CASES = {
    "BatchSum": OpCase(
        None,
        [Example([normal(*shape)]) for shape in ((4,), (3, 2), (2, 3, 4))],
        allocates=[Example([X])],
    ),
    "CircleLoss": OpCase(
        None,
        Elsewhere("ops/test_whole_batch.py"),
        no_rows=[Example([normal(0, 3), ids(3, 0)], totals=(5,))],
        allocates=[Example([X, ids(5, 300)])],
    ),
}
