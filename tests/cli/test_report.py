"""``graphspec report``, and the report that ``train`` writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from commands import SPEC, graphspec, project

import graphspec as gs
from graphspec.base.text import significant
from graphspec.show.report import comparison as build
from graphspec.show.report.about import headline


@pytest.fixture(autouse=True)
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return project(tmp_path).relative_to(tmp_path)


@pytest.fixture
def run(spec: Path) -> Path:
    assert graphspec("train", spec, "--no-report").exit_code == 0
    return Path("runs/tiny")


def shown(page: Path) -> str:
    """The text of a page without its tags, styles and scripts."""
    html = page.read_text(encoding="utf-8")
    html = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_a_training_writes_one(spec: Path) -> None:
    result = graphspec("train", spec, "--export", "tiny.onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == f"report: {Path('runs/tiny/report.html')}"
    text = shown(Path("runs/tiny/report.html"))
    accuracy = next(line.split()[1] for line in result.stdout.splitlines() if line.startswith("accuracy"))
    assert f"accuracy {accuracy}" in text
    for words in (
        "Whether two numbers of four add up to more than nothing.",
        "Reads 4 numbers, features. Answers answer: no or yes.",
        "Judged on 20 test rows",
        "95 % intervals",
        "Training rows 60 of train.npz",
        "rows per second",
        "tiny.onnx",
        "equal to the runtime at batch sizes 1, 2, 5",
        "restored",
    ):
        assert words in text, words
    assert "exported" in json.loads(Path("runs/tiny/run.json").read_text())


def test_no_report(run: Path) -> None:
    assert not (run / "report.html").exists()
    result = graphspec("report", run)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"report: {run / 'report.html'}\n"


@pytest.mark.slow
def test_it_has_the_values_of_evaluate_and_is_the_same_each_time(run: Path) -> None:
    lines = graphspec("evaluate", run).stdout.splitlines()
    printed = dict(line.split() for line in lines if line.startswith(("loss ", "accuracy ")))
    assert len(printed) == 2
    graphspec("report", run)
    first = (run / "report.html").read_bytes()
    text = shown(run / "report.html")
    for key, value in printed.items():
        assert f"{key} {significant(float(value))}" in text
    graphspec("report", run, "-o", "again.html")
    assert Path("again.html").read_bytes() == first


@pytest.mark.slow
def test_training_stopped_early_and_resumed(spec: Path) -> None:
    callback = "{type: EarlyStopping, monitor: loss, mode: max, patience: 1}"
    assert graphspec("train", spec, "--set", f"training.callbacks=[{callback}]").exit_code == 0
    assert "stopped: loss has not improved" in shown(Path("runs/tiny/report.html"))
    assert graphspec("train", spec, "--out", "runs/more").exit_code == 0
    assert graphspec("train", spec, "--out", "runs/more", "--resume", "--set", "training.epochs=5").exit_code == 0
    assert "resumed once" in shown(Path("runs/more/report.html"))


def test_more_epochs_are_not_exported_yet(spec: Path) -> None:
    assert graphspec("train", spec, "--export", "tiny.onnx").exit_code == 0
    assert graphspec("train", spec, "--resume", "--set", "training.epochs=4").exit_code == 0
    assert "exported" not in json.loads(Path("runs/tiny/run.json").read_text())


def test_a_report_that_fails_does_not_fail_the_training(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> str:
        raise ValueError("no such chart")

    monkeypatch.setattr(build, "report_html", fails)
    result = graphspec("train", spec)
    assert result.exit_code == 0
    assert "warning: the run is complete, but its report could not be written: no such chart" in result.stderr
    assert "graphspec report runs/tiny" in result.stderr
    assert "report: " not in result.stdout


def test_the_test_rows_are_evaluated_once(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "SECTIONS", (headline,))  # the importance of inputs evaluates permuted rows
    calls = list[int]()
    original = gs.Model.evaluate_prepared
    monkeypatch.setattr(gs.Model, "evaluate_prepared", lambda *a, **k: calls.append(len(a[1])) or original(*a, **k))
    assert graphspec("train", spec).exit_code == 0
    assert calls.count(20) == 3 + 1, "the validation of each epoch and the test have 20 rows"


@pytest.mark.slow
def test_missing_data_leave_a_report(run: Path) -> None:
    Path("test.npz").rename("elsewhere.npz")
    result = graphspec("report", run)
    assert result.exit_code == 0
    assert "note: the report has no results by row: the test rows could not be read: " in " ".join(
        result.stderr.split()
    )
    text = shown(run / "report.html")
    assert "The test rows could not be read" in text
    assert "Curves" in text
    assert graphspec("report", run, "--part", "test").exit_code == 1
    Path("other").mkdir()
    Path("elsewhere.npz").rename("other/test.npz")
    Path("train.npz").rename("other/train.npz")
    result = graphspec("report", run, "--data", "other")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Judged on 20 test rows" in shown(run / "report.html")


def test_parts(run: Path) -> None:
    assert graphspec("report", run, "--part", "validation").exit_code == 0
    assert "Judged on 20 validation rows" in shown(run / "report.html")
    assert graphspec("report", run, "--part", "train").exit_code == 0
    assert "Judged on the 60 training rows themselves" in shown(run / "report.html")


def test_rows_that_have_changed_are_named(run: Path) -> None:
    for name in ("train.npz", "test.npz"):
        with np.load(name) as file:
            rows = {key: file[key] for key in file.files}
        np.savez(name, **rows | {"features": rows["features"] + 1})
    assert graphspec("report", run).exit_code == 0
    assert "These rows have changed since the training." in shown(run / "report.html")
    assert graphspec("report", run, "--part", "validation").exit_code == 0
    assert "The data have changed: the validation rows of this run are unknown." in shown(run / "report.html")


def test_a_run_of_an_earlier_version(run: Path) -> None:
    for name in ("timing.json", "history.csv", "run.json", "checkpoint.json"):
        (run / name).unlink()
    assert graphspec("report", run).exit_code == 0
    text = shown(run / "report.html")
    assert "Training time" not in text
    assert "Judged on 20 test rows" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["timing.json", "history.csv", "run.json", "checkpoint.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "a,b\n1,x\n", '{"epochs": 1, "stopped": ["a"]}', "\x00\xff"])
def test_damaged_records_leave_a_report(run: Path, name: str, content: str) -> None:
    (run / name).write_bytes(content.encode("latin-1"))
    result = graphspec("report", run)
    assert result.exit_code == 0, result.stderr
    assert "Judged on 20 test rows" in shown(run / "report.html")


@pytest.mark.slow
def test_several_runs(spec: Path, run: Path) -> None:
    more = [
        "--out",
        "runs/fast",
        "--set",
        "training.optimizer.learning_rate=0.05",
        "--set",
        "training.optimizer.type=Adam",
    ]
    assert graphspec("train", spec, "--no-report", *more).exit_code == 0
    result = graphspec("report", run, "runs/fast")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "report: comparison.html\n", "")
    text = shown(Path("comparison.html"))
    assert "2 runs compared" in text
    assert "training.optimizer.learning_rate 0.001 0.05" in text
    assert "best" in text
    Path("comparison.html").write_text("my notes")
    refused = graphspec("report", run, "runs/fast")
    assert refused.exit_code == 2
    assert "name another place" in refused.stderr
    assert Path("comparison.html").read_text() == "my notes"
    assert graphspec("report", run, "runs/fast", "-o", "both.html").exit_code == 0


def test_what_is_refused(spec: Path, run: Path) -> None:
    for arguments, words in (
        (["report", spec], "name its run"),
        (["report", "train.npz"], "is a data file"),
        (["report", "nothing"], "does not exist"),
        (["report", run, "-o", "page.pdf"], "must end in .html"),
        (["report", *[run] * 21], "name at most 20"),
        (["report"], "RUN"),
    ):
        result = graphspec(*arguments)
        assert result.exit_code == 2, arguments
        assert words in " ".join(result.stderr.split()), (words, result.stderr)


def test_specs_without_data_or_without_test_rows(tmp_path: Path) -> None:
    Path("untested.yaml").write_text(
        SPEC.replace("  test: {file: test.npz}\n", "").replace("name: tiny", "name: untested")
    )
    assert graphspec("train", "untested.yaml").exit_code == 0
    assert "Judged on 20 validation rows, as the spec has no test data" in shown(Path("runs/untested/report.html"))
    model = gs.compile({k: v for k, v in gs.load("runs/untested").document().items() if k != "data"})
    model.save("runs/saved")
    assert graphspec("report", "runs/saved").exit_code == 0
    assert "The spec names no data." in shown(Path("runs/saved/report.html"))
