"""The text of a spec: reading it gives the same data, and it looks like the specs that people have written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import ROOT

from graphspec.errors import GivenText
from graphspec.importing.yaml_text import WIDTH, number, write_yaml
from graphspec.language.read import read
from graphspec.language.tree import Tree

SECTIONS = ("graphspec", "name", "description", "vars", "inputs", "blocks", "layers", "outputs", "training", "data")
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
    st.sampled_from(["null", "True", "~", "1e5", "0x10", ".inf", "- a", "a: b", "a #b", "${x}", "", " ", "2024-01-01", "yes"]),
    st.lists(st.text("ab:#,-' ", min_size=1, max_size=12), max_size=30).map(" ".join),
)
SCALARS = st.one_of(TEXTS, st.integers(-(10**18), 10**18), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none())
KEYS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=20,
)


def plain(tree: Tree) -> Any:
    """The values of a tree."""
    value = tree.value
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    return [plain(child) for child in value] if isinstance(value, list) else value


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from(SECTIONS), VALUES, min_size=1), st.lists(TEXTS, max_size=2))
def test_reading_the_text_gives_the_data(data: dict[str, Any], notes: list[str]) -> None:
    text = write_yaml(data, schema="./graphspec.schema.json", notes=notes)
    assert repr(plain(read(GivenText("net.yaml", text)))) == repr(data)


@pytest.mark.parametrize("name", ["resnet50", "vgg16", "unet", "densenet121"])
def test_specs_of_people_are_written_as_they_are(name: str) -> None:
    """But for comments, and for blank lines."""
    path = ROOT / "specs" / "architectures" / f"{name}.yaml"
    written = [line.partition("  #")[0].rstrip() for line in path.read_text(encoding="utf-8").splitlines()]
    text = write_yaml(plain(read(path)), schema="../../schemas/graphspec.schema.json")
    assert text.splitlines() == written


def test_long_values_take_several_lines() -> None:
    node = {"name": "ids", "type": "StringLookup", "vocabulary": [f"word_{k}" for k in range(40)]}
    text = write_yaml({"graphspec": 1, "description": "A long one. " * 20 + "End.", "layers": [node]})
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "description: >-\n  A long one." in text
    assert "  - name: ids\n    type: StringLookup\n    vocabulary:\n      [word_0, word_1," in text


def test_every_yaml_reads_a_float_as_one() -> None:
    assert [number(x) for x in (1e-5, 1.001e-5, 1e22, 0.5, 2.0)] == ["1.0e-5", "1.001e-5", "1.0e+22", "0.5", "2.0"]


def test_notes_are_comments() -> None:
    text = write_yaml({"graphspec": 1}, notes=["one\nline", "word " * 40])
    assert text.splitlines()[0] == "# one line"
    assert text.splitlines()[2].startswith("#   word")
