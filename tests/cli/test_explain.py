"""``graphspec explain``, and the line that points to it."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from commands import graphspec

from graphspec.base.codes import Code
from graphspec.base.text import display_width
from graphspec.cli.app import app


def test_a_code() -> None:
    result = graphspec("explain", "GS302")
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == "GS302: Shapes differ"
    assert [line for line in lines if line in ("Wrong:", "Right:")] == ["Wrong:", "Right:"]
    assert "      - {name: b2, type: Conv2D, filters: 64, kernel_size: 3, inputs: image}" in lines
    assert "$ graphspec validate net.yaml" in lines
    assert "net.yaml:8:6: error[GS302]: Concatenate 'mix' joins shapes that differ outside axis -1" in lines
    assert "\x1b" not in result.stdout


def test_several_codes_in_any_case_are_explained_once() -> None:
    result = graphspec("explain", "gs505", "302", "GS505")
    assert re.findall(r"^(GS\d{3}): ", result.stdout, re.M) == ["GS505", "GS302"]


def test_without_a_code_all_are_listed() -> None:
    text = graphspec("explain").stdout
    assert re.findall(r"^  (GS\d{3})  \S", text, re.M) == list(Code)
    assert "GS3: shapes" in text


def test_an_unknown_code_is_wrong_usage_and_names_near_ones() -> None:
    result = graphspec("explain", "GS302", "GS312")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert (
        "there is no code 'GS312'; `graphspec explain` lists all codes; did you mean GS302 (Shapes differ)"
        in result.stderr
    )
    assert "did you mean GS106 (Duplicate key)" in graphspec("explain", "duplicate").stderr


def test_every_explanation_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    result = graphspec("explain", *Code)
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if display_width(line) > 60] == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    screen = Terminal()
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    with pytest.raises(SystemExit):
        app([str(a) for a in arguments], prog_name="graphspec")
    monkeypatch.undo()
    return screen.getvalue()


WRONG = """\
graphspec: 1
name: x
inputs: {x: {shape: [3]}}
layers: [{name: y, type: Dens, unit: 1}]
outputs: {y: {loss: mse}}
"""


def test_diagnostics_on_a_terminal_end_with_the_command_that_explains_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    spec.write_text(WRONG, encoding="utf-8")
    other.write_text(WRONG.replace("Dens,", "Dense,"), encoding="utf-8")
    for command in ("validate", "train"):
        lines = on_terminal(monkeypatch, command, spec).splitlines()
        assert lines[-1] == "`graphspec explain GS111` explains it, with examples"
    text = on_terminal(monkeypatch, "validate", spec, other)
    assert text.count("graphspec explain") == 1
    assert "`graphspec explain GS102 GS111` explains them, with examples" in text
    assert "graphspec explain" not in on_terminal(monkeypatch, "explain", "GS302").replace("graphspec explain GS", "")


def test_programs_are_not_told_of_it(tmp_path: Path) -> None:
    spec = tmp_path / "a.yaml"
    spec.write_text(WRONG, encoding="utf-8")
    for words in (("validate", spec), ("validate", spec, "--format", "json"), ("train", spec)):
        assert "graphspec explain" not in graphspec(*words).output
