"""Entries of the operators in ``graphspec/graph/ops/pooling.py``."""

from __future__ import annotations

from typing import Any

from graph.ops.cases.broadcasting import large
from graph.ops.cases.case import Elsewhere, Example, OpCase, distinct, normal


def pool(**attrs: Any) -> OpCase:
    return OpCase(
        Elsewhere("graph/ops/test_pooling.py"),
        [
            Example([distinct(2, 3, 7)], {"kernel_shape": (2,), "strides": (2,), **attrs}),
            Example([distinct(2, 2, 5, 6)], {"kernel_shape": (3, 2), **attrs}),
            Example([distinct(2, 2, 5, 6)], {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1), **attrs}),
            Example([distinct(1, 2, 3, 4, 4)], {"kernel_shape": (2, 2, 2), "auto_pad": "SAME_UPPER", **attrs}),
        ],
        no_rows=[
            Example([normal(0, 2, 5, 4)], {"kernel_shape": (2, 2), "strides": (2, 2)}),
            Example([normal(0, 2, 5, 4)], {"kernel_shape": (3, 3)}),
        ],
        allocates=[
            Example([large(30, 40, 10, 10)], {"kernel_shape": (2, 2), "strides": (2, 2), **attrs}),
            Example([large(30, 40, 10, 10)], {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), **attrs}),
        ],
    )


def over_all() -> OpCase:
    examples = [Example([distinct(*shape)]) for shape in ((2, 3, 5), (3, 4, 5, 2), (1, 1, 2, 3, 4))]
    wide = [Example([large(*shape)]) for shape in ((30, 40, 100), (30, 40, 10, 10))]
    return OpCase(Elsewhere("graph/ops/test_global_pooling.py"), examples, allocates=wide)


CASES = {
    "AveragePool": pool(count_include_pad=1),
    "MaxPool": pool(),
    "GlobalAveragePool": over_all(),
    "GlobalMaxPool": over_all(),
}
