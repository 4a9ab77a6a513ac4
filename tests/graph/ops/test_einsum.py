"""Einsum: compared with onnxruntime and NumPy on random equations, and gradients."""

from __future__ import annotations

import string
from typing import Any

import numpy as np
import pytest
from graphs import check_gradients, run
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import compare

from graphspec.base.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value

Array = np.ndarray[Any, Any]

EQUATIONS: dict[str, tuple[str, list[tuple[int, ...]]]] = {
    "dense": ("abc,cd->abd", [(2, 3, 4), (4, 5)]),
    "heads": ("abc,cde->abde", [(2, 3, 4), (4, 2, 3)]),
    "from_heads": ("abde,dec->abc", [(2, 3, 2, 4), (2, 4, 5)]),
    "scores": ("aecd,abcd->acbe", [(2, 5, 3, 4), (2, 4, 3, 4)]),
    "apart": ("abc,cd->adb", [(2, 3, 4), (4, 5)]),
    "swapped": ("abc,dc->dba", [(2, 3, 4), (5, 4)]),
    "two_inner": ("abcd,cbe->ade", [(2, 3, 4, 2), (4, 3, 5)]),
    "product": ("ab,ab->ab", [(3, 4), (3, 4)]),
    "outer": ("a,b->ba", [(3,), (4,)]),
    "dot": ("i,i", [(5,), (5,)]),
    "rows": ("bi,bi->b", [(3, 4), (3, 4)]),
    "only_one_has_it": ("abx,bcy->ac", [(2, 3, 4), (3, 5, 2)]),
    "ellipsis": ("...x,xy->...y", [(2, 3, 4), (4, 5)]),
    "ellipsis_right": ("abc...,bd->ad...", [(2, 3, 4, 2), (3, 5)]),
    "ellipsis_broadcast": ("...ij,...jk->...ik", [(2, 1, 3, 4), (1, 5, 4, 2)]),
    "ellipsis_implicit": ("...ij,...jk", [(2, 3, 4), (2, 4, 2)]),
    "implicit": ("ba,bc", [(2, 3), (2, 4)]),
    "transposed": ("abc->cab", [(2, 3, 4)]),
    "sum": ("abc->b", [(2, 3, 4)]),
    "all": ("ab->", [(2, 3)]),
    "scalar": ("->", [()]),
    "diagonal": ("...ii->...i", [(2, 3, 3)]),
    "trace": ("ii", [(4, 4)]),
    "diagonals": ("iij,jj->ij", [(3, 3, 2), (2, 2)]),
    "three": ("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 5)]),
    "three_shared": ("ab,ab,ac->c", [(2, 3), (2, 3), (2, 4)]),
    "four": ("a,ab,bc,c->", [(2,), (2, 3), (3, 4), (4,)]),
}


def arrays(shapes: list[tuple[int, ...]], seed: int = 0) -> list[Array]:
    random = np.random.default_rng(seed)
    return [random.standard_normal(s).astype(np.float32) for s in shapes]


@pytest.mark.parametrize("name", EQUATIONS)
def test_equations(name: str) -> None:
    equation, shapes = EQUATIONS[name]
    inputs = arrays(shapes)
    (Y,) = run("Einsum", [*inputs], equation=equation)
    np.testing.assert_allclose(Y, np.einsum(equation, *inputs), 1e-5, 1e-5)
    if not any(len(set(term)) < len(term) for term in equation.replace("...", "").split("->")[0].split(",")):
        compare("Einsum", [*inputs], {"equation": equation})  # onnxruntime's diagonals are wrong in some versions


@pytest.mark.parametrize("name", EQUATIONS)
def test_gradients(name: str) -> None:
    equation, shapes = EQUATIONS[name]
    inputs: list[Array | None] = [*arrays(shapes)]
    check_gradients("Einsum", inputs, list(range(len(inputs))), equation=equation)
    for k in range(len(inputs)):
        check_gradients("Einsum", inputs, [k], equation=equation)


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[tuple[int, ...]]]:
    """Equations of up to three operands over six letters with random sizes; the output has some of the letters."""
    letters = string.ascii_letters[:4] + string.ascii_letters[-2:]
    sizes = {c: draw(st.integers(1, 4)) for c in letters}
    names = draw(st.lists(st.lists(st.sampled_from(letters), max_size=4, unique=True), min_size=1, max_size=3))
    used = sorted({c for name in names for c in name})
    out = draw(st.lists(st.sampled_from(used), unique=True)) if used else []
    left = ",".join("".join(name) for name in names)
    equation = left if draw(st.integers(0, 4)) == 0 else f"{left}->{''.join(out)}"
    return equation, [tuple(sizes[c] for c in name) for name in names]


@pytest.mark.slow
@settings(max_examples=200)
@given(cases())
def test_random_equations(case: tuple[str, list[tuple[int, ...]]]) -> None:
    equation, shapes = case
    inputs = arrays(shapes)
    (Y,) = run("Einsum", [*inputs], equation=equation)
    np.testing.assert_allclose(Y, np.einsum(equation, *inputs), 1e-4, 1e-5)
    if "->" in equation or equation.islower():  # onnxruntime refuses capital letters without an output
        compare("Einsum", [*inputs], {"equation": equation})
    check_gradients("Einsum", [*inputs], list(range(len(inputs))), equation=equation)


def values(*shapes: tuple[int | str, ...]) -> tuple[Builder, list[Value]]:
    return Builder(Graph("test"), "node"), [Value(f"x{k}", Type("float32", s), "input") for k, s in enumerate(shapes)]


def test_symbolic_sizes() -> None:
    g, (X, W, Z) = values(("N", "time", 4), (4, 3), ("N", "other", 4))
    assert g.Einsum(X, W, equation="abc,cd->abd").shape == ("N", "time", 3)
    assert g.Einsum(X, Z, equation="abc,adc->abd").shape == ("N", "time", "other")
    assert g.Einsum(X, W, equation="...c,cd->...d").shape == ("N", "time", 3)
    with pytest.raises(ShapeError, match="'b' has sizes time and other"):
        g.Einsum(X, Z, equation="abc,abc->ab")


@pytest.mark.parametrize(
    ("equation", "code", "text"),
    [
        ("ab,bc->a c1", "GS105", "term 'ac1'"),
        ("ab,b..c->ac", "GS105", "at most one"),
        ("ab->a", "GS105", "1 terms for 2 operands"),
        ("abc,bc->a", "GS301", "term 'abc' does not fit"),
        ("a,bc->a", "GS301", "term 'a' does not fit"),
        ("ab,bc->aa", "GS105", "twice"),
        ("ab,bc->ad", "GS105", "'d', which no operand has"),
        ("a...,bc->ab", "GS105", "no '...'"),
        ("a...,bc...->a...", "GS301", "different numbers of axes"),
        ("ab,ac->bc", "GS304", "'a' has sizes 2 and 3"),
    ],
)
def test_refused(equation: str, code: str, text: str) -> None:
    g, (X, Y) = values((2, 3), (3, 4))
    with pytest.raises(ShapeError, match=text) as caught:
        g.Einsum(X, Y, equation=equation)
    assert (caught.value.code, caught.value.problem.key) == (code, "equation")
