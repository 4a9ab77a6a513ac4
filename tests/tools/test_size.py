"""`tools.size`: the package keeps its budget; a thousand lines more do not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from paths import ROOT

from tools.size import base_of, budget_of, main, size_of_commit, size_of_tree

BUDGET = "[tool.budget]\nlines = 500  # what a reader can carry\n"


def test_the_package_keeps_its_budget() -> None:
    lines, budget = size_of_tree(ROOT).lines.total(), budget_of(ROOT)
    assert lines > 50_000
    assert lines <= budget, f"{lines - budget} lines too many: shorten something else, or argue for a larger budget"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A package of 120 lines in a repository of one commit."""
    for name, lines in (("graphspec/__init__.py", 20), ("graphspec/base/text.py", 100), ("tools/other.py", 70)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n" * lines)
    (tmp_path / "pyproject.toml").write_text(BUDGET)
    commit(tmp_path)
    return tmp_path


def commit(root: Path) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)


def test_a_change_is_shown_and_a_thousand_lines_more_fail(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], small) == 0
    assert capsys.readouterr().out.splitlines() == [
        "  base/                   100     1",
        "  __init__.py              20     1",
        "  all                     120     2",
        "budget 500: 380 lines are left",
    ]
    (small / "graphspec/base/new.py").write_text("x = 1\n" * 1000)
    (small / "graphspec/base/text.py").write_text("x = 1\n" * 90)
    assert main(["--since", "HEAD"], small) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[1:] == [
        "  base/                 1,090     2     +990",
        "  __init__.py              20     1",
        "  all                   1,110     3     +990",
        "budget 500: 610 lines too many",
    ]
    assert "argue in pyproject.toml" in err
    commit(small)
    assert base_of(small) is not None
    assert size_of_commit(small, "HEAD").lines == size_of_tree(small).lines
    assert main([], small) == 1
    assert "+990" in capsys.readouterr().out


def test_a_folder_without_a_history(tmp_path: Path) -> None:
    assert base_of(tmp_path) is None
