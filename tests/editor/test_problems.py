"""Diagnostics with their places, and the other places that they are about."""

from __future__ import annotations

from editor.documents import BRANCHES

from graphspec.editor.analysis import Analysis, shown


def test_places_and_related_places() -> None:
    first, second = shown(Analysis(BRANCHES, "spec.yaml"))
    assert BRANCHES[slice(*first.span)] == "name: mix"
    assert first.message.splitlines() == [
        "Concatenate 'mix' joins shapes that differ outside axis -1",
        "b1 (N, 28, 28, 64) from Conv2D at line 6, padding: same",
        "b2 (N, 26, 26, 64) from Conv2D at line 7, padding: valid",
        "help: set `padding: same` on 'b2' (line 7)",
    ]
    assert [(BRANCHES[slice(*one.span)][:12], one.text) for one in first.related] == [
        ("- {name: b1,", "b1 (N, 28, 28, 64)"),
        ("- {name: b2,", "b2 (N, 26, 26, 64)"),
    ]
    assert BRANCHES[slice(*second.span)] == "Flaten"
    assert second.related == []


def test_lines_in_a_message_are_related() -> None:
    text = BRANCHES.replace("name: branches", "name: branches\nname: again")
    found = next(one for one in shown(Analysis(text, "spec.yaml")) if one.diagnostic.code == "GS106")
    assert [text[slice(*one.span)] for one in found.related] == ["name: branches"]


def test_a_place_after_an_emoji() -> None:
    text = BRANCHES.replace("name: flat, type: Flaten", 'name: "😀", type: Flaten')
    assert "Flaten" in [text[slice(*one.span)] for one in shown(Analysis(text, "spec.yaml"))]
