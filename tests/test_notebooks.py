"""The notebooks of `examples/notebooks` run as they are, and the solutions of the worksheet mend its specs."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT, TESTS

import graphspec as gs

FOLDER = ROOT / "examples" / "notebooks"
ALL = sorted(FOLDER.glob("*.ipynb"))
KERAS = TESTS / "golden" / "keras_files"


def cells_of(path: Path, kind: str) -> list[str]:
    """The texts of the cells of a kind, ``code`` or ``markdown``."""
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


@pytest.fixture
def classroom(tmp_path: Path) -> Path:
    """A copy of the notebooks, with the files of the project that they read in their places."""
    folder = tmp_path / "examples" / "notebooks"
    shutil.copytree(FOLDER, folder, ignore=lambda _, names: [n for n in names if not n.endswith(".ipynb")])
    shutil.copytree(ROOT / "specs" / "data", tmp_path / "specs" / "data", ignore=shutil.ignore_patterns("fetched"))
    (tmp_path / KERAS.relative_to(ROOT)).mkdir(parents=True)
    shutil.copy(KERAS / "regression.keras", tmp_path / KERAS.relative_to(ROOT))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_notebook_runs_as_it_is(path: Path, classroom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    book: Any = nbformat.read(classroom / path.name, as_version=4)
    nbformat.validate(book)
    nbclient.NotebookClient(book, timeout=200, resources={"metadata": {"path": str(classroom)}}).execute()
    shown = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output.text for output in shown if output.get("name") == "stderr"] == []
    assert any("text/html" in output.get("data", {}) for output in shown)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_notebook_has_no_results_of_a_run(path: Path) -> None:
    book = json.loads(path.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["metadata"]["kernelspec"]["name"]) == (4, "python3")
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    for cell in book["cells"]:
        assert cell["metadata"] == {}
        assert (cell.get("outputs", []), cell.get("execution_count")) == ([], None), "".join(cell["source"])
    last = cells_of(path, "markdown")[-1]
    assert re.search(r"^## Exercises$", last, re.M)


def test_the_lab_page_lists_all_notebooks() -> None:
    text = (ROOT / "docs" / "lab.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[.*?\]\(\.\./examples/notebooks/(.*?)\)", text, re.M) == [path.name for path in ALL]


# The worksheet: a broken spec in a cell, and its solution, which is folded, in the next text.

SHEET = FOLDER / "5_broken_specs.ipynb"
BROKEN = [
    found[1]
    for text in cells_of(SHEET, "code")
    if (found := re.fullmatch(r"%%writefile broken_\d\.yaml\n(.*)", text, re.S))
]
SOLUTIONS = re.findall(r"<summary>Solution</summary>\n(.*?)</details>", "\n".join(cells_of(SHEET, "markdown")), re.S)


def mended(spec: str, solution: str) -> str:
    """The spec with what the solution replaces: lines such as `old` → `new`; ⏎ ends a line."""
    changes = [
        (old.replace("⏎", "\n"), new.replace("⏎", "\n")) for old, new in re.findall(r"`(.+)` → `(.+)`", solution)
    ]
    assert changes
    for old, new in changes:
        assert spec.count(old) == 1, old
        spec = spec.replace(old, new)
    return spec


@pytest.mark.parametrize("number", range(1, 8))
def test_a_solution_mends_its_spec(number: int, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(ROOT / "specs" / "data" / "penguins.csv", tmp_path / "data")
    path = tmp_path / "net.yaml"
    path.write_text(BROKEN[number - 1], encoding="utf-8")
    assert gs.validate(path, data=True) != []
    path.write_text(mended(BROKEN[number - 1], SOLUTIONS[number - 1]), encoding="utf-8")
    assert gs.validate(path, data=True) == []


@pytest.mark.slow
def test_the_last_one_is_valid_and_learns_only_when_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    shutil.copy(ROOT / "specs" / "data" / "penguins.csv", tmp_path / "data")
    assert len(BROKEN) == len(SOLUTIONS) == 8
    accuracies = []
    for text in (BROKEN[7], mended(BROKEN[7], SOLUTIONS[7])):
        Path("net.yaml").write_text(text, encoding="utf-8")
        assert gs.validate("net.yaml", data=True) == []
        accuracies.append(gs.compile("net.yaml").fit(verbose=0)["val_accuracy"][-1])
    assert accuracies[0] < 0.44 < 0.9 < accuracies[1], "44 % of the penguins are Adelie"
