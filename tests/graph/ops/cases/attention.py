"""Entries of the operators in ``graphspec/graph/ops/attention.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import X, large, one
from graph.ops.cases.case import Elsewhere, Example, OpCase, normal
from graph.ops.cases.draw import Draw


def softmax(d: Draw) -> Example:
    X = d.floats(1, 4, scale=20.0)
    return Example([X], {"axis": d.axis(X)})


def over_an_axis() -> OpCase:
    more = [Example([normal(2, 3, 4)], {"axis": 1}), Example([normal(3, 80)]), Example([normal(2, 3, 4)], {"axis": 0})]
    none = [Example([normal(0, 4)]), Example([normal(0, 4, 3)]), Example([normal(0, 4, 3)], {"axis": 1})]
    return OpCase(softmax, [*one(), *more], none, [Example([X])])


def hardmax(d: Draw) -> Example:
    X = d.coarse()
    return Example([X], {"axis": d.axis(X)})


CASES = {
    "Attention": OpCase(
        Elsewhere("graph/ops/test_attention.py"),
        [
            Example([normal(2, 4, 3, 2), normal(2, 4, 5, 2), normal(2, 4, 5, 3)]),
            Example(
                [normal(2, 3, 4), normal(2, 3, 4), normal(2, 3, 4)],
                {"q_num_heads": 2, "kv_num_heads": 2, "is_causal": 1},
            ),
            Example(
                [normal(2, 3, 8), normal(2, 5, 4), normal(2, 5, 6), normal(2, 1, 3, 5)],
                {"q_num_heads": 4, "kv_num_heads": 2},
            ),
            Example(
                [normal(2, 4, 3, 2), normal(2, 1, 4, 2), normal(2, 1, 4, 3), normal(4, 1, 4)],
                {"softcap": 0.8, "scale": 0.3},
            ),
            Example(
                [*(normal(2, 2, 3, 2) for _ in range(3)), np.array([[[True, True, False]], [[False] * 3]])[:, None]]
            ),
        ],
        no_rows=[
            Example([normal(0, 5, 4), normal(0, 3, 2), normal(0, 3, 6), mask], {"q_num_heads": 2, "kv_num_heads": 1})
            for mask in (None, normal(0, 1, 1, 3), np.ones((5, 3), bool))
        ],
        allocates=[
            *(
                Example(
                    [large(8, 50, 64), large(8, 40, 32), large(8, 40, 32), mask],
                    {"q_num_heads": 4, "kv_num_heads": 2},
                )
                for mask in (None, large(8, 1, 1, 40), large(8, 1, 50, 40) > 0)
            ),
            Example([large(8, 2, 60, 40) for _ in range(3)], {"is_causal": 1, "softcap": 2.0}),
            Example([large(4, 2, 200, 20) for _ in range(3)], {"is_causal": 1}),
            *(
                Example([*(large(2, 2, 520, 20) for _ in range(3)), mask])
                for mask in (large(2, 1, 1, 520) > 0, large(2, 1, 520, 520))
            ),
        ],
    ),
    "DropoutAttention": OpCase(
        None,
        [
            Example([normal(2, 4, 3, 2), normal(2, 4, 5, 2), normal(2, 4, 5, 3)], {"ratio": 0.3}, training=True),
            Example(
                [normal(2, 3, 8), normal(2, 5, 4), normal(2, 5, 6), normal(2, 1, 3, 5)],
                {"q_num_heads": 4, "kv_num_heads": 2, "ratio": 0.5, "seed": 3},
                training=True,
            ),
            Example(
                [*(normal(2, 2, 3, 2) for _ in range(3)), np.array([[[True, True, False]], [[False] * 3]])[:, None]],
                {"ratio": 0.2, "softcap": 0.8},
                training=True,
            ),
        ],
        no_rows=[Example([normal(0, 2, 5, 4) for _ in range(3)], {"ratio": 0.1}, training=True)],
        allocates=[
            Example([large(8, 2, T, 40) for _ in range(3)], {"is_causal": 1, "ratio": 0.1}, training=True)
            for T in (60, 200)
        ],
    ),
    "Hardmax": OpCase(
        hardmax,
        "its derivative is 0",
        [Example([normal(0, 4, 3)], {"axis": axis}) for axis in (1, 2)],
        [Example([X], {"axis": axis}) for axis in (0, 1)],
    ),
    "LogSoftmax": over_an_axis(),
    "Softmax": over_an_axis(),
}
