"""Entry of the operator in ``graphspec/graph/ops/recurrent.py``."""

from __future__ import annotations

from graph.ops.cases.case import Example, OpCase, batch, normal

CASES = {
    "LSTMGates": OpCase(
        None,
        [
            Example([normal(3, 8, 2, 3), normal(3, 8, 2, 3), normal(3, 2, 2, 3)], {}, outputs=2),
            Example([normal(3, 8), None, normal(3, 2)], {"axis": -1}, outputs=2),
            Example([normal(3, 4, 8), normal(3, 4, 8)], {"axis": 2}, outputs=2),
            Example([normal(3, 20)], {}, outputs=2),
        ],
        batched=batch(0, 1, 2),
    ),
}
