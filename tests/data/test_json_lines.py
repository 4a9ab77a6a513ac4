"""Records from a stream: in batches, as they arrive, with errors that name the line."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
import pytest

from graphspec.base.arrays.strings import Strings
from graphspec.base.codes import Code
from graphspec.data.new_rows import MAX_LINE, Records, RecordSource, read_records
from graphspec.data.source import DataError, Request
from graphspec.graph.ir.graph import Array, Type

FLOAT, INT, TEXT = (Type(dtype, ("N", 1)) for dtype in ("float32", "int64", "string"))


def batches(text: str | bytes, size: int = 2) -> list[Records]:
    return list(read_records(io.BytesIO(text.encode() if isinstance(text, str) else text), size))


def filled(rows: list[dict[str, Any]], key: str, kind: Type, *, gaps: bool = False) -> Array | Strings | DataError:
    """One input, read from ``key`` of some records at lines 5, 6, …"""
    records = Records(rows, list(range(5, 5 + len(rows))), 3)
    found = RecordSource(records, [key]).fill([Request("x", [key], False, kind, True, gaps=gaps)])["x"]
    return found[0] if isinstance(found, dict) else found


def test_batches_with_their_lines() -> None:
    found = batches('\ufeff{"a": 1}\n\n{"a": 2}\r\n  \n{"a": "é"}')
    assert [(b.first, list(b.lines), [r["a"] for r in b.rows]) for b in found] == [(0, [1, 3], [1, 2]), (2, [5], ["é"])]
    assert batches("") == batches("\n\n") == []


def test_a_line_longer_than_a_read() -> None:
    texts = ["a" * 200_000, "b", "é" * 100_000]
    lines = "".join(f'{{"t": "{text}"}}\n' for text in texts)
    assert [row["t"] for batch in batches(lines) for row in batch.rows] == texts


def test_records_that_have_arrived_do_not_wait_for_others() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, os.fdopen(writer, "wb", buffering=0) as pipe:
        found = read_records(stream, 10)
        pipe.write(b'{"a": 1}\n{"a": 2}\n{"a"')
        assert [r["a"] for r in next(found).rows] == [1, 2]
        pipe.write(b": 3}\n")
        assert [r["a"] for r in next(found).rows] == [3]
        pipe.close()
        assert list(found) == []


@pytest.mark.parametrize(
    "line", [b"[1]", b"7", b"{", b'{"a": 1} {"a": 2}', b'{"a": "\xff"}', b"[" * 100_000, b'{"a": ' + b"1" * 5000 + b"}"]
)
def test_a_line_that_is_no_object(line: bytes) -> None:
    with pytest.raises(DataError, match="cannot be read: line 2 is not a JSON object") as caught:
        batches(b'{"a": 1}\n' + line)
    assert caught.value.problem.code == Code.UNREADABLE_FILE


def test_a_line_without_end_is_refused_before_it_is_read() -> None:
    stream = io.BytesIO(b"{" * (MAX_LINE + (1 << 20)))
    with pytest.raises(DataError, match=r"line 1 has more than 16\.0 MiB|line 1 has more than"):
        list(read_records(stream, 2))
    assert stream.tell() <= MAX_LINE + (1 << 17)


def test_numbers_and_missing_ones() -> None:
    rows = [{"a": 1}, {"a": None}, {}, {"a": 2.5}]
    np.testing.assert_array_equal(filled([{"a": 1}, {"a": True}], "a", FLOAT), [1, 1])
    error = filled(rows, "a", FLOAT)
    assert isinstance(error, DataError)
    assert error.problem.code == Code.MISSING_ARRAY
    assert error.problem.message == "is missing in line 7"
    error = filled(rows[:2], "a", FLOAT)
    assert isinstance(error, DataError)
    assert (error.problem.code, error.problem.message) == (Code.MISSING_VALUE, "has no value in line 6")


def test_a_key_that_is_written_differently() -> None:
    error = filled([{"Age": 1}], "age", FLOAT)
    assert isinstance(error, DataError)
    assert error.problem.hint is not None
    assert "'Age'" in error.problem.hint


def test_missing_values_where_they_may_be() -> None:
    rows = [{"a": 1}, {"a": None}, {}, {"a": 2.5}]
    np.testing.assert_array_equal(filled(rows, "a", FLOAT, gaps=True), [1, np.nan, np.nan, 2.5])
    integers = filled([{"a": 2**62 + 1}, {"a": None}, {}], "a", INT, gaps=True)
    np.testing.assert_array_equal(integers, [2**62 + 1, -(2**63), -(2**63)])
    np.testing.assert_array_equal(filled([{}, {"a": None}], "a", FLOAT, gaps=True), [np.nan, np.nan])


def test_texts() -> None:
    texts = filled([{"a": "é"}, {"a": None}, {"a": 90210}, {"a": True}], "a", TEXT)
    assert isinstance(texts, Strings)
    assert texts[:].tolist() == ["é", "", "90210", "true"]
    lists = filled([{"a": ["x", None]}, {"a": ["", "y"]}], "a", TEXT)
    assert isinstance(lists, Strings)
    assert lists[:].tolist() == [["x", ""], ["", "y"]]


@pytest.mark.parametrize(
    ("value", "code"),
    [(1.5, Code.LOSSY_CONVERSION), ({"b": 1}, Code.LOSSY_CONVERSION), (["x"], Code.WRONG_ARRAY_SHAPE)],
)
def test_what_is_no_text(value: Any, code: Code) -> None:
    error = filled([{"a": "x"}, {"a": value}], "a", TEXT)
    assert isinstance(error, DataError)
    assert error.problem.code == code
    if code == Code.LOSSY_CONVERSION:
        assert "in line 6" in error.problem.message


def test_lists_beside_single_values() -> None:
    error = filled([{"a": 1}, {"a": [1]}], "a", FLOAT)
    assert isinstance(error, DataError)
    assert error.problem.message == "has a list in line 6, and a single value in line 5"
