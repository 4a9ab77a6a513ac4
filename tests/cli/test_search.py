"""``graphspec search``: its lines, processes, sequels, refusals."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import onnxruntime
import pytest
from commands import graphspec
from searches import GRID, project

import graphspec as gs
from graphspec.base.libraries import missing_library
from graphspec.cli.search import short


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_a_grid_from_the_first_trial_to_the_exported_file(tmp_path: Path) -> None:
    path = project(tmp_path, GRID, sampler="grid", trials=4)
    done = graphspec("search", path, "--export", "best.onnx", "--set", "training.epochs=2")
    assert done.exit_code == 0, done.stderr
    assert "search: 4 trials of grid for the smallest val_loss, in runs/tiny-search" in done.stdout
    assert "4 trials: 4 complete" in done.stdout
    assert onnxruntime.InferenceSession("best.onnx").get_inputs()[0].name == "features"
    command = done.stdout.split("train it again:\n  graphspec ")[1].split("\n")[0]
    assert "--set training.epochs=2 --set layers.hidden.units=" in command
    best = Path(done.stdout.split("best run: ")[1].split("\n")[0])
    assert gs.load(best).epochs_done == 2
    assert (best / "report.html").is_file()
    again = graphspec("search", path, "--trials", "9", "--set", "training.epochs=2", "--no-report")
    assert again.exit_code == 0, again.stderr
    assert "4 trials of it have ended before" in again.stdout
    assert "9 trials: 9 complete" in again.stdout, "the grid has nine"
    assert "units=2, optimizer={type: SGD, momentum: 0.5}" in done.stdout.partition("best:")[0] + again.stdout
    other = graphspec("search", path, "--set", "training.epochs=3")
    assert other.exit_code == 2
    assert "contains a search of another spec" in other.stderr


def test_one_trial_is_the_best_and_is_exported(tmp_path: Path) -> None:
    path, alone = project(tmp_path, trials=1), ("--no-report", "--set", "training.epochs=1")
    done = graphspec("search", path, "--export", "best.onnx", *alone)
    assert done.exit_code == 0, done.stderr
    said = done.stdout.splitlines()
    assert (said[1].split(), said[2].split()[0]) == (["val_loss", "settings"], "1")
    assert said[3:6] == ["1 trial: 1 complete", "best:", said[2]]
    assert f"page: {Path('runs/tiny-search/search.html')}" in said
    assert f"best run: {Path('runs/tiny-search/0001')}" in said
    assert Path("best.onnx").is_file()
    shutil.rmtree("runs/tiny-search/0001")
    gone = graphspec("search", path, *alone)
    assert gone.exit_code == 3
    assert "the folders of its trials are gone: begin another search with --out DIR" in " ".join(gone.stderr.split())


def test_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("graphspec.search.trials.train_trial", pressed)
    done = graphspec("search", project(tmp_path), "--trials", "3")
    assert done.exit_code == 130
    command = f"graphspec search {tmp_path / 'tiny.yaml'} --trials 3"
    assert done.stderr == f"interrupted: all trials can be resumed; go on with\n  {command}\n"


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_two_processes_share_the_trials(tmp_path: Path, sampler: str) -> None:
    path = project(tmp_path, sampler=sampler, trials=5)
    environment = os.environ.get("OMP_NUM_THREADS")
    alone = ("--set", "training.workers=1")  # of a trial: whatever mode the tests run in
    done = graphspec("search", path, "-j", "2", "--no-report", *alone)
    assert done.exit_code == 0, done.stderr
    assert os.environ.get("OMP_NUM_THREADS") == environment
    assert "5 trials: 5 complete" in done.stdout
    assert sorted(p.name for p in Path("runs/tiny-search").glob("0*")) == [f"{k:04d}" for k in range(1, 6)]
    if sampler == "random":  # the values depend on the numbers alone
        graphspec("search", path, "--out", "alone", "--no-report", *alone)
        for k in range(1, 6):
            weights = [
                Path(run, f"{k:04d}", "weights.safetensors").read_bytes() for run in ("alone", "runs/tiny-search")
            ]
            assert weights[0] == weights[1]


@pytest.mark.slow
def test_trials_that_cannot_be_built_are_listed(tmp_path: Path) -> None:
    space = """
    training.optimizer.clipnorm: {choice: [null, 1.0]}
    training.optimizer.clipvalue: {choice: [null, 1.0]}
"""
    done = graphspec("search", project(tmp_path, space, sampler="grid", trials=9), "--no-report")
    assert done.exit_code == 0, done.stderr
    assert "infeasible: GS105: `clipvalue` of adam" in done.stdout
    assert "4 trials: 3 complete, 1 infeasible" in done.stdout


@pytest.mark.parametrize("sampler", ["random", "grid", "tpe"])
def test_without_optuna_specs_are_valid_and_a_search_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    path = project(tmp_path, GRID, sampler=sampler, trials=1)
    assert graphspec("validate", path).exit_code == 0
    done = graphspec("search", path)
    assert done.exit_code == 2
    assert missing_library("optuna") in done.stderr
    assert not Path("runs/tiny-search").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sampler", "grid"], "--sampler grid: a grid cannot list the values of 'layers.hidden.units'"),
        (["--storage", "sqlite:///x.db", "-j", "2", "--sampler", "tpe"], "SQLite does not let several processes write"),
        (["--storage", "x.db", "--sampler", "tpe"], "--storage takes the URL of a database"),
        (["--timeout", "soon"], "write a time such as 90s, 30m or 2h"),
    ],
)
def test_refusals(tmp_path: Path, options: list[str], message: str) -> None:
    done = graphspec("search", project(tmp_path), *options)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert not Path("runs").exists()


def test_a_spec_without_a_search_and_one_whose_space_is_wrong(tmp_path: Path) -> None:
    path = project(tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[2, 8]", "[0, 8]"), encoding="utf-8")
    done = graphspec("search", path)
    assert done.exit_code == 1
    assert "`log` of 'layers.hidden.units' needs positive bounds" in done.stderr
    path.write_text(text.partition("search:")[0], encoding="utf-8")
    done = graphspec("search", path)
    assert done.exit_code == 1
    assert "GS103" in done.stderr


def test_train_ignores_the_search(tmp_path: Path) -> None:
    path = project(tmp_path)
    assert graphspec("train", path, "--no-report").exit_code == 0
    path.write_text(path.read_text(encoding="utf-8").partition("search:")[0], encoding="utf-8")
    assert graphspec("train", path, "--no-report", "--out", "runs/plain").exit_code == 0
    assert Path("runs/tiny/spec.json").read_bytes() == Path("runs/plain/spec.json").read_bytes()


def test_no_time_no_trials(tmp_path: Path) -> None:
    done = graphspec("search", project(tmp_path), "--timeout", "0s")
    assert done.exit_code == 0
    assert "0 trials" in done.stdout


def test_numbers_are_rounded_for_people() -> None:
    assert short("training.optimizer={type: Adam, learning_rate: 0.00681870286472023}") == (
        "optimizer={type: Adam, learning_rate: 0.006819}"
    )
    assert short("layers.hidden.units=64") == "hidden.units=64"
