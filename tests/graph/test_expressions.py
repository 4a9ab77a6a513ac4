"""Formulas become calls: in their order, with temporaries used again, and nothing overwritten that is still read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bits import Memory, run

from graphspec.base.arrays.calls import Calls
from graphspec.graph.expressions import (
    Expression,
    Formula,
    Function,
    absolute,
    exp,
    kernel,
    leaf,
    letters,
    maximum,
    minimum,
    negative,
    number,
    record,
    sqrt,
    square,
)
from graphspec.graph.kernels.compiled import TWINS
from graphspec.graph.ops import OPS
from graphspec.graph.ops.arithmetic import Binary
from graphspec.graph.ops.elementwise import ACTIVATIONS, FUNCTIONS


class Counted(Memory):
    """Counts the temporaries."""

    def __init__(self) -> None:
        super().__init__(np.float64)
        self.temporaries = 0

    def scratch(self, shape: Any, dtype: Any = None) -> Any:
        self.temporaries += 1
        return super().scratch(shape, dtype)


def recorded(formula: Formula, *arrays: Any, out: Any) -> tuple[list[str], int]:
    """Run a formula; the names of its calls, and how many temporaries it needs."""
    ctx: Any = Counted()
    calls: Calls = record(ctx, (out, formula(*map(leaf, arrays))))
    run(calls)
    return [getattr(f, "__name__", "") or f.func.__name__ for f, *_ in calls], ctx.temporaries


X, D = np.linspace(0.1, 0.9, 12).reshape(3, 4), np.linspace(-1, 1, 12).reshape(3, 4)


def test_a_formula_is_recorded_in_the_order_in_which_it_is_written() -> None:
    d = D.copy()
    names, temporaries = recorded(lambda x, d: d / sqrt((1 - x) * (1 + x)), X, d, out=d)
    assert names == ["subtract", "add", "multiply", "sqrt", "divide"]
    assert temporaries == 2
    np.testing.assert_array_equal(d, D / np.sqrt((1 - X) * (1 + X)))


def test_a_result_may_have_the_memory_of_an_operand() -> None:
    formulas: list[tuple[Formula, int]] = [
        (lambda x: x / (absolute(x) + 1), 1),
        (lambda x: exp(-absolute(x)) + maximum(x, 0), 1),
        (lambda x: (x + 1) * (x - 1), 1),
        (lambda x: square(exp(x * 2 + 1)), 0),
        (lambda x: x * (x > 0.5), 1),
        (lambda x: minimum(x, 0.5) - number(x > 0.3) * 2, 2),
    ]
    for formula, needed in formulas:
        separate, shared = np.empty_like(X), X.copy()
        recorded(formula, X, out=separate)
        _, temporaries = recorded(formula, shared, out=shared)
        np.testing.assert_array_equal(shared, separate)
        assert temporaries == needed


def test_what_occurs_twice_is_computed_once() -> None:
    def formula(x: Expression) -> Expression:
        e = exp(x)
        return (e + 1) / (e - x)

    y = np.empty_like(X)
    names, _ = recorded(formula, X, out=y)
    assert sorted(names) == ["add", "divide", "exp", "subtract"]
    np.testing.assert_array_equal(y, (np.exp(X) + 1) / (np.exp(X) - X))


def test_two_results_share_their_parts() -> None:
    x, slope = X.copy(), np.empty_like(X)
    e = exp(leaf(x))
    product = leaf(x) * e
    ctx: Any = Counted()
    calls = record(ctx, (slope, e + e * 2), (x, product))
    run(calls)
    assert [f.__name__ for f, *_ in calls].count("exp") == 1
    np.testing.assert_array_equal(slope, np.exp(X) + np.exp(X) * 2)
    np.testing.assert_array_equal(x, X * np.exp(X))


def test_a_result_that_is_read_after_its_operand_is_gone_is_refused() -> None:
    x, other, ctx = X.copy(), np.empty_like(X), Counted()
    memory: Any = ctx
    with pytest.raises(ValueError, match="has overwritten"):
        record(memory, (x, exp(leaf(x))), (other, leaf(x) + 1))
    add_to = Function(lambda ctx, operands, out: [(np.add, out, operands[0], out)], in_place=True)
    with pytest.raises(ValueError, match="in place"):
        record(memory, (other, add_to(leaf(X), leaf(D))))


def test_products_with_1_are_left_out() -> None:
    y = np.empty_like(X)
    assert recorded(lambda x: exp(x * 1.0) * 1.0, X, out=y) == (["exp"], 0)
    assert recorded(lambda x: 1.0 * x, X, out=y) == (["copyto"], 0)
    np.testing.assert_array_equal(y, X)


def test_zeros_keep_their_sign() -> None:
    y = np.empty(3)
    recorded(lambda x: x * 0.0 + x * -0.0, np.array([-1.0, 0.0, 2.0]), out=y)
    np.testing.assert_array_equal(np.signbit(y), [False] * 3)
    recorded(lambda x: (x * -0.0) * (x * 0.0 + 1), np.array([1.0, 2.0, 3.0]), out=y)
    np.testing.assert_array_equal(np.signbit(y), [True] * 3)


def test_operands_broadcast() -> None:
    y, row = np.empty_like(X), np.arange(4.0)
    _, temporaries = recorded(lambda x, r: x * ((r + 1) * (r - 1)), X, row, out=y)
    assert temporaries == 2
    np.testing.assert_array_equal(y, X * ((row + 1) * (row - 1)))


def test_the_letters_of_a_formula() -> None:
    names = ("X", "Y", "d")
    assert letters(lambda X, Y, d: d * Y, names, {}) == {"Y", "d"}
    assert letters(lambda X, Y, d, alpha: d * (alpha < X), names, {"alpha": 1.0}) == {"X", "d"}
    assert letters(lambda X, Y, d: -d, names, {}) == {"d"}


def test_a_kernel_is_a_formula_with_a_twin() -> None:
    @kernel(result="y")
    def of_this_test(x: Expression, most: Expression) -> Expression:
        return minimum(negative(x), most)

    twin = TWINS.pop("of_this_test")
    assert twin.operands == ("x", "most", "y")
    y, ctx = np.empty_like(X), Counted()
    memory: Any = ctx
    run(twin.numpy(X, np.array(-0.5), y, ctx=memory))
    np.testing.assert_array_equal(y, np.minimum(-X, -0.5))
    run(record(memory, (y, of_this_test(leaf(X), -0.25) + 1)))
    np.testing.assert_array_equal(y, np.minimum(-X, -0.25) + 1)


ATTRIBUTES = {"Shrink": {"bias": 0.5, "lambd": 0.1}, "Elu": {"alpha": 0.5}, "Celu": {"alpha": 2.0}}


@pytest.mark.parametrize("name", FUNCTIONS | ACTIVATIONS)
def test_what_is_kept_for_backward_follows_from_the_gradient(name: str) -> None:
    cls: Any = OPS[name]
    values = vars(cls(**ATTRIBUTES.get(name, {})))
    read = letters(cls.gradient, ("X", "Y", "d"), values) if cls.gradient else set()
    assert (0 in cls.keeps_in, cls.keeps_out) == ("X" in read, "Y" in read)


def test_what_operators_on_two_operands_keep() -> None:
    kept = {name: (cls.keeps_in, cls.keeps_out) for name, cls in OPS.items() if issubclass(cls, Binary)}
    assert kept == {"Mul": ((0, 1), False), "Div": ((1,), True), "PRelu": ((0, 1), False)}
