"""Entries of the operators in ``graphspec/graph/ops/arithmetic.py``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from graph.ops.cases.broadcasting import COLUMN, ROW, X, drawn_few, drawn_pair, drawn_several, of_two, several, two
from graph.ops.cases.case import Example, OpCase, broadcast, ints, normal, positive, without_rows
from graph.ops.cases.draw import Array, Draw

NUMBERS = "float32", "int32", "int64"


def power(d: Draw) -> Example:
    shape = d.shape()
    X = np.abs(d.normal(*shape)) + np.float32(0.3)
    if d.flag():
        exponent = d.choice([2.0, 3.0, 0.5, -1.0, 1.5, 0.0])
        return Example([X, np.array(exponent, np.float32)], {}, {1})
    if d.flag():
        return Example([d.ints(shape, -3, 4), d.ints(d.partner(shape), 0, 4)])
    return Example([X, d.normal(*d.partner(shape))])


def modulo(d: Draw) -> Example:
    dtype = d.choice(["float32", "int32", "int64"])
    signs = d.pair(lambda s: np.where(d.bools(s), 1, -1) * d.ints(s, 1, 9))
    return Example([X.astype(dtype) for X in signs], {"fmod": 1 if dtype == "float32" else d.flag()})


def above_1(array: Array) -> Array:
    return abs(array) + 1


NO_FLOATS = "it gives no floats"


def where(d: Draw) -> Example:
    shape, dtype = d.shape(), d.choice(["float32", "int64", "int32", "uint8"])
    shapes = [shape, d.partner(shape), d.partner(shape)]
    shapes = shapes[d.integer(0, 2) :] + shapes
    A, B = (d.normal(*s, scale=9.0).astype("int32").astype(dtype) for s in shapes[1:3])
    return Example([d.bools(shapes[0]), A, B])


def comparison(*more: str) -> OpCase:
    dtypes = ("float32", "int32", "int64", *more)
    return OpCase(drawn_few(*dtypes), NO_FLOATS, without_rows(two(), broadcast), [Example([X, ROW])])


def of_bools() -> OpCase:
    examples = two(lambda *shape: np.ones(shape, bool))
    return OpCase(drawn_few("bool"), NO_FLOATS, without_rows(examples, broadcast), batched=broadcast)


def clip(d: Draw) -> Example:
    X = d.floats(scale=3.0) if d.flag() else d.ints(d.shape(), -9, 9, d.choice(["int32", "int64", "int8"]))
    low, high = (np.array(v, X.dtype) if d.flag() else None for v in (d.integer(-4, 0), d.integer(0, 4)))
    return Example([X, low, high], {}, {k for k, v in ((1, low), (2, high)) if v is not None and d.flag()})


def prelu(d: Draw) -> Example:
    shape = d.shape()
    return Example([d.normal(*shape, scale=3.0), d.normal(*d.partner(shape))])


CASES = {
    "Add": of_two(drawn_pair(*NUMBERS), two()),
    "And": of_bools(),
    "Clip": OpCase(
        clip,
        [
            Example([normal(3, 4), np.array(-0.5), np.array(0.8)], {}, {1, 2}),
            Example([normal(5), None, np.array(0.3)], {}, {2}),
            Example([normal(3, 4), np.array(-0.2)], {}, {1}),
        ],
        allocates=[Example([X, np.array(-1.0), np.array(1.0)], {}, {1, 2})],
    ),
    "Div": of_two(drawn_pair(*NUMBERS, away_from_zero=True), two(positive), second=above_1),
    "Equal": comparison("bool"),
    "Greater": comparison(),
    "GreaterOrEqual": comparison(),
    "Less": comparison(),
    "LessOrEqual": comparison(),
    "Max": of_two(drawn_several, several()),
    "Mean": of_two(drawn_several, several()),
    "MeanAtInference": replace(of_two(drawn_several, two()), draw=None),
    "Min": of_two(drawn_several, several()),
    "Mod": OpCase(
        modulo,
        "it is for integers, and for remainders of floats that have no gradient",
        no_rows=[
            Example([np.zeros((0, 4), np.int64), ints(2)]),
            Example([normal(0, 4), normal(4)], {"fmod": 1}),
            Example([normal(0, 4), normal(0, 1)], {"fmod": 1}),
        ],
        batched=broadcast,
    ),
    "Mul": of_two(drawn_pair(*NUMBERS), two()),
    "Or": of_bools(),
    "PRelu": OpCase(
        prelu,
        [Example([normal(2, 3, 4), normal(*n)]) for n in ((2, 3, 4), (4,), (3, 1), (1, 1, 4), ())]
        + [Example([normal(3, 4), normal(*n)]) for n in ((4,), (1, 4), ())],
        allocates=[Example([X, slope]) for slope in (X, ROW, COLUMN)],
        batched=broadcast,
    ),
    "Pow": OpCase(
        power,
        [
            *two(positive),
            *(Example([positive(3, 4), np.array(e)], {}, {1}) for e in (2.0, 3.0, 4.0, 0.5, -1.0, 1.7)),
            Example([positive(3, 4), np.array([2.0, 3.0, 0.5, 1.0])], {}, {1}),
            Example([normal(3, 4), np.array(2)], {}, {1}),
        ],
        allocates=[Example([abs(X) + 1, ROW])],
        batched=broadcast,
    ),
    "Sub": of_two(drawn_pair(*NUMBERS), two()),
    "Sum": OpCase(drawn_several, several(), allocates=[Example([X, X, ROW])], batched=broadcast),
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
