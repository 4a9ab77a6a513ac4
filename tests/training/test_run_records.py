"""The history that a run has written."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphspec.errors import RunError
from graphspec.training.run_records import best_epoch, history_of


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
