"""The entry of the operator in ``graphspec/graph/ops/einsum.py``."""

from __future__ import annotations

from graph.ops.cases.broadcasting import X, large
from graph.ops.cases.case import Elsewhere, Example, OpCase, normal

CASES = {
    "Einsum": OpCase(
        Elsewhere("graph/ops/test_einsum.py"),
        [
            Example([normal(2, 3, 4), normal(4, 5)], {"equation": "abc,cd->adb"}),
            Example([normal(3, 4, 2), normal(3, 4, 2)], {"equation": "abc,adc->bda"}),
            Example([normal(2, 3, 4)], {"equation": "abc->cab"}),
        ],
        no_rows=[
            Example([normal(0, 4, 2), other], {"equation": equation})
            for equation, other in (
                ("abc,cd->adb", normal(2, 3)),
                ("abc,adc->abd", normal(0, 3, 2)),
                ("abc,abc->ab", normal(0, 4, 2)),
            )
        ],
        allocates=[
            Example(inputs, {"equation": equation})
            for equation, *inputs in (
                ("abc,cd->adb", large(20, 60, 100), large(100, 80)),
                ("abcd,aecd->acbe", large(10, 40, 3, 100), large(10, 40, 3, 100)),
                ("ab,ab->a", X, X),
                ("ab,bc,cd->ad", X, large(400, 90), large(90, 300)),
                ("ab->b", X),
            )
        ],
    ),
}
