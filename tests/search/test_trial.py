"""One trial: results, pruning, failures, and going on after a death with the same bits."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from searches import plan_of, project

import graphspec as gs
from graphspec.engine.training.trainer import Trainer
from graphspec.search import trials as module
from graphspec.search.study import MAX_STARTS, Study, Trial
from graphspec.search.trials import Source, train_trial


def one(study: Study, path: Path, **changes: Any) -> Trial:
    with study.claimed() as trial:
        assert trial is not None
        done = train_trial(study, replace(trial, **changes), Source(str(path), reports=False))
        study.finish(done)
    return done


def test_a_trial_is_a_run_whose_value_is_that_of_its_weights(tmp_path: Path) -> None:
    path = project(tmp_path)
    study = Study(plan_of(path, tmp_path / "s"))
    done = one(study, path)
    assert done.state == "complete"
    assert len(done.values) == 3
    assert done.value == min(done.values), "EarlyStopping restores the best weights"
    model = gs.load(study.folder / "0001")
    assert "search" not in model.document()
    again = gs.compile(str(path), sets=done.sets)
    again.fit(verbose=0)
    for name, weight in model.weights.items():
        assert weight.tobytes() == again.weights[name].tobytes()


def test_a_trial_goes_on_after_a_death_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project(tmp_path)
    whole, broken = Study(plan_of(path, tmp_path / "a")), Study(plan_of(path, tmp_path / "b"))
    first = one(whole, path)
    epoch = module._Watch.epoch

    def dies(self: Any, number: int, logs: Any) -> None:
        epoch(self, number, logs)
        if number == 1:
            raise SystemExit

    with monkeypatch.context() as patched, suppress(SystemExit):
        patched.setattr(module._Watch, "epoch", dies)
        one(broken, path)
    assert [t.state for t in broken.trials()] == ["running"]
    second = one(broken, path)
    assert (second.value, second.values) == (first.value, first.values)
    for name in ("weights.safetensors", "history.csv", "spec.json"):
        assert (whole.folder / "0001" / name).read_bytes() == (broken.folder / "0001" / name).read_bytes()


def test_a_trial_that_cannot_be_built_says_why_and_trains_nothing(tmp_path: Path) -> None:
    path = project(tmp_path)
    study = Study(plan_of(path, tmp_path / "s"))
    done = one(study, path, sets=["layers.hidden.units=0"])
    assert (done.state, done.value) == ("infeasible", None)
    assert re.fullmatch(r"GS105: `units` of Dense 'hidden' must be >= 1, not 0.*", done.problem)
    assert [p.name for p in (study.folder / "0001").iterdir() if not p.name.startswith(".")] == ["trial.json"]


def test_a_trial_that_diverges_has_failed(tmp_path: Path) -> None:
    path = project(tmp_path)
    study = Study(plan_of(path, tmp_path / "s"))
    sgd = "training.optimizer={type: SGD, learning_rate: 1.0e+38}"
    done = one(study, path, sets=[sgd, "layers.answer.activation=linear", "outputs.answer={loss: mse}"])
    assert done.state == "failed"
    assert done.problem.startswith("GS601: ")


def test_a_trial_without_a_value_of_the_objective_has_failed(tmp_path: Path) -> None:
    path = project(tmp_path)
    done = one(Study(plan_of(path, tmp_path / "s")), path, sets=["data.validation=null", "training.callbacks=null"])
    assert (done.state, done.problem) == ("failed", "its history has no 'val_loss'")


def test_a_trial_that_needs_too_much_memory_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Trainer) -> None:
        raise MemoryError

    monkeypatch.setattr(Trainer, "run", full)
    path = project(tmp_path)
    done = one(Study(plan_of(path, tmp_path / "s")), path)
    assert (done.state, done.problem) == ("failed", "there is too little memory")


def test_the_report_of_a_trial_has_the_interval_of_its_value(tmp_path: Path) -> None:
    path = project(tmp_path, objective="{metric: val_accuracy}")
    path.write_text(path.read_text(encoding="utf-8").replace("  test: {file: test.npz}\n", ""), encoding="utf-8")
    study = Study(plan_of(path, tmp_path / "s"))
    with study.claimed() as trial:
        assert trial is not None
        done = train_trial(study, trial, Source(str(path)))
    assert done.value is not None
    assert done.between is not None
    assert 0 <= done.between[0] <= done.value <= done.between[1] <= 1
    assert (study.folder / "0001" / "report.html").is_file()


def test_a_trial_that_kills_its_processes_is_given_up(tmp_path: Path) -> None:
    path = project(tmp_path)
    done = one(Study(plan_of(path, tmp_path / "s")), path, starts=MAX_STARTS + 1)
    assert (done.state, done.problem) == ("failed", f"{MAX_STARTS} processes died with it")


def test_a_pruned_trial_is_a_run_that_has_ended(tmp_path: Path) -> None:
    path = project(tmp_path, prune="median")
    study = Study(plan_of(path, tmp_path / "s", 9))
    for _ in range(5):
        with study.claimed() as trial:
            assert trial is not None
            study.finish(replace(trial, state="complete", value=0.01, values=[0.01] * 3))
    done = one(study, path)
    assert (done.number, done.state, len(done.values)) == (6, "pruned", 2)
    progress = (study.folder / "0006" / "checkpoint.json").read_text(encoding="utf-8")
    assert "the search pruned the trial after epoch 2" in progress
    (study.folder / "0006" / "trial.json").unlink()
    again = one(study, path)
    assert (again.state, again.values) == ("pruned", done.values)
