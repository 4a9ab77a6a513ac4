"""Tests of texts and of missing values in JSON Lines and Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.data_reading import ID, NUMBER, TEXT, TEXTS, good, lines, parquet, problem, read

from graphspec.base.arrays.strings import Strings
from graphspec.data import tables
from graphspec.data.files import open_table
from graphspec.graph.ir.graph import Type

LABEL = Type("int64", ("N",))


def test_texts_of_json(tmp_path: Path) -> None:
    values = ["007", "", None, 1.0, 2, True, False, "2020-01-01", "é\n🙂", "null"]
    path = lines(tmp_path / "d.jsonl", [{"t": v, "n": 1} for v in values])
    texts = good(path, {"t": TEXT}).inputs["t"]
    assert isinstance(texts, Strings)
    assert texts[:][:, 0].tolist() == ["007", "", "", "1.0", "2", "true", "false", "2020-01-01", "é\n🙂", "null"]


def test_numbers_and_booleans_of_json_are_texts_and_numbers(tmp_path: Path) -> None:
    path = lines(tmp_path / "d.jsonl", [{"x": 1.0, "b": True, "i": 7}, {"x": None, "b": False, "i": 2**60 + 1}])
    mapped: dict[str, str | list[str]] = {n: n[-1] for n in ("tx", "x", "tb", "b", "ti", "i")}
    kinds = {"tx": TEXT, "tb": TEXT, "ti": TEXT, "x": NUMBER, "b": NUMBER, "i": ID}
    inputs = good(path, kinds, mapped=mapped, gaps=frozenset("x")).inputs
    assert [inputs[n][:].tolist() for n in ("tx", "tb", "ti")] == [
        [["1.0"], [""]], [["true"], ["false"]], [["7"], [str(2**60 + 1)]],
    ]  # fmt: skip
    np.testing.assert_array_equal(inputs["x"], np.float32([[1], [np.nan]]))
    assert inputs["b"].tolist() == [[1], [0]]
    assert inputs["i"].tolist() == [[7], [2**60 + 1]]


@pytest.mark.parametrize(("rows", "keys"), [(2, 300), (30, 1)])
def test_records_of_many_keys_or_of_rare_ones_have_these_columns(tmp_path: Path, rows: int, keys: int) -> None:
    """Before, DuckDB read such lines as one column `json` of maps."""
    path = lines(tmp_path / "d.jsonl", [{f"k{row}_{k}": k for k in range(keys)} for row in range(rows)])
    assert open_table(path).names == [f"k{row}_{k}" for row in range(rows) for k in range(keys)]


def test_lists_of_texts(tmp_path: Path) -> None:
    path = lines(tmp_path / "d.jsonl", [{"t": ["a", None], "u": "x"}, {"t": ["é", "b"], "u": "y"}])
    assert good(path, {"t": TEXTS}).inputs["t"][:].tolist() == [["a", ""], ["é", "b"]]
    assert good(path, {"t": TEXT}, mapped={"t": "u"}).inputs["t"][:].tolist() == [["x"], ["y"]]
    path = lines(tmp_path / "e.jsonl", [{"t": [1, 2]}, {"t": [3]}])
    found = problem(path, {"t": TEXTS})
    assert (found.code, "lists of different lengths: 2 values in line 1, 1 in line 2" in found.message) == (
        "GS503",
        True,
    )
    path = lines(tmp_path / "e.jsonl", [{"t": [1, 2], "u": "a"}])
    _, both = read(path, {"t": TEXTS}, mapped={"t": ["u", "t"]})
    assert ["single value per row" in d.message for d in both] == [True]


TWO, SQUARE = Type("float32", ("N", 2)), Type("float32", ("N", 2, 2))
LATE = "SELECT CASE WHEN k < 65536 THEN ['a', 'b'] ELSE ['a'] END AS t FROM range(140000) r(k)"


@pytest.mark.parametrize(
    ("values", "kind", "code", "says"),
    [
        ([["a", "b"], None], TEXTS, "GS503", "has lists of different lengths: 2 values in line 1, none in line 2"),
        ([None, ["a", "b"]], TEXTS, "GS503", "has lists of different lengths: 2 values in line 2, none in line 1"),
        ([[[1, 2], [3]]], SQUARE, "GS503", "has lists of different lengths: 2 and 1 values in line 1"),
        ([[[1, 2], [3, 4]], [[1, 2]]], SQUARE, "GS503", "2 values in line 1, 1 in line 2"),
        ("SELECT NULL::DOUBLE[] AS t", TWO, "GS505", "has no value in row 1 (counted from 1)"),
        (
            LATE.replace("'a'", "1").replace("'b'", "2"),
            TWO,
            "GS503",
            "2 values in row 1 (counted from 1), 1 in row 65,537",
        ),
        (LATE, TEXTS, "GS503", "2 values in row 1 (counted from 1), 1 in row 65,537 (counted from 1)"),
        (
            "SELECT [1.5, 9007199254740993::BIGINT] AS t",
            Type("int64", ("N", 2)),
            "GS504",
            "has integers that were rounded",
        ),
    ],
)
def test_lists_that_do_not_fit(tmp_path: Path, values: Any, kind: Type, code: str, says: str) -> None:
    if isinstance(values, str):
        path = parquet(tmp_path / "d.parquet", values)
    else:
        path = lines(tmp_path / "d.jsonl", [{"t": value} for value in values])
    found = problem(path, {"t": kind})
    assert (found.code, says in found.message) == (code, True), found.message


@pytest.mark.parametrize(
    ("sql", "code", "says"),
    [
        ("{'a': 1}", "GS504", "contains values of type STRUCT(a INTEGER), which are not numbers"),
        ("'a'::ENUM('a')", "GS504", "contains text in 1 of 1 rows; first: 'a' in row 1"),
        ("1 WHERE false", "GS508", "has no rows"),
        ("[1.0] WHERE false", "GS508", "has no rows"),
    ],
)
def test_values_without_a_number(tmp_path: Path, sql: str, code: str, says: str) -> None:
    select, _, condition = sql.partition(" WHERE ")
    path = parquet(tmp_path / "d.parquet", f"SELECT {select} AS x" + (f" WHERE {condition}" if condition else ""))
    found = problem(path, {"x": NUMBER})
    assert (found.code, says in found.message) == (code, True), found.message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"x": 1}\n[2]\n', "cannot be read: line 2 is not an object"),
        ('{"x": 1}\n\n7\n', "cannot be read: line 3 is not an object"),
        ('{"x": "' + "a" * 200 + '"}\n', "has a line of more than 100 B"),
    ],
)
def test_lines_that_are_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    monkeypatch.setattr(tables, "_MAX_LINE", 100)
    (tmp_path / "d.jsonl").write_text(text)
    found = problem(tmp_path / "d.jsonl", {"x": NUMBER})
    assert (found.code, found.message.endswith(says)) == ("GS501", True), found.message


@pytest.mark.parametrize(
    ("sql", "texts"),
    [
        ("unnest(['a', NULL, '', '007'])", ["a", "", "", "007"]),
        ("unnest(['u', 'v', NULL]::ENUM('v', 'u')[])", ["u", "v", ""]),
        ("unnest([1, NULL, -3]::TINYINT[])", ["1", "", "-3"]),
        ("unnest([18446744073709551615]::UBIGINT[])", ["18446744073709551615"]),
        ("unnest([1.50, NULL]::DECIMAL(9, 2)[])", ["1.50", ""]),
        ("unnest([true, false, NULL])", ["true", "false", ""]),
        ("unnest(['2020-01-02', NULL]::DATE[])", ["2020-01-02", ""]),
        ("unnest(['2020-01-02 03:04:05.5']::TIMESTAMP[])", ["2020-01-02 03:04:05.5"]),
        ("unnest(['2020-01-02 03:04:05+02']::TIMESTAMPTZ[])", ["2020-01-02 01:04:05+00"]),
    ],
)
def test_texts_of_parquet(tmp_path: Path, sql: str, texts: list[str]) -> None:
    path = parquet(tmp_path / "d.parquet", f"SELECT {sql} AS t")
    assert good(path, {"t": TEXT}).inputs["t"][:][:, 0].tolist() == texts


def test_lists_and_columns_of_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path / "d.parquet", "SELECT [k::VARCHAR, NULL]::VARCHAR[2] AS t, k, 'é' AS e FROM range(3) r(k)")
    assert good(path, {"t": TEXTS}).inputs["t"][:].tolist() == [["0", ""], ["1", ""], ["2", ""]]
    inputs = good(path, {"t": TEXTS}, mapped={"t": ["k", "e"]}).inputs
    assert inputs["t"][:].tolist() == [["0", "é"], ["1", "é"], ["2", "é"]]


@pytest.mark.parametrize("sql", ["1.5::DOUBLE", "{'a': 1}", "'a'::BLOB"])
def test_values_without_a_text(tmp_path: Path, sql: str) -> None:
    found = problem(parquet(tmp_path / "d.parquet", f"SELECT {sql} AS t"), {"t": TEXT})
    assert (found.code, "which are not text" in found.message) == ("GS504", True)


def test_missing_numbers(tmp_path: Path) -> None:
    select = "SELECT unnest([1, NULL, 3]::TINYINT[]) AS x, unnest(['1.5', 'nan', NULL]::FLOAT[]) AS y"
    select += ", unnest([9007199254740993, NULL, 2]) AS i, NULL::INTEGER AS n"
    path = parquet(tmp_path / "d.parquet", select)
    kinds = {"x": NUMBER, "y": NUMBER, "i": ID, "n": NUMBER}
    inputs = good(path, kinds, gaps=frozenset("xyin")).inputs
    np.testing.assert_array_equal(inputs["x"][:, 0], np.float32([1, np.nan, 3]))
    np.testing.assert_array_equal(inputs["y"][:, 0], np.float32([1.5, np.nan, np.nan]))
    assert inputs["i"][:, 0].tolist() == [2**53 + 1, -(2**63), 2]
    assert np.isnan(inputs["n"]).all()
    assert problem(path, {"x": NUMBER}).code == "GS505"
    path = parquet(tmp_path / "d.parquet", "SELECT 'inf'::DOUBLE AS x")
    assert problem(path, {"x": NUMBER}, gaps=frozenset("x")).code == "GS505"


def test_a_value_is_missing_late(tmp_path: Path) -> None:
    """Narrow numbers are kept narrow until a value is missing."""
    count = 200_000
    path = parquet(
        tmp_path / "d.parquet",
        f"SELECT CASE WHEN k < {count - 1} THEN (k % 100)::SMALLINT END AS x, (k % 7)::TINYINT AS y "
        f"FROM range({count}) r(k)",
    )
    inputs = good(path, {"x": NUMBER, "y": NUMBER}, gaps=frozenset("xy")).inputs
    assert (inputs["x"].dtype, inputs["y"].dtype) == (np.float32, np.int8)
    assert inputs["x"][:-1, 0].tolist() == [k % 100 for k in range(count - 1)]
    assert np.isnan(inputs["x"][-1, 0])


def test_missing_numbers_of_json(tmp_path: Path) -> None:
    path = lines(tmp_path / "d.jsonl", [{"x": 1, "n": None}, {"x": None}, {}, {"x": 2**53 + 1}])
    inputs = good(path, {"x": ID, "n": NUMBER}, gaps=frozenset("xn")).inputs
    assert inputs["x"][:, 0].tolist() == [1, -(2**63), -(2**63), 2**53 + 1]
    assert np.isnan(inputs["n"]).all()
    path = lines(tmp_path / "d.jsonl", [{"x": 1.5}, {"x": None}, {"x": 2**53 + 1}])
    found = good(path, {"x": NUMBER}, gaps=frozenset("x")).inputs["x"]
    np.testing.assert_array_equal(found[:, 0], np.float32([1.5, np.nan, 2**53]))
    path = lines(tmp_path / "d.jsonl", [{"x": 1}, {"x": "many"}])
    found_problem = problem(path, {"x": NUMBER}, gaps=frozenset("x"))
    assert (found_problem.code, "first: 'many' in line 2" in found_problem.message) == ("GS504", True)


def test_targets_from_which_labels_are_learnt(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "d.parquet", "SELECT unnest(['b', 'a']) AS y, unnest(['b', 'a']::ENUM('b', 'a')[]) AS z, 1 AS x"
    )
    wanted = {"y": LABEL, "z": LABEL}
    found = good(path, {"x": NUMBER}, wanted, text_labels=frozenset(wanted)).targets
    assert [found[n][:].tolist() for n in wanted] == [["b", "a"]] * 2
    flags = parquet(tmp_path / "e.parquet", "SELECT unnest([true, false]) AS y, 1 AS x")
    found = good(flags, {"x": NUMBER}, {"y": LABEL}, text_labels=frozenset("y")).targets
    assert found["y"][:].tolist() == ["true", "false"]
    found = good(flags, {"x": NUMBER}, {"y": NUMBER}, text_labels=frozenset("y")).targets
    assert found["y"].tolist() == [[True], [False]]
    path = lines(tmp_path / "d.jsonl", [{"x": 1, "y": "no", "z": 3}, {"x": 1, "y": 7, "z": 0}])
    found = good(path, {"x": NUMBER}, wanted, text_labels=frozenset(wanted)).targets
    assert found["y"][:].tolist() == ["no", "7"]
    assert found["z"].tolist() == [3, 0]
