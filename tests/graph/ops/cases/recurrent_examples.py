"""Entries of the operators that go over steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from graph.ops.cases.broadcasting import large
from graph.ops.cases.case import Elsewhere, Example, OpCase, batch, ids, normal, without_rows


def directions(gates: int, states: int, **attrs: Any) -> list[Example]:
    lens = np.array([4, 0, 2], np.int32)
    return [
        Example(
            [normal(4, 3, 2), normal(D, 2 * gates, 2), normal(D, 2 * gates, 2), normal(D, 4 * gates), *more],
            {"hidden_size": 2, "direction": direction, **attrs},
        )
        for D, direction in ((1, "forward"), (1, "reverse"), (2, "bidirectional"))
        for more in (
            [],
            [None, *(normal(D, 3, 2) for _ in range(states))],
            [lens, *(normal(D, 3, 2) for _ in range(states))],
        )
    ]


def recurrent(gates: int, states: int, *settings: dict[str, Any]) -> OpCase:
    """The entry of a recurrent operator; ``settings`` are attributes whose gradients are checked, too."""
    gradient = [example for attrs in ({}, *settings) for example in directions(gates, states, **attrs)]
    few = [normal(5, 0, 3), normal(1, 2 * gates, 3), normal(1, 2 * gates, 2), normal(1, 4 * gates)]
    many = [large(30, 100, 40), *(large(1, gates * 32, n) for n in (40, 32)), None]
    return OpCase(
        Elsewhere("graph/ops/test_recurrent.py"),
        gradient,
        no_rows=[
            *without_rows(gradient, batch(4, x0=1, x5=1, x6=1)),
            Example(few, {"hidden_size": 2}),
            Example([*few, np.zeros(0, np.int32), normal(1, 0, 2)], {"hidden_size": 2}),
        ],
        allocates=[Example([*many, lens], {"hidden_size": 32}) for lens in (None, ids(31, 100).astype(np.int32))],
    )
