"""The entry of the operator in ``graphspec/graph/ops/batch_norm.py``."""

from __future__ import annotations

from graph.ops.cases.broadcasting import large
from graph.ops.cases.case import Elsewhere, Example, OpCase, normal, positive

HERE = Elsewhere("graph/ops/test_batch_norm.py")

CASES = {
    "BatchNormalization": OpCase(
        HERE,
        HERE,
        no_rows=[
            Example(
                [normal(0, 3, *sizes), normal(3), normal(3), normal(3), positive(3)], {"training_mode": mode}, wrt=wrt
            )
            for sizes in ((), (5,), (4, 5))
            for mode, wrt in ((0, [0, 1, 2, 3, 4]), (1, [0, 1, 2]))
        ],
        allocates=[
            Example(
                [large(40, 30, 100), large(30), large(30), large(30), abs(large(30))], {"training_mode": mode}, wrt=wrt
            )
            for mode, wrt in ((0, [0, 1, 2]), (1, [0, 1, 2]))
        ],
    ),
}
