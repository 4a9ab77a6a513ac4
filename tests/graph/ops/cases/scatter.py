"""Entries of the operators in ``graphspec/graph/ops/scatter.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import X
from graph.ops.cases.case import Elsewhere, Example, OpCase, batch, ids, normal
from graph.ops.cases.draw import Array, Draw

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


CASES = {
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
}
