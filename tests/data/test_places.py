"""The lines of rows, as an editor shows them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from graphspec.data.files import open_table
from graphspec.data.text_files import lines_of_rows, row_from_1, scan


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a,b\n1,2\n3,4\n", [2, 3]),
        ("a,b\r\n1,2\r\n3,4", [2, 3]),
        ("\n\na,b\n1,2\n\n3,4\n", [4, 6]),
        ('a,b\n"1\n2",3\n4,"5""\n\n6"\n7,8\n', [2, 4, 7]),
        ('a;b\n"1;2";3\n4;5\n', [2, 3]),
        ("\ufeffa,b\n1,2\n", [2]),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_lines_of_a_table_of_text(tmp_path: Path, text: str, lines: list[int], suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(gzip.compress(text.encode()) if suffix.endswith(".gz") else text.encode())
    table = open_table(path)
    assert [table.place(row) for row in range(len(lines))] == [f"line {line}" for line in lines]
    assert table.place(len(lines)) == f"row {len(lines) + 1} (counted from 1)"


def test_lines_of_objects(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1}\n\n{"a": "x"}\n')
    assert open_table(path).place(1) == "line 3"


def test_a_table_without_lines(tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "t.parquet"
    duckdb.connect().execute(f"COPY (SELECT 1 AS a) TO '{path}'")
    assert open_table(path).place(1233) == row_from_1(1233) == "row 1,234 (counted from 1)"


def test_another_number_of_rows_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,b\n"1",2\n3,4\n')
    assert lines_of_rows(path, 2, ",", scan(path)) == [2, 3]
    assert lines_of_rows(path, 3, ",", scan(path)) is None


def test_a_file_is_searched_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,b\n"1",2\n3,4\n')
    monkeypatch.setattr("graphspec.data.text_files._MAX_TEXT", 8)
    assert lines_of_rows(path, 2, ",", scan(path)) is None
    path.write_text("a,b\n1,2\n3,4\n")  # without quotes and blank lines nothing is searched
    assert list(lines_of_rows(path, 2, ",", scan(path)) or []) == [2, 3]
