"""Trials whose values Optuna chooses: bounds, conditional spaces, the same trials again, deaths, infeasible trials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from searches import plan_of, project

from graphspec import UsageError
from graphspec.search.study import TRIAL, Study, Trial, _quiet

SPACE = """
    layers.hidden.units: {int: [2, 4]}
    training.optimizer:
      choice:
        - {type: SGD, momentum: {float: [0, 0.9], step: 0.3}}
        - {type: Adam, learning_rate: {float: [0.001, 0.1], log: true}}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return project(tmp_path, SPACE, sampler="tpe")


def judged(trial: Trial) -> Trial:
    """The trial as if its objective were a function of its values: units 4 cannot be built."""
    units = trial.params["layers.hidden.units"]
    if units == 4:
        return replace(trial, state="infeasible", problem="too wide")
    return replace(trial, state="complete", value=units + trial.params["training.optimizer"], values=[1.0])


def run(study: Study, most: int = 99) -> list[Trial]:
    done = []
    for _ in range(most):
        with study.claimed() as trial:
            if trial is None:
                break
            done.append(judged(trial))
            study.finish(done[-1])
    return done


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trials_also_in_parts(path: Path, tmp_path: Path) -> None:
    first = run(Study(plan_of(path, tmp_path / "a", 16)))
    assert len(first) == 16
    run(Study(plan_of(path, tmp_path / "b", 16)), most=5)
    study = Study(plan_of(path, tmp_path / "b", 16))
    with study.claimed() as trial:  # its process dies
        assert trial == Trial(6, first[5].params, first[5].sets)
    run(Study(plan_of(path, tmp_path / "b", 16)))
    again = Study(plan_of(path, tmp_path / "b", 16)).trials()
    assert [(t.params, t.value, t.state) for t in again] == [(t.params, t.value, t.state) for t in first]
    for trial in first:
        sgd, adam = "training.optimizer[SGD].momentum", "training.optimizer[Adam].learning_rate"
        assert (sgd in trial.params) == (trial.params["training.optimizer"] == 0) != (adam in trial.params)
        assert trial.params.get(sgd, 0.3) in (0.0, 0.3, 0.6, 0.9)
        assert 0.001 <= trial.params.get(adam, 0.01) <= 0.1
    assert {t.params["layers.hidden.units"] for t in first} == {2, 3, 4}


@pytest.mark.slow
def test_the_sampler_hears_of_infeasible_and_failed_trials(path: Path, tmp_path: Path) -> None:
    study = Study(plan_of(path, tmp_path / "a", 30))
    done = run(study)
    told = study.study.get_trials()
    for trial, frozen in zip(done, told, strict=True):
        broken = [v for v in frozen.constraints.values() if v > 0]
        assert (trial.state == "infeasible") == bool(broken)
    late = [t.state for t in done[15:]]
    assert late.count("infeasible") < 5, "it avoids what cannot be built, which a third of all values are"


def test_a_death_between_asking_and_the_run_directory(path: Path, tmp_path: Path) -> None:
    study = Study(plan_of(path, tmp_path / "a", 3))
    with _quiet():
        study.study.sampler = study._sampler(1)
        study.study.ask()
    other = Study(plan_of(path, tmp_path / "b", 3))
    assert [t.params for t in run(study)] == [t.params for t in run(other)]


def test_a_death_between_telling_and_the_record(path: Path, tmp_path: Path) -> None:
    study = Study(plan_of(path, tmp_path / "a", 1))
    with study.claimed() as trial:
        assert trial is not None
        record = (study.folder / "0001" / TRIAL).read_bytes()
        study.finish(replace(trial, state="complete", value=1.0))
    (study.folder / "0001" / TRIAL).write_bytes(record)
    with study.claimed() as again:
        assert again is not None
        study.report(again, [2.0])
        study.finish(replace(again, state="complete", value=1.0))
    assert [t.value for t in study.trials()] == [1.0]


@pytest.mark.slow
def test_folders_share_a_database(path: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{(tmp_path / 'study.db').as_posix()}"
    one = Study(plan_of(path, tmp_path / "a", 4), url)
    two = Study(plan_of(path, tmp_path / "b", 4), url)
    with one.claimed() as first, two.claimed() as second:
        assert first is not None
        assert second is not None
        assert (first.number, second.number) == (1, 2)
        assert [t.state for t in one.trials()] == ["running"] * 2
        two.finish(judged(second))
    assert [t.number for t in run(two)] == [3, 4], "the trial of the other folder is left to it"
    assert [t.number for t in run(one)] == [1]
    assert [(t.number, t.params, t.sets, t.value) for t in one.trials()] == [
        (t.number, t.params, t.sets, t.value) for t in two.trials()
    ]


@pytest.mark.slow
def test_a_database_that_cannot_be_used(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--storage: the database cannot be used"):
        Study(plan_of(path, tmp_path / "a"), "nonsense://x")
    assert not (tmp_path / "a").exists()
