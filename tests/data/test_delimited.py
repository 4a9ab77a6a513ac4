"""Tests of texts and of missing values in tables of text."""

from __future__ import annotations

import csv
import gc
import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import yaml
from data.sources import written as source_of
from support.data_reading import ID, NUMBER, TEXT, TEXTS, good, problem
from support.data_reading import read as read_file

from graphspec.base.arrays.strings import Strings
from graphspec.base.errors import Diagnostic
from graphspec.data import tables
from graphspec.data.batches import Dataset
from graphspec.data.check import load
from graphspec.data.files import open_table
from graphspec.data.profile import profile
from graphspec.data.source import DataError, DataSignature
from graphspec.graph.ir.graph import Type
from graphspec.language.declarations import TextForm

LABEL, FLAG = Type("int64", ("N",)), Type("float32", ("N", 1))


def written(folder: Path, content: str) -> Path:
    path = folder / "d.csv"
    path.write_bytes(content.encode())
    return path


def test_cells_are_texts_as_they_are_written(tmp_path: Path) -> None:
    cells = ["007", "1.0", " x ", '"a ""q"", b"', '""', "", "NA", "null", "日本🙂", '"l1\nl2"', "1e5", "True"]
    path = written(tmp_path, "t,n\n" + "".join(f"{cell},1\n" for cell in cells))
    data = good(path, {"t": TEXT, "n": TEXT})
    texts = data.inputs["t"]
    assert isinstance(texts, Strings)
    assert texts.shape == (12, 1)
    assert texts[:][:, 0].tolist() == [
        "007", "1.0", " x ", 'a "q", b', "", "", "NA", "null", "日本🙂", "l1\nl2", "1e5", "True",
    ]  # fmt: skip
    assert data.inputs["n"][:].tolist() == [["1"]] * 12


def test_a_column_is_text_and_number_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "a\n007\n2.50\n")
    data = good(path, {"t": TEXT, "x": NUMBER}, mapped={"t": "a", "x": "a"})
    assert data.inputs["t"][:].tolist() == [["007"], ["2.50"]]
    assert data.inputs["x"].tolist() == [[7.0], [2.5]]


def test_several_columns_are_one_input(tmp_path: Path) -> None:
    rows = [("é" * (k % 5), f"b{k}") for k in range(5000)]
    path = written(tmp_path, "a,b\n" + "".join(f"{a},{b}\n" for a, b in rows))
    data = good(path, {"t": TEXTS}, mapped={"t": ["b", "a"]})
    assert data.inputs["t"].shape == (5000, 2)
    assert data.inputs["t"][:].tolist() == [[b, a] for a, b in rows]


def test_the_default_column_of_an_input(tmp_path: Path) -> None:
    path = written(tmp_path, "Marital Status,other\nx,y\n")
    columns = {"status": "Marital Status"}
    assert good(path, {"status": TEXT}, columns=columns).inputs["status"][:].tolist() == [["x"]]
    data = good(path, {"status": TEXT}, columns=columns, mapped={"status": "other"})
    assert data.inputs["status"][:].tolist() == [["y"]]
    found = problem(path, {"status": TEXT}, columns={"status": "marital status"})
    assert found.code == "GS502"
    assert "has no column 'marital status'" in found.message
    assert good(written(tmp_path, "status\nz\n"), {"status": TEXT}, columns=columns).inputs["status"][:][0, 0] == "z"


MISSING = ["1.5", "", "NA", " n/a ", "NaN", "null", "None", "?", '""', "-2", "\u00a0"]


def test_missing_numbers_are_nan(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n" + "".join(f"{cell},1\n" for cell in MISSING))
    found = good(path, {"x": NUMBER}, gaps=frozenset("x")).inputs["x"][:, 0]
    np.testing.assert_array_equal(found, np.float32([1.5, *[np.nan] * 8, -2, np.nan]))
    assert problem(path, {"x": NUMBER}).code == "GS505"


def test_missing_numbers_after_the_sample(tmp_path: Path) -> None:
    cells = [str(k) for k in range(5000)] + ["", "NA", "7", "?"]
    path = written(tmp_path, "x,u\n" + "".join(f"{cell},_\n" for cell in cells))
    found = good(path, {"x": NUMBER}, gaps=frozenset("x")).inputs["x"][:, 0]
    np.testing.assert_array_equal(found, np.float32([*range(5000), np.nan, np.nan, 7, np.nan]))


def test_missing_integers_are_the_smallest(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n" + "".join(f"{cell},1\n" for cell in ["3", "", "NA", "-1"]))
    assert good(path, {"x": ID}, gaps=frozenset("x")).inputs["x"].tolist() == [[3], [-(2**63)], [-(2**63)], [-1]]
    path = written(tmp_path, "x,y\n9007199254740993,1\n,1\nNA,1\n")
    found = good(path, {"x": ID}, gaps=frozenset("x"))
    assert found.inputs["x"].tolist() == [[2**53 + 1], [-(2**63)], [-(2**63)]]


@pytest.mark.parametrize(
    ("cell", "code", "message"),
    [
        ("abc", "GS504", "contains text in 1 of 3 rows; first: 'abc' in line 4"),
        ("1_0", "GS504", "contains text in 1 of 3 rows; first: '1_0' in line 4"),
        ("inf", "GS505", "has infinite values in 1 of 3 rows; first: inf in line 4"),
        ("1e300", "GS504", "is too large for float32 in 1 of 3 rows; first: 1e300 in line 4"),
    ],
)
@pytest.mark.parametrize("before", [0, 3000])
def test_broken_numbers_are_refused_where_numbers_may_be_missing(
    tmp_path: Path, cell: str, code: str, message: str, before: int
) -> None:
    path = written(tmp_path, "x,y\n" + "4,1\n" * before + f"1,1\nNA,1\n{cell},1\n")
    found = problem(path, {"x": NUMBER}, gaps=frozenset("x"))
    assert found.code == code
    assert message.replace("line 4", f"line {before + 4:,}").replace("3 rows", f"{before + 3:,} rows") in found.message


@pytest.mark.parametrize(
    ("cell", "code", "says"),
    [
        ("1e30", "GS504", "does not fit int64 in 1 of 2 rows; first: 1e30 in line 3"),
        ("99999999999999999999", "GS504", "does not fit int64 in 1 of 2 rows; first: 99999999999999999999 in line 3"),
        ("abc", "GS504", "contains text in 1 of 2 rows; first: 'abc' in line 3"),
        ("", "GS505", "has no value in 1 of 2 rows; first: line 3"),
        (
            "1e99999999999999999999",
            "GS505",
            "has infinite values in 1 of 2 rows; first: 1e99999999999999999999 in line 3",
        ),
    ],
)
def test_what_is_no_integer_beside_a_large_one(tmp_path: Path, cell: str, code: str, says: str) -> None:
    _, found = read_file(written(tmp_path, f"x,y\n9007199254740993,1\n{cell},1\n"), {"x": ID})
    assert [d.code for d in found if says in d.message] == [code], found


@pytest.mark.parametrize(
    ("content", "kind", "code", "says", "fix"),
    [
        ("x,y\n1,2\n".encode("utf-16"), NUMBER, "GS501", "is UTF-16, not UTF-8", "write `encoding: utf-16`"),
        ("x,y\n1,2\n".encode("utf-32"), NUMBER, "GS501", "is UTF-32, not UTF-8", "save it as UTF-8"),
        (b"x,y\r\n1,2\r\n3,4\n", NUMBER, "GS501", "its lines end in CRLF and in LF", "use one line ending"),
        (b"x,y,z\n1,2,3\n", NUMBER, "GS501", "has 3 columns, more than 2", "as an array to an .npz file"),
        (b"x,y\na b,2\n", Type("string", ("N", "time")), "GS503", "has one text in each row", "JSON Lines"),
    ],
)
def test_files_that_do_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, kind: Type, code: str, says: str, fix: str
) -> None:
    monkeypatch.setattr(tables, "_MAX_COLUMNS", 2)
    (tmp_path / "d.csv").write_bytes(content)
    found = problem(tmp_path / "d.csv", {"x": kind})
    assert (found.code, says in found.message, fix in (found.hint or "")) == (code, True, True), found


def test_a_part_is_not_an_integer(tmp_path: Path) -> None:
    found = problem(written(tmp_path, "x,y\n,1\n1.5,1\n"), {"x": ID}, gaps=frozenset("x"))
    assert (found.code, "in 1 of 2 rows; first: 1.5 in line 3" in found.message) == ("GS504", True)


def test_targets_of_text_from_which_labels_are_learnt(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y,z\n1,no,0\n2,NA,1\n3, yes,1\n")
    wanted = {"y": LABEL, "z": LABEL}
    data = good(path, {"x": NUMBER}, wanted, text_labels=frozenset(wanted))
    texts = data.targets["y"]
    assert isinstance(texts, Strings)
    assert (texts.shape, texts[:].tolist()) == ((3,), ["no", "NA", " yes"])
    assert data.targets["z"].tolist() == [0, 1, 1]


def test_targets_become_text_after_the_sample(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n" + "1,0\n" * 2500 + "1,many\n1,none\n")
    data = good(path, {"x": NUMBER}, {"y": FLAG}, text_labels=frozenset("y"))
    assert data.targets["y"][2499:].tolist() == ["0", "many", "none"]


def test_true_and_false_are_labels_if_labels_are_learnt(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n1,true\n2,false\n")
    assert good(path, {"x": NUMBER}, {"y": FLAG}).targets["y"].tolist() == [[True], [False]]
    data = good(path, {"x": NUMBER}, {"y": FLAG}, text_labels=frozenset("y"))
    assert data.targets["y"][:].tolist() == ["true", "false"]


def test_given_labels_may_look_like_missing_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n" + "1,none\n" * 2100 + "1,1\n")
    data = good(path, {"x": NUMBER}, {"y": LABEL}, labels={"y": ["none", "1"]})
    assert data.targets["y"].tolist() == [0] * 2100 + [1]


def read_as(folder: Path, text: str, content: str, wanted: DataSignature) -> tuple[Dataset | None, list[Diagnostic]]:
    (folder / "t.csv").write_text(content)
    return load(source_of(folder, text), wanted)


NUMBERS = DataSignature({"x": NUMBER, "t": TEXT}, {"y": ID}, labels={"y": ["1,5", "2"]})


@pytest.mark.parametrize("before", [0, 3000])
def test_decimal_commas(tmp_path: Path, before: int) -> None:
    content = "x;t;y\n" + "7;a;2\n" * before + "3,5;3,5;1,5\n-1.234,5;1.2;2\n7;2,0;2\n12.345.678,9e-1;x;2\n"
    data, found = read_as(tmp_path, 'file: t.csv\ndecimal: ","', content, NUMBERS)
    assert data is not None, found
    assert data.inputs["x"][before:, 0].tolist() == [3.5, -1234.5, 7, np.float32(1234567.89)]
    assert data.inputs["t"][:][before:, 0].tolist() == ["3,5", "1.2", "2,0", "x"]  # texts stay as they are
    assert data.targets["y"][before:].reshape(-1).tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("cell", ["1.234", "3.5", "x"])
def test_a_point_beside_decimal_commas_is_refused(tmp_path: Path, cell: str) -> None:
    _, found = read_as(tmp_path, 'file: t.csv\ndecimal: ","', f"x;t;y\n3,5;a;2\n{cell};a;2\n", NUMBERS)
    [one] = found
    assert one.code == "GS504"
    assert f"in 1 of 2 rows; first: '{cell}" in one.message


def test_whole_numbers_with_decimal_commas(tmp_path: Path) -> None:
    wanted = DataSignature({"x": ID}, {})
    data, _ = read_as(tmp_path, 'file: t.csv\ndecimal: ","', "x;y\n9007199254740993;1\n2,0;1\n", wanted)
    assert data is not None
    assert data.inputs["x"].tolist() == [[2**53 + 1], [2]]


def test_a_delimiter(tmp_path: Path) -> None:
    wanted = DataSignature({"x": NUMBER}, {})
    content = "a,b#x\n1,2#3\n"
    data, _ = read_as(tmp_path, 'file: t.csv\ndelimiter: "#"', content, wanted)
    assert data is not None
    assert data.inputs["x"].tolist() == [[3]]
    _, found = read_as(tmp_path, "file: t.csv", content, wanted)
    assert [d.code for d in found] == ["GS502"]


@pytest.mark.parametrize(
    ("keys", "cells"),
    [
        ('thousands: ","', {"1,234": 1234, "1,234,567.5": 1234567.5, "12": 12, "-1.5e2": -150, " 1,000 ": 1000}),
        ('{decimal: ",", thousands: "."}', {"1.234": 1234, "-1.234,5": -1234.5, "0,125": 0.125, "7": 7}),
        ('thousands: " "', {"1 234.5": 1234.5, "1\u00a0234": 1234, "12\u202f345": 12345}),
        ('thousands: "\'"', {"1'234.5": 1234.5, "1\u2019234": 1234}),
        (
            'strip: ["%", EUR, "$"]',
            {"12 %": 12, "12%": 12, "EUR 5": 5, "5\u00a0EUR": 5, "-$1.5": -1.5, "$-2": -2, "3": 3},
        ),
        ('{strip: ["€"], decimal: ","}', {"1.234,5 €": 1234.5, "€ 3,5": 3.5}),
        ('{decimal: {x: ","}, thousands: {other: ","}}', {"3,5": 3.5}),
    ],
)
def test_marks_of_numbers(tmp_path: Path, keys: str, cells: dict[str, float]) -> None:
    source = yaml.safe_load(keys) | {"file": "t.csv"}
    content = "x\tt\ty\n" + "".join(f"{cell}\t{cell}\t2\n" for cell in cells)
    data, found = read_as(tmp_path, json.dumps(source), content, NUMBERS)
    assert data is not None, found
    assert data.inputs["x"][:, 0].tolist() == [np.float32(value) for value in cells.values()]
    assert data.inputs["t"][:][:, 0].tolist() == list(cells)  # texts stay as they are


@pytest.mark.parametrize(
    ("keys", "cell"),
    [
        ('thousands: ","', "1,23,4"),
        ('thousands: ","', "0,125"),
        ('thousands: ","', "1,2345"),
        ('thousands: ","', "1.5,000"),
        ('strip: ["%"]', "12 %%"),
        ('strip: ["%"]', "12 kg"),
        ('strip: ["%"]', "%"),
        ('thousands: " "', "12 34"),
    ],
)
def test_other_numbers_are_refused_whole(tmp_path: Path, keys: str, cell: str) -> None:
    _, found = read_as(tmp_path, f"file: t.csv\n{keys}", f"x\tt\ty\n3\ta\t2\n{cell}\ta\t2\n", NUMBERS)
    [one] = found
    assert one.code == "GS504"
    assert f"in 1 of 2 rows; first: '{cell}' in line 3" in one.message


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "jsonl"])
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str, suffix: str) -> None:
    text = "x,t,y\n3,Köln,2\n" if suffix != "jsonl" else '{"x": 3, "t": "Köln", "y": "2"}\n'
    content = text.encode(encoding)
    path = tmp_path / f"t.{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    table = open_table(path, TextForm(encoding=encoding))
    assert table.query("t") == [("Köln",)]
    assert table.place(0) == f"line {2 if suffix != 'jsonl' else 1}"
    copy = table.path
    del table
    gc.collect()
    assert not copy.exists()


def read(path: Path) -> None:
    table = open_table(path)
    with table.reading():
        table.query("x")


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_file_that_is_not_utf8(tmp_path: Path, suffix: str) -> None:
    row = '{"x": "Köln"}\n' if suffix == "jsonl" else "Köln\n"
    path = tmp_path / f"t.{suffix}"
    path.write_bytes(("" if suffix == "jsonl" else "x\n").encode() + (row * 3).encode("cp1252"))
    with pytest.raises(DataError, match=r"line [12] is not UTF-8 \(byte 0xf6, as Excel writes it\)") as error:
        read(path)
    assert "`encoding: cp1252`" in str(error.value.problem.hint)
    (tmp_path / "odd.csv").write_bytes(b"abc")
    with pytest.raises(DataError, match=r"line 1 is not utf-16"):
        open_table(tmp_path / "odd.csv", TextForm(encoding="utf-16"))


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_texts_that_mean_a_missing_number(tmp_path: Path, suffix: str) -> None:
    wanted = DataSignature({"x": NUMBER}, {}, gaps=frozenset("x"), missing={"x": ("unknown", "45+")})
    data, found = read_as(tmp_path, "file: t.csv", "x\ty\n1\ta\n45+\ta\n unknown\ta\nNA\ta\n", wanted)
    assert data is not None, found
    np.testing.assert_array_equal(data.inputs["x"][:, 0], np.float32([1, np.nan, np.nan, np.nan]))
    _, [one] = read_as(tmp_path, "file: t.csv", "x\ty\n1\ta\nUnknown\ta\n", wanted)
    assert "'Unknown' in line 3" in one.message


def test_a_table_for_which_there_is_no_memory_is_not_told_of_its_first_line(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, "a\n1\n"))
    with pytest.raises(DataError, match="cannot be read: Out of Memory Error") as caught, table.reading():
        raise duckdb.OutOfMemoryException("Out of Memory Error: Allocation failure")
    assert caught.value.problem.hint == "allow the process more memory, or end other programs"


@pytest.mark.slow
def test_long_cells_of_many_lines_are_read_in_place(tmp_path: Path) -> None:
    """With several threads the database lost its place in the mails of benchmarks.quality; it does not in these rows."""
    rows = [('a line, "quoted"\n' * (300 + k % 900) + str(k), "ab"[k % 2]) for k in range(2500)]
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("text", "y"), *rows])
    found = profile(open_table(tmp_path / "t.csv"))
    assert (found.rows, found.columns["text"].distinct, found.columns["y"].distinct) == (2500, 2500, 2)


class Refusing:
    """DuckDB in a Jupyter without ipywidgets: it refuses to set its bar, also to none."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._connection = CONNECT(*arguments, **options)

    def execute(self, text: str, *more: Any) -> Any:
        if "progress_bar" in text:
            raise duckdb.InvalidInputException("Could not change the progress bar setting")
        return self._connection.execute(text, *more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


CONNECT = duckdb.connect


def test_tables_are_read_in_a_jupyter_without_ipywidgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb, "connect", Refusing)
    data = good(written(tmp_path, "t,n\na,1\nb,2\n"), {"t": TEXT, "n": TEXT})
    assert len(data) == 2
