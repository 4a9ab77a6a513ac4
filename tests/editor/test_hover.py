"""What is known about the word under the mouse."""

from __future__ import annotations

import pytest
from editor.documents import BRANCHES, at_cursor
from editor.positions import HOVERS, Hover

from graphspec.editor.analysis import Analysis
from graphspec.editor.document import Span
from graphspec.editor.hover import hover


def text_at(text: str, word: str, offset: int = 0) -> str:
    found = hover(Analysis(text, "spec.yaml"), text.index(word) + offset)
    return "" if found is None else found.text


@pytest.mark.parametrize("wanted", HOVERS, ids=lambda wanted: wanted.text)
def test_words(wanted: Hover) -> None:
    found = hover(*at_cursor(wanted.text))
    assert found is not None
    assert [part for part in wanted.parts if part not in found.text] == [], found.text
    assert [part for part in wanted.absent if part in found.text] == [], found.text


def test_a_node_has_its_shape_its_costs_and_its_inputs() -> None:
    assert text_at(BRANCHES, "b1, type") == (
        "**Conv2D** `b1`\n\noutput `(N, 28, 28, 64)` float32  \n640 parameters, 451,584 multiply-adds per row  \n"
        "reads `image` `(N, 28, 28, 1)`"
    )


def test_a_formula_shows_its_operations() -> None:
    text = """\
graphspec: 1
name: n
inputs: {x: {shape: [8]}}
layers: [{name: y, type: Formula, value: "sum(x**2, axis=-1, keepdims=true)"}]
outputs: {y: {}}
"""
    assert text_at(text, "y, type").endswith("reads `x` `(N, 8)`  \n`power/Pow` `(N, 8)`  \n`sum/ReduceSum` `(N, 1)`")


def test_a_reference_shows_its_node_and_an_input_its_shape() -> None:
    assert "**Conv2D** `b2`\n\noutput `(N, 26, 26, 64)`" in text_at(BRANCHES, "b2]}")
    assert text_at(BRANCHES, "image}\n") == "**input** `image`\n\noutput `(N, 28, 28, 1)` float32"


def test_the_rest_is_known_when_a_part_is_broken() -> None:
    """The shapes do not hang on the errors below, nor on a line that is half written."""
    assert "unknown because of an error" in text_at(BRANCHES, "mix, type")
    half = BRANCHES.replace("  - {name: flat, type: Flaten}\n", "  - {name: flat, type: \n")
    assert "`(N, 28, 28, 64)`" in text_at(half, "b1, type")
    assert Analysis(half, "spec.yaml").checked.spec is None


def test_copies_and_instances_are_listed() -> None:
    text = """\
graphspec: 1
name: n
inputs: {x: {shape: [8]}}
blocks:
  two:
    params: {n: 3}
    inputs: i
    layers: [{name: wide, type: Dense, units: "${n}"}]
    outputs: wide
layers:
  - {name: one, block: two}
  - {name: more, type: Dense, units: 5, repeat: 2}
  - {name: y, block: two, params: {n: 7}}
outputs: {y: {loss: mse}}
"""
    wide = text_at(text, "wide, type")
    assert "* `one/wide`: output `(N, 3)` float32\n* `y/wide`: output `(N, 7)` float32" in wide
    assert "* `more_1`: output `(N, 5)` float32\n* `more_2`" in text_at(text, "more, type")
    assert text_at(text, "y, block") == "**block two** `y`\n\noutput `(N, 7)` float32"
    assert text_at(text, "${n}", 2).startswith("**variable** `n`: `3`")


RECORD = """\
graphspec: 1
name: n
inputs: {p: {columns: {job: {type: category}, age: number}}}
layers:
  - {name: sum, type: Dense, units: 3, inputs: p}
  - {name: y, type: Add, inputs: [sum, 2.0]}
outputs: {y: {loss: mse}}
"""


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("sum, type", "output `(N, 3)` float32  \nparameters learnt from the training rows  \nreads `p` `(N, learnt)`"),
        ("y, type", "reads `sum` `(N, 3)`, `2.0`"),
    ],
)
def test_what_is_learnt_and_what_is_a_number(word: str, said: str) -> None:
    assert said in text_at(RECORD, word)


def test_the_code_of_a_problem_is_explained() -> None:
    assert "**GS111** " in text_at(BRANCHES, "Flaten")


def test_the_place_counts_characters_after_an_emoji() -> None:
    analysis, offset = at_cursor("layers: [{name: 😀, type: De▮nse, units: 1}]")
    found = hover(analysis, offset)
    assert found is not None
    assert found.span == Span(offset - 2, offset + 3)


@pytest.mark.parametrize("text", ["# a comm▮ent\n", "name: [▮]\n"])
def test_nothing_is_known(text: str) -> None:
    analysis, offset = at_cursor(text)
    found = hover(analysis, offset)
    assert found is None or "GS" in found.text
