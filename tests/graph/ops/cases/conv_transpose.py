"""The entry of the operator in ``graphspec/graph/ops/conv_transpose.py``."""

from __future__ import annotations

from graph.ops.cases.broadcasting import large
from graph.ops.cases.case import Elsewhere, Example, OpCase, normal

CASES = {
    "ConvTranspose": OpCase(
        Elsewhere("graph/ops/test_conv_transpose.py"),
        [
            Example([normal(2, 3, 4), normal(3, 2, 3), normal(2)], {"strides": (2,), "output_padding": (1,)}),
            Example([normal(2, 4, 3, 2), normal(4, 1, 2, 3), normal(4)], {"group": 4, "pads": (0, 1, 1, 1)}),
            Example([normal(2, 2, 3, 3), normal(2, 3, 2, 2)], {"dilations": (2, 1)}),
        ],
        no_rows=[
            Example([normal(0, 4, 5), normal(4, 1, 3), normal(4)], {"group": 4, "strides": (2,)}),
            *(Example([normal(0, 4, 5, 3), normal(4, 2, 3, 2), normal(2)], {"strides": (s, s)}) for s in (1, 2)),
        ],
        allocates=[
            Example([large(30, 20, *sizes), large(20, 10, *(2 for _ in sizes)), large(10)], strides)
            for sizes, strides in (((100,), {}), ((10, 10), {"strides": (2, 2)}), ((5, 5, 4), {"pads": (1,) * 6}))
        ],
    ),
}
