"""The entry of the operator in ``graphspec/ops/scatter.py``."""

from __future__ import annotations

import numpy as np
from ops.cases.case import Elsewhere, Example, OpCase, batch, ids, normal
from ops.cases.elementwise import X

ORDERS = np.array([[0, 3, 1], [2, 1, 0], [-1, 0, 2]])

CASES = {
    "ScatterElements": OpCase(
        Elsewhere("ops/test_scatter.py"),
        [
            Example([normal(3, 4), ORDERS, normal(3, 3)], {"axis": 1, "reduction": reduction})
            for reduction in ("none", "add")
        ],
        allocates=[
            Example([X, ids(400, 300, 400), X], {"axis": 1, "reduction": reduction}) for reduction in ("none", "add")
        ],
        batched=batch(0, 1, 2),
    ),
}
