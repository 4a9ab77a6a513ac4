"""What runs have written about themselves: histories, weights, and both of two runs side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from graphspec.base.errors import RunError
from graphspec.engine.training.run_directory import best_epoch, history_of, result_differences, weight_differences


def test_a_history(tmp_path: Path) -> None:
    assert history_of(tmp_path) == {}
    (tmp_path / "history.csv").write_text("epoch,loss,val_loss\n1,2.5,3.0\n2,1.5,inf\n3,1.0,3.5\n", encoding="utf-8")
    history = history_of(tmp_path)
    assert history == {"loss": [2.5, 1.5, 1.0], "val_loss": [3.0, float("inf"), 3.5]}
    assert best_epoch(history) == 1
    assert best_epoch({"loss": history["loss"]}) == 3
    assert best_epoch({"loss": [float("nan")]}) is None
    assert best_epoch({}) is None


@pytest.mark.parametrize("text", ["", "epoch,loss\n1\n", "loss\n1\n", "epoch,loss\n1,x\n", "\x00"])
def test_a_damaged_history(text: str, tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match="GS603"):
        history_of(tmp_path)


def test_a_history_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.engine.training.run_directory._MAX_BYTES", 1 << 20)
    (tmp_path / "history.csv").write_text("epoch,loss\n" + "1,2.5\n" * (1 << 18), encoding="utf-8")
    with pytest.raises(RunError, match=r"GS603.*history.csv is damaged: it is larger than 1 MiB"):
        history_of(tmp_path)


def run(folder: Path, history: str, **weights: object) -> Path:
    folder.mkdir()
    (folder / "history.csv").write_text(history, encoding="utf-8")
    save_file({name: np.asarray(a, np.float32) for name, a in weights.items()}, folder / "weights.safetensors")
    return folder


def test_results_side_by_side(tmp_path: Path) -> None:
    old = run(tmp_path / "a", "epoch,loss,val_loss\n1,3.0,2.0\n2,1.0,2.5\n")
    new = run(tmp_path / "b", "epoch,loss,accuracy\n1,0.5,0.75\n")
    assert result_differences(old, new) == {
        "epochs": {"old": 2, "new": 1},
        "best": {
            "old": {"epoch": 1, "key": "val_loss", "value": 2.0},
            "new": {"epoch": 1, "key": "loss", "value": 0.5},
        },
        "final": [
            {"key": "loss", "old": 1.0, "new": 0.5, "difference": -0.5},
            {"key": "val_loss", "old": 2.5, "new": None, "difference": None},
            {"key": "accuracy", "old": None, "new": 0.75, "difference": None},
        ],
    }


def test_weights_side_by_side(tmp_path: Path) -> None:
    old = run(tmp_path / "a", "epoch,loss\n", same=[1, 2], other=[1, 2], nan=[np.nan], shape=[1], gone=[0])
    new = run(tmp_path / "b", "epoch,loss\n", same=[1, 2], other=[1, 4], nan=[np.nan], shape=[1, 2])
    assert weight_differences(old, new) == {"compared": 3, "different": 1, "names": ["other"], "largest": 2.0}
    (new / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"GS603.*b.weights.safetensors is damaged"):
        weight_differences(old, new)
    (new / "weights.safetensors").unlink()
    assert weight_differences(old, new) is None
