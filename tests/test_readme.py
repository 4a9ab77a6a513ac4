"""The README is true: its commands are those that CI runs, its specs are valid, its answers are the program's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from commands import graphspec
from paths import ROOT

import graphspec as gs
from graphspec.base.errors import render
from graphspec.cli.schema import stored_schema

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
    for path in re.findall(r"\]\(((?:docs|specs)/[^)]+)\)", README):
        assert (ROOT / path).exists(), path


def test_the_python_of_the_page_on_sharing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S):
        exec(code, names)  # noqa: S102 (a page of this repository)
    assert [g.shape for g in names["garments"]] == [(k + 1, 10) for k in range(8)]
