"""Entries of the operators in ``graphspec/graph/ops/layer_norm.py``."""

from __future__ import annotations

from graph.ops.cases.broadcasting import ROW, X, large
from graph.ops.cases.case import Elsewhere, Example, OpCase, normal

HERE = Elsewhere("graph/ops/test_layer_norm.py")
EPSILON = {"epsilon": 1e-2}

CASES = {
    "GroupNormalization": OpCase(
        HERE,
        [
            Example([normal(2, 4, *sizes), normal(4), normal(4)], {"num_groups": groups, **EPSILON})
            for groups, sizes in ((2, (3,)), (4, (2, 3)), (1, (2, 2)))
        ],
        no_rows=[
            Example([normal(0, 4, 4), normal(4), normal(4)], {"num_groups": 2}),
            Example([normal(0, 4), normal(4), normal(4)], {"num_groups": 2}),
        ],
        allocates=[Example([large(10, 60, 20, 10), large(60), large(60)], {"num_groups": 6})],
    ),
    "LayerNormalization": OpCase(
        HERE,
        [
            Example([normal(3, 4), normal(4), normal(4)], EPSILON),
            Example([normal(2, 3, 4), normal(4)], EPSILON),
            Example([normal(2, 4, 3), normal(3), normal(3)], EPSILON),
            Example([normal(2, 3, 4), normal(3, 4), normal(3, 4)], {"axis": 1, **EPSILON}),
        ],
        allocates=[Example([X, ROW, ROW])],
    ),
    "LpNormalization": OpCase(
        HERE,
        [Example([normal(2, 3, 4)], {"axis": axis, "p": p}) for axis in (-1, 1) for p in (1, 2)],
        allocates=[Example([X], {"axis": axis, "p": p}) for axis in (0, 1) for p in (1, 2)],
    ),
    "RMSNormalization": OpCase(
        HERE,
        [
            Example([normal(3, 4), normal(4)], EPSILON),
            Example([normal(2, 3, 4), normal(3, 4)], {"axis": 1, **EPSILON}),
        ],
        allocates=[Example([X, ROW])],
    ),
}
