"""Entries of the operators in ``graphspec/graph/ops/softmax.py``."""

from __future__ import annotations

from graph.ops.cases.broadcasting import X, one
from graph.ops.cases.case import Example, OpCase, normal
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
    "Hardmax": OpCase(
        hardmax,
        "its derivative is 0",
        [Example([normal(0, 4, 3)], {"axis": axis}) for axis in (1, 2)],
        [Example([X], {"axis": axis}) for axis in (0, 1)],
    ),
    "LogSoftmax": over_an_axis(),
    "Softmax": over_an_axis(),
}
