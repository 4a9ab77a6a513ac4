"""Diagnostics as text and as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

from graphspec.errors import Diagnostic, NodeRef
from graphspec.language.parse import parse
from graphspec.rendering import render, render_json

MIX = Diagnostic(
    "GS302",
    "Concatenate 'mix' joins shapes that differ outside axis -1",
    "specs/branches.yaml",
    14,
    6,
    path="layers.mix",
    hint="set `padding: same` on 'b2' (line 11)",
    nodes=(
        NodeRef("b1", "Conv2D", ("N", 28, 28, 64), 9, "padding: same"),
        NodeRef("b2", "Conv2D", ("N", 26, 26, 64), 11, "padding: valid"),
    ),
    length=9,
)
SOURCE = {"specs/branches.yaml": "\n" * 13 + "  - {name: mix, type: Concatenate, inputs: [b1, b2]}\n"}


def test_the_example_of_the_language() -> None:
    assert render([MIX], sources=SOURCE) == (
        "specs/branches.yaml:14:6: error[GS302]: Concatenate 'mix' joins shapes that differ outside axis -1\n"
        "   │\n"
        "14 │   - {name: mix, type: Concatenate, inputs: [b1, b2]}\n"
        "   │      ^^^^^^^^^\n"
        "   = b1  (N, 28, 28, 64)   from Conv2D at line 9, padding: same\n"
        "   = b2  (N, 26, 26, 64)   from Conv2D at line 11, padding: valid\n"
        "   = help: set `padding: same` on 'b2' (line 11)"
    )


def test_colour_changes_nothing_but_colour() -> None:
    coloured = render([MIX, MIX.as_warning()], colour=True, sources=SOURCE)
    assert "\x1b[1;31m" in coloured
    assert "\x1b[1;33m" in coloured
    plain = render([MIX, MIX.as_warning()], sources=SOURCE)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_columns_of_nodes_are_aligned() -> None:
    nodes = (NodeRef("a", "Dense", ("N", 1), 3), NodeRef("longer", None, ("N", "T", 100), 2), NodeRef("u", "LSTM"))
    lines = render([Diagnostic("GS302", "m", nodes=nodes)]).splitlines()
    assert lines[1:] == [
        "  = a       (N, 1)        from Dense at line 3",
        "  = longer  (N, T, 100)   input at line 2",
        "  = u                     from LSTM",
    ]


def test_a_dict_has_a_path_and_no_excerpt() -> None:
    text = render([Diagnostic("GS105", "m", path="layers.a.units", hint="h")])
    assert text == "<dict>: error[GS105]: m\n  = at layers.a.units\n  = help: h"


def test_a_file_that_is_gone_has_no_excerpt(tmp_path: Path) -> None:
    file = str(tmp_path / "gone.yaml")
    assert render([Diagnostic("GS101", "m", file, 3, 1)]) == f"{file}:3:1: error[GS101]: m"
    (tmp_path / "gone.yaml").write_text("one line")
    assert "│" not in render([Diagnostic("GS101", "m", file, 3, 1)])


def test_a_long_line_is_cut_around_the_place() -> None:
    text = "a" * 5000 + "BAD" + "b" * 5000
    lines = render([Diagnostic("GS105", "m", "f", 1, 5001, length=3)], sources={"f": text}).splitlines()
    assert all(len(line) < 120 for line in lines)
    place = lines[3].index("^")
    assert lines[2][place : place + 3] == "BAD"
    assert lines[3].count("^") == 3


def test_wide_characters_and_tabs_keep_the_carets_in_place() -> None:
    lines = render([Diagnostic("GS105", "m", "f", 1, 6, length=2)], sources={"f": "日本:\t{xy"}).splitlines()
    assert lines[2] == "1 │ 日本: {xy"
    assert lines[3] == "  │ " + " " * 7 + "^^"


def test_no_character_steers_the_terminal() -> None:
    bad = Diagnostic("GS105", "a\x1b[2Jb", "f", 1, 1, hint="\x07", nodes=(NodeRef("n\x1b", "D"),))
    assert "\x1b" not in render([bad], sources={"f": "x\x1b[31m"})
    assert "\x07" not in render([bad], sources={"f": "x"})


def test_several_are_separated_by_a_blank_line() -> None:
    assert render([MIX, MIX], sources=SOURCE).count("\n\n") == 1
    assert render([]) == ""


def test_json() -> None:
    (record,) = json.loads(render_json([MIX]))
    assert record == {
        "code": "GS302",
        "severity": "error",
        "message": "Concatenate 'mix' joins shapes that differ outside axis -1",
        "file": "specs/branches.yaml",
        "line": 14,
        "column": 6,
        "end_line": 14,
        "end_column": 6 + MIX.length,
        "path": "layers.mix",
        "hint": "set `padding: same` on 'b2' (line 11)",
        "nodes": [
            {"name": "b1", "type": "Conv2D", "shape": ["N", 28, 28, 64], "line": 9},
            {"name": "b2", "type": "Conv2D", "shape": ["N", 26, 26, 64], "line": 11},
        ],
    }
    assert json.loads(render_json([])) == []


def test_excerpts_come_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes("graphspec: 1\r\nname: ü\r\nlayer: []\r\n".encode("utf-16"))
    _, found = parse(path)
    text = render(found)
    assert "3 │ layer: []\n  │ ^^^^^" in text
    assert "help: did you mean 'layers'?" in text
