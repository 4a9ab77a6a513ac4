"""`tools.coverage`: the table of the floors, and a floor with less than it must have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT

from tools import coverage
from tools.coverage import Count, below_least, count, least_of, main, table, worst


def summary(lines: int, run: int, branches: int, taken: int) -> dict[str, Any]:
    numbers = {"num_statements": lines, "covered_lines": run, "num_branches": branches, "covered_branches": taken}
    missed = {"missing_lines": lines - run, "missing_branches": branches - taken}
    return {"summary": numbers | missed, "missing_lines": [7] * (lines - run), "missing_branches": [[3, -1]]}


REPORT = {
    "files": {
        "graphspec/__init__.py": summary(4, 4, 0, 0),
        "graphspec/base/text.py": summary(50, 49, 20, 20),
        "/somewhere/graphspec/main/graphspec/base/files.py": summary(30, 30, 0, 0),
        "graphspec/graph/ops/add.py": summary(2999, 2999, 1, 0),
    }
}
LEAST = {"base": 98, "graph": 99}


def test_floors_are_counted_and_shown_with_the_least_covered_first() -> None:
    floors = count(REPORT)
    assert floors == {"*.py": Count(4, 4), "base": Count(80, 79, 20, 20), "graph": Count(2999, 2999, 1, 0)}
    assert list(table(floors, LEAST))[2:] == [
        "| `base/` | 80 | 79 | 20 | 20 | 99.0 % | 98 % |",
        "| `graph/` | 2,999 | 2,999 | 1 | 0 | 99.9 % | 99 % |",
        "| `*.py` | 4 | 4 | 0 | 0 | 100.0 % |  |",
        "| all | 3,083 | 3,082 | 21 | 20 | 99.9 % |  |",
    ]
    assert list(worst(REPORT, 1)) == ["graphspec/base/text.py: lines 7; branches 3→end"]


@pytest.mark.parametrize(
    ("least", "said"),
    [
        ({"base": 99, "graph": 99}, []),
        ({"base": 100}, ["base: 99.0 % is covered, 100 % is the least: add tests, or delete what nothing needs"]),
        ({"gone": 1}, ["gone: 0.0 % is covered, 1 % is the least: add tests, or delete what nothing needs"]),
    ],
)
def test_less_than_the_least_is_told(least: dict[str, int], said: list[str]) -> None:
    assert below_least(count(REPORT), least) == said


@pytest.mark.parametrize(("tests", "percent", "status"), [(0, 98, 0), (0, 100, 1), (2, 98, 2)])
def test_the_status(
    tests: int, percent: int, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.least-coverage]\nbase = {percent}\n")
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- coverage -->\n<!-- end of coverage -->\n")
    asked: list[list[str]] = []
    monkeypatch.setattr(coverage, "measure", lambda root, data, words: asked.append(words) or tests)
    monkeypatch.setattr(coverage, "read", lambda root, data: REPORT)
    assert main(["--slow", "--markdown", str(page), "tests/base"], tmp_path) == status
    assert asked == [["tests/base"], ["tests/base", "-m", "slow"]]
    assert ("100 % is the least" in capsys.readouterr().err) == (percent == 100)
    assert "| `base/` | 80 |" in page.read_text()


def test_the_least_is_set_and_only_some_floors_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "pyproject.toml"
    settings.write_text("[tool.least-coverage]\nbase = 5\ncli = 7\n\n[tool.other]\nbase = 1\n")
    monkeypatch.setattr(coverage, "read", lambda root, data: REPORT)
    assert main(["--no-run"], tmp_path) == 1
    assert "cli: 0.0 % is covered, 7 %" in capsys.readouterr().err
    assert main(["--no-run", "--set-least", "--floors", "base", "graph"], tmp_path) == 0
    wanted = "[tool.least-coverage]\nbase = 98\ncli = 7\ngraph = 98\n\n[tool.other]\nbase = 1\n"
    assert settings.read_text() == wanted
    assert "| `base/` | 80 | 79 | 20 | 20 | 99.0 % | 98 % |" in (out := capsys.readouterr().out)
    assert "*.py" not in out


def test_the_page_shows_the_least_of_floors_that_there_are() -> None:
    folders = {path.parent.name for path in (ROOT / "graphspec").glob("*/__init__.py")}
    assert set(least_of(ROOT)) <= folders
    page = (ROOT / "docs/quality.md").read_text(encoding="utf-8")
    shown = {name: int(least) for name, least in re.findall(r"^\| `(\w+)/` .* \| (\d+) % \|$", page, re.M)}
    assert shown == least_of(ROOT)


@pytest.mark.slow
def test_forks_and_processes_are_measured(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    package = tmp_path / "graphspec"
    (package / "base").mkdir(parents=True)
    for name in ("__init__.py", "base/__init__.py"):
        (package / name).write_text("")
    (package / "base/text.py").write_text(
        "def which(k):\n    if k == 0:\n        return 'a fork'\n"
        "    if k == 1:\n        return 'a process'\n    return 'none'\n"
    )
    (tmp_path / "test_text.py").write_text(
        "import os, subprocess, sys\nfrom graphspec.base.text import which\n\n\ndef test_text():\n"
        "    if (child := os.fork()) == 0:\n        which(0)\n        os._exit(0)\n    os.waitpid(child, 0)\n"
        "    code = 'from graphspec.base.text import which; which(1)'\n"
        "    subprocess.run([sys.executable, '-c', code], check=True)\n"
    )
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = settings[settings.index("[tool.coverage.run]") : settings.index("[tool.ruff]")]
    # Copies in folders of tests are left out; this one is measured.
    section = re.sub(r"\[tool.least-coverage\][^\[]*|^omit = .*\n", "", section, flags=re.M)
    (tmp_path / "pyproject.toml").write_text(section + "[tool.least-coverage]\nbase = 80\n")
    assert main(["-n", "0", "--worst", "1", "-p", "no:cacheprovider"], tmp_path) == 0
    out = capfd.readouterr().out
    assert "| `base/` | 6 | 5 | 4 | 3 | 80.0 % | 80 % |" in out
    assert "base/text.py: lines 6; branches 4→6" in out
