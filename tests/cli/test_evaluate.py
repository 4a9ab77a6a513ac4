"""``graphspec evaluate``: parts of the data, and ONNX files."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import SPEC, graphspec, project

import graphspec as gs

STOPPING = "  callbacks: [{type: EarlyStopping, monitor: val_loss, patience: 50, restore_best_weights: true}]\n"
PLAIN = SPEC.replace(STOPPING, "")


def values(text: str) -> dict[str, float]:
    """Return the printed losses and metrics."""
    lines = text.partition("\n\n")[0].splitlines()  # tables follow an empty line
    return {key: float(value) for key, value in (line.split()[:2] for line in lines)}


def last_epoch(run: Path, prefix: str) -> dict[str, float]:
    with (run / "history.csv").open() as file:
        row = list(csv.DictReader(file))[-1]
    return {key.removeprefix(prefix): float(value) for key, value in row.items() if key.startswith(prefix)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run with its data beside it."""
    folder = tmp_path_factory.mktemp("run")
    assert graphspec("train", project(folder), "--out", folder / "run", "--export", folder / "a.onnx").exit_code == 0
    return folder / "run"


def test_evaluate(run: Path) -> None:
    result = graphspec("evaluate", run)
    assert result.exit_code == 0
    printed = dict(line.split() for line in result.stdout.partition("\n\n")[0].splitlines())
    assert printed == {k: f"{v:.6g}" for k, v in gs.load(run).evaluate().items()}


def test_evaluate_other_rows(run: Path) -> None:
    result = graphspec("evaluate", run, "--data", run.parent / "train.npz")
    assert result.exit_code == 0
    assert result.stdout != graphspec("evaluate", run).stdout
    result = graphspec("evaluate", run, "--data", "missing.npz")
    assert result.exit_code == 1
    assert "error[GS501]" in result.stderr


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ("a.onnx", 2, "a.onnx contains no data, only the names of its data files; add `--data DIR` or `--data FILE`"),
        ("a.onnx --data bad.npz", 1, "a.onnx: error[GS505]: array 'features' of 'bad.npz' has no value in 9 of 9 rows"),
        ("a.onnx --data gone", 2, "gone does not exist; name the folder or the file of the data"),
        ("run --data gone", 2, "gone does not exist; name the folder or the file of the data"),
        ("run --data run", 2, "run has no 'test.npz', the test data of the spec"),
        ("copy/run", 1, "= help: if the data have moved, add `--data DIR` with their folder"),
        ("copy/run --data .", 0, ""),
    ],
)
def test_data_that_are_elsewhere(
    words: str, status: int, says: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    np.savez("bad.npz", features=np.full((9, 4), np.nan, np.float32), answer=np.zeros(9, np.int64))
    shutil.copytree("run", "copy/run", dirs_exist_ok=True)
    result = graphspec("evaluate", *words.split())
    assert (result.exit_code, says in result.stderr) == (status, True), result.stderr


@pytest.mark.parametrize(
    "split", ["{split: 0.25}", "{split: 0.25, stratify: answer}", "{split: {last: 0.25}}", "{file: test.npz}"]
)
def test_validation_rows_are_those_of_the_training(split: str, tmp_path: Path) -> None:
    spec = project(tmp_path, PLAIN.replace("{split: 0.25}", split))
    run = tmp_path / "run"
    assert graphspec("train", spec, "--out", run, "--export", tmp_path / "a.onnx").exit_code == 0
    wanted = last_epoch(run, "val_")
    result = graphspec("evaluate", run, "--part", "validation")
    assert result.exit_code == 0, result.stderr
    assert values(result.stdout) == pytest.approx(wanted, rel=1e-5)
    result = graphspec("evaluate", tmp_path / "a.onnx", "--part", "validation", "--data", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert values(result.stdout) == pytest.approx(wanted, rel=1e-4)
    train = graphspec("evaluate", run, "--part", "train")
    assert train.exit_code == 0
    assert values(train.stdout)["loss"] != pytest.approx(wanted["loss"], rel=1e-5)


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    spec = project(tmp_path, PLAIN.replace("  test: {file: test.npz}\n", ""))
    run = tmp_path / "my run"
    assert graphspec("train", spec, "--out", run).exit_code == 0
    result = graphspec("evaluate", run)
    assert result.exit_code == 2
    assert f"`graphspec evaluate '{run}' --part validation`" in result.stderr
    assert graphspec("evaluate", run, "--part", "validation").exit_code == 0


@pytest.mark.slow
def test_an_onnx_file(tmp_path: Path) -> None:
    spec, file = project(tmp_path, PLAIN), tmp_path / "a.onnx"
    assert graphspec("train", spec, "--out", tmp_path / "run", "--export", file).exit_code == 0
    result = graphspec("evaluate", file)
    assert result.exit_code == 2
    assert "--data" in result.stderr
    for data in ("test.npz", "train.npz"):
        run = graphspec("evaluate", tmp_path / "run", "--data", tmp_path / data)
        result = graphspec("evaluate", file, "--data", tmp_path / data)
        assert result.exit_code == 0, result.stderr
        assert values(result.stdout) == pytest.approx(values(run.stdout), rel=1e-4)
    result = graphspec("evaluate", tmp_path / "none.onnx", "--data", tmp_path)
    assert result.exit_code == 2
    assert "does not exist" in result.stderr
    (tmp_path / "none.onnx").write_bytes(b"not ONNX")
    assert graphspec("evaluate", tmp_path / "none.onnx", "--data", tmp_path).exit_code == 2


def test_penalties_are_in_no_evaluation(tmp_path: Path) -> None:
    spec = project(tmp_path, PLAIN.replace("units: 8,", "units: 8, kernel_regularizer: l2,"))
    assert graphspec("train", spec, "--out", tmp_path / "run", "--export", tmp_path / "a.onnx").exit_code == 0
    run = values(graphspec("evaluate", tmp_path / "run").stdout)
    result = graphspec("evaluate", tmp_path / "a.onnx", "--data", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert values(result.stdout) == pytest.approx(run, rel=1e-4)
    model = gs.load(tmp_path / "run")
    with np.load(tmp_path / "test.npz") as file:
        rows = dict(file)
    p, y = model.predict(rows["features"]).astype(np.float64), rows["answer"].reshape(-1, 1)
    assert run["loss"] == pytest.approx(-np.log(np.where(y > 0.5, p, 1 - p)).mean(), rel=1e-3)


def test_precision_and_recall_of_every_class(run: Path) -> None:
    model = gs.load(run)
    with np.load(run.parent / "test.npz") as file:
        rows = dict(file)
    answered, true = (np.ravel(a) > 0.5 for a in (model.predict(rows["features"]), rows["answer"]))
    lines = graphspec("evaluate", run).stdout.partition("\n\n")[2].splitlines()
    assert lines[0].split() == ["answer", "rows", "precision", "recall", "F1", "taken", "for"]
    for line, label, k in zip(lines[1:3], ("no", "yes"), (False, True), strict=True):
        right = np.count_nonzero((answered == k) & (true == k))
        asked, given = np.count_nonzero(true == k), np.count_nonzero(answered == k)
        ratios = [right / given if given else None, right / asked, 2 * right / (asked + given)]
        numbers = ["-" if ratio is None else f"{ratio:.3f}" for ratio in ratios]
        assert line.split()[:5] == [label, str(asked), *numbers]
    assert lines[3].startswith("mean of classes ")


def test_an_onnx_file_has_the_same_tables(tmp_path: Path) -> None:
    spec, file = project(tmp_path, PLAIN), tmp_path / "a.onnx"
    assert graphspec("train", spec, "--out", tmp_path / "run", "--export", file).exit_code == 0
    run, exported = (
        graphspec("evaluate", tmp_path / "run").stdout,
        graphspec("evaluate", file, "--data", tmp_path).stdout,
    )
    assert "The network is" in run.rpartition("\n\n")[2]  # an ONNX file is judged by no other answers
    assert run.rpartition("\n\n")[0].partition("\n\n")[2] == exported.rstrip("\n").partition("\n\n")[2] != ""


def test_errors_of_heads_of_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 3))
    a, b = 1000 + 200 * x[:, :1], random.normal(size=(60, 2))
    np.savez("rows.npz", x=x, a=a, b=b)
    Path("two.yaml").write_text(
        "graphspec: 1\nname: two\ninputs: {x: {shape: [3]}}\n"
        "layers: [{name: a, type: Dense, units: 1, inputs: x}, {name: b, type: Dense, units: 2, inputs: x}]\n"
        "outputs: {a: {loss: mse, scale: standard}, b: {loss: huber, metrics: [mae]}}\n"
        "training: {epochs: 3}\ndata: {train: {file: rows.npz}, test: {file: rows.npz}}\n"
    )
    assert graphspec("train", "two.yaml").exit_code == 0
    text = graphspec("evaluate", "runs/two").stdout
    table = [line.split() for line in text.split("\n\n")[1].splitlines()]
    assert table[0] == ["MAE", "RMSE", "R2"]
    found = gs.load("runs/two").predict(x)
    for (name, mae, rmse, r2), true in zip(table[1:], (a, b), strict=True):
        error = found[name] - true
        assert float(mae) == pytest.approx(np.abs(error).mean(), rel=1e-4)
        assert float(rmse) == pytest.approx(np.sqrt(np.square(error).mean()), rel=1e-4)
        spread = np.square(true - true.mean(0)).sum(0)
        assert float(r2) == pytest.approx((1 - np.square(error).sum(0) / spread).mean(), abs=2e-4)
    assert f"b_mae   {table[2][1]}" in text, "the metric of the spec is the same"


def test_the_end_is_short_for_many_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    ids = np.arange(200) % 12
    np.savez("twelve.npz", x=random.normal(size=(200, 4)), label=ids)
    Path("twelve.yaml").write_text(
        "graphspec: 1\nname: twelve\ninputs: {x: {shape: [4]}}\n"
        "layers: [{name: label, type: Dense, units: 12, activation: softmax, inputs: x}]\n"
        "outputs: {label: {loss: sparse_categorical_crossentropy, metrics: [accuracy, confusion_matrix, f1_score]}}\n"
        "training: {epochs: 2}\ndata: {train: {file: twelve.npz}, test: {file: twelve.npz}}\n"
    )
    text = graphspec("train", "twelve.yaml").stdout
    end = text[text.index("trained ") :]
    assert len(end.splitlines()) <= 24
    assert re.search(r"^f1_score +\S+ +to \S+: 12 values$", end, re.M)
    assert "confusion_matrix: 12 classes; `graphspec evaluate runs/twelve` shows them" in end.replace("\\", "/")
    whole = graphspec("evaluate", "runs/twelve").stdout
    assert "f1_score_11" in whole
    assert "confusion_matrix: a row for each true class" in whole


@pytest.mark.slow
def test_a_file_of_a_series_is_judged_beside_the_naive_forecasts(tmp_path: Path) -> None:
    steps = np.arange(60)
    values = (10 + np.sin(steps * np.pi / 2)).round(3).tolist()
    (tmp_path / "s.csv").write_text("t,v\n" + "".join(f"{k},{v}\n" for k, v in enumerate(values)), encoding="utf-8")
    windows = {"length": 8, "horizon": 2, "order": "t", "every": 1, "season": 4}
    spec: dict[str, Any] = {
        "graphspec": 1,
        "name": "forecast",
        "inputs": {"past": {"shape": [8]}},
        "layers": [{"name": "next", "type": "Dense", "units": 2, "kernel_initializer": "zeros"}],
        "outputs": {"next": {"loss": "mae"}},
        "training": {"seed": 1, "epochs": 1},
        "data": {"train": {"file": "s.csv", "windows": windows, "inputs": {"past": "v"}, "targets": {"next": "v"}}},
    }
    path, file, run = tmp_path / "spec.json", tmp_path / "a.onnx", tmp_path / "run"
    path.write_text(json.dumps(spec), encoding="utf-8")
    assert graphspec("train", path, "--out", run, "--export", file).exit_code == 0
    verdicts = [
        graphspec("evaluate", of, "--data", tmp_path / "s.csv").stdout.split("warning: ")[1] for of in (file, run)
    ]
    assert "the value 4 steps before" in verdicts[0]
    assert "NOT better than the seasonal naive forecast" in " ".join(verdicts[0].split())
    assert verdicts[0].split(" off ")[0] == verdicts[1].split(" off ")[0]
