"""The README is true: its commands are those that CI runs, its specs are valid, its answers are the program's."""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from commands import graphspec
from paths import ROOT

import graphspec as gs
from graphspec.base.errors import render
from graphspec.cli.schema import stored_schema
from tools.recording import PICTURE, SESSION, drawn, record

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language; "" for those with none."""
    fenced = re.findall(r"^```([a-z]*)\n(.*?)^```$", README, re.M | re.S)
    return [text for name, text in fenced if name == language]


def test_ci_runs_the_readmes_test_command() -> None:
    commands = [line for block in blocks("bash") for line in block.splitlines() if ".venv-test" in line]
    assert len(commands) == 1
    assert commands[0] in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_first_spec_is_valid(tmp_path: Path) -> None:
    (tmp_path / "penguins.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    assert gs.validate(tmp_path / "penguins.yaml") == []


def test_the_schema_line_of_the_first_spec_names_the_file_that_the_command_writes(tmp_path: Path) -> None:
    spec = tmp_path / "penguins.yaml"
    spec.write_text(blocks("yaml")[0], encoding="utf-8")
    assert "`graphspec schema --for penguins.yaml`" in README
    assert graphspec("schema", "--for", spec).exit_code == 0
    assert spec.read_text(encoding="utf-8") == blocks("yaml")[0]
    named = spec.read_text(encoding="utf-8").partition("$schema=")[2].split()[0]
    assert (tmp_path / named).read_text(encoding="utf-8") == stored_schema()


def test_the_broken_spec_gets_the_answer_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("branches.yaml").write_text(blocks("yaml")[1], encoding="utf-8")
    answer = render(gs.validate("branches.yaml"))
    shown = next(b for b in blocks("") if "branches.yaml" in b)
    assert shown.strip() == answer.strip()


def test_paths_of_the_architecture_table_exist() -> None:
    for path in re.findall(r"`((?:graphspec|tests)/[a-z_/]+(?:\.py)?)`", README):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"\]\(((?:docs|specs)/[^)#]+)[^)]*\)", README):
        assert (ROOT / path).exists(), path


def test_the_python_of_the_page_on_sharing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S):
        exec(code, names)  # noqa: S102 (a page of this repository)
    assert [g.shape for g in names["garments"]] == [(k + 1, 10) for k in range(8)]


def test_it_is_short_and_shows_pictures_that_are_there() -> None:
    assert README.count("\n") <= 170
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert len(pictures) == 2
    assert all((ROOT / path).is_file() for path in pictures)


def test_the_recording_is_of_commands_that_are_shown_and_plays_without_scripts() -> None:
    text = PICTURE.read_text(encoding="utf-8")
    typed = [unescape(line) for line in re.findall(r'class="l t"[^>]*>([^<]+)<', text)]
    assert typed == [("  " if before.endswith("\\") else "$ ") + c.strip() for before, c in pairwise(["", *SESSION])]
    names = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(text).iter()}
    assert names == {"svg", "title", "style", "rect", "circle", "g", "text"}
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert len(text) < 40_000


def test_a_session_is_recorded_and_a_full_terminal_scrolls(tmp_path: Path) -> None:
    lines = record(("echo one && echo '<two>'", "echo a \\", "  | cat"), tmp_path)
    assert [line.text for line in lines] == [
        "$ echo one && echo '<two>'",
        "one",
        "<two>",
        "$ echo a \\",
        "  | cat",
        "a",
    ]
    assert [line.typed for line in lines] == [True, False, False, True, True, False]
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    few, many = drawn(lines, "a & b"), drawn([*lines, *(lines[-1] for _ in range(40))], "many")
    assert "&lt;two&gt;" in few
    assert "a &amp; b" in few
    assert few.count("translateY(0px)") == 1
    assert f"translateY(-{19 * (46 - 24)}px)" in many
    with pytest.raises(SystemExit, match="`false` ends with status 1"):
        record(("false",), tmp_path)


def test_the_range_of_speeds_is_that_of_the_tables() -> None:
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    tables = page.partition("### Today's targets")[2].partition("\n## ")[0]
    rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in tables.splitlines() if line[:2] == "| "]
    header = next(row for row in rows if row[0] == "ms a step")
    kernels = header.index("kernels", header.index("ratio"))  # beside the best as installed
    ratios = [float(row[kernels]) for row in rows if row[0] not in ("ms a step", "---")]
    said = re.search(r"kernels takes ([\d.]+) to ([\d.]+) of the time .* as installed, on (\d+) networks", README)
    assert said is not None
    assert (float(said[1]), float(said[2]), int(said[3])) == (min(ratios), max(ratios), len(ratios))
