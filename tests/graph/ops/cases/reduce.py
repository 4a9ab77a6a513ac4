"""Entries of the operators in ``graphspec/graph/ops/reduce.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from graph.ops.cases.broadcasting import X, large
from graph.ops.cases.case import Example, OpCase, Strategy, ints, normal, positive, with_ints
from graph.ops.cases.draw import Array, Draw


def drawn(*dtypes: str) -> Strategy:
    def draw(d: Draw) -> Example:
        X = d.floats(1, 4).astype(d.choice(dtypes))
        attrs: dict[str, Any] = {"keepdims": d.flag()}
        if d.flag():
            attrs["axes"] = d.axes(X)
        return Example([X], attrs)

    return draw


def reduction(
    *dtypes: str, make: Callable[..., Array] = normal, identity: bool = True, examples: tuple[Example, ...] = ()
) -> OpCase:
    """A reduction over ``axes``; one without ``identity`` does not reduce over no rows."""
    axes: list[dict[str, Any]] = [
        {},
        {"keepdims": 0},
        {"axes": (0,)},
        {"axes": (1,), "keepdims": 0},
        {"axes": (-1,)},
        {"axes": (0, 2), "keepdims": 0},
        {"axes": (1, 2)},
        {"axes": (0, 3)},
    ]
    gradient = [Example([make(2, 3, 4, 2)], a) for a in axes] + [Example([make(5)], {"axes": (0,)}), *examples]
    over: list[tuple[int, ...] | None] = [(1,), (1, 2), *([(0,), None] if identity else [])]
    return OpCase(
        drawn(*dtypes),
        gradient,
        no_rows=[Example([normal(0, 4, 3)], {"axes": a, "keepdims": keepdims}) for a in over for keepdims in (0, 1)],
        allocates=[Example([X], {"axes": a, "keepdims": 0}) for a in ((0,), (1,), (0, 1))],
    )


def reduce_sum(d: Draw) -> Example:
    X = d.floats(1, 4).astype(d.choice(["float32", "int32", "int64"]))
    kind = d.integer(0, 2)
    axes = None if kind == 0 else np.array(d.axes(X) if kind == 1 else [], np.int64)
    return Example(
        [X, axes], {"keepdims": d.flag(), "noop_with_empty_axes": d.flag()}, {1} if axes is not None else set()
    )


def cum_sum(d: Draw) -> Example:
    X = d.floats(1, 4).astype(d.choice(["float32", "int32", "int64"]))
    return Example([X, np.array(d.axis(X))], {"exclusive": d.flag(), "reverse": d.flag()}, {1})


MEAN = reduction("float32")


MEAN.allocates = [
    *MEAN.allocates,
    *(Example([large(20, 60, 100)], {"axes": axes}) for axes in ((0,), (1,), (2,), (0, 2), (1, 2))),
]


def positive_only(d: Draw) -> Example:
    example = drawn("float32")(d)
    return Example([np.abs(a) + np.float32(0.1) for a in example.inputs if a is not None], example.attrs)


def arg_extremum(d: Draw) -> Example:
    X = d.coarse()
    return Example([X], {"axis": d.axis(X), "keepdims": d.flag(), "select_last_index": d.flag()})


def top_k(d: Draw) -> Example:
    X = d.coarse().astype(d.choice(["float32", "int32", "int64"]))
    axis = d.axis(X)
    K = np.array([d.integer(1, X.shape[axis])], np.int64)
    return Example([X, K], {"axis": axis, "largest": d.flag()}, {1}, outputs=2)


def of_indices() -> OpCase:
    last = {"axis": 1}
    no_rows, wide = [Example([normal(0, 4)], last)], [Example([X], last)]
    return OpCase(arg_extremum, "it gives indices", no_rows, wide)


CASES = {
    "CumSum": OpCase(
        cum_sum,
        [
            with_ints((3, 4), np.array(axis), exclusive=exclusive, reverse=reverse)
            for axis in (0, -1, 1)
            for exclusive in (0, 1)
            for reverse in (0, 1)
        ],
        allocates=[
            Example([X, np.array(1)], {}, {1}),
            Example([X, np.array(0)], {"reverse": 1, "exclusive": 1}, {1}),
        ],
    ),
    "ReduceL1": reduction("float32", "int32"),
    "ReduceL2": reduction("float32"),
    "ReduceMax": reduction("float32", "int32", "int64", identity=False),
    "ReduceMean": MEAN,
    "ReduceMin": reduction("float32", "int32", "int64", identity=False),
    "ReduceProd": reduction(
        "float32", "int32", examples=(Example([np.array([[0.0, 2.0, 3.0], [1.0, 0.5, 2.0]])], {"axes": (1,)}),)
    ),
    "ReduceSum": OpCase(
        reduce_sum,
        [
            with_ints((2, 3, 4, 2), None if axes is None else ints(*axes), keepdims=keepdims)
            for axes in (None, (0,), (1, 3), (-1,), (0, 1, 2, 3), (1,), (1, 2))
            for keepdims in (0, 1)
        ],
        allocates=[Example([X, ints(axis)], {"keepdims": 0}, {1}) for axis in (0, 1)],
    ),
    "ReduceSumSquare": reduction("float32", "int32"),
    "ReduceLogSum": replace(reduction("float32", make=positive), draw=positive_only),
    "ReduceLogSumExp": reduction("float32"),
    "ArgMax": of_indices(),
    "ArgMin": of_indices(),
    "TopK": OpCase(
        top_k,
        [with_ints((3, 5), ints(2), axis=axis, largest=largest) for axis in (0, -1) for largest in (0, 1)],
        no_rows=[Example([normal(0, 4), ints(2)], {}, {1})],
        allocates=[Example([X, ints(50)], {}, {1})],
    ),
}
