"""Entries of the operators in ``graphspec/graph/ops/whole_batch.py``."""

from __future__ import annotations

from graph.ops.cases.broadcasting import X
from graph.ops.cases.case import Example, OpCase, normal

CASES = {
    "BatchSum": OpCase(
        None,
        [Example([normal(*shape)]) for shape in ((4,), (3, 2), (2, 3, 4))],
        allocates=[Example([X])],
    ),
    "AllRows": OpCase(None, [Example([normal(*shape)]) for shape in ((4,), (3, 3))], no_rows="other workers have rows"),
    "RowNumbers": OpCase(None, "integers", no_rows=[Example([normal(0, 3)])], allocates=[Example([X])]),
}
