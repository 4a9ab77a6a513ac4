"""Entries of the operators in ``graphspec/graph/ops/math.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.case import Example, OpCase, normal, positive
from graph.ops.cases.draw import Array, Draw
from graph.ops.cases.elementwise import X, of_one, stepped


def clip(d: Draw) -> Example:
    X = d.floats(scale=3.0) if d.flag() else d.ints(d.shape(), -9, 9, d.choice(["int32", "int64", "int8"]))
    low, high = (np.array(v, X.dtype) if d.flag() else None for v in (d.integer(-4, 0), d.integer(0, 4)))
    return Example([X, low, high], {}, {k for k, v in ((1, low), (2, high)) if v is not None and d.flag()})


def numbers(d: Draw) -> Example:
    return Example([d.floats(scale=3.0)])


def inside(*shape: int) -> Array:
    """Numbers between -0.9 and 0.9."""
    return positive(*shape) * 1.125 - 1.35


def above_one(*shape: int) -> Array:
    return positive(*shape) + 1.0


CASES = {
    "Abs": of_one(),
    "Ceil": stepped(numbers),
    "Clip": OpCase(
        clip,
        [
            Example([normal(3, 4), np.array(-0.5), np.array(0.8)], {}, {1, 2}),
            Example([normal(5), None, np.array(0.3)], {}, {2}),
            Example([normal(3, 4), np.array(-0.2)], {}, {1}),
        ],
        allocates=[Example([X, np.array(-1.0), np.array(1.0)], {}, {1, 2})],
    ),
    "Cos": of_one(),
    "Exp": of_one(),
    "Floor": stepped(numbers),
    "Log": of_one(positive, between=(0.01, 9.0)),
    "Neg": of_one(),
    "Not": OpCase(lambda d: Example([d.bools(d.shape())]), "it gives no floats"),
    "Reciprocal": of_one(positive, between=(0.1, 5.0)),
    "Round": stepped(lambda d: Example([np.asarray(d.ints(d.shape(), -9, 10) / 2, np.float32)])),
    "Sign": stepped(lambda d: Example([np.asarray(d.ints(d.shape(), -2, 3), np.float32)])),
    "Sin": of_one(),
    "Sqrt": of_one(positive, between=(0.01, 9.0)),
    "Acos": of_one(inside, between=(-1.0, 1.0)),
    "Acosh": of_one(above_one, between=(1.0, 9.0)),
    "Asin": of_one(inside, between=(-1.0, 1.0)),
    "Asinh": of_one(),
    "Atan": of_one(),
    "Atanh": of_one(inside, between=(-0.99, 0.99)),
    "Cosh": of_one(),
    "Sinh": of_one(),
    "Tan": of_one(inside, between=(-1.4, 1.4)),
}
