"""Entries of the operators in ``graphspec/graph/ops/linalg.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import X, large
from graph.ops.cases.case import Elsewhere, Example, OpCase, normal
from graph.ops.cases.draw import Draw


def gemm(d: Draw) -> Example:
    m, k, n = (d.integer(1, 6) for _ in range(3))
    ta, tb = d.flag(), d.flag()
    C = d.normal(*d.choice([(), (1,), (n,), (1, n), (m, 1), (m, n)])) if d.flag() else None
    attrs = {"transA": ta, "transB": tb, "alpha": d.choice([1.0, 0.5, -2.0]), "beta": d.choice([1.0, 0.25, 0.0])}
    return Example([d.normal(*((k, m) if ta else (m, k))), d.normal(*((n, k) if tb else (k, n))), C], attrs)


def matmul(d: Draw) -> Example:
    m, k, n = (d.integer(1, 5) for _ in range(3))
    lead = d.shape(0, 2, 3)
    left, right = d.choice([((m, k), (k, n)), ((k,), (k, n)), ((m, k), (k,)), ((k,), (k,))])
    if len(left) == 2:
        left = lead + left
    if len(right) == 2:
        right = d.partner(lead) + right
    return Example([d.normal(*left), d.normal(*right)])


def trilu(d: Draw) -> Example:
    A = d.floats(2, 4).astype(d.choice(["float32", "int64", "float32"]))
    k = np.array(d.integer(-4, 4), np.int64) if d.flag() else None
    return Example(
        [np.where(A > 1, np.asarray(np.inf, A.dtype), A) if A.dtype.kind == "f" else A, k],
        {"upper": d.flag()},
        set() if k is None else {1},
    )


def eye_like(d: Draw) -> Example:
    dtype = d.choice([None, "float32", "int64", "int32"])
    return Example([d.floats(2, 2)], {"k": d.integer(-3, 3)} | ({} if dtype is None else {"dtype": dtype}))


HERE = Elsewhere("graph/passes/test_shard_products.py")


CASES = {
    "Gemm": OpCase(
        gemm,
        [
            Example([normal(3, 4), normal(4, 2), normal(2)]),
            Example([normal(4, 3), normal(4, 2), normal(3, 1)], {"transA": 1, "alpha": 0.5, "beta": 2.0}),
            Example([normal(3, 4), normal(2, 4), normal()], {"transB": 1}),
            Example([normal(4, 3), normal(2, 4)], {"transA": 1, "transB": 1, "alpha": -1.5}),
            Example([normal(4, 4), normal(4, 4), normal(4, 4)]),
        ],
        no_rows=[
            Example([normal(0, 4), normal(4, 3), normal(3)]),
            Example([normal(0, 4), normal(3, 4), normal(3)], {"transB": 1}),
        ],
        allocates=[
            Example([X, large(400, 50), large(50)]),
            Example([X, large(50, 400)], {"transB": 1}),
        ],
    ),
    "MatMul": OpCase(
        matmul,
        [
            Example([normal(3, 4), normal(4, 2)]),
            Example([normal(2, 3, 4), normal(4, 5)]),
            Example([normal(2, 3, 4), normal(2, 4, 5)]),
            Example([normal(2, 1, 3, 4), normal(3, 4, 2)]),
            Example([normal(3, 4), normal(2, 4, 3)]),
            Example([normal(4), normal(4, 3)]),
            Example([normal(2, 3, 4), normal(4)]),
            Example([normal(4), normal(2, 4, 3)]),
            Example([normal(4), normal(4)]),
            Example([normal(3, 3), normal(3, 3)]),
        ],
        no_rows=[
            Example([normal(0, 4), normal(4, 3)]),
            Example([normal(0, 5, 4), normal(4, 3)]),
            Example([normal(0, 5, 4), normal(0, 4, 3)]),
            Example([normal(5, 4), normal(0, 4, 3)]),
        ],
        allocates=[
            Example([large(20, 60, 100), large(100, 80)]),
            Example([large(20, 60, 100), large(20, 100, 80)]),
            Example([large(60, 100), large(20, 100, 80)]),
        ],
    ),
    "EyeLike": OpCase(eye_like, "it is constant", [Example([normal(0, 3)])], [Example([X])]),
    "Trilu": OpCase(
        trilu,
        [
            Example([normal(3, 4)]),
            Example([normal(3, 4)], {"upper": 0}),
            Example([normal(2, 4, 3), np.array(1)], {"upper": 0}, {1}),
            Example([normal(2, 3, 3), np.array(-1)], {}, {1}),
        ],
        no_rows=[Example([normal(0, 4, 3)], {"upper": 0})],
        allocates=[Example([X], {"upper": upper}) for upper in (0, 1)],
    ),
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
    "ShardedGemm": OpCase(
        None,
        HERE,
        no_rows=HERE,
        allocates="it runs in a group of workers alone, whose steps are not measured here",
    ),
}
