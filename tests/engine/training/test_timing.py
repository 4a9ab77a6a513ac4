"""``timing.json``: epochs, resumptions, and runs without it or with a damaged one."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resuming import interrupt, resume, whole

from graphspec.engine.training import reporting as timing
from graphspec.engine.training.reporting import EpochTime, Timer, Times, read_times, slow, waited

EPOCHS = 4


def spec(folder: Path, **training: Any) -> dict[str, Any]:
    """A small net with its data; 3 steps per epoch."""
    rng = np.random.default_rng(0)
    np.savez(folder / "rows.npz", x=rng.normal(size=(40, 2)).astype("f4"), y=rng.normal(size=(40, 1)).astype("f4"))
    return {
        "graphspec": 1,
        "name": "small",
        "inputs": {"x": {"shape": [2]}},
        "layers": [{"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": {"loss": "mse"}},
        "training": {"optimizer": "sgd", "epochs": EPOCHS, "batch_size": 10, **training},
        "data": {"train": {"file": str(folder / "rows.npz")}, "validation": {"split": 0.25}},
    }


@pytest.mark.parametrize(
    ("seconds", "waiting", "threads", "said"),
    [
        (100.0, 60.0, None, "slow: no core for 60 % of the time: stop other programs, or raise the CPU quota"),
        (100.0, 60.0, 2, "slow: no core for 60 % of the time: set OPENBLAS_NUM_THREADS=1, stop other programs"),
        (100.0, 40.0, None, None),  # less than half
        (4.0, 3.9, None, None),  # too short to matter
        (0.0, 0.0, None, None),  # workers: their steps are not counted
    ],
)
def test_steps_that_wait_for_a_core_are_slow(
    seconds: float, waiting: float, threads: int | None, said: str | None
) -> None:
    assert slow(seconds, waiting, threads) == said


@pytest.mark.parametrize(("alone", "told"), [(True, 1), (False, 0)])
def test_only_steps_of_one_process_count(alone: bool, told: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr(timing.time, "monotonic", lambda: 10.0 * next(clock))
    monkeypatch.setattr(timing, "waited", lambda: 8.0 * next(clock))
    timer, said = Timer(8, 0), list[str]()
    timer.begin(0, 0)
    timer.stepped(alone)
    timer.ended(0.1)
    timer.tell(said.append)
    assert len(said) == told


def test_linux_counts_the_time_in_the_queue(tmp_path: Path) -> None:
    (tmp_path / "schedstat").write_text("7000000000 2500000000 12\n")
    assert waited(tmp_path / "schedstat") == 2.5
    assert waited(tmp_path / "none") >= 0  # elsewhere: what is not computing


def test_a_run_has_its_times(tmp_path: Path) -> None:
    whole(spec(tmp_path), tmp_path / "run")
    times = read_times(tmp_path / "run")
    assert times is not None
    assert (times.rows, times.validation_rows) == (30, 10)
    assert [(start.epoch, start.batch) for start in times.starts] == [(0, 0)]
    assert len(times.epochs) == EPOCHS
    assert all(e.seconds and e.steps and e.seconds >= e.steps and e.learning_rate == 0.01 for e in times.epochs)
    assert times.seconds == pytest.approx(sum(e.seconds or 0 for e in times.epochs))
    assert times.rows_per_second is not None


def test_a_resumed_run_says_where(tmp_path: Path) -> None:
    small = spec(tmp_path)
    interrupt(small, tmp_path / "run", 5)
    before = read_times(tmp_path / "run")
    assert before is not None
    assert len(before.epochs) == 1
    assert before.partial > 0
    resume(small, tmp_path / "run")
    times = read_times(tmp_path / "run")
    assert times is not None
    assert [(start.epoch, start.batch) for start in times.starts] == [(0, 0), (1, 2)]
    assert len(times.epochs) == EPOCHS
    assert times.epochs[0] == before.epochs[0]
    assert (times.epochs[1].seconds or 0) > before.partial
    assert times.partial == 0


@pytest.mark.parametrize("content", [None, "{", '{"epochs": [{"seconds": -1}]}', '{"rows": "many"}'])
def test_a_run_without_times_is_resumed_all_the_same(tmp_path: Path, content: str | None) -> None:
    small = spec(tmp_path)
    interrupt(small, tmp_path / "run", 7)
    path = tmp_path / "run/timing.json"
    path.unlink() if content is None else path.write_text(content)
    assert read_times(tmp_path / "run") is None
    resume(small, tmp_path / "run")
    times = read_times(tmp_path / "run")
    assert times is not None
    assert [epoch.seconds is None for epoch in times.epochs] == [True, True, False, False]
    assert not times.complete, "the time of two epochs is unknown"
    assert times.seconds == pytest.approx(sum(epoch.seconds or 0 for epoch in times.epochs))
    assert times.rows_per_second is not None


def test_learning_rates_and_restored_weights(tmp_path: Path) -> None:
    stopping = {"type": "EarlyStopping", "monitor": "loss", "patience": 9, "restore_best_weights": True}
    rate = {"type": "ReduceLROnPlateau", "monitor": "loss", "patience": 0, "min_delta": 99.0, "factor": 0.5}
    trained = whole(spec(tmp_path, callbacks=[rate, stopping]), tmp_path / "run")
    times = read_times(tmp_path / "run")
    assert times is not None
    assert [epoch.learning_rate for epoch in times.epochs] == trained.history["learning_rate"]
    assert times.restored_epoch == 1 + int(np.argmin(trained.history["loss"]))


def test_long_runs_write_ever_more_rarely() -> None:
    timer = Timer(30, 0)
    written = []
    for epoch in range(1, 1001):
        timer.ended(0.1)
        written += [epoch] * timer.due
    assert written[:100] == list(range(1, 101))
    assert 100 < len(written) < 300
    assert max(after - before for before, after in itertools.pairwise(written)) < 40


def test_unknown_times_are_none() -> None:
    assert Times().seconds is None
    assert Times(rows=5, epochs=[EpochTime()]).rows_per_second is None


def test_nothing_else_has_values_of_a_clock(tmp_path: Path) -> None:
    small = spec(tmp_path)
    for name in ("one", "two"):
        whole(small, tmp_path / name)
    for file in sorted((tmp_path / "one").iterdir()):
        if file.name != "timing.json":
            assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name
    assert set(json.loads((tmp_path / "one/timing.json").read_text())) == set(Times.model_fields)
