"""Tests of ``workers: auto``: it compares, chooses, and may choose again; what it tries changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from watching import Recorder

import graphspec as gs
from graphspec.base.arrays import blas
from graphspec.engine.training import choose_workers as auto
from graphspec.engine.training.prepare import FitData, FitSettings, prepare_fit
from graphspec.engine.training.reporting import Silent
from graphspec.engine.training.run_directory import start_run
from graphspec.engine.training.trainer import Trainer
from specs import blobs, dense_spec

pytestmark = pytest.mark.usefixtures("two_cores")
MANY = 1e9  # whatever a step takes, several workers are taken
NEVER = 0.0
TRAINING = {"optimizer": {"type": "Adam", "use_ema": True}, "batch_size": 16, "seed": 3}


class Changing(Recorder):
    """After epochs, sets the ratio up to which several workers are taken."""

    def __init__(self, ratios: Mapping[int, float], monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self._ratios, self._patch = ratios, monkeypatch
        self.sizes: list[int | None] = []

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        assert self.trainer is not None
        self.sizes.append(self.trainer.model.workers)
        if epoch in self._ratios:
            self._patch.setattr(auto, "MAX_TIME_RATIO", self._ratios[epoch])


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short runs are tried too, every choice is looked at again, and trials are short."""
    for name in ("MIN_STEP_SECONDS", "MIN_RUN_SECONDS", "REVISE_SECONDS", "_BLOCK_SECONDS"):
        monkeypatch.setattr(auto, name, 0.0)
    monkeypatch.setattr(auto, "CLEAR_RATIO", 1e-9)


def run_of(watcher: Recorder, workers: Any, epochs: int = 3, directory: Path | None = None, **training: Any) -> Trainer:
    spec = dense_spec(training=TRAINING | training)
    model = gs.compile(spec, [f"training.workers={workers}"])
    data, settings = FitData(*blobs()), FitSettings(epochs)
    watcher.trainer = prepare_fit(model, data, settings, observer=watcher, directory=directory)
    return watcher.trainer


def by_hand(sizes: list[int]) -> gs.Model:
    """A training with so many workers in each epoch, in one fit each."""
    model: gs.Model | None = None
    for size in sizes:
        spec = dense_spec(training=TRAINING)
        following = gs.compile(spec, [f"training.workers={size}"])
        if model is not None:
            following.set_weights(model.weights)
            following.optimizer_state.load(model.optimizer_state.arrays())
            following.optimizer_state.load_counters(model.optimizer_state.counters())
            following.epochs_done = model.epochs_done
        run = prepare_fit(following, FitData(*blobs()), FitSettings(1), observer=Silent())
        run.optimizer_state.finish = lambda: None  # type: ignore[method-assign]  # the averages are no weights yet
        run.run()
        model = following
    assert model is not None
    return model


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("first", "ratios", "sizes"), [(MANY, {0: NEVER}, [2, 1, 1]), (NEVER, {0: MANY}, [1, 2, 2])])
def test_a_choice_is_revised_once_between_epochs(
    monkeypatch: pytest.MonkeyPatch, first: float, ratios: dict[int, float], sizes: list[int]
) -> None:
    monkeypatch.setattr(auto, "MAX_TIME_RATIO", first)
    watcher = Changing({**ratios, 1: first}, monkeypatch)  # what is found later changes nothing more
    run = run_of(watcher, "auto")
    monkeypatch.setattr(run.optimizer_state, "finish", lambda: None)
    run.run()
    assert watcher.sizes == sizes
    assert [epoch.workers for epoch in run.timer.times.epochs] == sizes
    assert watcher.said == [f"{sizes[1]} process{'es' * (sizes[1] > 1)} from epoch 2 on: steps are faster so"]
    expected = by_hand(sizes)
    for name, weight in expected.weights.items():
        np.testing.assert_array_equal(run.model.weights[name], weight, err_msg=name)
    for name, slot in expected.optimizer_state.arrays().items():
        np.testing.assert_array_equal(run.optimizer_state.arrays()[name], slot, err_msg=name)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("first", [MANY, NEVER])
def test_with_shards_a_change_is_not_seen_in_the_bits(monkeypatch: pytest.MonkeyPatch, first: float) -> None:
    monkeypatch.setattr(auto, "MAX_TIME_RATIO", first)
    watcher = Changing({0: MANY + NEVER - first}, monkeypatch)
    run, other = run_of(watcher, "auto", shards=2), run_of(Recorder(), 1, shards=2)
    vectors = dict(run.model.parameters.vectors)
    run.run()
    other.run()
    assert sorted(set(watcher.sizes), key=str) == [1, 2]
    assert all(run.model.parameters.vectors[name] is vector for name, vector in vectors.items())
    for name, weight in other.model.weights.items():
        np.testing.assert_array_equal(run.model.weights[name], weight, err_msg=name)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_the_number_in_effect_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "MAX_TIME_RATIO", NEVER)
    watcher = Changing({0: MANY}, monkeypatch)
    run = run_of(watcher, "auto", 2, tmp_path)
    start_run(run.model, tmp_path)
    run.run()
    assert json.loads((tmp_path / "run.json").read_text())["workers"] == 2
    assert [e["workers"] for e in json.loads((tmp_path / "timing.json").read_text())["epochs"]] == [1, 2]


def test_a_choice_that_is_clear_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MIN_STEP_SECONDS", "MIN_RUN_SECONDS", "REVISE_SECONDS", "_BLOCK_SECONDS"):
        monkeypatch.setattr(auto, name, 0.0)
    run = run_of(Recorder(), "auto", 1)
    chooser = auto.AutoWorkers(run.steps, lambda: None, lambda size: False, 2)
    measured = chooser._measured = auto.Measured(1.0, 1.0, expected=1.0)
    compared: list[int] = []
    monkeypatch.setattr(chooser, "_compare", lambda *_: compared.append(1) or 2)
    for clear, seconds, again in ((True, 1.0, 0), (False, 1.0, 1), (True, 2.0, 1)):
        measured.ratio, chooser._clear, chooser._since = 0.5, clear, 0.0
        compared.clear()
        chooser.revise(range(1, 9), seconds)
        assert len(compared) == again, (clear, seconds)
    assert chooser.revise(range(1, 9), 2.0) is None  # once is enough


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("shards", [None, 2])
@pytest.mark.parametrize("ratio", [MANY, NEVER])
def test_a_program_is_timed_once_in_a_process(
    monkeypatch: pytest.MonkeyPatch, ratio: float, shards: int | None
) -> None:
    """A second fit of the model, and another model of the spec, take the first one's choice; another batch is timed."""
    monkeypatch.setattr(auto, "MAX_TIME_RATIO", ratio)
    blocks, block = list[int](), auto._block
    monkeypatch.setattr(auto, "_block", lambda *args: blocks.append(1) or block(*args))
    first, sizes, weights = run_of(Recorder(), "auto", 1, shards=shards), list[int | None](), []
    again = run_of(Recorder(), "auto", 1, shards=shards)
    first.run()
    timed = len(blocks)
    again.run()
    for run in (first, again):
        sizes.append(run.model.workers)
        weights.append(run.model.weights)
    assert sizes == [2 if ratio else 1] * 2
    assert timed == len(blocks) > 0
    for name, weight in weights[0].items():
        np.testing.assert_array_equal(weights[1][name], weight, err_msg=name)
    run_of(Recorder(), "auto", 1, shards=shards, batch_size=12).run()
    assert len(blocks) > timed


def test_a_short_fit_is_not_timed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks, block = list[int](), auto._block
    monkeypatch.setattr(auto, "_block", lambda *args: blocks.append(1) or block(*args))
    model, (x, y) = gs.compile(dense_spec(training=TRAINING | {"workers": "auto"})), blobs()
    for _ in range(3):
        model.fit(x, y, epochs=1, verbose=0)
    assert model.workers == len(blocks) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("ratio", [MANY, NEVER])
def test_a_trial_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, ratio: float) -> None:
    """Programs of the other side are gone, BLAS has its threads, and the arrays of the model are its own at the end."""
    monkeypatch.setattr(auto, "MAX_TIME_RATIO", ratio)
    monkeypatch.setattr(auto, "_KEPT_BYTES", 0)
    run = run_of(Recorder(), "auto", 1)
    vectors, library = dict(run.model.parameters.vectors), blas.openblas()
    threads = None if library is None else library.get()
    run._choose_workers()
    assert run.model.workers == (2 if ratio else 1)
    assert (run.steps.leader is None) == (ratio == NEVER)
    caches = [run.model.programs, run.steps.own_cache]
    assert sum(cache.nbytes() for cache in caches if cache is not None) == 0
    run.steps.leave()
    assert run.steps.leader is None
    assert all(run.model.parameters.vectors[name] is vector for name, vector in vectors.items())
    assert library is None or library.get() == threads


def test_a_worker_that_dies_in_a_trial_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MIN_STEP_SECONDS", "MIN_RUN_SECONDS"):
        monkeypatch.setattr(auto, name, 0.0)
    run = run_of(Recorder(), "auto", 1)
    timed = auto.AutoWorkers._timed
    dead = list[Any]()

    def timed_until_one_dies(self: Any, side: Any, other: Any, epoch: int) -> list[float]:
        leaders = [value for each in (side, other) for _, name, value in each._values if name == "leader"]
        leader = next(value for value in leaders if value is not None)
        dead[:] = leader.processes.started
        dead[0].kill()
        dead[0].wait()
        return timed(self, side, other, epoch)

    monkeypatch.setattr(auto.AutoWorkers, "_timed", timed_until_one_dies)
    with pytest.raises(gs.RunError, match="GS604"):
        run.run()
    assert run.steps.leader is None
    assert dead
