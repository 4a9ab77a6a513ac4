"""The entry of the operator in ``graphspec/graph/ops/conv_pool.py``."""

from __future__ import annotations

from graph.ops.cases.broadcasting import large
from graph.ops.cases.case import Elsewhere, Example, OpCase, normal

W = large(8, 3, 3, 3)

CASES = {
    "ConvPool": OpCase(
        None,
        Elsewhere("graph/passes/test_fuse_conv_max_pool.py"),
        no_rows=[Example([normal(0, 3, 20, 20), W], {"window": (2, 2)}, wrt=[1])],
        allocates=[Example([large(n, 3, 20, 20), W], {"window": (2, 2)}, wrt=[1]) for n in (1, 40, 100)],
    ),
}
