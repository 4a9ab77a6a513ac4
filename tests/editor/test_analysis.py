"""What is known of a document, however little of it is written."""

from __future__ import annotations

import random

import pytest
from editor.documents import BRANCHES
from paths import ROOT

from graphspec.editor import names
from graphspec.editor.analysis import Analysis, shown
from graphspec.editor.completion import complete
from graphspec.editor.hover import hover, outline, shape_hints
from graphspec.language.read import MAX_BYTES

PIECES = ("", "{", "}", "[", "]", ":", "- ", ",", "\n", "'", '"', "&a ", "*a", "\t", "😀", "|", "#", "!x ", "${", "\r")


def ask_everything(text: str, name: str, offsets: list[int]) -> None:
    analysis = Analysis(text, name)
    shown(analysis)
    outline(analysis)
    shape_hints(analysis, 0, len(text))
    for offset in offsets:
        complete(analysis, offset)
        hover(analysis, offset)
        names.definition(analysis, offset)
        names.references(analysis, offset)


@pytest.mark.slow
def test_every_beginning_of_a_spec_gets_answers() -> None:
    for end in range(0, len(BRANCHES), 7):
        ask_everything(BRANCHES[:end], "spec.yaml", [end])


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(k, marks=pytest.mark.slow) for k in range(12, 40))])
def test_damaged_specs_get_answers(seed: int) -> None:
    draw = random.Random(seed)
    path = draw.choice(sorted((ROOT / "specs").rglob("*.yaml")))
    text = path.read_text(encoding="utf-8")
    for _ in range(3):
        at = draw.randrange(len(text))
        text = text[:at] + draw.choice(PIECES) + text[at + draw.choice((0, 0, 1, 5, 30)) :]
    ask_everything(text, str(path), [draw.randrange(len(text) + 1) for _ in range(10)])


def test_a_text_that_is_too_large_is_one_problem() -> None:
    analysis = Analysis("# " + "x" * MAX_BYTES, "spec.yaml")
    assert [d.code for d in analysis.diagnostics] == ["GS110"]
    assert outline(analysis) == []


@pytest.mark.parametrize(
    ("text", "name", "is_spec"),
    [
        ("graphspec: 1\n", "a.yaml", True),
        ('{"name": "n", "graphspec": 1}', "a.json", True),
        ('{"graphspec": 1}', "a.json", True),
        ("layers: []\noutputs: {}\n", "a.yaml", True),
        ("# yaml-language-server: $schema=./graphspec.schema.json\n", "a.yaml", True),
        ("", "net.graphspec.yaml", True),
        ("", "a.yaml", False),
        ("inputs: {}\njobs: {}\n", "action.yml", False),
        ("jobs:\n  graphspec:\n    x: 1\n", "ci.yml", False),
    ],
)
def test_which_documents_are_specs(text: str, name: str, is_spec: bool) -> None:
    assert Analysis(text, name).is_spec is is_spec
