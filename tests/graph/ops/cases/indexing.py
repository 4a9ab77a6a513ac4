"""Entries of the operators in ``graphspec/graph/ops/indexing.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import X, large
from graph.ops.cases.case import Example, OpCase, ids, ints, normal, with_ints
from graph.ops.cases.draw import Draw


def gather(d: Draw) -> Example:
    X = d.floats(1, 4)
    axis = d.axis(X)
    n = X.shape[axis]
    indices = d.ints(d.shape(0, 2), -n, n, d.choice(["int32", "int64"]))
    return Example([X, indices], {"axis": axis}, {1} if d.flag() else set())


def gather_elements(d: Draw) -> Example:
    X = d.floats(1, 4)
    axis = d.axis(X)
    n = X.shape[axis]
    shape = tuple(d.integer(1, m) if k != axis % X.ndim else d.integer(1, 6) for k, m in enumerate(X.shape))
    return Example([X, d.ints(shape, -n, n, d.choice(["int32", "int64"]))], {"axis": axis})


def one_hot(d: Draw) -> Example:
    depth = d.integer(1, 5)
    indices = d.ints(d.shape(1, 3), -7, 7)
    values = d.choice([np.array([0, 1], np.float32), np.array([-0.5, 2], np.float32), np.array([3, 7], np.int64)])
    axis = d.integer(-indices.ndim - 1, indices.ndim)
    return Example([indices, np.array(depth, np.int64), values], {"axis": axis}, {1})


def arange(d: Draw) -> Example:
    start, delta = d.integer(-5, 5), d.choice([-2, -1, 1, 3])
    return Example([np.array(v, np.int64) for v in (start, d.integer(-5, 9), delta)], {}, {0, 1, 2})


OF_CONSTANTS = "its inputs are constants"

CASES = {
    "CheckIds": OpCase(
        None,
        "it passes integers",
        no_rows=[Example([np.zeros((0, 4), np.int64)], {"size": 7})],
        allocates=[Example([ids(7, 300, 400)], {"size": 7})],
    ),
    "Gather": OpCase(
        gather,
        [
            with_ints((5, 3), np.array([[0, 4, 4], [-1, 2, 0]])),
            with_ints((2, 5, 3), ints(1, 1, -2), axis=1),
            with_ints((2, 5, 3), np.array(-1), axis=1),
            with_ints((2, 5), np.array([[1, 1], [0, 4]]), axis=-1),
            Example([normal(5, 3), np.array([[0, 4, 4], [-1, 2, 0]])]),
            Example([normal(2, 5, 3), np.array([1, 1, -2], np.int32)], {"axis": 1}),
        ],
        no_rows=[
            Example([normal(5, 3), np.zeros((0, 2), np.int64)]),
            Example([normal(0, 5, 3), ints(1, 2)], {"axis": 1}, {1}),
            Example([normal(0, 5, 3), ints(1, 2)], {"axis": 1}),
            Example([normal(0, 5, 3), np.array(1)], {"axis": 1}, {1}),
        ],
        allocates=[Example([large(1000, 100), ids(1000, 1200)])],
    ),
    "GatherElements": OpCase(
        gather_elements,
        [
            Example([normal(3, 4), np.array([[0, -1], [1, 1], [2, 0]])], {"axis": 1}),
            Example([normal(3, 4), np.array([[0, -1, 2, 0]])], {"axis": 0}),
            Example([normal(2, 3, 2), np.array([[[0, 1], [2, 2]]])], {"axis": 1}),
        ],
        no_rows=[Example([normal(0, 4), np.zeros((0, 2), np.int64)], {"axis": 1})],
        allocates=[Example([X, ids(400, 300, 300)], {"axis": 1})],
    ),
    "OneHot": OpCase(
        one_hot,
        "its input holds integers",
        no_rows=[Example([ints(), np.array(3), normal(2)], {}, {1, 2})],
        allocates=[Example([ids(100, 1200), np.array(100), np.array([0, 1], np.float32)], {}, {1, 2})],
    ),
    "Range": OpCase(arange, "it gives integers", OF_CONSTANTS, OF_CONSTANTS),
}
