"""Validation by all workers of a training: the bits of rank 0 alone, and how it ends early."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from sharing import CASES
from watching import Recorder

import graphspec as gs
from graphspec.base.arrays.memory import open_map
from graphspec.data.batches import Dataset
from graphspec.engine.parallel import validation
from graphspec.engine.parallel.machine import Signals
from graphspec.engine.parallel.validation import Batches, Sharing
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.engine.training.prepare import FitData, prepare_fit
from graphspec.engine.training.trainer import Trainer
from graphspec.vocabulary.metrics import MetricState
from specs import blobs, dense_spec

pytestmark = pytest.mark.usefixtures("two_cores", "at_once")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wake the other workers at the start of a validation, however short it is."""
    monkeypatch.setattr(validation, "ALONE_SECONDS", 0.0)


def each_its_own(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let rank 0 leave the batches of others to them; return how many of its own it had, validation by validation."""
    begun: list[int] = []

    class Fair(Batches):
        def __init__(self, arrays: Any, rank: int, size: int) -> None:
            super().__init__(arrays, rank, size)
            self._order = self._order[: len(range(rank, len(self._claims), size))]
            begun.append(len(self._order))

    monkeypatch.setattr("graphspec.engine.parallel.processes.Batches", Fair)
    return begun


@pytest.mark.slow
@pytest.mark.parametrize(("name", "split"), [*((name, False) for name in CASES), ("images", True), ("speech", True)])
def test_the_bits_are_those_of_rank_0_alone(name: str, split: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, (x, y, weights) = CASES[name]()
    begun, results = each_its_own(monkeypatch), []
    for least in (1, 1 << 40):
        monkeypatch.setattr(validation, "MIN_BATCHES", least)
        model = gs.compile(spec, ["training.workers=2", "training.batch_size=4"])
        held: dict[str, Any] = {"validation_split": 0.6}
        if not split:
            held = {"validation_data": tuple(part for part in (x, y, weights) if part is not None)}
        results.append(model.fit(x, y, sample_weight=weights, verbose=0, **held).history)
    assert results[0] == results[1]
    assert len(begun) == spec["training"]["epochs"]
    assert all(begun)


@pytest.mark.slow
def test_files_are_mapped_and_shards_validate_with_all_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = blobs()
    np.save(tmp_path / "x.npy", x)
    begun, results = each_its_own(monkeypatch), []
    for least in (1, 1 << 40):
        monkeypatch.setattr(validation, "MIN_BATCHES", least)
        model = gs.compile(dense_spec(), ["training.workers=2", "training.shards=2", "training.batch_size=8"])
        rows = np.load(tmp_path / "x.npy", mmap_mode="r")
        results.append(model.fit(rows, y, validation_split=0.5, verbose=0).history)
    assert results[0] == results[1]
    assert begun


def rows_of(n: int = 64) -> Dataset:
    return Dataset({"x": np.arange(4.0 * n).reshape(n, 4)}, {"kind": np.arange(n) % 3})


def test_rows_are_copied_only_if_they_are_many_and_fit() -> None:
    running, rows = RunningMetrics(gs.compile(dense_spec())), rows_of()
    nbytes = sum(a.nbytes for a in rows.named().values())

    def sharing(batch_size: int = 4, room: int = 4 * nbytes, size: int = 2) -> Sharing:
        return Sharing.of(rows, batch_size, running, {}, room, size)

    assert sharing().batches == 16
    assert set(sharing().copies) == {"inputs/x", "targets/kind"}
    assert [sharing(batch_size=10).batches, sharing(room=4 * nbytes - 1).batches, sharing(size=1).batches] == [0, 0, 0]
    assert Sharing.of(None, 4, running, {}, 4 * nbytes, 2).layout() == {}


def test_rows_of_a_part_are_copied_alone_and_those_of_training_not_again(tmp_path: Path) -> None:
    running, rows = RunningMetrics(gs.compile(dense_spec())), rows_of()
    part = rows.select(np.arange(63, 20, -1))
    alone = Sharing.of(part, 2, running, {}, 1 << 30, 2)
    shared = {name: np.zeros(*form) for name, form in alone.layout().items()}
    assert alone.copy(shared).copies == {}
    np.testing.assert_array_equal(shared["validation/rows/inputs/x"], rows.inputs["x"][part.chosen])
    np.testing.assert_array_equal(shared["validation/rows/targets/kind"], rows.targets["kind"][part.chosen])
    both = Sharing.of(part, 2, running, rows.named(), 1 << 30, 2)
    assert (set(both.copies), set(both.same)) == ({"chosen"}, {"inputs/x", "targets/kind"})
    np.save(tmp_path / "x.npy", rows.inputs["x"])
    mapped = Dataset({"x": np.load(tmp_path / "x.npy", mmap_mode="r")}, rows.targets, chosen=part.chosen)
    found = Sharing.of(mapped, 2, running, {}, 1 << 30, 2)
    assert set(found.copies) == {"chosen", "targets/kind"}
    np.testing.assert_array_equal(open_map(found.maps["inputs/x"]), rows.inputs["x"])


def test_a_metric_that_does_not_add_batches_is_computed_by_rank_0(monkeypatch: pytest.MonkeyPatch) -> None:
    class Largest(MetricState):
        def update(self, *a: Any, **k: Any) -> None:
            np.maximum(self.counters, 1, out=self.counters)

    running = RunningMetrics(gs.compile(dense_spec()))
    assert Sharing.of(rows_of(), 4, running, {}, 1 << 30, 2).batches
    running._metrics[0].state.__class__ = Largest
    assert not Sharing.of(rows_of(), 4, running, {}, 1 << 30, 2).batches


@dataclass
class Counted:
    """An evaluation that keeps which batches it computed."""

    begun: list[int]

    def compute(self, batch: int, running: Any) -> None:
        self.begun.append(batch)


class NoMetrics:
    def reset(self) -> None:
        pass

    def store(self, vector: Any) -> None:
        vector[...] = 1


def test_a_worker_takes_over_what_others_have_not_begun() -> None:
    arrays = {"claims": np.zeros(7, np.uint8), "stop": np.zeros(1, np.uint8), "totals": np.zeros((7, 1))}
    shared = {validation.PREFIX + name: a for name, a in arrays.items()}
    arrays["claims"][[1, 2]] = 1
    first = Counted([])
    Batches(shared, 0, 2).compute(first, NoMetrics(), lambda: None)  # type: ignore[arg-type]
    assert first.begun == [0, 4, 6, 5, 3]
    assert arrays["claims"].all()
    assert arrays["totals"].ravel().tolist() == [1, 0, 0, 1, 1, 1, 1]
    arrays["claims"].fill(0)
    arrays["stop"][0] = 1
    second = Counted([])
    Batches(shared, 1, 2).compute(second, NoMetrics(), lambda: None)  # type: ignore[arg-type]
    assert second.begun == []


def test_rank_0_validates_a_small_set_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "ALONE_SECONDS", np.inf)
    model = gs.compile(dense_spec())
    x, y = blobs()
    rows = model.prepared(Dataset({"x": x[:30]}, {"kind": y[:30]}))
    running = RunningMetrics(model)
    arrays = {"claims": np.ones(8, np.uint8), "stop": np.ones(1, np.uint8), "totals": np.zeros((8, running.totals))}
    shared = {validation.PREFIX + name: a for name, a in arrays.items()}
    begun: list[None] = []
    found = Batches(shared, 0, 2).launch(
        model.evaluation(rows, 4), running, cast(Signals, None), lambda: begun.append(None)
    )
    assert len(begun) == 8
    assert found.state() == model.evaluate_prepared(rows, 4).state()


def before_validation(monkeypatch: pytest.MonkeyPatch, what: Callable[[], None]) -> None:
    """Let something happen just before the other workers get their order."""
    launch = Batches.launch

    def watched(batches: Batches, evaluation: Any, running: Any, signals: Any, between: Any) -> RunningMetrics:
        what()
        return launch(batches, evaluation, running, signals, between)

    def checked(batches: Batches, evaluation: Any, running: Any, between: Any, *seconds: float) -> None:
        if not seconds:  # the others are awake
            between()  # they may have begun all batches
        compute(batches, evaluation, running, between, *seconds)

    compute = Batches.compute
    monkeypatch.setattr(Batches, "launch", watched)
    monkeypatch.setattr(Batches, "compute", checked)


def run_with(watcher: Recorder) -> Trainer:
    model = gs.compile(dense_spec(), ["training.workers=2", "training.epochs=3", "training.batch_size=4"])
    x, y = blobs()
    watcher.trainer = prepare_fit(model, FitData(x, y, validation_data=(x, y)), observer=watcher)
    return watcher.trainer


@pytest.mark.slow
def test_a_worker_killed_in_validation_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Recorder()

    def kill() -> None:
        watcher.processes[0].kill()
        watcher.processes[0].wait()

    before_validation(monkeypatch, kill)
    run = run_with(watcher)
    with pytest.raises(gs.RunError, match=r"GS604: worker 1 of 2 died: killed by SIGKILL"):
        run.run()
    assert run.epoch == 0
    run.model.predict(blobs()[0][:3])


@pytest.mark.slow
def test_ctrl_c_in_validation_ends_it_and_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Recorder()
    before_validation(monkeypatch, lambda: signal.raise_signal(signal.SIGINT))
    run = run_with(watcher)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert (run.epoch, run.batch) == (0, run.loader.batches)
    assert watcher.processes
    assert all(process.poll() is not None for process in watcher.processes)
