"""Entries of the operators in ``graphspec/graph/ops/recurrent.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from graph.ops.cases.broadcasting import large
from graph.ops.cases.case import Elsewhere, Example, OpCase, batch, ids, normal
from graph.ops.cases.recurrent_examples import recurrent
from recurrent_inputs import GATES, inputs_of

Array = np.ndarray[Any, Any]


def masks(op: str, rows: int, *sizes: int) -> list[Array]:
    return [(2.0 * ids(2, rows, GATES[op], size)).astype(np.float32) for size in sizes]


def with_masks(op: str) -> OpCase:
    states = 2 if op == "LSTM" else 1
    none = inputs_of(op, 5, 0, 3, 2, 1, bias=True, lens=True, initial=True)
    many = [large(30, 100, 40), *(large(1, GATES[op] * 32, n) for n in (40, 32)), *[None] * (2 + states)]
    return OpCase(
        None,
        Elsewhere("graph/ops/test_recurrent_dropout.py"),
        no_rows=[Example([*none, *masks(op, 0, 2, 3)], {"hidden_size": 2}, training=True)],
        allocates=[Example([*many, *masks(op, 100, 32, 40)], {"hidden_size": 32}, training=True)],
    )


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
    "RNN": recurrent(1, 1),
    "LSTM": recurrent(4, 2),
    "GRU": recurrent(3, 1, {"linear_before_reset": 1}),
    **{f"Dropout{op}": with_masks(op) for op in GATES},
}
