"""Checkpoints: whole or absent, exact, and refused when damaged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.runtime.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from graphspec.runtime.fit import prepare_fit
from graphspec.runtime.observe import Silent
from graphspec.runtime.rundir import check_resumable, start_run
from graphspec.runtime.totals import Totals
from specs import blobs, dense_spec

STATE = {"epoch": 2, "batch": 1, "sums": [0.1 + 0.2, 1e-300], "nan": float("nan")}


def write(directory: Path) -> None:
    arrays = {"weight/a": np.arange(6, dtype=np.float32).reshape(2, 3), "slot/m/a": np.zeros((2, 3), np.float32)}
    save_checkpoint(directory, Checkpoint(arrays, STATE))


def test_a_checkpoint_comes_back_with_the_same_bits(tmp_path: Path) -> None:
    write(tmp_path)
    back = load_checkpoint(tmp_path)
    assert back.state["sums"] == STATE["sums"]
    assert np.array_equal(back.arrays["weight/a"], np.arange(6, dtype=np.float32).reshape(2, 3))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.json", "checkpoint.safetensors"]


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "empty", "foreign"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    write(tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(data[:-5])
    elif damage == "flipped":
        data[-1] ^= 1
        path.write_bytes(data)
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        from safetensors.numpy import save_file

        save_file({"x": np.zeros(3)}, path)
    with pytest.raises(gs.RunError) as caught:
        load_checkpoint(tmp_path)
    assert caught.value.code == "GS603"
    assert caught.value.status == 3


class Stop(Silent):
    """Interrupts after a number of steps, as Ctrl-C does between two steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def step(self, epoch: int, step: int, totals: Totals) -> None:
        self.left -= 1
        if self.left == 0:
            import signal

            signal.raise_signal(signal.SIGINT)

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        return None


def spec(tmp_path: Path, **training: Any) -> dict[str, Any]:
    x, y = blobs()
    np.savez(tmp_path / "rows.npz", x=x, kind=y)
    spec = dense_spec(data={"train": {"file": str(tmp_path / "rows.npz")}, "validation": {"split": 0.2}})
    spec["training"] |= {"epochs": 4, "callbacks": [{"type": "EarlyStopping", "patience": 3}]} | training
    return spec


@pytest.mark.parametrize("after", [1, 5, 6, 7, 13, 23])
def test_a_run_interrupted_anywhere_ends_with_the_same_bits(tmp_path: Path, after: int) -> None:
    whole = gs.compile(spec(tmp_path))
    start_run(whole, tmp_path / "whole")
    run = whole.trainer(Silent(), tmp_path / "whole")
    run.run()

    first = gs.compile(spec(tmp_path))
    start_run(first, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        first.trainer(Stop(after), tmp_path / "run").run()

    second = gs.compile(spec(tmp_path))
    resumed = second.trainer(Silent(), tmp_path / "run")
    resumed.resume(check_resumable(second, tmp_path / "run"))
    assert resumed.update.clock.step == after
    resumed.run()
    assert resumed.history == run.history
    for name in ("weights.safetensors", "history.csv", "checkpoint.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "run" / name).read_bytes(), name


def test_only_more_epochs_may_be_resumed(tmp_path: Path) -> None:
    model = gs.compile(spec(tmp_path))
    start_run(model, tmp_path / "run")
    model.trainer(Silent(), tmp_path / "run").run()
    check_resumable(gs.compile(spec(tmp_path, epochs=9)), tmp_path / "run")
    with pytest.raises(gs.UsageError, match="epochs"):
        check_resumable(gs.compile(spec(tmp_path, epochs=2)), tmp_path / "run")
    with pytest.raises(gs.UsageError, match=r"training\.batch_size"):
        check_resumable(gs.compile(spec(tmp_path, batch_size=8)), tmp_path / "run")
    same = gs.compile(spec(tmp_path))
    x, y = blobs(seed=1)
    np.savez(tmp_path / "rows.npz", x=x, kind=y)
    with pytest.raises(gs.UsageError, match="data files have changed"):
        check_resumable(same, tmp_path / "run")


def test_a_longer_resumed_run_equals_a_long_one(tmp_path: Path) -> None:
    long = gs.compile(spec(tmp_path, epochs=6))
    start_run(long, tmp_path / "long")
    long.trainer(Silent(), tmp_path / "long").run()
    short = gs.compile(spec(tmp_path, epochs=3))
    start_run(short, tmp_path / "run")
    short.trainer(Silent(), tmp_path / "run").run()
    more = gs.compile(spec(tmp_path, epochs=6))
    trainer = more.trainer(Silent(), tmp_path / "run")
    trainer.resume(check_resumable(more, tmp_path / "run"))
    trainer.run()
    assert all(np.array_equal(long.weights[n], more.weights[n]) for n in long.weights)


def test_run_json_says_what_the_run_was_made_with(tmp_path: Path) -> None:
    model = gs.compile(spec(tmp_path))
    start_run(model, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["seed"] == 3
    assert record["workers"] == 1
    assert set(record["packages"]) >= {"numpy", "onnx", "onnxruntime"}
    assert len(record["spec_sha256"]) == len(record["data_sha256"]["train"]) == 64


def test_without_a_directory_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = gs.compile(dense_spec())
    prepare_fit(model, *blobs(), observer=Silent(), epochs=1).run()
    assert list(tmp_path.iterdir()) == []
