"""Tests of the text of a history: it is what `json` and `csv` write, and each value is formatted once."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from graphspec.engine.training import reporting as history_text
from graphspec.engine.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from graphspec.engine.training.reporting import HistoryText

HISTORY = {"loss": [0.1 + 0.2, 1e-300, 3.0], 'a "b",\n': [float("nan"), float("inf"), -2.5], "größe": [1.0, 2.0, 3.0]}


def grown(epochs: int, step: int = 1) -> HistoryText:
    text = HistoryText()
    for k in range(step, epochs + 1, step):
        text.update({key: values[:k] for key, values in HISTORY.items()})
    return text


def test_the_json_is_that_of_the_json_module() -> None:
    assert grown(3).json() == json.dumps(HISTORY)
    assert grown(3, step=3).json() == grown(3).json()
    assert HistoryText().json() == HistoryText().json("\n", "\n") == "{}"


def test_the_table_is_that_of_the_csv_module() -> None:
    assert HistoryText().csv() == "epoch\n"
    names, *rows = csv.reader(io.StringIO(grown(3).csv(), newline=""))
    assert names == ["epoch", *HISTORY]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert [row[1:] for row in rows] == [[repr(v) for v in row] for row in zip(*HISTORY.values(), strict=True)]


def test_an_epoch_formats_its_own_values_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    text = grown(2)
    rows, values = list[object](), list[object]()
    row, dumps = history_text._row, json.dumps
    monkeypatch.setattr(history_text, "_row", lambda *cells: rows.append(cells) or row(*cells))
    monkeypatch.setattr(history_text.json, "dumps", lambda value: values.append(value) or dumps(value))
    text.update(HISTORY)
    assert [cells[0] for cells in rows] == [3]  # type: ignore[index]
    assert values == [series[-1] for series in HISTORY.values()]


def test_a_checkpoint_with_a_text_is_the_one_with_a_dict(tmp_path: Path) -> None:
    arrays, state = {"weight/a": np.arange(3, dtype=np.float32)}, {"epoch": 3, "callbacks": [{"x": None}]}
    for name, more, text in (("dict", {"history": HISTORY}, None), ("text", {}, grown(3))):
        (tmp_path / name).mkdir()
        save_checkpoint(tmp_path / name, Checkpoint(arrays, state | more, {"network": "n"}), text)
    old, new = (load_checkpoint(tmp_path / name) for name in ("dict", "text"))
    assert repr(old.state) == repr(new.state)
    assert repr(new.state) == repr(json.loads((tmp_path / "text" / "checkpoint.json").read_text()))
    files = [(tmp_path / name / "checkpoint.safetensors").read_bytes() for name in ("dict", "text")]
    assert files[0] == files[1]
