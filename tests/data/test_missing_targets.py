"""Tests of rows without a target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data.sources import diagnostics, rows, written
from support.data_reading import NUMBER, TEXT, good, lines, problem, read

from graphspec.base.arrays.memory import InFiles
from graphspec.base.arrays.strings import Strings
from graphspec.data import archives
from graphspec.data.check import check_arrays
from graphspec.data.series import missing_in
from graphspec.data.source import DataSignature
from graphspec.data.targets import rows_without
from graphspec.graph.ir.graph import MISSING_INTEGER, Type

ID, VALUE, ONE_HOT = Type("int64", ("N",)), Type("float32", ("N", 1)), Type("float32", ("N", 3))
CELLS = ["0", "", "2", "NA", "1", "nan"]


def csv(folder: Path, cells: list[str]) -> Path:
    path = folder / "d.csv"
    path.write_text("x,t,y\n" + "".join(f"{k},t{k},{cell}\n" for k, cell in enumerate(cells)))
    return path


@pytest.mark.parametrize("kind", [ID, VALUE])
@pytest.mark.parametrize("learnt", [frozenset[str](), frozenset("y")])
def test_missing_targets_are_counted(tmp_path: Path, kind: Type, learnt: frozenset[str]) -> None:
    found = problem(csv(tmp_path, CELLS), {"x": NUMBER}, {"y": kind}, text_labels=learnt)
    assert found.code == "GS505"
    assert "column 'y'" in found.message
    assert found.message.endswith("has no target in 3 of 6 rows; first: line 3")
    assert found.hint == "fill it in, or set `drop_missing_targets: true`"


@pytest.mark.parametrize("kind", [ID, VALUE])
def test_rows_without_a_target_are_left_out(tmp_path: Path, kind: Type) -> None:
    inputs = {"x": NUMBER, "t": TEXT}
    data = good(csv(tmp_path, CELLS), inputs, {"y": kind}, drop=True, classes={} if kind.is_float else {"y": 3})
    assert data.targets["y"].reshape(-1).tolist() == [0, 2, 1]
    assert data.inputs["x"][:, 0].tolist() == [0, 2, 4]
    assert data.inputs["t"][:][:, 0].tolist() == ["t0", "t2", "t4"]
    assert (len(data), data.chosen) == (3, None)


def test_texts_are_missing_if_they_are_empty(tmp_path: Path) -> None:
    path = csv(tmp_path, ["no", "", "yes", '""', "NA"])
    found = problem(path, {"x": NUMBER}, {"y": ID}, text_labels=frozenset("y"))
    assert found.message.endswith("has no target in 2 of 5 rows; first: line 3")
    data = good(path, {"x": NUMBER}, {"y": ID}, text_labels=frozenset("y"), drop=True)
    assert isinstance(data.targets["y"], Strings)
    assert data.targets["y"][:].tolist() == ["no", "yes", "NA"]


@pytest.mark.parametrize("kind", [ID, ONE_HOT])
def test_texts_with_given_labels_may_be_missing(tmp_path: Path, kind: Type) -> None:
    path = lines(tmp_path / "d.jsonl", [{"x": 1, "y": y} for y in ("c", None, "a", "", "b")])
    labels = {"y": ["a", "b", "c"]}
    found = problem(path, {"x": NUMBER}, {"y": kind}, labels=labels)
    assert found.message.endswith("has no target in 2 of 5 rows; first: line 2")
    data = good(path, {"x": NUMBER}, {"y": kind}, labels=labels, drop=True)
    ids = data.targets["y"].argmax(1) if kind.is_float else data.targets["y"]
    assert ids.tolist() == [2, 0, 1]


def test_a_row_needs_all_its_targets(tmp_path: Path) -> None:
    rows = [{"x": k, "y": y, "z": z} for k, (y, z) in enumerate([(1, 1), (None, 1), (1, None), (0, 2)])]
    path = lines(tmp_path / "d.jsonl", rows)
    data = good(path, {"x": NUMBER}, {"y": ID, "z": VALUE}, drop=True)
    assert data.inputs["x"][:, 0].tolist() == [0, 3]
    _, found = read(path, {"x": NUMBER}, {"y": ID, "z": VALUE})
    assert [d.code for d in found] == ["GS505", "GS505"]


def test_other_problems_of_targets_are_found_beside_missing_ones(tmp_path: Path) -> None:
    found = problem(csv(tmp_path, ["0", "", "7"]), {"x": NUMBER}, {"y": ID}, classes={"y": 3}, drop=True)
    assert (found.code, "classes outside 0 … 2 in 1 of 3 rows; first: 7 in line 4" in found.message) == ("GS506", True)
    ignored = good(
        csv(tmp_path, ["0", "", "-1"]), {"x": NUMBER}, {"y": ID}, classes={"y": 3}, ignored={"y": -1}, drop=True
    )
    assert ignored.targets["y"].tolist() == [0, -1]
    found = problem(
        csv(tmp_path, ["0", "", "1.5"]), {"x": NUMBER}, {"y": VALUE}, probabilities=frozenset("y"), drop=True
    )
    assert found.code == "GS506"
    found = problem(csv(tmp_path, ["", ""]), {"x": NUMBER}, {"y": VALUE}, drop=True)
    assert (found.code, "has no row with a target" in found.message) == ("GS508", True)


def test_rows_of_a_memory_map_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAPPED", 1)
    y = np.array([1.0, np.nan, 0.0], np.float32)
    np.savez(tmp_path / "d.npz", x=np.arange(3, dtype=np.float32), y=y, y_sample_weight=np.arange(3.0))
    data = good(tmp_path / "d.npz", {"x": NUMBER}, {"y": VALUE}, drop=True)
    assert data.targets["y"][:, 0].tolist() == [1, 0]
    assert data.inputs["x"][:, 0].tolist() == [0, 2]
    assert data.weights["y"].tolist() == [0, 2]


def test_rows_are_left_out_into_files(tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    data = good(csv(tmp_path, CELLS), {"x": NUMBER, "t": TEXT}, {"y": ID}, drop=True, allocate=InFiles(folder))
    assert data.inputs["t"][:][:, 0].tolist() == ["t0", "t2", "t4"]
    assert data.targets["y"].tolist() == [0, 2, 1]
    assert isinstance(data.inputs["x"], np.memmap)
    assert isinstance(data.inputs["t"].data, np.memmap)


def test_missing_targets_from_python() -> None:
    wanted = DataSignature({"x": NUMBER}, {"y": ID})
    data, found = check_arrays({"x": np.zeros(3)}, {"y": [1, None, 2]}, wanted)
    assert data is None
    assert [d.message for d in found] == ["target 'y' has no target in 1 of 3 rows; first: the row at index 1"]
    assert found[0].hint == "fill it in, or remove the row"


def test_where_targets_are_missing() -> None:
    nan, least = np.nan, -(2**63)
    for target, expected in [
        (np.float32([[1, 2], [nan, 0]]), [False, True]),
        (np.array([least, 3]), [True, False]),
        (Strings.of(["", "a"]), [True, False]),
    ]:
        missing = rows_without(target)
        assert missing is not None
        assert missing.tolist() == expected
    for whole in (np.zeros(3, np.uint8), np.zeros(3), np.arange(3), Strings.of(["a"]), np.zeros(0)):
        assert rows_without(whole) is None


def test_the_key_of_a_spec(tmp_path: Path) -> None:
    csv(tmp_path, CELLS)
    wanted = DataSignature({"x": NUMBER}, {"y": ID})
    assert rows(written(tmp_path, "file: d.csv\ndrop_missing_targets: true"), wanted).targets["y"].tolist() == [0, 2, 1]
    assert [d.code for d in diagnostics(written(tmp_path, "file: d.csv\ndrop_missing_targets: false"), wanted)] == [
        "GS505"
    ]


@pytest.mark.parametrize("order", "<>")
def test_the_smallest_integer_is_missing_in_any_order_of_bytes(order: str) -> None:
    target = np.array([0, MISSING_INTEGER, 2]).astype(f"{order}i8")
    found = rows_without(target)
    assert found is not None
    assert found.tolist() == missing_in(target).tolist() == [False, True, False]
