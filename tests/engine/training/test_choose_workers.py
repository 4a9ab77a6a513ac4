"""Tests of the number of workers of a run: it is chosen, recorded, and used again when the run is resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resuming import assert_same_files, assert_same_weights, interrupt, resume, whole
from watching import Recorder, watched

import graphspec as gs
from graphspec.engine.parallel import processes
from graphspec.engine.training import choose_workers as auto_workers
from graphspec.engine.training import choose_workers as choose
from graphspec.engine.training.reporting import Silent
from graphspec.engine.training.run_directory import check_resumable, start_run
from specs import blobs, dense_spec

pytestmark = pytest.mark.usefixtures("two_cores")

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
        {"type": "ModelCheckpoint", "filepath": "kept", "save_freq": 3},
    ]
    spec["training"] |= {"epochs": 4, "workers": workers, "optimizer": optimizer, "callbacks": callbacks} | training
    return spec


@pytest.mark.parametrize(
    ("refuse", "says"),
    [
        (
            lambda: choose.refuse_too_few_cores(8, Path("r")),
            "started with 8 workers and needs as many, but there are 2",
        ),
        (lambda: choose.refuse_other_ranks(4, 3, Path("r"), 2), "started with 4 workers, but there are 3 ranks of 2"),
        (lambda: choose.refuse_other_ranks(4, 3, Path("r")), "started with 4 ranks, but there are 3: start as many"),
        (lambda: choose.refuse_other_ranks(4, 1, Path("r")), "there is 1: start as many, `mpiexec -n 4 graphspec"),
        (lambda: choose.refuse_indivisible(8, 3, 1), "3 ranks cannot divide `shards: 8` equally: .* `mpiexec -n 2`"),
        (lambda: choose.refuse_indivisible(8, 4, 4), "4 ranks of 4 workers cannot .* up to 2, such as `mpiexec -n 2`"),
        (lambda: choose.refuse_indivisible(4, 2, 8), "2 ranks of 8 workers cannot .*: use at most 4 workers"),
    ],
)
def test_processes_that_do_not_fit_a_run(refuse: Callable[[], None], says: str) -> None:
    with pytest.raises(gs.UsageError, match=says):
        refuse()
    choose.refuse_other_ranks(4, 2, Path("r"), 2)
    choose.refuse_indivisible(8, 4, 2)


@pytest.mark.slow
def test_an_interrupted_run_is_resumed_to_the_same_bits(tmp_path: Path) -> None:
    spec = filed(tmp_path)
    run = whole(spec, tmp_path / "whole")
    assert json.loads((tmp_path / "whole" / "run.json").read_text())["workers"] == 2
    interrupt(spec, tmp_path / "run", 3)
    assert_same_weights(resume(spec, tmp_path / "run"), run)
    assert_same_files(tmp_path / "whole", tmp_path / "run")
    assert gs.load(tmp_path / "run" / "kept").weights.keys() == run.model.weights.keys()


@pytest.mark.slow
def test_the_number_of_workers_is_recorded_and_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_workers, "MIN_STEP_SECONDS", 0.0)
    monkeypatch.setattr(auto_workers, "MIN_RUN_SECONDS", 0.0)
    monkeypatch.setattr(auto_workers, "MAX_TIME_RATIO", 1e9)
    spec = filed(tmp_path, "auto")
    interrupt(spec, tmp_path / "run", 3)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["workers"] == 2
    monkeypatch.setattr(auto_workers, "MAX_TIME_RATIO", 0.0)
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

    monkeypatch.setattr(processes, "allocate", refuse)
    watcher = Recorder()
    run = watched(dense_spec(), watcher, 2)
    run.run()
    assert run.model.workers == 1
    assert watcher.said == ["one worker instead of 2: no shared memory"]
