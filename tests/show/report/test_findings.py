"""What is known of a run: its history and its records, also damaged ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import graphspec as gs
from graphspec.show.report import findings
from graphspec.show.report.findings import find, read_history, recorded

SPEC = {
    "graphspec": 1,
    "name": "net",
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"name": "y", "type": "Dense", "units": 1}],
    "outputs": {"y": {"loss": "mse"}},
}


def test_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.csv"
    assert read_history(path) == {}
    path.write_text("epoch,loss,val_loss\n1,0.5,nan\n2,0.25,inf\n")
    found = read_history(path)
    assert found["loss"] == [0.5, 0.25]
    assert math.isnan(found["val_loss"][0])
    for damaged in ("epoch,loss\n1\n", "epoch,loss\n1,x\n", "\x00", "epoch,loss\n1,\xff\n"):
        path.write_bytes(damaged.encode("latin-1"))
        assert read_history(path) == {}
    path.write_text("epoch,loss\n1,0.5\n")
    monkeypatch.setattr(findings, "_MAX_HISTORY", 5)
    assert read_history(path) == {}


def test_a_run_without_data(tmp_path: Path) -> None:
    model = gs.compile(SPEC)
    model.save(tmp_path / "run")
    found = find(gs.load(tmp_path / "run"), tmp_path / "run")
    assert found.judged is None
    assert found.missing == "The spec names no data."
    assert found.record["seed"] == 0
    assert recorded(model, tmp_path).record == {}


def test_missing_rows_are_an_error_only_for_a_part_that_was_named(tmp_path: Path) -> None:
    spec = SPEC | {"data": {"train": {"file": str(tmp_path / "rows.npz")}}}
    model = gs.compile(spec)
    model.save(tmp_path / "run")
    found = find(model, tmp_path / "run")
    assert found.missing.startswith("The train rows could not be read: data file '")
    assert found.missing.endswith("does not exist.")
    with pytest.raises(gs.SpecError):
        find(model, tmp_path / "run", "train")
    with pytest.raises(gs.UsageError):
        find(model, tmp_path / "run", "test")
    np.savez(tmp_path / "rows.npz", x=np.zeros((20, 2), "f4"), y=np.arange(20, dtype="f4"))
    judged = find(model, tmp_path / "run", "train").judged
    assert judged is not None
    assert (judged.part, judged.total) == ("train", 20)
