"""Entries of the operators in ``graphspec/graph/ops/indexing.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import X, large
from graph.ops.cases.case import Elsewhere, Example, OpCase, batch, ids, ints, normal, with_ints
from graph.ops.cases.draw import Array, Draw


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


ORDERS = np.array([[0, 3, 1], [2, 1, 0], [-1, 0, 2]])


def tuples(d: Draw, sizes: tuple[int, ...], lead: tuple[int, ...]) -> Array:
    """Indices on axes of these sizes, some of them negative."""
    return np.stack([d.ints(lead, -n, n) for n in sizes], axis=-1)


def gather_nd(d: Draw) -> Example:
    X = d.floats(1, 4)
    b = d.integer(0, min(X.ndim - 1, 2))
    m = d.integer(1, X.ndim - b)
    return Example([X, tuples(d, X.shape[b : b + m], (*X.shape[:b], *d.shape(0, 2)))], {"batch_dims": b})


def scatter_nd(d: Draw) -> Example:
    """Without a reduction, no tuple twice."""
    X = d.floats(1, 4).astype(d.choice(["float32", "float32", "int64"]))
    m, reduction = d.integer(1, X.ndim), d.choice(["none", "add"])
    cells = int(np.prod(X.shape[:m]))
    flat = d.random.permutation(cells)[: d.integer(1, cells)] if reduction == "none" else d.ints((7,), 0, cells)
    indices = np.stack(np.unravel_index(flat, X.shape[:m]), axis=-1)
    negative = d.bools(indices.shape)
    indices = np.where(negative, indices - np.array(X.shape[:m]), indices).astype(np.int64)
    return Example([X, indices, d.normal(len(flat), *X.shape[m:]).astype(X.dtype)], {"reduction": reduction})


TUPLES = np.array([[[0, 1], [2, -1]], [[1, 1], [-3, 0]]])


ROWS = np.array([[2], [0], [-1]])


IDS = np.array([[3, 0, 3, 9, 2], [1, 1, 1, -4, 6], [5, 2, 0, 1, 4]])


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
    "ScatterElements": OpCase(
        Elsewhere("graph/ops/test_scatter.py"),
        [
            Example([normal(3, 4), ORDERS, normal(3, 3)], {"axis": 1, "reduction": reduction})
            for reduction in ("none", "add")
        ],
        allocates=[
            Example([X, ids(400, 300, 400), X], {"axis": 1, "reduction": reduction}) for reduction in ("none", "add")
        ],
        batched=batch(0, 1, 2),
    ),
    "GatherND": OpCase(
        gather_nd,
        [
            Example([normal(3, 4), TUPLES]),
            Example([normal(3, 4, 2), TUPLES]),
            Example([normal(4, 3), ROWS]),
            Example([normal(2, 4, 3), np.array([[[1], [1], [3]], [[0], [-1], [2]]])], {"batch_dims": 1}),
            Example([normal(2, 4, 3), np.array([[1, 2], [0, 1]], np.int32)], {"batch_dims": 1}),
        ],
        no_rows=[
            Example([normal(0, 4, 3), np.zeros((0, 5, 1), np.int64)], {"batch_dims": 1}),
            Example([normal(4, 3), np.zeros((0, 2), np.int64)]),
        ],
        allocates=[Example([X, ids(300, 400, 1)]), Example([X, ids(300, 300, 400, 2)])],
    ),
    "ScatterND": OpCase(
        scatter_nd,
        [
            Example([normal(*data), indices, normal(*updates)], {"reduction": reduction})
            for reduction in ("none", "add")
            for data, indices, updates in (
                ((4, 3), ROWS, (3, 3)),
                ((3, 4), TUPLES, (2, 2)),
                ((3, 4, 2), TUPLES, (2, 2, 2)),
            )
        ],
        no_rows=[
            Example([normal(4, 3), np.zeros((0, 1), np.int64), normal(0, 3)], {"reduction": reduction}, wrt=[2])
            for reduction in ("none", "add")
        ],
        allocates=[
            Example([X, indices, X], {"reduction": reduction})
            for reduction in ("none", "add")
            for indices in (ids(300, 300, 1), np.stack(np.indices(X.shape), axis=-1))
        ],
    ),
    "GatherSum": OpCase(
        None,
        [Example([IDS, normal(7, width)], {"count": count}) for width in (3, 4) for count in (0, 1)]
        + [Example([IDS, normal(7, width), normal(*IDS.shape)], {"count": 1}, wrt=[1]) for width in (1, 3, 4)],
        allocates=[Example([ids(1000, *shape), large(1000, 8)]) for shape in ((300, 50), (3000, 1))],
        batched=batch(0, 2),
    ),
    "MultiHot": OpCase(
        None,
        [Example([IDS, normal(3, 5)], {"depth": 7, "count": 1})],
        allocates=[Example([ids(400, 300, 40)], {"depth": 400, "count": count}) for count in (0, 1)],
        batched=batch(0, 1),
    ),
}
