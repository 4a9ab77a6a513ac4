"""Files that change while they are mapped."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archiving import archive

import graphspec as gs
from graphspec.base.arrays.memory import map_of
from graphspec.data import archives
from graphspec.vocabulary.callbacks.callback import Callback, CallbackState

SPEC = {
    "graphspec": 1,
    "name": "changing",
    "inputs": {"x": {"shape": [4]}},
    "layers": [{"name": "y", "type": "Dense", "units": 1}],
    "outputs": {"y": {"loss": "mean_squared_error"}},
    "training": {"batch_size": 10, "epochs": 6, "workers": 1},
}


class Change(Callback):
    """Does something when the second epoch has ended."""

    def start(self, run: Any) -> CallbackState:
        return Changing()


class Changing(CallbackState):
    what: Any

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        if epoch == 1:
            type(self).what()


def changing(folder: Path, monkeypatch: pytest.MonkeyPatch, what: Any, workers: int = 1) -> Any:
    monkeypatch.setattr(archives, "MAPPED", 1)
    rows = np.random.default_rng(0)
    x = rows.standard_normal((100, 4)).astype(np.float32)
    np.savez(folder / "d.npz", x=x, y=x.sum(1, keepdims=True))
    model = gs.compile(SPEC | {"data": {"train": {"file": str(folder / "d.npz")}}}, [f"training.workers={workers}"])
    monkeypatch.setattr(Changing, "what", staticmethod(what), raising=False)
    model.fit(callbacks=[Change()], verbose=0)
    return model.weights["y/kernel"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_mapped_file_that_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    def rewrite() -> None:
        np.savez(tmp_path / "d.npz", x=np.zeros((100, 4), np.float32), y=np.zeros((100, 1), np.float32))

    with pytest.raises(gs.SpecError, match=r"GS501.*d\.npz' was changed while it was in use"):
        changing(tmp_path, monkeypatch, rewrite, workers)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be replaced")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_mapped_file_that_is_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    def replace() -> None:
        np.savez(tmp_path / "new.npz", x=np.zeros((1, 4)), y=np.zeros((1, 1)))
        (tmp_path / "new.npz").replace(tmp_path / "d.npz")

    before = changing(tmp_path, monkeypatch, lambda: None, workers)
    assert np.array_equal(changing(tmp_path, monkeypatch, replace, workers), before)


def test_a_file_is_kept_open_as_long_as_its_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAPPED", 1)
    path = archive(tmp_path / "d.npz", zipfile.ZIP_STORED)
    array: Any = archives.Npz(path).read(["a"])["a"]
    held = map_of(array[1:]).source  # type: ignore[union-attr]
    held.check()
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(gs.SpecError, match="was changed"):
        held.check()
    fd = held.fd
    os.fstat(fd)
    del array, held
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)
