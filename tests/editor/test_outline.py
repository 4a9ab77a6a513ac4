"""The outline of a document."""

from __future__ import annotations

from editor.documents import BRANCHES

from graphspec.editor.analysis import Analysis
from graphspec.editor.hover import Section, outline


def shown(symbol: Section) -> object:
    name = f"{symbol.name} {symbol.detail}".strip()
    return {name: [shown(child) for child in symbol.children]} if symbol.children else name


def test_sections_with_their_parts() -> None:
    symbols = outline(Analysis(BRANCHES, "spec.yaml"))
    assert [shown(symbol) for symbol in symbols] == [
        "graphspec 1",
        "name branches",
        {"inputs": ["image"]},
        {"layers": ["b1 Conv2D", "b2 Conv2D", "mix Concatenate", "flat Flaten", "digit Dense"]},
        {"outputs": ["digit sparse_categorical_crossentropy"]},
    ]
    for symbol in (*symbols, *symbols[3].children):
        assert symbol.whole.start <= symbol.name_span.start <= symbol.name_span.end <= symbol.whole.end


def test_a_broken_document_has_an_outline() -> None:
    (section,) = outline(Analysis("layers:\n  - {name: a, type: \n  - {type: Dense\n  - {", "spec.yaml"))
    assert shown(section) == {"layers": ["a layer 1", "Dense", "layer 3"]}
