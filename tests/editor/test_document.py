"""The tree of any text: for whole texts that of the reader, for half-written ones what can be understood."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from counting import assert_linear
from paths import ROOT, TESTS
from trust.test_scan import mutated, sources

from graphspec.base.errors import GivenText, Problems, SpecError
from graphspec.editor.document import Node, Text, parse, plain
from graphspec.language.read import read
from graphspec.language.tree import Tree

TEXTS = sorted([*(ROOT / "specs").rglob("*.yaml"), *(TESTS / "diagnostics").glob("*.*")])
CASES = [path for path in TEXTS if path.suffix in (".yaml", ".json")]


def tree_of(text: str) -> Node:
    return parse(Text(text))


def value_of(text: str) -> Any:
    return plain(tree_of(text))


def differences(tree: Tree, node: Node, text: Text) -> list[str]:
    """Where two trees of a text differ in keys, kinds or places."""
    if node.kind == "scalar" and node.text.startswith("*"):
        return []  # an alias: the reader has its value
    where = (text.line_of(node.start) + 1, text.column_of(node.start) + 1)
    if isinstance(tree.value, dict):
        if [*tree.value] != [*dict.fromkeys(entry.key for entry in node.entries)]:
            return [f"{tree.path}: {[*tree.value]}"]
        found = []
        for key, child in tree.value.items():
            entry, mark = node.find(key), tree.key_marks[key]
            assert entry is not None
            place = (text.line_of(entry.start) + 1, text.column_of(entry.start) + 1, entry.key_end - entry.start)
            found += [] if place == (mark.line, mark.column, mark.length) else [f"{child.path}: {place}"]
            found += differences(child, entry.node, text)
        return found
    if isinstance(tree.value, list):
        if node.kind != "list" or len(node.entries) != len(tree.value):
            return [f"{tree.path}: {node.kind}"]
        return [d for k, child in enumerate(tree.value) for d in differences(child, node.entries[k].node, text)]
    if node.kind == "empty":
        return [] if tree.value is None else [tree.path]
    tagged = "!" in text.line_text(where[0] - 1)  # the reader marks a value at its tag
    return [] if where == (tree.mark.line, tree.mark.column) or tagged else [f"{tree.path}: {where}"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_whole_texts_have_the_values_of_the_reader_at_their_places(path: Path) -> None:
    try:
        text = Text(path.read_bytes().decode())
        tree = read(str(path), problems=Problems())
    except (UnicodeDecodeError, SpecError):
        return
    assert differences(tree, parse(text), text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: {b: 1, c: [2, 3\nd: 4", {"a": {"b": 1, "c": [2, 3]}, "d": 4}),
        ("layers:\n  - {name: a, type: De\n  - {name: b}\n", {"layers": [{"name": "a", "type": "De"}, {"name": "b"}]}),
        ("layers:\n  - name: a\n    ty\n    units: 3", {"layers": [{"name": "a", "units": 3}]}),
        ('a: "x\nb: 2', {"a": "x", "b": 2}),
        ("a: {b: 1 c: 2}", {"a": {"b": "1 c"}}),
        ("a: [1, }\nb: 2", {"a": [1], "b": 2}),
        ("a: ${x}\nb: {c: ${y}}", {"a": "${x}", "b": {"c": "${y}"}}),
        ('{"a": 1, "b": {"c": [true, null, "d"', {"a": 1, "b": {"c": [True, None, "d"]}}),
        ("a:\n- 1\n- x: 2\nb: >\n  long\n  text\nc: 3 # no", {"a": [1, {"x": 2}], "b": "long text\n", "c": 3}),
        ("a: &one [1]\nb: *one", {"a": [1], "b": [1]}),
        ("&k a: !!float 3\nb: !!str 4\n!!str 5: 6", {"a": 3.0, "b": "4", "5": 6}),
        ("]\na: 1\n]\nb: 2", {"a": 1, "b": 2}),
        ("{a: 1}\n---\nb: 2", {"a": 1, "b": 2}),
        ("? [1, 2]\n: 3\nb: 1", {"b": 1}),
        (f"a: {'9' * 5000}", {"a": "9" * 5000}),
        ("", None),
    ],
)
def test_broken_texts(text: str, value: Any) -> None:
    assert value_of(text) == value


def test_an_alias_of_itself_ends() -> None:
    value_of("a: &a [*a, *a, *a, *b]\nb: &b [*a, *b, *b, *c]\nc: &c [*a, *b, *c, *c]")


@pytest.mark.slow
def test_deep_nesting_ends() -> None:
    for text in ("[" * 5000, "- " * 5000, "{a: " * 5000, "a:\n" + "".join(f"{' ' * k}a:\n" for k in range(1, 2000))):
        value_of(text)


def complete(value: Any) -> Any:
    """A value without what an editor takes for half-written: items and values that are missing."""
    if isinstance(value, dict):
        return {key: complete(child) for key, child in value.items() if child is not None and key[-1:] != ":"}
    return [complete(child) for child in value if child is not None] if isinstance(value, list) else value


@pytest.mark.slow
def test_mutated_texts_have_the_values_of_the_reader() -> None:
    """No text raises an exception or takes long, and what is valid is read alike."""
    draw, texts, valid = random.Random(1), sources(), 0
    for _ in range(200):
        text = mutated(draw, draw.choice(texts))
        value, problems = value_of(text), Problems()
        try:
            tree = read(GivenText("x.yaml", text), problems=problems)
        except SpecError:
            continue
        if not problems.found:
            assert repr(complete(value)) == repr(complete(tree.plain())), text
            valid += 1
    assert valid > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit", ["word ", "\n", "a\n", "'x' ", "'", "- x\n", "{", "}", "[", "a: ", "${x}", ",", "a: {\n", ":"]
)
@pytest.mark.parametrize("head", ["", "a: ", 'a: "', "a: |\n ", "[", "- {"])
def test_parsing_is_linear(head: str, unit: str) -> None:
    assert_linear(lambda n: lambda: parse(Text(head + unit * n)), 300, 3000)
