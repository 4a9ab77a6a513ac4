"""Which trials end early: by the values of others at the same epoch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from searches import plan_of, project

from graphspec.search.study import Study, Trial


def study_of(folder: Path, rule: str, *values: list[float], goal: str = "min") -> Study:
    """A search in which so many trials are complete, with these values."""
    folder.mkdir(exist_ok=True)
    plan = replace(plan_of(project(folder, prune=rule), folder / "s", 99), goal=goal)
    study = Study(plan)
    for each in values:
        with study.claimed() as trial:
            assert trial is not None
            study.finish(replace(trial, state="complete", value=each[-1], values=each))
    return study


def prunes(study: Study, values: list[float], epochs: int) -> bool:
    """Whether the next trial ends after the epoch of its last value; another time it is another trial."""
    with study.claimed() as trial:
        assert trial is not None
        found = study.prunes(trial, values, epochs)
        study.finish(replace(trial, state="failed"))
    return found


def test_median_compares_the_best_so_far_with_complete_trials_at_the_same_epoch(tmp_path: Path) -> None:
    known = [[float(k)] * 3 for k in range(1, 6)]
    study = study_of(tmp_path / "a", "median", *known)
    assert not prunes(study, [9.0], 10), "the first tenth of the epochs is spared"
    assert prunes(study, [9.0, 3.5], 10)
    assert not prunes(study, [9.0, 3.0], 10)
    assert not prunes(study, [2.0, 9.0], 10), "it has been better"
    assert not prunes(study, [9.0, 9.0], 2), "it has ended"
    assert prunes(study, [float("nan")] * 2, 10)
    assert not prunes(study_of(tmp_path / "b", "median", *known[:4]), [9.0, 9.0], 10), "too few are known"
    assert prunes(study_of(tmp_path / "c", "median", *known, goal="max"), [2.0, 2.0], 10)
    assert not prunes(study_of(tmp_path / "d", "none", *known), [9.0, 9.0], 10)


def test_hyperband_keeps_the_best_third_at_its_rungs(tmp_path: Path) -> None:
    study = study_of(tmp_path, "hyperband")
    ended = [epochs_of(study, float(k)) for k in range(24)]
    assert ended[0] == 27, "the first of all"
    assert set(ended) <= {1, 3, 9, 27}
    assert sum(epochs < 27 for epochs in ended) > 12, "later ones are worse"
    assert epochs_of(study, -1.0) == 27, "the best of all"


def epochs_of(study: Study, value: float) -> int:
    """How long a trial is trained whose objective is always the same."""
    with study.claimed() as trial:
        assert trial is not None
        epochs = next(k for k in range(1, 28) if study.prunes(trial, [value] * k, 27) or k == 27)
        state: str = "complete" if epochs == 27 else "pruned"
        done = Trial(trial.number, trial.params, state=state, value=value, values=[value] * epochs)  # type: ignore[arg-type]
        study.finish(done)
    return epochs
