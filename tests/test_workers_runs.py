"""Training with two processes: the results of one, the same bits twice, resuming, and every way to end."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resuming import Stop, assert_same_files, assert_same_weights, interrupt, resume, whole

import graphspec as gs
from graphspec.runtime import choose, shared, team
from graphspec.runtime.fit import prepare_fit
from graphspec.runtime.observe import Silent
from graphspec.runtime.rundir import check_resumable, start_run
from graphspec.runtime.totals import Totals
from graphspec.runtime.train import Trainer
from specs import blobs, dense_spec

Rows = tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "usable_cores", lambda: 2)


def spec_of(inputs: Any, layers: Any, outputs: Any, **training: Any) -> dict[str, Any]:
    training = {"optimizer": {"type": "SGD", "learning_rate": 0.1}, "epochs": 2, "batch_size": 8, "seed": 4} | training
    return {"graphspec": 1, "name": "w", "inputs": inputs, "layers": layers, "outputs": outputs, "training": training}


def images() -> tuple[dict[str, Any], Rows]:
    """BatchNormalization, dropout, a penalty, class weights, a last batch of one row, a norm over all gradients."""
    layers = [
        {"type": "Conv2D", "filters": 4, "kernel_size": 3, "use_bias": False},
        {"type": "BatchNormalization"},
        {"type": "ReLU"},
        {"type": "Flatten"},
        {"type": "Dropout", "rate": 0.3},
        {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax", "kernel_regularizer": "l2"},
    ]
    head = {"loss": "sparse_categorical_crossentropy", "class_weight": {1: 3.0}}
    head["metrics"] = ["accuracy", "sparse_top_k_categorical_accuracy"]
    optimizer = {"type": "SGD", "learning_rate": 0.1, "momentum": 0.9, "global_clipnorm": 1.0}
    spec = spec_of({"x": {"shape": [5, 5, 2]}}, layers, {"kind": head}, optimizer=optimizer)
    random = np.random.default_rng(0)
    return spec, ({"x": random.standard_normal((33, 5, 5, 2))}, {"kind": random.integers(0, 3, 33)}, None)


def sentences() -> tuple[dict[str, Any], Rows]:
    """Masks, sample weights for time steps, two heads, recurrent dropout, weights of frozen nodes."""
    layers = [
        {"name": "embed", "type": "Embedding", "input_dim": 9, "output_dim": 4, "mask_zero": True},
        {"name": "frozen", "type": "Dense", "units": 5, "trainable": False},
        {"name": "read", "type": "GRU", "units": 6, "return_sequences": True, "dropout": 0.2},
        {"name": "tag", "type": "Dense", "units": 3, "activation": "softmax"},
        {"name": "last", "type": "LSTM", "units": 4, "inputs": "read"},
        {"name": "score", "type": "Dense", "units": 1},
    ]
    outputs = {
        "tag": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        "score": {"loss": "mse", "metrics": ["mae", "r2_score"], "weight": 0.5},
    }
    spec = spec_of({"ids": {"shape": [None], "dtype": "int64"}}, layers, outputs, optimizer="adam")
    random = np.random.default_rng(1)
    ids = random.integers(1, 9, (21, 6)) * (np.arange(6) < random.integers(1, 7, (21, 1)))
    targets = {"tag": random.integers(0, 3, (21, 6)), "score": random.standard_normal(21)}
    weights = {"tag": random.random((21, 6)), "score": random.random(21)}
    return spec, ({"ids": ids}, targets, weights)


def speech() -> tuple[dict[str, Any], Rows]:
    """CTC with lengths, and a metric of whole sequences."""
    layers = [
        {"type": "SimpleRNN", "units": 5, "return_sequences": True},
        {"name": "text", "type": "Dense", "units": 4},
    ]
    outputs = {"text": {"loss": "ctc", "metrics": ["edit_distance"]}}
    spec = spec_of({"x": {"shape": [9, 3]}}, layers, outputs, optimizer={"type": "Lamb", "learning_rate": 0.01})
    random = np.random.default_rng(2)
    labels = random.integers(1, 4, (13, 3)) * (np.arange(3) < random.integers(1, 4, (13, 1)))
    return spec, ({"x": random.standard_normal((13, 9, 3))}, {"text": labels}, None)


def train(spec: dict[str, Any], rows: Rows, workers: Any) -> tuple[gs.Model, dict[str, list[float]]]:
    model = gs.compile(spec, [f"training.workers={workers}"])
    x, y, weights = rows
    held = tuple(part for part in (x, y, weights) if part is not None)
    history = model.fit(x, y, sample_weight=weights, validation_data=held, verbose=0)
    assert workers == "auto" or model.workers == workers
    return model, history.history


@pytest.mark.parametrize("case", [images, sentences, speech], ids=lambda case: case.__name__)
def test_results_are_those_of_one_process_and_the_same_bits_twice(case: Any) -> None:
    spec, rows = case()
    one, history = train(spec, rows, 1)
    two, of_two = train(spec, rows, 2)
    for name, weight in one.weights.items():
        np.testing.assert_allclose(two.weights[name], weight, rtol=1e-3, atol=1e-5, err_msg=name)
    assert history.keys() == of_two.keys()
    for key, figures in history.items():
        np.testing.assert_allclose(of_two[key], figures, rtol=1e-4, atol=1e-6, err_msg=key)
    again, of_again = train(spec, rows, 2)
    assert of_two == of_again
    for name, weight in two.weights.items():
        np.testing.assert_array_equal(again.weights[name], weight, err_msg=name)
    for name, slot in two.update.arrays().items():
        np.testing.assert_array_equal(again.update.arrays()[name], slot, err_msg=name)


@pytest.mark.parametrize("case", [images, sentences, speech], ids=lambda case: case.__name__)
def test_dealt_rows_give_the_same_bits(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether rank 0 gathers the others' rows batch by batch, or each its own from all of them."""
    allocated: list[dict[str, Any]] = []

    def allocate(wanted: dict[str, Any]) -> Any:
        allocated.append({name: shape for name, (shape, _) in wanted.items() if name.startswith("rows/")})
        return shared.allocate(wanted)

    monkeypatch.setattr(team, "allocate", allocate)
    spec, (x, y, weights) = case()
    results = []
    for most in (np.inf, 0):
        monkeypatch.setattr(team, "_FEW", most)
        model = gs.compile(spec, ["training.workers=2"])
        history = model.fit(x, y, sample_weight=weights, validation_split=0.2, verbose=0)
        results.append((history.history, model.weights))
    (history, kept), (of_dealt, dealt) = results
    assert history == of_dealt
    assert all(np.array_equal(dealt[name], weight) for name, weight in kept.items())
    every, batch = allocated
    n = len(next(iter(x.values())))
    assert every.pop("rows/chosen") == (n - round(0.2 * n),)
    assert every == {name: (n, *shape[1:]) for name, shape in batch.items()}
    assert {shape[0] for shape in batch.values()} == {8}


def test_rows_are_dealt_where_a_step_is_large() -> None:
    small = watched(dense_spec(), Recorder())
    spec, (x, y, _) = images()
    spec["layers"][0]["filters"] = 64
    large = prepare_fit(gs.compile(spec), x, y, observer=Silent())
    assert [team._deals(run) for run in (small, large)] == [False, True]


def test_pipes_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, rows = images()
    model, history = train(spec, rows, 2)
    monkeypatch.setattr(team, "spins_safely", lambda: False)
    other, of_other = train(spec, rows, 2)
    assert history == of_other
    assert all(np.array_equal(other.weights[name], weight) for name, weight in model.weights.items())


def test_afterwards_the_model_is_its_own_again() -> None:
    """A second fit goes on; weights lie in this process's memory; arrays may be memory maps."""
    (x, y), model = blobs(), gs.compile(dense_spec(), ["training.workers=2", "training.epochs=1"])
    vectors, slots = dict(model.store.vectors), model.update.slots
    model.predict(x[:4])
    model.fit(x, y, verbose=0)
    assert all(model.store.vectors[name] is vector for name, vector in vectors.items())
    assert model.update.slots["momentum"] is slots["momentum"]
    before = model.predict(x[:4])
    model.set_weights({"kind/bias": model.weights["kind/bias"] + [1, 0, 0]})
    assert not np.allclose(model.predict(x[:4]), before)
    assert model.update.clock.step == 8
    model.fit(x, y, verbose=0)
    assert model.update.clock.step == 16


def test_rows_of_a_memory_map_are_not_copied(tmp_path: Path) -> None:
    x, y = blobs()
    np.save(tmp_path / "x.npy", x)
    models = []
    for rows in (x, np.load(tmp_path / "x.npy", mmap_mode="r")):
        models.append(gs.compile(dense_spec(), ["training.workers=2", "training.epochs=1"]))
        models[-1].fit(rows, y, verbose=0)
    assert all(np.array_equal(models[1].weights[name], weight) for name, weight in models[0].weights.items())


def test_a_worker_imports_nothing_that_it_does_not_need() -> None:
    """Each would be in memory once more for every process."""
    heavy = ["onnx", "onnxruntime", "duckdb", "networkx", "rich", "safetensors", "tensorboardX"]
    heavy += [
        f"graphspec.{name}" for name in ("cli", "runtime.data", "runtime.tables", "runtime.team", "runtime.train")
    ]
    code = "import sys; from graphspec.runtime.worker import serve\ntry: serve({})\n"
    code += f"except KeyError: print(*(m for m in {heavy} if m in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "\n"


class Recorder(Silent):
    """Keeps what is said, and the processes of the team; kills one of them after some steps."""

    def __init__(self, kill_after: int | None = None) -> None:
        self.said: list[str] = []
        self.trainer: Trainer | None = None
        self.processes: list[subprocess.Popen[bytes]] = []
        self.left = kill_after

    def say(self, text: str) -> None:
        self.said.append(text)

    def step(self, epoch: int, step: int, totals: Totals) -> None:
        assert self.trainer is not None
        if self.trainer.team is not None:
            self.processes = self.trainer.team._processes
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                self.processes[0].kill()


def watched(spec: dict[str, Any], watcher: Recorder, workers: Any = 2, **more: Any) -> Trainer:
    model = gs.compile(spec, [f"training.workers={workers}"])
    watcher.trainer = prepare_fit(model, *blobs(), observer=watcher, **more)
    return watcher.trainer


@pytest.mark.parametrize("workers", [1, 2])
def test_memory_goes_with_the_run(workers: int) -> None:
    """Also where a callback keeps the run, and no garbage is collected."""
    kept: list[weakref.ref[Any]] = []

    class Watch(Recorder):
        def step(self, epoch: int, step: int, totals: Totals) -> None:
            assert self.trainer is not None
            kept.extend(map(weakref.ref, self.trainer.programs.values()))
            if self.trainer.team is not None:
                kept.extend(map(weakref.ref, self.trainer.team.member.arrays.values()))

    run = watched(dense_spec(), Watch(), workers)
    gc.disable()
    try:
        run.run()
        assert len(kept) >= workers
        assert [ref() for ref in kept if ref() is not None] == []
    finally:
        gc.enable()


def test_a_killed_worker_ends_the_run() -> None:
    watcher = Recorder(kill_after=5)
    run = watched(dense_spec(), watcher)
    with pytest.raises(gs.RunError, match=r"GS604: worker 1 of 2 died: killed by SIGKILL"):
        run.run()
    assert run.update.clock.step == 5
    assert [process.poll() for process in watcher.processes] == [-signal.SIGKILL]
    run.model.predict(blobs()[0][:3])


def test_the_last_words_of_a_worker_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    message = team.Team._message
    monkeypatch.setattr(team.Team, "_message", lambda *a: message(*a) | {"document": {"graphspec": 1}})
    with pytest.raises(gs.RunError, match=r"(?s)GS604: worker 1 of 2 died: exit status 1\n.*SpecError.*GS103"):
        watched(dense_spec(), Recorder()).run()


def test_a_run_that_fails_leaves_no_process() -> None:
    watcher = Recorder()
    spec = dense_spec()
    spec["training"]["optimizer"] = {"type": "SGD", "learning_rate": 1e30}
    spec["layers"][0]["activation"] = "linear"
    run = watched(spec, watcher)
    with pytest.raises(gs.RunError, match="GS601"):
        run.run()
    assert watcher.processes
    assert all(process.poll() is not None for process in watcher.processes)


SCRIPT = """
import os, sys
import numpy as np
import graphspec as gs
from graphspec.runtime import choose
choose.usable_cores = lambda: 2
random = np.random.default_rng(0)
x, y = random.standard_normal((40, 3)).astype("float32"), random.standard_normal((40, 1))
model = gs.compile({
    "graphspec": 1, "name": "s", "inputs": {"x": {"shape": [3]}},
    "layers": [{"name": "y", "type": "Dense", "units": 1}], "outputs": {"y": {"loss": "mse"}},
    "training": {"workers": 2, "epochs": 3, "callbacks": CALLBACKS},
})
model.fit(x, y, verbose=0)
print(model.workers, os.environ.get("OPENBLAS_NUM_THREADS"))
"""


def script(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "script.py").write_text(text.replace("CALLBACKS", "[]"))
    (tmp_path / "numbers.py").write_text("raise SystemExit('a file of the folder hides a module')")
    return [sys.executable, "-P", "script.py"]


def test_a_script_without_a_guard(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        script(tmp_path, SCRIPT), cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=120
    )
    assert (done.stdout, done.stderr, done.returncode) == ("2 None\n", "", 0)


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    kill = """
from graphspec.runtime.train import Trainer
step = Trainer.step
def killing(self):
    step(self)
    print(self.team._processes[0].pid, flush=True)
    os.kill(os.getpid(), 9)
Trainer.step = killing
model.fit(x, y, verbose=0)
"""
    text = SCRIPT.replace("model.fit(x, y, verbose=0)\n", kill)
    done = subprocess.run(script(tmp_path, text), cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    worker = int(done.stdout)
    for _ in range(200):
        if not alive(worker):
            return
        time.sleep(0.05)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlives its parent")


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


# Run directories.


def filed(tmp_path: Path, workers: Any = 2, **training: Any) -> dict[str, Any]:
    x, y = blobs(40)
    if not (tmp_path / "rows.npz").exists():
        np.savez(tmp_path / "rows.npz", x=x, kind=y)
    spec = dense_spec(data={"train": {"file": str(tmp_path / "rows.npz")}, "validation": {"split": 0.2}})
    optimizer = {"type": "Adam", "use_ema": True, "ema_momentum": 0.8, "learning_rate": 0.05}
    callbacks = [
        {"type": "SwapEMAWeights", "swap_on_epoch": True},
        {"type": "ReduceLROnPlateau", "patience": 1, "min_delta": 0.5},
        {"type": "EarlyStopping", "patience": 2, "min_delta": 0.2, "restore_best_weights": True},
        {"type": "ModelCheckpoint", "filepath": str(tmp_path / "kept"), "save_freq": 3},
    ]
    spec["training"] |= {"epochs": 4, "workers": workers, "optimizer": optimizer, "callbacks": callbacks} | training
    return spec


def test_an_interrupted_run_is_resumed_to_the_same_bits(tmp_path: Path) -> None:
    spec = filed(tmp_path)
    run = whole(spec, tmp_path / "whole")
    assert json.loads((tmp_path / "whole" / "run.json").read_text())["workers"] == 2
    interrupt(spec, tmp_path / "run", 3)
    assert_same_weights(resume(spec, tmp_path / "run"), run)
    assert_same_files(tmp_path / "whole", tmp_path / "run")
    assert gs.load(tmp_path / "kept").weights.keys() == run.model.weights.keys()


def test_the_number_of_workers_is_recorded_and_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "SHORTEST", 0.0)
    monkeypatch.setattr(choose, "WORTH_IT", 0.0)
    monkeypatch.setattr(choose, "GAIN", 1e9)
    spec = filed(tmp_path, "auto")
    interrupt(spec, tmp_path / "run", 3)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["workers"] == 2
    monkeypatch.setattr(choose, "GAIN", 0.0)
    model = gs.compile(spec)
    run = model.trainer(Silent(), tmp_path / "run")
    run.resume(check_resumable(model, tmp_path / "run"))
    start_run(model, tmp_path / "run")  # as the command does
    run.run()
    assert model.workers == 2
    assert json.loads((tmp_path / "run" / "run.json").read_text())["workers"] == 2
    assert_same_weights(run, whole(filed(tmp_path, 2), tmp_path / "whole"))
    with pytest.raises(gs.UsageError, match="workers"):
        resume(filed(tmp_path, 1), tmp_path / "run")


def test_rehearsals_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, rows = images()
    spec["training"]["optimizer"] = {"type": "Adafactor", "use_ema": True}
    monkeypatch.setattr(choose, "SHORTEST", 0.0)
    monkeypatch.setattr(choose, "WORTH_IT", 0.0)
    monkeypatch.setattr(choose, "GAIN", 0.0)
    one, history = train(spec, rows, 1)
    chosen, of_chosen = train(spec, rows, "auto")
    assert chosen.workers == 1
    assert history == of_chosen
    for name, weight in one.weights.items():
        np.testing.assert_array_equal(chosen.weights[name], weight, err_msg=name)


# One process instead.


def test_short_runs_stay_in_one_process() -> None:
    watcher = Recorder()
    run = watched(dense_spec(), watcher, "auto")
    run.run()
    assert run.model.workers == 1
    assert watcher.said == []


def test_as_many_workers_as_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "usable_cores", lambda: 1)
    watcher = Recorder()
    run = watched(dense_spec(), watcher, 2)
    run.run()
    assert run.model.workers == 1
    assert watcher.said == ["1 of 2 workers: there are no more cores"]


def test_one_process_where_memory_cannot_be_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(wanted: Mapping[str, Any]) -> None:
        raise OSError("no shared memory")

    monkeypatch.setattr(team, "allocate", refuse)
    watcher = Recorder()
    run = watched(dense_spec(), watcher, 2)
    run.run()
    assert run.model.workers == 1
    assert watcher.said == ["one worker instead of 2: no shared memory"]


def test_ctrl_c_ends_all(tmp_path: Path) -> None:
    class Watch(Stop, Recorder):
        def __init__(self) -> None:
            Recorder.__init__(self)
            self.left = 2

        def step(self, epoch: int, step: int, totals: Totals) -> None:
            assert self.trainer is not None
            assert self.trainer.team is not None
            self.processes = self.trainer.team._processes
            Stop.step(self, epoch, step, totals)

    watcher = Watch()
    run = watched(dense_spec(), watcher)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert run.update.clock.step == 2
    assert all(process.poll() is not None for process in watcher.processes)
