"""Entries of the operators in ``graphspec/graph/ops/arg_top_k.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import X
from graph.ops.cases.case import Example, OpCase, ints, normal, with_ints
from graph.ops.cases.draw import Draw


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
    "ArgMax": of_indices(),
    "ArgMin": of_indices(),
    "TopK": OpCase(
        top_k,
        [with_ints((3, 5), ints(2), axis=axis, largest=largest) for axis in (0, -1) for largest in (0, 1)],
        no_rows=[Example([normal(0, 4), ints(2)], {}, {1})],
        allocates=[Example([X, ints(50)], {}, {1})],
    ),
}
