"""The importance of settings."""

from __future__ import annotations

from pathlib import Path

from searches import project, search_of

from graphspec.search.study import Trial, importances


def test_a_setting_that_decides_is_important_and_one_that_does_not_is_not(tmp_path: Path) -> None:
    space = "\n    layers.hidden.units: {int: [2, 99]}\n    training.batch_size: {choice: [8, 16]}\n"
    search = search_of(project(tmp_path, space))
    trials = [
        Trial(k, {"layers.hidden.units": k, "training.batch_size": k % 2}, state="complete", value=k * k / 7)
        for k in range(2, 42)
    ]
    first, second = importances(search, trials)
    assert (first.name, first.trials) == ("layers.hidden.units", 40)
    assert first.share > 0.9
    assert second.share == 1 - first.share
    assert importances(search, trials[:9]) == []
