"""The grammar of formulas: Python's results on numbers, limits, and where and how mistakes are reported."""

from __future__ import annotations

import math
import operator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphspec.base.formula import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, Term, calculate, parse

BINARY = ["+", "-", "*", "/", "//", "%", "==", "!=", "<", "<=", ">", ">="]


def evaluated(text: str, **names: Any) -> Any:
    """The value of a formula whose names are numbers, by its terms."""
    parsed = parse(text)
    assert not parsed.wrong, parsed.wrong
    found: dict[Term, Any] = {}
    for term in parsed.terms:
        if term.kind == "call":
            found[term] = calculate(term.value, *(found[arg] for arg in term.args))
        else:
            found[term] = names[term.value] if term.kind == "name" else term.value
    return found[parsed.terms[-1]]


ATOMS = st.one_of(st.integers(0, 9).map(str), st.sampled_from(["a", "b", "0.5", "2.25e1"]))
SPACE = st.sampled_from(["", " ", "  "])


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arithmetic = st.sampled_from(["+", "-", "*", "/", "//", "%"])
    chains = st.builds(lambda a, s, o, t, b: f"{a}{s}{o}{t}{b}", inner, SPACE, arithmetic, SPACE, inner)
    powers = st.builds(lambda a, n: f"{a} ** {n}", inner, st.sampled_from(["2", "3", "-1", "b"]))
    brackets = inner.map(lambda a: f"({a})")
    return st.one_of(chains, powers, brackets, inner.map(lambda a: f"-{a}"), inner.map(lambda a: f"+ {a}"))


NUMBERS = st.recursive(ATOMS, grown, max_leaves=12)


@settings(max_examples=200, deadline=None)
@given(NUMBERS, st.integers(-3, 5), st.sampled_from([0.25, 2, 3.5]))
def test_numbers_are_those_of_python(text: str, a: int, b: float) -> None:
    try:
        expected = eval(text, {}, {"a": a, "b": b})  # noqa: S307 (the text is made of numbers and operators)
    except (ZeroDivisionError, OverflowError):
        expected = None
    parsed = parse(text)
    if parsed.wrong or expected is None or isinstance(expected, complex) or abs(expected) > 1e18:
        return  # too deep, or what has no number: the tests below
    found = evaluated(text, a=a, b=b)
    assert found == expected or math.isclose(found, expected, rel_tol=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["a > b", "a == 1", "not b < a", "a >= 0.5"]), min_size=1, max_size=6), st.data())
def test_logic_is_that_of_python(parts: list[str], data: st.DataObject) -> None:
    text = parts[0]
    for part in parts[1:]:
        text = f"{text} {data.draw(st.sampled_from(['and', 'or']))} {part}"
    for a, b in ((1, 2), (2, 1), (1, 1), (0, 0.5)):
        assert evaluated(text, a=a, b=b) is eval(text, {}, {"a": a, "b": b})  # noqa: S307


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="ab1.()[]+-*/@<>=!&|,:` 'x²^~?\"", max_size=40))
def test_any_text_is_a_formula_or_has_a_place(text: str) -> None:
    parsed = parse(text)
    assert bool(parsed.terms) != bool(parsed.wrong)
    for wrong in parsed.wrong:
        assert 0 <= wrong.start < wrong.end
        assert wrong.start <= len(text)
    for term in parsed.terms:
        assert 0 <= term.start <= term.end <= len(text)


def shown(text: str) -> list[tuple[str, str]]:
    return [(text[w.start : w.end], w.message) for w in parse(text).wrong]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "", "is empty"),
        ("a +", "+", "ends where a value is expected"),
        ("(a + b", "(", "does not close this bracket"),
        ("a + b)", ")", "has `)`, which nothing needs"),
        ("2p + 1", "p", "has no operator between `2` and `p`"),
        ("a b", "b", "has no operator between `a` and `b`"),
        ("(a)(b)", "(", "has no operator between `a` and `(`"),
        ("a ^ 2", "^", "has `^`, which is no operator here"),
        ("a && b", "&&", "has `&&`, which is no operator here"),
        ("a × b", "×", "has `×`, which is no operator here"),
        ("x²", "²", "has `²`, which is no operator here"),
        ("a = 1", "=", "has `=`, which is no operator here"),
        ("a < b < c", "<", "compares three values at once"),
        ("a if b else c", "if", "has the word `if`"),
        ("f(lambda)", "lambda", "has the word `lambda`"),
        ("a ; b", ";", "has the character ';' where it cannot stand"),
        ("a $ b", "$", "has the character '$' where it cannot stand"),
        ("'a' + b", "'a'", "has `'a'` where a value is expected"),
        ("* a", "*", "has `*` where a value is expected"),
        ("x[:, 0", "[", "opens `[` but does not close it"),
        ("f(a, k=1, b)", "b", "has an input after the argument `k`"),
        ("f(a, k=1, k=2)", "k", "sets `k` twice"),
        ("[1, a] + x", "a", "has `a` where a number is expected"),
        ("x * 1e999", "1e999", "has the number 1e999, which is too large"),
        ("x * 99999999999999999999", "99999999999999999999", "has the number 99999999999999999999, which is too large"),
        ("x + 1 / 0", "1 / 0", "divides by 0"),
        ("x + 9**9**9", "9**9**9", "has a number that is too large, or is none"),
        ("x + (-8)**0.5", "(-8)**0.5", "has a number that is too large, or is none"),
    ],
)
def test_a_mistake_has_its_place(text: str, place: str, message: str) -> None:
    assert (place, message) in shown(text) or (place == "" and shown(text)[0][1] == message) or not shown(text), shown(
        text
    )
    assert [m for _, m in shown(text)].count(message) == 1
    assert (
        all(wrong.hint for wrong in parse(text).wrong)
        or "number" in message
        or "divides" in message
        or "sets" in message
    )


def test_mistakes_that_are_independent_are_found_at_once() -> None:
    assert [place for place, _ in shown("a^2 && 3b = c²")] == ["^", "&&", "b", "=", "²"]


def test_limits() -> None:
    assert shown("a" * (MAX_LENGTH + 1))[0][1] == f"has {MAX_LENGTH + 1:,} characters, at most {MAX_LENGTH:,}"
    assert not shown("(" * (MAX_DEPTH - 1) + "a" + ")" * (MAX_DEPTH - 1))
    for deep in ("(" * 1000 + "a" + ")" * 1000, "-" * 3000 + "a", "2**" * 1000 + "a", "f(" * 900 + "a", "not " * 900):
        assert shown(deep)[-1][1] == f"is nested deeper than {MAX_DEPTH} levels"
    assert not shown("+".join(["a"] * (MAX_TERMS // 2)))
    assert shown("+".join(["a"] * MAX_TERMS))[-1][1] == f"has more than {MAX_TERMS} terms"


def test_terms_stand_behind_their_arguments() -> None:
    parsed = parse(
        "where(`a/b` >= 0.5, x[:, -1] @ read:1, sum(größe.2, axis=[-1, 2], keepdims=true, how='a b', n=null))"
    )
    assert not parsed.wrong
    order = {term: k for k, term in enumerate(parsed.terms)}
    assert all(order[arg] < order[term] for term in parsed.terms for arg in term.args)
    assert list(parsed.names()) == ["a/b", "x", "read:1", "größe.2"]
    total = next(term for term in parsed.terms if term.value == "sum")
    options = {key: value for key, (value, *_) in total.options.items()}
    assert options == {"axis": [-1, 2], "keepdims": True, "how": "a b", "n": None}


def test_operators_bind_as_in_python() -> None:
    values = {"a": 3, "b": 2, "c": 5}
    for text in ("-a**b", "a - b - c", "a / b / c", "a**b**2", "a + b * c", "-a * b", "a * -b", "not a == b or b < c"):
        assert evaluated(text, **values) == eval(text, {}, dict(values)), text  # noqa: S307
    assert operator.index(evaluated("2 * 3 + 4")) == 10
    assert len(parse("x * (2 * 3 + 4)").terms) == 3  # numbers alone are one
