"""Parts of the data, and rows that occur in two of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from findings import DATA, findings_of, rows_of

import graphspec as gs
from graphspec.base.arrays.strings import Strings
from graphspec.data.batches import Dataset
from graphspec.show.report.columns import read_parts
from graphspec.show.report.findings import Findings
from graphspec.show.report.rows import prepared_in_memory, repeated, some_rows, taken
from specs import blobs, dense_spec


def test_parts_that_cannot_be_read_say_why() -> None:
    model = gs.compile(dense_spec(data=DATA))
    parts = read_parts(Findings(model, Path("runs/none"), {}))
    assert parts.rows == {}
    assert list(parts.problems) == ["train", "test"]
    assert "train.csv" in parts.problems["train"]
    found = findings_of(model, *blobs(20), train=blobs(30))
    assert {part: len(rows) for part, rows in read_parts(found).rows.items()} == {"train": 30, "test": 20}

    data = Dataset({"x": np.arange(100)}, chosen=np.arange(50, 100))
    values, rows = some_rows(data, "x", 3)
    assert (values.tolist(), rows.tolist()) == ([50, 74, 99], [0, 24, 49])


def test_repeated_rows_are_counted_by_all_their_inputs() -> None:
    def data(numbers: list[float], texts: list[str]) -> Dataset:
        return Dataset({"x": np.array(numbers, np.float32), "t": Strings.of(texts)})

    train = data([1, 2, 3, 3], ["a", "b", "c", "d"])
    assert repeated(train, data([1, 2, 3, 9], ["a", "x", "d", "a"])) == 2
    assert repeated(train, train) == 4
    assert repeated(train.select(np.array([1])), train) == 1
    assert repeated(train, train, limit=3) is None
    model = gs.compile(dense_spec())
    assert repeated(rows_of(model, *blobs(20)), rows_of(model, *blobs(20, seed=1))) == 0


def test_rows_are_those_that_were_chosen() -> None:
    data = Dataset(
        {"x": np.arange(10), "t": Strings.of(list("abcdefghij"))}, {"y": np.arange(10)}, chosen=np.array([7, 9])
    )
    copied = taken(data, np.array([1]))
    assert copied.inputs["x"].tolist() == [9]
    assert copied.inputs["t"][:].tolist() == ["j"]
    assert copied.targets["y"].tolist() == [9]
    assert copied.chosen is None


def test_a_few_rows_leave_nothing_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = dense_spec(inputs={"x": {"shape": [4]}, "t": {"shape": [1], "dtype": "string"}})
    spec["layers"].insert(
        0, {"name": "v", "type": "TextVectorization", "output_mode": "multi_hot", "vocabulary": ["a"], "inputs": "t"}
    )
    spec["layers"].insert(1, {"name": "both", "type": "Concatenate", "inputs": ["v", "x"]})
    model = gs.compile(spec)
    x, y = blobs(10)
    rows = rows_of(model, {"x": x, "t": np.array([["a b"]] * 10, object)}, y)
    monkeypatch.setattr("graphspec.engine.runtime.session.CACHED_BYTES", 0)
    model.cache = tmp_path / "cache"
    few = prepared_in_memory(model, rows)
    assert not model.cache.exists()
    usual = model.prepared(rows)
    assert model.cache.exists()
    assert few.inputs.keys() == usual.inputs.keys()
    assert all(np.array_equal(few.inputs[name], usual.inputs[name]) for name in few.inputs)
