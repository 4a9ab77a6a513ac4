"""Entries of the operators in ``graphspec/graph/ops/elementwise.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import X, of_one, one, stepped
from graph.ops.cases.case import Example, OpCase, batch, positive, without_rows
from graph.ops.cases.draw import Array, Draw

NO_FLOATS = "it gives no floats"


def numbers(d: Draw) -> Example:
    return Example([d.floats(scale=3.0)])


def inside(*shape: int) -> Array:
    """Numbers between -0.9 and 0.9."""
    return positive(*shape) * 1.125 - 1.35


def above_one(*shape: int) -> Array:
    return positive(*shape) + 1.0


def with_nan(d: Draw) -> Example:
    X = d.floats(scale=3.0)
    return Example([np.where(d.bools(X.shape), np.float32(np.nan), X)])


def with_infinity(d: Draw) -> Example:
    X = d.floats(scale=3.0)
    X = np.where(d.bools(X.shape), np.copysign(np.float32(np.inf), X), X)
    return Example([X], {"detect_negative": d.flag(), "detect_positive": d.flag()})


CASES = {
    "Gelu": of_one(approximate=["none", "tanh"]),
    "Swish": of_one(alpha=[1.0, 0.5, 2.0, 1.7]),
    "Abs": of_one(),
    "Acos": of_one(inside, between=(-1.0, 1.0)),
    "Acosh": of_one(above_one, between=(1.0, 9.0)),
    "Asin": of_one(inside, between=(-1.0, 1.0)),
    "Asinh": of_one(),
    "Atan": of_one(),
    "Atanh": of_one(inside, between=(-0.99, 0.99)),
    "Ceil": stepped(numbers),
    "Celu": of_one(alpha=[1.0, 0.5, 2.0, 0.7]),
    "Cos": of_one(),
    "Cosh": of_one(),
    "Elu": of_one(alpha=[1.0, 0.5, 2.0, 0.6]),
    "Erf": of_one(),
    "Exp": of_one(),
    "Floor": stepped(numbers),
    "HardSigmoid": of_one(alpha=[0.2, 1 / 6], beta=[0.5, 0.3]),
    "HardSwish": of_one(),
    "IsInf": OpCase(with_infinity, NO_FLOATS, without_rows(one(), batch(0)), [Example([X])]),
    "IsNaN": OpCase(with_nan, NO_FLOATS, without_rows(one(), batch(0)), [Example([X])]),
    "LeakyRelu": of_one(alpha=[0.01, 0.3, 0.0, 1.5, 0.2, 1.3]),
    "Log": of_one(positive, between=(0.01, 9.0)),
    "Mish": of_one(),
    "Neg": of_one(),
    "Not": OpCase(lambda d: Example([d.bools(d.shape())]), "it gives no floats"),
    "Reciprocal": of_one(positive, between=(0.1, 5.0)),
    "Relu": of_one(),
    "Round": stepped(lambda d: Example([np.asarray(d.ints(d.shape(), -9, 10) / 2, np.float32)])),
    "Selu": of_one(),
    "Shrink": of_one(bias=[0.0, 0.5, 1.5, 0.3], lambd=[0.5, 0.0, 2.0, 0.4]),
    "Sigmoid": of_one(),
    "Sign": stepped(lambda d: Example([np.asarray(d.ints(d.shape(), -2, 3), np.float32)])),
    "Sin": of_one(),
    "Sinh": of_one(),
    "Softplus": of_one(),
    "Softsign": of_one(),
    "Sqrt": of_one(positive, between=(0.01, 9.0)),
    "Tan": of_one(inside, between=(-1.4, 1.4)),
    "Tanh": of_one(),
    "ThresholdedRelu": of_one(alpha=[1.0, 0.0, 0.5, 0.3]),
}
