"""`graphspec card`: prints a card, or writes one; a file that is no card stays."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from commands import graphspec, project
from cyclonedx_schema import valid

import graphspec as gs
from graphspec.base.text import significant


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    assert graphspec("train", project(folder), "--out", folder / "run").exit_code == 0
    return folder / "run"


@pytest.mark.slow
def test_a_card_is_printed_or_written(run: Path, tmp_path: Path) -> None:
    printed = graphspec("card", run)
    assert printed.exit_code == 0
    assert printed.stdout.startswith("---\nlibrary_name: onnx\n")
    assert f"| loss | {significant(gs.load(run).evaluate()['loss'])} |" in printed.stdout
    path = tmp_path / "README.md"
    assert graphspec("card", run, "-o", path).stdout.split() == ["card:", str(path)]
    assert path.read_text(encoding="utf-8") == printed.stdout
    again = graphspec("card", run, "-o", path, "--license", "mit", "--file", "other.onnx")
    assert again.exit_code == 0
    assert 'license: "mit"' in path.read_text(encoding="utf-8")
    assert 'InferenceSession("other.onnx")' in path.read_text(encoding="utf-8")


def test_a_file_that_is_no_card_stays(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("# Mine\n", encoding="utf-8")
    done = graphspec("card", run, "-o", path)
    assert done.exit_code == 2
    assert "no card is in it" in done.stderr
    assert path.read_text(encoding="utf-8") == "# Mine\n"


def test_what_is_no_run_is_refused(run: Path, tmp_path: Path) -> None:
    assert "name a run directory" in graphspec("card", tmp_path).stderr
    assert graphspec("card", run / "spec.json").exit_code == 2


def test_a_run_whose_data_are_gone_has_a_card_without_results(run: Path) -> None:
    hidden = []
    for path in run.parent.glob("*.npz"):
        hidden.append((path, path.rename(path.with_suffix(".hidden"))))
    try:
        done = graphspec("card", run)
    finally:
        for path, moved in hidden:
            moved.rename(path)
    assert hidden
    assert done.exit_code == 0
    assert "note: the card has no results: " in done.stderr
    assert "| loss |" not in done.stdout


@pytest.mark.slow
def test_a_bill_of_materials_of_a_run_or_a_file(run: Path, tmp_path: Path) -> None:
    path, bom = run.parent / "tiny.onnx", tmp_path / "bom.json"
    assert graphspec("export", run, "-o", path).exit_code == 0
    done = graphspec("card", run, "--format", "cyclonedx", "--file", path, "--license", "mit", "-o", bom)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.split() == ["card:", str(bom)]
    found = valid(bom.read_text(encoding="utf-8"))["metadata"]["component"]
    assert found["hashes"][0]["content"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["licenses"] == [{"expression": "MIT"}]
    again = graphspec("card", path, "--format", "cyclonedx")
    assert valid(again.stdout)["metadata"]["component"]["hashes"] == found["hashes"]
    bom.write_text("{}", encoding="utf-8")
    done = graphspec("card", path, "--format", "cyclonedx", "-o", bom)
    assert (done.exit_code, bom.read_text(encoding="utf-8")) == (2, "{}")
    assert "no bill of materials is in it" in done.stderr
    assert "which has no history; name a run directory" in graphspec("card", path).stderr
