"""Tests of checkpoints: they are complete and exact, and damaged ones are refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resuming import assert_same_files, assert_same_weights, interrupt, resume, whole

import graphspec as gs
from graphspec.engine.compiler.adaptation import Adapted
from graphspec.engine.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from graphspec.engine.training.prepare import FitData, FitSettings, prepare_fit
from graphspec.engine.training.reporting import Silent
from graphspec.engine.training.run_directory import check_resumable, remove_run, start_run
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


def spec(tmp_path: Path, **training: Any) -> dict[str, Any]:
    x, y = blobs()
    np.savez(tmp_path / "rows.npz", x=x, kind=y)
    spec = dense_spec(data={"train": {"file": str(tmp_path / "rows.npz")}, "validation": {"split": 0.2}})
    spec["training"] |= {"epochs": 4, "callbacks": [{"type": "EarlyStopping", "patience": 3}]} | training
    return spec


@pytest.mark.parametrize("after", [1, 5, 6, 7, 13, 23])
def test_a_run_interrupted_anywhere_ends_with_the_same_bits(tmp_path: Path, after: int) -> None:
    run = whole(spec(tmp_path), tmp_path / "whole")
    interrupt(spec(tmp_path), tmp_path / "run", after)
    assert load_checkpoint(tmp_path / "run").state["step"] == after
    assert resume(spec(tmp_path), tmp_path / "run").history == run.history
    assert_same_files(tmp_path / "whole", tmp_path / "run")


@pytest.fixture(scope="module")
def halted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that Ctrl-C ended after the first step of its second epoch, in whose epochs there are six."""
    folder = tmp_path_factory.mktemp("halted")
    interrupt(spec(folder), folder / "run", 7)
    return folder / "run"


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("state", {"epoch": 5}, "epoch 5, step 1 is after the end of the run"),
        ("state", {"step": 9}, "9 updates do not match epoch 1, step 1"),
        ("state", {"batch": 2, "step": 8}, "totals of 16 rows do not match step 2"),
        ("state", {"history": {"loss": [1.0]}}, "its history has other losses or metrics than this run"),
        (
            "state",
            {"history": {key: [0.5, 0.5] for key in ("loss", "accuracy", "val_loss", "val_accuracy")}},
            "its history does not have 1 values for every key",
        ),
        ("state", {"totals": {"sums": {"kl": 1.0}, "rows": 16, "metrics": [[]]}}, "belong to other losses or metrics"),
        (
            "state",
            {"totals": {"sums": {"loss": 1.0}, "rows": 16, "metrics": [[1.0]]}},
            "its totals of 'accuracy' have 1 values, not 2",
        ),
        ("state", {"callbacks": []}, "it has the state of 0 callbacks, not of 1"),
        ("state", {"swapped": True}, "'swapped' is true, but the optimizer keeps no averages"),
        ("state", {"totals": None}, "belongs to a saved model, not to a run: there is no training to resume"),
        ("arrays", {"weight/more": np.zeros(2, np.float32)}, "'weight/more' does not belong in it"),
        (
            "arrays",
            {"weight/kind/bias": np.zeros(3)},
            r"'weight/kind/bias' is F64 of shape \(3,\), not F32 of shape \(3",
        ),
        (
            "arrays",
            {"callback/0/kind/bias": np.zeros(3, np.float32)},
            "only some of the weights that callback 1 stores",
        ),
        ("belongs", {"run": "0" * 64}, "belongs to another run than spec.json beside it"),
        ("adapted", Adapted(rows=-1), "'rows' must be a number of rows"),
        ("adapted", Adapted(form=1), "'form' must be a text"),  # type: ignore[arg-type]
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    halted: Path, tmp_path: Path, key: str, value: Any, says: str
) -> None:
    run = shutil.copytree(halted, tmp_path / "run")
    held = load_checkpoint(run)
    save_checkpoint(run, replace(held, **{key: vars(held)[key] | value if isinstance(value, dict) else value}))
    model = gs.compile(spec(halted.parent))
    with pytest.raises(gs.UsageError if "saved" in says else gs.RunError, match=says):
        model.trainer(Silent(), run).resume(check_resumable(model, run))


def test_a_run_that_0_2_stopped_within_an_epoch_goes_on(halted: Path, tmp_path: Path) -> None:
    run = shutil.copytree(halted, tmp_path / "run")
    held = load_checkpoint(run)
    totals = held.state["totals"]
    then = totals | {"sums": totals["sums"] | {"kind_loss": totals["sums"]["loss"]}}  # it wrote the only head's, too
    save_checkpoint(run, replace(held, state=held.state | {"totals": then}))
    model = gs.compile(spec(halted.parent))
    trainer = model.trainer(Silent(), run)
    trainer.resume(check_resumable(model, run))
    assert trainer.running.state() == totals


def _linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _saved(directory: Path) -> None:
    gs.compile(dense_spec()).save(directory)


def _resumed(directory: Path) -> None:
    check_resumable(gs.compile(spec(directory.parent)), directory)


@pytest.mark.parametrize(
    ("name", "damage", "use", "says"),
    [
        ("weights.safetensors", Path.unlink, gs.load, "has no weights.safetensors: the run has not written it yet"),
        ("weights.safetensors", _linked, _saved, "is a symbolic link, but a run writes to it"),
        (
            "run.json",
            lambda path: (path.unlink(), path.mkdir()),
            _saved,
            "is not a regular file",
        ),
        (
            "spec.json",
            lambda path: path.write_text(re.sub(r'"epochs": \d+', '"epochs": 4.5', path.read_text())),
            _resumed,
            "is damaged: 'training.epochs' is not an integer",
        ),
    ],
)
def test_a_damaged_run_directory_is_refused(
    halted: Path, tmp_path: Path, name: str, damage: Callable[[Path], Any], use: Callable[[Path], Any], says: str
) -> None:
    shutil.copy(halted.parent / "rows.npz", tmp_path)
    run = shutil.copytree(halted, tmp_path / "run")
    damage(run / name)
    with pytest.raises(gs.RunError, match=f"GS603.*{says}"):
        use(run)


def test_of_a_run_that_is_removed_the_files_of_others_stay(tmp_path: Path) -> None:
    callbacks = [
        {"type": "EarlyStopping", "patience": 3},
        {"type": "CSVLogger", "filename": "logs/log.csv"},
        {"type": "ModelCheckpoint", "filepath": "best/{epoch}.safetensors"},
        {"type": "ModelCheckpoint", "filepath": "whole"},
        {"type": "TensorBoard", "log_dir": "board"},
    ]
    run = tmp_path / "run"
    whole(spec(tmp_path, epochs=2, callbacks=callbacks), run)
    assert {"logs", "best", "whole", "board"} <= {path.name for path in run.iterdir()}
    others = ["best/9.safetensors", "board/own.txt", "logs/notes.csv", "whole/own.txt", "weights.txt"]
    for name in others:
        (run / name).write_text("own", encoding="utf-8")
    (run / "best/0.safetensors").symlink_to("1.safetensors")
    kept = remove_run(run)
    assert sorted(kept) == sorted([*others, "best/0.safetensors"])
    left = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert left == {*others, "run.json", "spec.json"}


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
    long = whole(spec(tmp_path, epochs=6), tmp_path / "long")
    whole(spec(tmp_path, epochs=3), tmp_path / "run")
    assert_same_weights(resume(spec(tmp_path, epochs=6), tmp_path / "run"), long)


def test_run_json_records_software_and_data(tmp_path: Path) -> None:
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
    prepare_fit(model, FitData(*blobs()), FitSettings(epochs=1), observer=Silent()).run()
    assert list(tmp_path.iterdir()) == []
