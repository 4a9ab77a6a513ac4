"""Tests of training with two processes: it gives the results of one process, and the same bits in each run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sharing import Rows, catalogue, images, records, sentences, speech
from watching import Recorder, watched

import graphspec as gs
from graphspec.engine.parallel import machine as shared
from graphspec.engine.parallel import processes
from graphspec.engine.training import choose_workers as auto_workers
from graphspec.engine.training.prepare import FitData, prepare_fit
from graphspec.engine.training.reporting import Silent
from specs import blobs, dense_spec

pytestmark = pytest.mark.usefixtures("two_cores")


def train(spec: dict[str, Any], rows: Rows, workers: Any) -> tuple[gs.Model, dict[str, list[float]]]:
    model = gs.compile(spec, [f"training.workers={workers}"])
    x, y, weights = rows
    held = tuple(part for part in (x, y, weights) if part is not None)
    history = model.fit(x, y, sample_weight=weights, validation_data=held, verbose=0)
    assert workers == "auto" or model.workers == workers
    return model, history.history


@pytest.mark.slow
@pytest.mark.parametrize("case", [images, sentences, speech, records, catalogue], ids=lambda case: case.__name__)
def test_results_are_those_of_one_process_and_the_same_bits_twice(case: Any) -> None:
    spec, rows = case()
    one, history = train(spec, rows, 1)
    two, of_two = train(spec, rows, 2)
    for name, weight in one.weights.items():
        np.testing.assert_allclose(two.weights[name], weight, rtol=1e-3, atol=1e-5, err_msg=name)
    assert history.keys() == of_two.keys()
    for key, figures in history.items():
        np.testing.assert_allclose(of_two[key], figures, rtol=1e-4, atol=1e-6, err_msg=key)
    repeat, of_repeat = train(spec, rows, 2)
    assert of_two == of_repeat
    for name, weight in two.weights.items():
        np.testing.assert_array_equal(repeat.weights[name], weight, err_msg=name)
    for name, slot in two.optimizer_state.arrays().items():
        np.testing.assert_array_equal(repeat.optimizer_state.arrays()[name], slot, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("case", [images, sentences, speech, records, catalogue], ids=lambda case: case.__name__)
def test_scattered_rows_give_the_same_bits(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 0 gathers the rows of all workers batch by batch, or each worker gathers its own from all rows."""
    allocated: list[dict[str, Any]] = []

    def allocate(wanted: dict[str, Any]) -> Any:
        allocated.append({name: shape for name, (shape, _) in wanted.items() if name.startswith("rows/")})
        return shared.allocate(wanted)

    monkeypatch.setattr(processes, "allocate", allocate)
    spec, (x, y, weights) = case()
    results = []
    for ratio in (np.inf, 0):
        monkeypatch.setattr(processes, "_SCATTER_RATIO", ratio)
        model = gs.compile(spec, ["training.workers=2"])
        history = model.fit(x, y, sample_weight=weights, validation_split=0.2, verbose=0)
        results.append((history.history, model.weights))
    (history, weights_of_all), (scattered_history, weights_of_scattered) = results
    assert history == scattered_history
    assert all(np.array_equal(weights_of_scattered[name], weight) for name, weight in weights_of_all.items())
    every, batch = allocated
    n = len(next(iter(x.values())))
    assert every.pop("rows/chosen") == (n - round(0.2 * n),)
    assert every == {name: (n, *shape[1:]) for name, shape in batch.items()}
    assert {shape[0] for shape in batch.values()} == {8}


def test_rows_are_scattered_if_a_step_is_large() -> None:
    small = watched(dense_spec(), Recorder())
    spec, (x, y, _) = images()
    spec["layers"][0]["filters"] = 64
    large = prepare_fit(gs.compile(spec), FitData(x, y), observer=Silent())
    assert [processes._scatters(run.steps.common) for run in (small, large)] == [False, True]


@pytest.mark.slow
def test_pipes_give_the_same_bits(new_processes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, rows = images()
    model, history = train(spec, rows, 2)
    monkeypatch.setattr(processes, "spins_safely", lambda: False)
    other, of_other = train(spec, rows, 2)
    assert history == of_other
    assert all(np.array_equal(other.weights[name], weight) for name, weight in model.weights.items())


@pytest.mark.slow
def test_after_training_the_model_uses_its_own_memory() -> None:
    """Weights and slots are back in this process's memory, and a second fit continues from them."""
    (x, y), model = blobs(), gs.compile(dense_spec(), ["training.workers=2", "training.epochs=1"])
    vectors, slots = dict(model.parameters.vectors), model.optimizer_state.slots
    model.predict(x[:4])
    model.fit(x, y, verbose=0)
    assert all(model.parameters.vectors[name] is vector for name, vector in vectors.items())
    assert model.optimizer_state.slots["momentum"] is slots["momentum"]
    before = model.predict(x[:4])
    model.set_weights({"kind/bias": model.weights["kind/bias"] + [1, 0, 0]})
    assert not np.allclose(model.predict(x[:4]), before)
    assert model.optimizer_state.clock.step == 8
    model.fit(x, y, verbose=0)
    assert model.optimizer_state.clock.step == 16


@pytest.mark.slow
def test_rows_of_a_memory_map_are_not_copied(new_processes: None, tmp_path: Path) -> None:
    x, y = blobs()
    np.save(tmp_path / "x.npy", x)
    models = []
    for rows in (x, np.load(tmp_path / "x.npy", mmap_mode="r")):
        models.append(gs.compile(dense_spec(), ["training.workers=2", "training.epochs=1"]))
        models[-1].fit(rows, y, verbose=0)
    assert all(np.array_equal(models[1].weights[name], weight) for name, weight in models[0].weights.items())


@pytest.mark.slow
def test_rehearsals_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, rows = images()
    spec["training"]["optimizer"] = {"type": "Adafactor", "use_ema": True}
    monkeypatch.setattr(auto_workers, "MIN_STEP_SECONDS", 0.0)
    monkeypatch.setattr(auto_workers, "MIN_RUN_SECONDS", 0.0)
    monkeypatch.setattr(auto_workers, "MAX_TIME_RATIO", 0.0)
    one, history = train(spec, rows, 1)
    chosen, of_chosen = train(spec, rows, "auto")
    assert chosen.workers == 1
    assert history == of_chosen
    for name, weight in one.weights.items():
        np.testing.assert_array_equal(chosen.weights[name], weight, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, "auto"])
def test_weights_and_slots_are_in_memory_once(monkeypatch: pytest.MonkeyPatch, workers: Any) -> None:
    """While several train, this process's own are given back; afterwards they hold what was trained."""
    monkeypatch.setattr(auto_workers, "MIN_STEP_SECONDS", 0.0)
    monkeypatch.setattr(auto_workers, "MIN_RUN_SECONDS", 0.0)
    monkeypatch.setattr(auto_workers, "MAX_TIME_RATIO", 1e9)
    x, y = np.random.default_rng(0).random((64, 300), np.float32), np.arange(64) % 3
    given: list[int] = []
    give_back = processes.give_back
    models = []
    for gives in (lambda array: given.append(array.nbytes) or give_back(array), lambda array: None):
        monkeypatch.setattr(processes, "give_back", gives)
        layers = [{"type": "Dense", "units": 200, "activation": "relu"}, {"name": "y", "type": "Dense", "units": 3}]
        loss = {"loss": {"type": "sparse_categorical_crossentropy", "from_logits": True}}
        training = {"optimizer": {"type": "Adam", "use_ema": True}, "batch_size": 16, "epochs": 2, "seed": 1}
        spec = {"graphspec": 1, "name": "wide", "inputs": {"x": {"shape": [300]}}, "layers": layers}
        models.append(gs.compile(spec | {"outputs": {"y": loss}, "training": training | {"workers": workers}}))
        for _ in range(2):
            models[-1].fit(x, y, verbose=0)
        assert models[-1].workers == 2
    assert sum(given) > 2 * 4 * 4 * 60_000  # in two fits, weights, slots and gradient
    for name, weight in models[1].weights.items():
        np.testing.assert_array_equal(models[0].weights[name], weight, err_msg=name)
