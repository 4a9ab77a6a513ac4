"""Rules of elementwise operators, against the runtime's own gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from derivatives import check_derivatives

from graphspec.graph.ops.elementwise import ACTIVATIONS, FUNCTIONS
from graphspec.graph.ops.formulas import Gated

random = np.random.default_rng(0)
X = random.standard_normal((4, 3))
POSITIVE, UNIT, ABOVE = np.abs(X) + 0.1, np.tanh(X), np.abs(X) + 1.1
DOMAINS: dict[str, Any] = {
    "Log": POSITIVE,
    "Sqrt": POSITIVE,
    "Acosh": ABOVE,
    "Asin": UNIT,
    "Acos": UNIT,
    "Atanh": UNIT,
}
ROWS = {name: row for name, row in (FUNCTIONS | ACTIVATIONS).items() if row.gradient or row.of is Gated}


@pytest.mark.parametrize("op", ROWS)
def test_every_function_with_a_gradient(op: str) -> None:
    check_derivatives(op, [DOMAINS.get(op, X)], [0])


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shapes", [((4, 3), (4, 3)), ((4, 3), (3,)), ((1, 3), (4, 1)), ((), (2, 3))])
def test_arithmetic_with_broadcasting(op: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    check_derivatives(op, [random.uniform(0.5, 2, s) for s in shapes], [0, 1])


@pytest.mark.parametrize("op", ["Gelu", "Swish"])
def test_functions_by_their_decomposition(op: str) -> None:
    check_derivatives(op, [X], [0], rtol=1e-5)  # the runtime's float64 has its own erf


@pytest.mark.parametrize("exponent", [2.0, 3.0, 0.5, -1.0, 1.7])
def test_powers(exponent: float) -> None:
    check_derivatives("Pow", [POSITIVE, np.array(exponent)], [0], {1})
    check_derivatives("Pow", [POSITIVE, np.full((3,), exponent)], [0, 1])


def test_choices() -> None:
    A, B = random.standard_normal((4, 3)), random.standard_normal(3)
    check_derivatives("Where", [A > 0, A, B], [1, 2])
    check_derivatives("Max", [A, B, np.array(0.2)], [0, 1, 2])
    check_derivatives("Min", [A, B], [0, 1])
    check_derivatives("Max", [A, A], [0, 1])  # equals: the first gets all
    check_derivatives("Clip", [A, np.array(-0.5), np.array(0.5)], [0], {1, 2})
    check_derivatives("PRelu", [A, B], [0, 1])
    check_derivatives("Sum", [A, B, A[:1]], [0, 1, 2])
    check_derivatives("Mean", [A, B], [0, 1])
