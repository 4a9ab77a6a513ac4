"""Dimensions: computed as strings, and evaluated once sizes are known."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphspec.graph.ir.dims import (
    Dim,
    add,
    ceildiv,
    divide,
    divided_exactly,
    evaluate,
    floordiv,
    mul,
    product,
    quotient,
    show,
    show_dim,
    subtract,
)

SIZES = {"N": 6, "time": 11, "a.b": 5, "my-input_1": 7, "my": 2, "<labels of y>": 3, "t": 4}
Pair = tuple[Dim, int]
NAMED: list[Pair] = list(SIZES.items())


@pytest.mark.parametrize(
    ("made", "text", "value"),
    [
        (add("time", -2), "time-2", 9),
        (add(floordiv(add("time", -3), 2), 1), "(time-3)//2+1", 5),
        (mul("N", "time"), "N*time", 66),
        (mul(add("time", "a.b"), 3), "(time+a.b)*3", 48),
        (ceildiv(floordiv("time", 2), 2), "(time//2+1)//2", 3),
        (add(mul("time", 4), "my-input_1"), "time*4+my-input_1", 51),
        (mul("<labels of y>", 2), "(<labels of y>)*2", 6),
        (product(("N", 2, add("t", 1))), "N*(t+1)*2", 60),
        (subtract(add("time", 5), add("time", 2)), "3", 3),
        (7, "7", 7),
    ],
)
def test_a_dimension_has_one_form_and_a_value(made: Dim, text: str, value: int) -> None:
    assert str(made) == text
    assert evaluate(made, SIZES) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7-3-2", 2),  # from the left
        ("2*9//4*3", 12),
        ("2+3*4", 14),
        ("(2+3)*4", 20),
        ("-7//2", -4),  # the sign first, and then down
        ("-(time-12)*2", 2),
        ("time-2", 9),
        ("my-2", 0),
        ("my-input_1", 7),  # a name, not a difference
    ],
)
def test_operators_bind_as_in_python(text: str, value: int) -> None:
    assert evaluate(text, SIZES) == value


@pytest.mark.parametrize(
    "text",
    ["width", "times", "time.x", "x-time", "time//(N-6)", "1_000", "2**3", "7/2", "", "()", "(time", "time)", "time 2"],
)
def test_what_has_no_value(text: str) -> None:
    assert evaluate(text, SIZES) is None


def test_without_sizes_only_numbers_have_a_value() -> None:
    assert evaluate(3, {}) == 3
    assert evaluate("(2+1)*4", {}) == 12
    assert evaluate("time", {}) is None


@pytest.mark.slow
def test_deep_nesting() -> None:
    made: Dim = "time"
    expected = 10**9
    for k in range(2000):
        made, expected = floordiv(add(made, k), 2), (expected + k) // 2
    assert evaluate(made, {"time": 10**9}) == expected


def _steps(pairs: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    def by_number(compute: Callable[..., Any], of_numbers: Callable[[int, int], int], low: int) -> Any:
        return st.tuples(pairs, st.integers(low, 9)).map(lambda x: (compute(x[0][0], x[1]), of_numbers(x[0][1], x[1])))

    return st.one_of(
        by_number(add, lambda a, k: a + k, -9),
        by_number(floordiv, lambda a, k: a // k, 1),
        by_number(ceildiv, lambda a, k: -(-a // k), 1),
        by_number(mul, lambda a, k: a * k, 1),
        st.tuples(pairs, pairs).map(lambda x: (add(x[0][0], x[1][0]), x[0][1] + x[1][1])),
        st.tuples(pairs, pairs).map(lambda x: (mul(x[0][0], x[1][0]), x[0][1] * x[1][1])),
    )


@given(
    st.recursive(st.sampled_from([pair for pair in NAMED if re.fullmatch(r"[\w.]+", pair[0])]), _steps, max_leaves=8)
)
def test_any_computation_of_strings_has_the_value_of_the_computation(pair: Pair) -> None:
    made, value = pair
    assert evaluate(made, SIZES) == value


@given(st.lists(st.integers(1, 9), max_size=4), st.integers(1, 9))
def test_a_quotient_is_exact_or_none(sizes: list[int], k: int) -> None:
    whole = math.prod(sizes)
    found = quotient(mul("time", whole), k)
    assert (found is None) == (whole % k > 0)
    if found is not None:
        assert evaluate(found, SIZES) == 11 * whole // k


def test_shapes_are_shown_as_python_shows_tuples() -> None:
    assert show(("N", 28, "time-2")) == "(N, 28, time-2)"
    assert show(("N",)) == "(N,)"
    assert show(()) == "()"


def test_a_long_sum_of_sizes_is_cut() -> None:
    many = "N"
    for k in range(40):
        many = str(add(many, f"words_{k}"))
    shown = show((3, many))
    assert shown.startswith("(3, N+words_0+words_1+")
    assert shown.endswith("…)")
    assert len(shown) < 70
    assert show(("N", 4)) == "(N, 4)"


@pytest.mark.parametrize(
    ("d", "k", "shown"), [("time", 7, "time/7"), ("time*2", 3, "(time*2)/3"), ("h*w", 2, "(h*w)/2")]
)
def test_exact_division_is_recognised_and_rounds_up(d: str, k: int, shown: str) -> None:
    divided = divide(d, k)
    assert isinstance(divided, str)
    assert divided_exactly(divided) == (d, k)
    assert show_dim(mul(divided, 5)) == f"{shown}*5"
    for time in (1, 6, 7, 20):
        sizes = {"time": time, "h": time, "w": 3}
        exact = evaluate(d, sizes)
        assert exact is not None
        assert evaluate(divided, sizes) == -(-exact // k)
    assert divide("time*14", 7) == "time*2"
    assert divided_exactly("(time+6)//7") is None  # rounded by another layer
