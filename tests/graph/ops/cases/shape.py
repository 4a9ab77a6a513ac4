"""Entries of the operators in ``graphspec/graph/ops/shape.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import COLUMN, X, of_one
from graph.ops.cases.case import Example, OpCase, ints, normal, with_ints
from graph.ops.cases.draw import Draw

DTYPES = ["float32", "int32", "int64", "bool", "uint8"]


def reshape(d: Draw) -> Example:
    X = d.floats(0, 4)
    sizes = [int(n) for n in d.random.permutation(X.shape)]
    if len(sizes) > 1 and d.flag():
        sizes = [sizes[0] * sizes[1], *sizes[2:]]
    if sizes and d.flag():
        sizes[d.integer(0, len(sizes) - 1)] = -1
    sizes = [0 if k < X.ndim and n == X.shape[k] and d.flag() else n for k, n in enumerate(sizes)]
    return Example([X, np.array(sizes, np.int64)], {}, {1})


def flatten(d: Draw) -> Example:
    X = d.floats(1, 4)
    return Example([X], {"axis": d.integer(-X.ndim, X.ndim)})


def transpose(d: Draw) -> Example:
    X = d.floats(1, 4)
    return Example([X], {"perm": tuple(int(k) for k in d.random.permutation(X.ndim))} if d.flag() else {})


def squeeze(d: Draw) -> Example:
    X = d.floats(1, 3)
    axes = [k for k in range(X.ndim) if d.flag()]
    X = (
        X.reshape([1 if k in axes else n for k, n in enumerate(X.shape)])
        if X.size == 1
        else X[tuple(slice(0, 1) if k in axes else slice(None) for k in range(X.ndim))]
    )
    if not axes or d.flag():
        return Example([X])
    return Example([X, np.array([k - X.ndim * d.flag() for k in axes], np.int64)], {}, {1})


def unsqueeze(d: Draw) -> Example:
    X = d.floats(0, 3)
    rank = X.ndim + d.integer(1, 2)
    axes = d.random.permutation(rank)[: rank - X.ndim]
    return Example([X, np.array([k - rank * d.flag() for k in axes], np.int64)], {}, {1})


def expand(d: Draw) -> Example:
    shape = d.shape(1, 4)
    return Example([d.normal(*d.partner(shape)), np.array(d.partner(shape) if d.flag() else shape, np.int64)], {}, {1})


def shape_of(d: Draw) -> Example:
    X = d.floats(1, 4)
    return Example([X], {"start": d.integer(-4, 3)} | ({"end": d.integer(-4, 4)} if d.flag() else {}))


def cast(d: Draw) -> Example:
    X = np.round(d.floats(scale=30.0)) if d.flag() else np.abs(d.floats(scale=30.0))
    return Example([np.abs(X).astype(d.choice(DTYPES))], {"to": d.choice(DTYPES)})


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
    "Cast": OpCase(
        cast,
        "floats that become integers have no gradient",
        no_rows=[Example([array], {"to": to}) for array in (normal(0, 4), np.zeros((0, 3), np.int64)) for to in DTYPES],
    ),
    "Expand": OpCase(
        expand,
        [with_ints((3, 1), ints(2, 3, 4)), with_ints((2, 3), ints(2, 3)), with_ints((1,), ints(5))],
        no_rows=[Example([normal(0, 1), ints(0, 3)], {}, {1})],
        allocates=[Example([COLUMN, ints(300, 400)], {}, {1})],
    ),
    "Flatten": OpCase(
        flatten,
        [*(Example([normal(2, 3, 4)], {"axis": axis}) for axis in (0, 1, -1, 3)), Example([normal(3, 4)])],
        allocates=[Example([X])],
    ),
    "Identity": of_one(),
    "Reshape": OpCase(
        reshape,
        [with_ints((2, 3, 4), ints(*sizes)) for sizes in ((6, 4), (0, -1), (4, 3, 2), (24,))],
        no_rows=[
            Example([normal(0, n), ints(*sizes)], {}, {1})
            for n, sizes in ((6, (0, 2, 3)), (6, (-1, 3)), (3, (0, 2, 3)))
        ],
        allocates=[Example([X, ints(400, 300)], {}, {1})],
    ),
    "Shape": OpCase(
        shape_of, "it gives integers", no_rows=[Example([normal(0, 4)]), Example([normal(0, 4)], {"start": 1})]
    ),
    "StopGradient": OpCase(
        None, "no gradient flows through it", no_rows=[Example([normal(0, 4)])], allocates=[Example([X])]
    ),
    "Size": OpCase(lambda d: Example([d.floats()]), "it gives integers", [Example([normal(0, 4)])], [Example([X])]),
    "Squeeze": OpCase(
        squeeze,
        [with_ints((2, 1, 3), ints(1)), Example([normal(1, 3, 1)])],
        no_rows=[Example([normal(0, 1), ints(1)], {}, {1})],
        allocates=[Example([COLUMN, ints(1)], {}, {1}), Example([X[:, None], ints(1)], {}, {1})],
    ),
    "Transpose": OpCase(
        transpose,
        [Example([normal(2, 3, 4)], {"perm": perm}) for perm in ((1, 2, 0), (0, 2, 1), None)]
        + [Example([normal(3, 4)])],
        allocates=[Example([X])],
    ),
    "Unsqueeze": OpCase(
        unsqueeze, [with_ints((2, 3), ints(0, -1)), with_ints((3,), ints(1)), with_ints((2, 1), ints(1))]
    ),
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
