"""All that is wrong in a column, after an error in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.codes import Code
from graphspec.data.check import check_arrays
from graphspec.data.files import open_table
from graphspec.data.new_rows import Records, RecordSource
from graphspec.data.problems import can_be_surveyed, survey
from graphspec.data.source import DataError, DataSignature, Request, at
from graphspec.graph.ir.graph import Type

FLOAT, INT = Type("float32", ("N", 1)), Type("int64", ("N", 1))
TEXT, MISSING = DataError(Code.LOSSY_CONVERSION, "contains text"), DataError(Code.MISSING_VALUE, "has no value")


def wanted(kind: Type = FLOAT, **options: Any) -> Request:
    return Request("x", ["x"], False, kind, True, **options)


def told(path: Path, request: Request, error: DataError = TEXT, *, may_miss: bool = False) -> list[str]:
    table = open_table(path)
    found = survey(table, "x", request, error, may_miss=may_miss)
    return [f.tally.text(f.total, table.place) for f in found]


def csv(folder: Path, cells: list[str]) -> Path:
    (folder / "t.csv").write_text("x,y\n" + "".join(f"{cell},1\n" for cell in cells))
    return folder / "t.csv"


def test_all_problems_of_one_column(tmp_path: Path) -> None:
    path = csv(tmp_path, ["1", "NA", "male", "", "inf", "female", "1e300", "male", "other", "fourth"])
    assert told(path, wanted()) == [
        "has no value in 2 of 10 rows; first: line 3",
        "has infinite values in 1 of 10 rows; first: inf in line 6",
        "contains text in 5 of 10 rows; first: 'male' in line 4, 'female' in line 7, 'other' in line 10",
        "is too large for float32 in 1 of 10 rows; first: 1e300 in line 8",
    ]
    assert len(told(path, wanted(), may_miss=True)) == 3


def test_integers(tmp_path: Path) -> None:
    path = csv(tmp_path, ["1", "1.5", "9223372036854775808", "-1"])
    assert told(path, wanted(INT)) == [
        "is not an exact int64 in 1 of 4 rows; first: 1.5 in line 3",
        "does not fit int64 in 1 of 4 rows; first: 9223372036854775808 in line 4",
    ]


def test_labels(tmp_path: Path) -> None:
    path = csv(tmp_path, ["a", "b", "", "c", "c"])
    error = DataError(Code.OUT_OF_RANGE, "…")
    assert told(path, wanted(INT, labels=["a", "b"]), error) == [
        "has no value in 1 of 5 rows; first: line 4",
        "has texts that are no labels in 2 of 5 rows; first: 'c' in line 5",
    ]


def test_long_values_are_shortened(tmp_path: Path) -> None:
    [message] = told(csv(tmp_path, ["a very long review " * 20]), wanted())
    assert "'a very long review" in message
    assert len(message) < 120


def test_a_text_that_looks_like_a_number_is_text_in_typed_tables(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"x": "1"}\n{"x": "NA"}\n')
    assert told(path, wanted()) == [
        "has no value in 1 of 2 rows; first: line 2",
        "contains text in 1 of 2 rows; first: '1' in line 1",
    ]


def test_a_stream_has_no_number_of_rows() -> None:
    table = RecordSource(Records([{"x": 1}, {"x": "a"}, {"x": None}], [4, 6, 7], 2), ["x"])
    found = survey(table, "x", wanted(), TEXT, may_miss=False)
    assert [f.tally.text(f.total, table.place) for f in found] == [
        "has no value in line 7",
        "contains text: 'a' in line 6",
    ]


def test_arrays() -> None:
    array = np.array([[1.0, np.nan], [np.inf, 2.0], [np.nan, np.nan]])
    found = survey(array, "x", wanted(Type("float32", ("N", 2))), MISSING, may_miss=False)
    assert [f.tally.text(f.total, at) for f in found] == [
        "has no value in 2 of 3 rows; first: the row at index 0",
        "has infinite values in 1 of 3 rows; first: inf in the row at index 1",
    ]


def test_the_form_of_all_texts(tmp_path: Path) -> None:
    for cells, form in (
        (['"3,5"', '"1,234"'], "decimal comma"),
        (['"1,234"', "5"], "thousands"),
        (["a", '"3,5"'], None),
    ):
        [found] = survey(open_table(csv(tmp_path, cells)), "x", wanted(), TEXT, may_miss=True)
        assert found.form == form


def test_what_is_surveyed() -> None:
    assert can_be_surveyed(TEXT, wanted())
    assert not can_be_surveyed(TEXT, wanted(Type("string", ("N", 1))))
    assert not can_be_surveyed(DataError(Code.WRONG_ARRAY_SHAPE, "has lists"), wanted())
    assert not can_be_surveyed(DataError(Code.LOSSY_CONVERSION, "has dtype complex128, …"), wanted())


def test_values_from_python_are_counted() -> None:
    _, found = check_arrays({"x": np.array([1.0, np.nan, np.nan])}, None, DataSignature({"x": FLOAT}))
    assert [d.message for d in found] == ["input 'x' has no value in 2 of 3 rows; first: the row at index 1"]
