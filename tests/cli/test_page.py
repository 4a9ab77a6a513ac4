"""``graphspec page`` and ``Model.page``: one page, several with a list, runs, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commands import graphspec, project
from consumers.apps import FIXTURES

import graphspec as gs
from graphspec.base.errors import UsageError

TABLE = FIXTURES / "table" / "model.onnx"


def test_a_file_becomes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = graphspec("page", TABLE)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "page: page/index.html\n", "")
    first = (tmp_path / "page" / "index.html").read_bytes()
    assert graphspec("page", TABLE).exit_code == 0  # its own page is replaced
    assert (tmp_path / "page" / "index.html").read_bytes() == first
    assert [path.name for path in (tmp_path / "page").iterdir()] == ["index.html"]


def test_several_have_a_page_each_and_a_list(tmp_path: Path) -> None:
    for name in ("table", "demand"):
        shutil.copy(FIXTURES / name / "model.onnx", tmp_path / f"{name} & co.onnx")
    files = sorted(tmp_path.glob("*.onnx"))
    assert graphspec("page", *files, "-o", tmp_path / "all").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [
        "demand & co.html",
        "index.html",
        "table & co.html",
    ]
    listed = (tmp_path / "all" / "index.html").read_text(encoding="utf-8")
    assert '<a href="table%20%26%20co.html">table &amp; co</a>' in listed
    assert "asks for 4 numbers, 3 categories, 1 date, 1 text; answers kind (3 labels), price" in listed
    page = (tmp_path / "all" / "table & co.html").read_text(encoding="utf-8")
    assert '<nav><a href="index.html">All networks</a></nav>' in page


def test_train_writes_a_page_beside_the_report(tmp_path: Path) -> None:
    spec, run = project(tmp_path), tmp_path / "run"
    result = graphspec("train", spec, "--out", run, "--page")
    assert result.exit_code == 0, result.stderr
    assert f"page: {run / 'page.html'}" in result.stdout.replace("\n  ", " ")
    assert '<a href="page.html">Try it</a>' in (run / "report.html").read_text(encoding="utf-8")
    page = (run / "page.html").read_text(encoding="utf-8")
    assert '<a href="report.html">What came of the training</a>' in page
    assert graphspec("train", spec, "--out", run, "--overwrite", "--no-report").exit_code == 0  # removes both
    assert not {"page.html", "report.html"} & {path.name for path in run.iterdir()}


def test_a_page_that_learns_holds_a_step(tmp_path: Path) -> None:
    file = FIXTURES / "garments" / "model.onnx"
    assert graphspec("page", file, "-o", tmp_path, "--learn").exit_code == 0
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert '<script type="text/plain" id="step">' in html
    assert len(html) - file.stat().st_size * 4 / 3 < 150_000
    result = graphspec("page", FIXTURES / "tokens" / "model.onnx", "-o", tmp_path / "no", "--learn")
    assert result.exit_code == 2
    assert "cannot be taught on a page" in " ".join(result.stderr.split())


def test_a_run_is_exported_first(tmp_path: Path) -> None:
    assert graphspec("train", project(tmp_path), "--out", tmp_path / "run").exit_code == 0
    result = graphspec("page", tmp_path / "run", "-o", tmp_path / "page")
    assert result.exit_code == 0
    html = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    model = gs.load(tmp_path / "run")
    shown = model.page(tmp_path / "python")
    assert shown == tmp_path / "python" / "index.html"
    assert "<iframe" in (shown._repr_html_() or "")  # as a notebook shows it
    assert (tmp_path / "python" / "index.html").read_text(encoding="utf-8") == html  # the same bytes of the network
    with pytest.raises(UsageError, match="npm's package"):
        model.page(tmp_path / "python", engine=tmp_path)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["nowhere.onnx"], "nowhere.onnx does not exist; name a file that `graphspec export` has written"),
        (["net.yaml"], "net.yaml is a spec"),
        (["rows.csv"], "rows.csv is a data file"),
        (["a/model.onnx", "b/model.onnx"], "two of them are named 'model'"),
        (["a/model.onnx", "-o", "kept"], "exists, and no page is in it"),
        (["a/model.onnx", "--engine", "kept"], "has no ort.wasm.bundle.min.mjs"),
    ],
)
def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], problem: str) -> None:
    monkeypatch.chdir(tmp_path)
    project(tmp_path).rename(tmp_path / "net.yaml")
    (tmp_path / "rows.csv").write_text("a\n1\n", encoding="utf-8")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(TABLE, tmp_path / folder)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "index.html").write_text("mine", encoding="utf-8")
    result = graphspec("page", *given)
    assert result.exit_code == 2
    assert problem in " ".join(result.stderr.split())
    assert (tmp_path / "kept" / "index.html").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "page").exists()
