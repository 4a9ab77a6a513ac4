"""Trials in a folder: taking, giving up, taking over; a folder of another search."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from searches import GRID, SPACE, plan_of, project

from graphspec import UsageError
from graphspec.search.study import TRIAL, Study, Trial, ranked, read_trial


def test_each_trial_is_taken_once(tmp_path: Path) -> None:
    plan = plan_of(project(tmp_path), tmp_path / "s", trials=2)
    one, two = Study(plan), Study(plan)
    with one.claimed() as first, two.claimed() as second, one.claimed() as third:
        assert first is not None
        assert second is not None
        assert (first.number, second.number, third) == (1, 2, None)
        assert first.params != second.params
    with one.claimed() as again:
        assert again is not None
        assert (again.number, again.params, again.starts) == (1, first.params, 2)
        one.finish(replace(again, state="failed"))
    assert [t.state for t in two.trials()] == ["failed", "running"]


@pytest.mark.parametrize(("sampler", "space"), [("random", SPACE), ("grid", GRID), ("tpe", SPACE)])
def test_values_are_the_same_whenever_a_process_dies(
    sampler: str, space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, found = project(tmp_path, space, sampler=sampler), list[dict[str, object]]()
    for moment in range(3):
        plan = plan_of(path, tmp_path / f"s{moment}")
        dying = Study(plan)
        told, left = dying.storage.set_trial_param, [moment]

        def told_or_dead(*arguments: Any, told: Any = told, left: list[int] = left) -> None:
            told(*arguments)
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

        monkeypatch.setattr(dying.storage, "set_trial_param", told_or_dead)
        with suppress(KeyboardInterrupt), dying.claimed():
            pass
        with Study(plan).claimed() as trial:
            assert trial is not None
            found.append(trial.params)
    assert found == [found[0]] * 3


def test_a_process_that_died_before_it_wrote_the_record_is_replaced(tmp_path: Path) -> None:
    study = Study(plan_of(project(tmp_path), tmp_path / "s"))
    with study.claimed() as trial:
        assert trial is not None
    (study.folder / "0001" / TRIAL).unlink()
    with study.claimed() as again:
        assert again == trial
    (study.folder / "0001" / TRIAL).write_text('{"number": "x', encoding="utf-8")
    assert read_trial(study.folder / "0001", "val_loss") is None


def test_progress_forgives_deaths(tmp_path: Path) -> None:
    study = Study(plan_of(project(tmp_path), tmp_path / "s"))
    starts = []
    for rows in (0, 0, 2, 2):
        text = "epoch,val_loss\n" + "".join(f"{k + 1},0.5\n" for k in range(rows))
        with study.claimed() as trial:
            assert trial is not None
            starts.append(trial.starts)
        (study.folder / "0001" / "history.csv").write_text(text, encoding="utf-8")
    assert starts == [1, 2, 3, 1]


def test_another_search_is_refused(tmp_path: Path) -> None:
    plan = plan_of(project(tmp_path), tmp_path / "s")
    Study(plan)
    Study(replace(plan, trials=99))
    with pytest.raises(UsageError, match="contains a search of another spec"):
        Study(replace(plan, identity="2" * 64))
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"contains notes\.txt, but no search"):
        Study(replace(plan, folder=tmp_path / "t"))


def test_the_best_is_the_first_of_equal_ones() -> None:
    trials = [Trial(k, state="complete", value=v) for k, v in ((1, 2.0), (2, 1.0), (3, 1.0))]
    assert [t.number for t in ranked([*trials, Trial(4, state="pruned", value=0.0)], "min")] == [2, 3, 1]
    assert [t.number for t in ranked(trials, "max")] == [1, 2, 3]
