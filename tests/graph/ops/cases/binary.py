"""Entries of the operators in ``graphspec/graph/ops/binary.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.case import Example, OpCase, broadcast, ints, normal, positive
from graph.ops.cases.draw import Array, Draw
from graph.ops.cases.elementwise import ROW, X, drawn_pair, drawn_several, of_two, several, two

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


CASES = {
    "Add": of_two(drawn_pair(*NUMBERS), two()),
    "Div": of_two(drawn_pair(*NUMBERS, away_from_zero=True), two(positive), second=above_1),
    "Max": of_two(drawn_several, several()),
    "Mean": of_two(drawn_several, several()),
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
    "Pow": OpCase(
        power,
        [
            *two(positive),
            *(Example([positive(3, 4), np.array(e)], {}, {1}) for e in (2.0, 3.0, 0.5, -1.0, 1.7)),
            Example([normal(3, 4), np.array(2)], {}, {1}),
        ],
        allocates=[Example([abs(X) + 1, ROW])],
        batched=broadcast,
    ),
    "Sub": of_two(drawn_pair(*NUMBERS), two()),
    "Sum": OpCase(drawn_several, several(), allocates=[Example([X, X, ROW])], batched=broadcast),
}
