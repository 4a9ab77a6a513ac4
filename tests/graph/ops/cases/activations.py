"""Entries of the operators in ``graphspec/graph/ops/activations.py``."""

from __future__ import annotations

from graph.ops.cases.case import Example, OpCase, broadcast, normal
from graph.ops.cases.draw import Draw
from graph.ops.cases.elementwise import COLUMN, ROW, X, of_one


def prelu(d: Draw) -> Example:
    shape = d.shape()
    return Example([d.normal(*shape, scale=3.0), d.normal(*d.partner(shape))])


CASES = {
    "Celu": of_one(alpha=[1.0, 0.5, 2.0, 0.7]),
    "Elu": of_one(alpha=[1.0, 0.5, 2.0, 0.6]),
    "HardSigmoid": of_one(alpha=[0.2, 1 / 6], beta=[0.5, 0.3]),
    "LeakyRelu": of_one(alpha=[0.01, 0.3, 0.0, 1.5, 0.2, 1.3]),
    "PRelu": OpCase(
        prelu,
        [Example([normal(2, 3, 4), normal(*n)]) for n in ((2, 3, 4), (4,), (3, 1), (1, 1, 4), ())]
        + [Example([normal(3, 4), normal(*n)]) for n in ((4,), (1, 4), ())],
        allocates=[Example([X, slope]) for slope in (X, ROW, COLUMN)],
        batched=broadcast,
    ),
    "Relu": of_one(),
    "Selu": of_one(),
    "Shrink": of_one(bias=[0.0, 0.5, 1.5, 0.3], lambd=[0.5, 0.0, 2.0, 0.4]),
    "Sigmoid": of_one(),
    "Softplus": of_one(),
    "Softsign": of_one(),
    "Tanh": of_one(),
    "ThresholdedRelu": of_one(alpha=[1.0, 0.0, 0.5, 0.3]),
}
