"""Values of trials: inclusive bounds, conditional spaces, all combinations of a grid, texts for --set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from searches import GRID, plan_of, project, search_of

from graphspec.search.study import Params, Study, grid_size, seed_of


def values(path: Path, folder: Path, trials: int) -> list[Params]:
    """The values of so many trials, which all fail."""
    study, found = Study(plan_of(path, folder, trials)), list[Params]()
    for _ in range(trials):
        with study.claimed() as trial:
            assert trial is not None
            found.append(trial.params)
            study.finish(replace(trial, state="failed"))
    return found


def test_a_grid_has_each_combination_once_and_choices_bring_their_own(tmp_path: Path) -> None:
    path = project(tmp_path, GRID, sampler="grid")
    size = grid_size(search_of(path))
    values(path, tmp_path / "s", size)
    points = [trial.sets for trial in Study(plan_of(path, tmp_path / "s", size)).trials()]
    optimizers = ["{type: SGD, momentum: 0.0}", "{type: SGD, momentum: 0.5}", "adam"]
    assert sorted(points) == sorted(
        [f"layers.hidden.units={units}", f"training.optimizer={optimizer}"]
        for units in (2, 4, 6)
        for optimizer in optimizers
    )


@pytest.mark.slow
def test_bounds_are_included_and_never_left(tmp_path: Path) -> None:
    space = """
    layers.hidden.units: {int: [2, 4], log: true}
    training.epochs: {int: [1, 3]}
    training.optimizer: {choice: [{type: SGD, momentum: {float: [0, 0.3], step: 0.1}, learning_rate: {float: [0.5, 2]}}]}
"""
    seen: dict[str, set[float]] = {}
    for params in values(project(tmp_path, space), tmp_path / "s", 60):
        for name, value in params.items():
            seen.setdefault(name, set()).add(value)
    assert seen["layers.hidden.units"] == {2, 3, 4}
    assert seen["training.epochs"] == {1, 2, 3}
    assert seen["training.optimizer[SGD].momentum"] == {0.0, 0.1, 0.2, 0.3}
    rates = seen["training.optimizer[SGD].learning_rate"]
    assert 0.5 <= min(rates) < 0.6
    assert 1.9 < max(rates) <= 2


def test_spaces_inside_a_choice_exist_only_if_it_is_taken(tmp_path: Path) -> None:
    kinds = set()
    for params in values(project(tmp_path), tmp_path / "s", 20):
        inner = {name for name in params if "[" in name}
        kinds.add(params["training.optimizer"])
        sgd = {"training.optimizer[SGD].momentum", "training.optimizer[SGD].learning_rate"}
        assert inner == (sgd if params["training.optimizer"] == 0 else {"training.optimizer[Adam].learning_rate"})
    assert kinds == {0, 1}


def test_random_values_depend_on_the_seed_and_the_number_alone(tmp_path: Path) -> None:
    path = project(tmp_path)
    first, again = values(path, tmp_path / "a", 3), values(path, tmp_path / "b", 4)
    assert again[:3] == first
    assert len({str(params) for params in again}) == 4
    other = Study(replace(plan_of(path, tmp_path / "c", 3), seed=6))
    with other.claimed() as trial:
        assert trial is not None
        assert trial.params != first[0]
    assert seed_of(1, 7) != seed_of(7, 1)
