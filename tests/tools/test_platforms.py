"""`tools.platforms`: its rows are run by the workflows and named in the docs; what is missing or fails is said."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from paths import ROOT, TESTS

from tools import platforms
from tools.platforms import CHECKS, LIBRARIES, Check, FaultError, Place, main, reports, requires

WORKFLOWS = ROOT / ".github" / "workflows"


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """A table with one row, ``one``."""
    monkeypatch.setattr(platforms, "WORK", tmp_path)
    monkeypatch.setattr(Check, "missing", lambda self: [])
    return lambda run, **more: monkeypatch.setattr(platforms, "CHECKS", {"one": Check("one", run, **more)})


def test_every_check_is_run_by_a_workflow() -> None:
    lists = re.findall(r"name: \[(.*)\]", (WORKFLOWS / "platforms.yml").read_text(encoding="utf-8"))
    versions = re.findall(r"python: \[(.*)\]", (WORKFLOWS / "test.yml").read_text(encoding="utf-8"))
    named = [name for names in lists for name in names.split(", ")]
    named += ["python" + version.strip('"') for names in versions for version in names.split(", ")]
    assert sorted(named) == sorted(CHECKS)


def test_the_docs_name_every_check() -> None:
    section = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8").partition("## Platforms")[2]
    assert sorted(re.findall(r"^\| `(\S+)` \|", section, re.M)) == sorted(CHECKS)


def test_every_check_has_tests_that_are_there() -> None:
    assert all((ROOT / path).exists() for row in CHECKS.values() for path in row.tests)


def test_what_needs_libraries_that_are_not_installed_for_tests_is_run_by_a_check() -> None:
    for path in TESTS.rglob("test_*.py"):
        asked = set(re.findall(r'importorskip\("(\w+)', path.read_text(encoding="utf-8"))) - {
            "model_signing"
        }  # CI has it
        if needed := {name for name in asked if name in LIBRARIES or find_spec(name) is None}:
            assert needed <= {*LIBRARIES}, path
            assert any(path.is_relative_to(ROOT / part) for part in CHECKS["libraries"].tests), path


def test_every_dependency_has_a_lowest_version() -> None:
    project: Any = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    for requirement in map(Requirement, texts):
        assert {s.operator for s in requirement.specifier} & {">=", "=="}, f"{requirement} has no lowest version"


def test_without_names_the_checks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*CHECKS]


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["vax"])
    assert "'vax'" in capsys.readouterr().err


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["musl"]) == 1
    said = "musl: not run: there is no uv (pip install uv), no musl-gcc (apt-get install musl-tools)\n"
    assert capsys.readouterr().out == said


def test_a_fault_is_said_with_its_last_lines(only: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    only(lambda place: place.run(sys.executable, "-c", "print('why'); raise SystemExit(3)"))
    assert main(["one"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("one: failed: ")
    assert "\nwhy\n" in out
    assert "log.txt" in out


@pytest.mark.slow
def test_a_check_runs_its_tests_or_others(
    only: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, count in (("test_own.py", 1), ("test_other.py", 2)):
        (tmp_path / name).write_text("".join(f"def test_{k}(): pass\n" for k in range(count)))
    kept = tmp_path / "kept"
    kept.mkdir()
    tests = [str((tmp_path / name).rename(kept / name)) for name in ("test_own.py", "test_other.py")]
    only(lambda place: place.pytest(sys.executable), tests=tests[:1])
    assert main(["one"]) == 0
    assert main(["one", "--", tests[1]]) == 0
    assert re.findall(r"one: passed: (\d) passed", capsys.readouterr().out) == ["1", "2"]


def test_reports_of_sanitizers_are_faults(tmp_path: Path) -> None:
    assert reports(tmp_path) == []
    (tmp_path / "said.17").write_text("sums.c:3:1: runtime error: index 4 out of bounds\n    #0 0x7f\nSUMMARY\n")
    assert reports(tmp_path) == ["sums.c:3:1: runtime error: index 4 out of bounds"]


TABLE = """
0000 g    DF .text  0000  Base        PyInit__core
0000      DF *UND*  0000 (GLIBC_2.2.5) free
0000      DF *UND*  0000 (GLIBC_2.14) memcpy
"""


@pytest.mark.parametrize(
    ("table", "newest"), [(TABLE, (2, 14)), (TABLE + "(GLIBC_2.38) strlcpy", (2, 38)), ("", (0, 0))]
)
def test_the_newest_glibc_that_a_library_needs(table: str, newest: tuple[int, int]) -> None:
    assert requires(table) == newest


def test_a_command_that_fails_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match="failed"):
        Place(tmp_path, ()).run(sys.executable, "-c", "raise SystemExit(1)")
