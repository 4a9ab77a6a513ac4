"""Values of trials without Optuna: inclusive bounds, conditional spaces, the order of a grid, texts for --set."""

from __future__ import annotations

from pathlib import Path

from searches import GRID, project, search_of

from graphspec.search.sampling import grid_point, grid_size, random_chooser, sampled, seed_of, sets_of


def test_a_grid_changes_the_last_space_fastest_and_choices_bring_their_own(tmp_path: Path) -> None:
    search = search_of(project(tmp_path, GRID, sampler="grid"))
    points = [sets_of(search, grid_point(search, k)) for k in range(grid_size(search))]
    optimizers = ["{type: SGD, momentum: 0.0}", "{type: SGD, momentum: 0.5}", "adam"]
    assert points == [
        [f"layers.hidden.units={units}", f"training.optimizer={optimizer}"]
        for units in (2, 4, 6)
        for optimizer in optimizers
    ]


def test_bounds_are_included_and_never_left(tmp_path: Path) -> None:
    space = """
    layers.hidden.units: {int: [2, 4], log: true}
    training.epochs: {int: [1, 3]}
    training.optimizer: {choice: [{type: SGD, momentum: {float: [0, 0.3], step: 0.1}, learning_rate: {float: [0.5, 2]}}]}
"""
    search = search_of(project(tmp_path, space))
    seen: dict[str, set[float]] = {}
    for number in range(200):
        for name, value in sampled(search, random_chooser(0, number)).items():
            seen.setdefault(name, set()).add(value)
    assert seen["layers.hidden.units"] == {2, 3, 4}
    assert seen["training.epochs"] == {1, 2, 3}
    assert seen["training.optimizer[SGD].momentum"] == {0.0, 0.1, 0.2, 0.3}
    rates = seen["training.optimizer[SGD].learning_rate"]
    assert 0.5 <= min(rates) < 0.52
    assert 1.98 < max(rates) <= 2


def test_spaces_inside_a_choice_exist_only_if_it_is_taken(tmp_path: Path) -> None:
    search = search_of(project(tmp_path))
    kinds = set()
    for number in range(20):
        params = sampled(search, random_chooser(1, number))
        inner = {name for name in params if "[" in name}
        kinds.add(params["training.optimizer"])
        sgd = {"training.optimizer[SGD].momentum", "training.optimizer[SGD].learning_rate"}
        assert inner == (sgd if params["training.optimizer"] == 0 else {"training.optimizer[Adam].learning_rate"})
    assert kinds == {0, 1}


def test_values_depend_on_the_seed_and_the_number_alone(tmp_path: Path) -> None:
    search = search_of(project(tmp_path))
    assert sampled(search, random_chooser(1, 7)) == sampled(search, random_chooser(1, 7))
    assert sampled(search, random_chooser(1, 7)) != sampled(search, random_chooser(1, 8))
    assert sampled(search, random_chooser(1, 7)) != sampled(search, random_chooser(2, 7))
    assert seed_of(1, 7) != seed_of(7, 1)
