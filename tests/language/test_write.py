"""The text of a spec: reading it gives the same data, and it looks like the specs that people have written."""

from __future__ import annotations

import random
from typing import Any

import pytest
from paths import ROOT

from graphspec.base.errors import GivenText
from graphspec.language.read import read
from graphspec.language.tree import Tree
from graphspec.language.write import WIDTH, number, write_yaml

SECTIONS = ("graphspec", "name", "description", "vars", "inputs", "blocks", "layers", "outputs", "training", "data")
WORDS = (
    *("null", "True", "~", "1e5", "0x10", ".inf", "-", "?", ":", "#", "&", "*", "!", "|", ">", "%", "@", "<<", "1_0"),
    *("2024-01-01", "12:30", "yes", "no", "--", "---", "...", "1.0", "${x}", "plain"),
)
LETTERS = ("abc_-./", "a b: c#,", "${}'\"\\", "äé\u200b\u0085\n\t\r 🎉", "0123456789.e+-", "-?:!&*|>%@`")


def drawn_text(draw: random.Random) -> str:
    if draw.random() < 0.3:
        return draw.choice(WORDS)
    if draw.random() < 0.3:
        return " ".join("".join(draw.choices("abc:#,.'-", k=draw.randint(1, 8))) for _ in range(draw.randint(1, 40)))
    return "".join(draw.choices(draw.choice(LETTERS), k=draw.choice((0, 1, 5, 20, 150))))


def drawn(draw: random.Random, depth: int = 0) -> Any:
    chance = draw.random()
    if depth < 4 and chance < 0.3:
        return {drawn_text(draw)[:50]: drawn(draw, depth + 1) for _ in range(draw.randint(0, 5))}
    if depth < 4 and chance < 0.5:
        return [drawn(draw, depth + 1) for _ in range(30 if depth == 3 else draw.randint(0, 4))]
    small = draw.uniform(-1, 1) * 10.0 ** draw.randint(-20, 20)
    numbers = (draw.random(), draw.randint(-(10**9), 10**18), -0.0, 1e-5, 1e22, 5e-324, small)
    return draw.choice((*numbers, True, False, None, *(drawn_text(draw) for _ in range(6))))


def plain(tree: Tree) -> Any:
    """The values of a tree."""
    value = tree.value
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    return [plain(child) for child in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(20))
def test_reading_the_text_gives_the_data(seed: int) -> None:
    draw = random.Random(seed)
    data = {name: drawn(draw) for name in draw.sample(SECTIONS, draw.randint(1, len(SECTIONS)))}
    data["blocks"] = {drawn_text(draw): {key: drawn(draw) for key in ("params", "layers")} for _ in range(2)}
    text = write_yaml(data, schema="./graphspec.schema.json", notes=[drawn_text(draw)])
    assert repr(plain(read(GivenText("net.yaml", text)))) == repr(data)


@pytest.mark.parametrize("name", ["resnet50", "vgg16", "unet", "densenet121"])
def test_specs_of_people_are_written_as_they_are(name: str) -> None:
    """But for comments, and for blank lines."""
    path = ROOT / "specs" / "architectures" / f"{name}.yaml"
    written = [line.partition("  #")[0].rstrip() for line in path.read_text(encoding="utf-8").splitlines()]
    text = write_yaml(plain(read(path)), schema="../../schemas/graphspec.schema.json")
    assert text.splitlines() == written


def test_long_values_take_several_lines() -> None:
    node = {"name": "ids", "type": "StringLookup", "vocabulary": [f"word_{k}" for k in range(20)]}
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
