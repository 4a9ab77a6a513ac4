"""Entries of the operators in ``graphspec/graph/ops/slicing.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import X
from graph.ops.cases.case import Example, OpCase, ints, normal, with_ints
from graph.ops.cases.draw import Draw


def concat(d: Draw) -> Example:
    first = d.floats(1, 4)
    axis = d.axis(first)
    shapes = [
        tuple(d.integer(1, 4) if k == axis % first.ndim else n for k, n in enumerate(first.shape)) for _ in range(3)
    ]
    return Example([d.normal(*s) for s in shapes[: d.integer(1, 3)]], {"axis": axis})


def split(d: Draw) -> Example:
    X = d.floats(1, 4)
    axis = d.axis(X)
    cut = d.integer(0, X.shape[axis])
    sizes = np.array([cut, X.shape[axis] - cut], np.int64)
    return Example([X, sizes], {"axis": axis}, {1}, outputs=2)


def slicing(d: Draw) -> Example:
    X = d.floats(1, 4)
    axes = d.axes(X)
    steps = np.array([d.choice([-2, -1, 1, 2]) for _ in axes], np.int64)
    bounds = [np.array([d.integer(-6, 6) for _ in axes], np.int64) for _ in range(2)]
    whole = np.where(steps > 0, 2**63 - 1, -(2**63))
    bounds[1] = np.where(d.bools((len(axes),)), whole, bounds[1])
    return Example([X, *bounds, np.array(axes, np.int64), steps], {}, {1, 2, 3, 4})


def pad(d: Draw) -> Example:
    X, mode = d.floats(1, 4), d.choice(["constant", "reflect", "edge"])
    if mode == "constant":
        low = [d.integer(-(n // 2), 3) for n in X.shape]
        high = [d.integer(-(n // 2), 3) for n in X.shape]
        value = np.array(0.5, np.float32) if d.flag() else None
    else:
        low, high = ([d.integer(0, n - 1) for n in X.shape] for _ in range(2))
        value = None
    return Example([X, np.array([*low, *high], np.int64), value], {"mode": mode}, {1})


def tile(d: Draw) -> Example:
    X = d.floats(1, 4)
    return Example([X, np.array([d.integer(1, 3) for _ in X.shape], np.int64)], {}, {1})


CASES = {
    "Concat": OpCase(
        concat,
        [
            Example([normal(2, 3), normal(2, 1)], {"axis": 1}),
            Example([normal(2, 3, 2), normal(1, 3, 2), normal(3, 3, 2)], {"axis": 0}),
            Example([normal(2, 3, 2), normal(2, 4, 2)], {"axis": -2}),
            Example([normal(2, 3), normal(2, 3)], {"axis": -1}),
        ],
        no_rows=[Example([normal(0, 4), normal(0, 3)], {"axis": 1})],
        allocates=[Example([X, X], {"axis": 1})],
    ),
    "Pad": OpCase(
        pad,
        [
            with_ints((2, 3), ints(1, 0, 0, 2)),
            with_ints((3, 4), ints(-1, 1, 1, -2)),
            with_ints((3, 4), ints(1, 2, 2, 3), mode="reflect"),
            with_ints((3, 4), ints(1, 2, 2, 3), mode="edge"),
            with_ints((2, 3, 4), ints(0, 0, 1, 0, 2, 0), mode="reflect"),
        ],
        no_rows=[
            Example([normal(0, 4), ints(0, 1, 0, 1)], {"mode": mode}, {1}) for mode in ("constant", "reflect", "edge")
        ],
        allocates=[Example([X, ints(1, 2, 3, 4)], attrs, {1}) for attrs in ({}, {"mode": "reflect"})],
    ),
    "Slice": OpCase(
        slicing,
        [
            with_ints((4, 5), ints(1), ints(3)),
            with_ints((4, 5), ints(-1, 0), ints(-(2**63), 9), ints(1, 0), ints(-1, 2)),
            with_ints((2, 5, 3), ints(4), ints(5), ints(1)),
            with_ints((4, 5), ints(0), ints(2**63 - 1), ints(0)),
            with_ints((4, 5), ints(3), ints(-(2**63)), ints(0), ints(-1)),
        ],
        no_rows=[Example([normal(0, 4), ints(1), ints(3), ints(1)], {}, {1, 2, 3})],
        allocates=[Example([X, ints(10), ints(200)], {}, {1, 2})],
    ),
    "Split": OpCase(
        split,
        [with_ints((2, 6), ints(1, 3, 2), axis=1), with_ints((4, 2, 3), ints(2, 2))],
        no_rows=[Example([normal(0, 4), ints(1, 3)], {"axis": 1}, {1})],
        allocates=[Example([X, ints(100, 300)], {"axis": 1}, {1})],
    ),
    "Tile": OpCase(
        tile,
        [with_ints((2, 3), ints(3, 2)), with_ints((2, 1, 3), ints(1, 4, 1))],
        no_rows=[Example([normal(0, 4), ints(1, 2)], {}, {1})],
        allocates=[Example([X, ints(2, 2)], {}, {1})],
    ),
}
