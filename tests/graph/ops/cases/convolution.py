"""Entries of the operators in ``graphspec/graph/ops/convolution.py``."""

from __future__ import annotations

from graph.ops.cases.broadcasting import large
from graph.ops.cases.case import Elsewhere, Example, OpCase, normal

W = large(8, 3, 3, 3)


CASES = {
    "Conv": OpCase(
        Elsewhere("graph/ops/test_convolution.py"),
        [
            Example([normal(2, 3, 5), normal(4, 3, 2), normal(4)]),
            Example([normal(2, 3, 5, 4), normal(4, 3, 3, 3), normal(4)], {"pads": (1, 1, 1, 1), "strides": (2, 1)}),
            Example([normal(2, 3, 5, 4), normal(4, 3, 1, 1)]),
            Example([normal(2, 4, 5, 3), normal(4, 1, 3, 2), normal(4)], {"group": 4, "dilations": (1, 2)}),
            Example([normal(2, 4, 5), normal(6, 2, 3), normal(6)], {"group": 2, "auto_pad": "SAME_UPPER"}),
        ],
        no_rows=[
            Example([normal(0, 4, 5, 3), normal(4, 1, 3, 2), normal(4)], {"group": 4, "strides": (2, 1)}),
            Example([normal(0, 2, 5, 4), normal(3, 2, 3, 3), normal(3)], {"pads": (1, 1, 1, 1), "strides": (2, 2)}),
            Example([normal(0, 2, 5), normal(3, 2, 3)]),
            Example([normal(0, 2, 5, 4), normal(3, 2, 1, 1), normal(3)]),
        ],
        allocates=[
            *(
                Example([large(30, 40, *sizes), large(40, 1, *(3 for _ in sizes)), large(40)], {"group": 40, **strides})
                for sizes, strides in (((100,), {}), ((10, 10), {"strides": (2, 2)}), ((5, 5, 4), {"pads": (1,) * 6}))
            ),
            Example([large(30, 40, 10, 10), large(8, 40, 3, 3), large(8)], {"pads": (1, 1, 1, 1)}),
        ],
    ),
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
    "ConvPool": OpCase(
        None,
        Elsewhere("graph/passes/test_fuse_conv_max_pool.py"),
        no_rows=[Example([normal(0, 3, 20, 20), W], {"window": (2, 2)}, wrt=[1])],
        allocates=[Example([large(n, 3, 20, 20), W], {"window": (2, 2)}, wrt=[1]) for n in (1, 40, 100)],
    ),
}
