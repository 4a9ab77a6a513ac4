"""Diagnostics as text and as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from graphspec.base.errors import Diagnostic, NodeRef, render, render_json
from graphspec.base.text import display_width
from graphspec.language.parse import parse

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
    assert render([Diagnostic("GS302", "m", nodes=nodes)], width=30).splitlines()[1:] == [
        "  = a  (N, 1)   from Dense at",
        "      line 3",
        "  = longer  (N, T, 100)",
        "      input at line 2",
        "  = u     from LSTM",
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


# On a terminal


def test_messages_wrap_with_an_indent() -> None:
    assert render([MIX], sources=SOURCE, width=60) == (
        "specs/branches.yaml:14:6: error[GS302]: Concatenate 'mix'\n"
        "    joins shapes that differ outside axis -1\n"
        "   │\n"
        "14 │   - {name: mix, type: Concatenate, inputs: [b1, b2]}\n"
        "   │      ^^^^^^^^^\n"
        "   = b1  (N, 28, 28, 64)   from Conv2D at line 9, padding:\n"
        "       same\n"
        "   = b2  (N, 26, 26, 64)   from Conv2D at line 11, padding:\n"
        "       valid\n"
        "   = help: set `padding: same` on 'b2' (line 11)"
    )


def test_colours_do_not_change_where_lines_break() -> None:
    coloured = render([MIX], colour=True, sources=SOURCE, width=60)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render([MIX], sources=SOURCE, width=60)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("fill", ["ab, ", "日本 ", "é\t"], ids=["latin", "wide", "tabs"])
@pytest.mark.parametrize("before", [0, 5, 30, 100, 1000])
@pytest.mark.parametrize("after", [0, 10, 500])
def test_carets_stand_under_what_they_mean(width: int, fill: str, before: int, after: int) -> None:
    text = fill * before + "WRONG" + " " + fill * after
    column = len(fill) * before + 1
    lines = render([Diagnostic("GS105", "m", "f", 1, column, length=5)], sources={"f": text}, width=width).splitlines()
    assert all(display_width(line) <= width for line in lines)
    start = lines[3].index("^")
    shown = lines[2].index("WRONG")
    assert display_width(lines[2][:shown]) == start
    assert lines[3].count("^") == 5


def test_a_position_longer_than_the_line_is_cut() -> None:
    lines = render([Diagnostic("GS105", "m", "f", 1, 11, length=300)], sources={"f": "a" * 500}, width=60).splitlines()
    assert all(display_width(line) <= 60 for line in lines)
    assert lines[3].count("^") > 20


def test_a_position_behind_the_end_of_a_line() -> None:
    lines = render([Diagnostic("GS101", "m", "f", 1, 101)], sources={"f": "a" * 100}, width=60).splitlines()
    assert lines[3].index("^") == display_width(lines[2])


@pytest.mark.parametrize(("column", "width"), [(346, 80), (351, 80), (900, 80), (340, None), (346, 300)])
def test_a_position_in_the_blanks_at_the_end_of_a_long_line(column: int, width: int | None) -> None:
    lines = render([Diagnostic("GS101", "m", "f", 1, column)], sources={"f": "a" * 300 + " " * 50}, width=width)
    assert lines.splitlines()[3].strip(" │") == "^"
    assert all(display_width(line) <= (width or 1000) for line in lines.splitlines())


def test_without_a_terminal_every_text_is_one_line() -> None:
    long = Diagnostic("GS105", "word " * 100 + "end", "f", 1, 1, hint="hint " * 100 + "end")
    lines = render([long], sources={"f": "x"}).splitlines()
    assert lines[0].startswith("f:1:1: error[GS105]: word ")
    assert lines[0].endswith("end")
    assert lines[-1].endswith("end")
    assert len(lines) == 5


def test_carets_count_what_the_console_writes() -> None:
    spelled = render(
        [Diagnostic("GS105", "m", "f", 1, 3, length=2)],
        sources={"f": "é xy"},
        spell=lambda text: text.replace("é", "\\xe9"),
    )
    assert spelled.splitlines()[2:] == ["1 │ \\xe9 xy", "  │      ^^"]
