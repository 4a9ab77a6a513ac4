"""Entries of the operators in ``graphspec/graph/ops/logic.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.case import Example, OpCase, batch, broadcast, normal, without_rows
from graph.ops.cases.draw import Draw
from graph.ops.cases.elementwise import ROW, X, drawn_few, one, two

NO_FLOATS = "it gives no floats"


def where(d: Draw) -> Example:
    shape, dtype = d.shape(), d.choice(["float32", "int64", "int32", "uint8"])
    shapes = [shape, d.partner(shape), d.partner(shape)]
    shapes = shapes[d.integer(0, 2) :] + shapes
    A, B = (d.normal(*s, scale=9.0).astype("int32").astype(dtype) for s in shapes[1:3])
    return Example([d.bools(shapes[0]), A, B])


def with_nan(d: Draw) -> Example:
    X = d.floats(scale=3.0)
    return Example([np.where(d.bools(X.shape), np.float32(np.nan), X)])


def with_infinity(d: Draw) -> Example:
    X = d.floats(scale=3.0)
    X = np.where(d.bools(X.shape), np.copysign(np.float32(np.inf), X), X)
    return Example([X], {"detect_negative": d.flag(), "detect_positive": d.flag()})


def comparison(*more: str) -> OpCase:
    dtypes = ("float32", "int32", "int64", *more)
    return OpCase(drawn_few(*dtypes), NO_FLOATS, without_rows(two(), broadcast), [Example([X, ROW])])


def of_bools() -> OpCase:
    examples = two(lambda *shape: np.ones(shape, bool))
    return OpCase(drawn_few("bool"), NO_FLOATS, without_rows(examples, broadcast), batched=broadcast)


CASES = {
    "And": of_bools(),
    "Equal": comparison("bool"),
    "Greater": comparison(),
    "GreaterOrEqual": comparison(),
    "IsInf": OpCase(with_infinity, NO_FLOATS, without_rows(one(), batch(0)), [Example([X])]),
    "IsNaN": OpCase(with_nan, NO_FLOATS, without_rows(one(), batch(0)), [Example([X])]),
    "Less": comparison(),
    "LessOrEqual": comparison(),
    "Or": of_bools(),
    "Where": OpCase(
        where,
        [
            Example([np.array([[True], [False], [True]]), normal(3, 4), normal(3, 4)]),
            Example([np.array([True, False, True, False]), normal(3, 1), normal(2, 3, 4)]),
            Example([np.array(True), normal(3, 4), normal(4)]),
            Example([np.array([[True, False, True, True]] * 3), normal(3, 4), normal(4)]),
        ],
        allocates=[Example([X > 0, X, ROW])],
        batched=broadcast,
    ),
    "Xor": of_bools(),
}
