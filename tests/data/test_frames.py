"""Tests of data frames: with nanoarrow always, with other libraries where they are installed."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import nanoarrow
import numpy as np
import pytest
from nanoarrow.c_array import c_array, c_array_from_buffers

from graphspec.base.arrays.strings import Strings
from graphspec.base.errors import SpecError, UsageError
from graphspec.data.signature import batch_inputs, by_name, user_arrays, user_inputs
from graphspec.data.source import DataSignature
from graphspec.data.tables import Column, is_frame
from graphspec.graph.ir.graph import Type

TEXT, NUMBER, ID = Type("string", ("N", 1)), Type("float32", ("N", 1)), Type("int64", ("N", 1))
NEEDED = DataSignature(
    {"t": TEXT, "x": NUMBER, "i": ID},
    {"y": Type("int64", ("N",))},
    gaps=frozenset("xi"),
    text_labels=frozenset("y"),
    columns={"t": "Marital Status"},
)


class Exported:
    """A frame with nothing but the export."""

    def __init__(self, stream: Any, *, once: bool = False) -> None:
        self._stream, self._once = stream, once

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        assert self._stream is not None
        capsule = self._stream.__arrow_c_stream__(requested_schema)
        self._stream = None if self._once else self._stream
        return capsule


def rows(**columns: Any) -> Any:
    """Return columns, each ``(values, type)``, as an array of structs."""
    names = {name.replace("_", " "): pair for name, pair in columns.items()}
    children = [c_array(values, kind) for values, kind in names.values()]
    kinds = nanoarrow.struct({name: kind for name, (_, kind) in names.items()})
    return c_array_from_buffers(kinds, children[0].length, [None], children=children)


def table() -> Any:
    return nanoarrow.Array(
        rows(
            other=([1, 2, 3], nanoarrow.int8()),
            Marital_Status=(["é", None, "007"], nanoarrow.string()),
            x=([1.5, None, 3.0], nanoarrow.float64()),
            i=([2**53 + 1, None, -7], nanoarrow.int64()),
            y=(["no", "yes", "no"], nanoarrow.large_string()),
        )
    )


def check(data: Any) -> None:
    assert isinstance(data.inputs["t"], Strings)
    assert data.inputs["t"][:].tolist() == [["é"], [""], ["007"]]
    np.testing.assert_array_equal(data.inputs["x"][:, 0], np.float32([1.5, np.nan, 3]))
    assert data.inputs["i"][:, 0].tolist() == [2**53 + 1, -(2**63), -7]
    assert data.targets["y"][:].tolist() == ["no", "yes", "no"]


@pytest.mark.parametrize("once", [False, True])
def test_columns_feed_inputs_by_name(once: bool) -> None:
    frame, targets = (Exported(table(), once=once) for _ in range(2))
    check(user_arrays(NEEDED, frame, targets))


def test_columns_in_a_dict() -> None:
    whole = nanoarrow.Array(rows(a=([1.5, None, 3.0], nanoarrow.float64())))
    assert not is_frame(nanoarrow.Array([1.5], nanoarrow.float64()))
    assert is_frame(whole)
    text = nanoarrow.Array(["é", None, "007"], nanoarrow.string())
    i = nanoarrow.Array([2**53 + 1, None, -7], nanoarrow.int64())
    y = nanoarrow.Array(["no", "yes", "no"], nanoarrow.string())
    x = nanoarrow.Array([1.5, None, 3.0], nanoarrow.float32())
    check(user_arrays(NEEDED, {"Marital Status": text, "x": x, "i": i}, {"y": y}))
    check(user_arrays(NEEDED, {"t": text, "x": x, "i": i}, y))


def test_streams_of_many_batches() -> None:
    def parts() -> Iterator[Any]:
        for k in range(5):
            yield rows(t=([f"{k}.{j}" for j in range(k)], nanoarrow.string()))

    from nanoarrow.c_array_stream import CArrayStream

    batches = list(parts())
    stream = CArrayStream.from_c_arrays(batches, batches[0].schema)
    found = user_inputs(DataSignature({"t": TEXT}), Exported(stream, once=True))
    assert found["t"][:][:, 0].tolist() == [f"{k}.{j}" for k in range(5) for j in range(k)]


def test_texts_of_other_types() -> None:
    day = 18263  # days from 1970 on
    frame = nanoarrow.Array(
        rows(
            a=([1, None], nanoarrow.int16()),
            b=([True, None], nanoarrow.bool_()),
            c=([day, None], nanoarrow.date32()),
            d=([2**64 - 1, None], nanoarrow.uint64()),
        )
    )
    found = user_inputs(DataSignature(dict.fromkeys("abcd", TEXT)), frame)
    assert {n: a[:][:, 0].tolist() for n, a in found.items()} == {
        "a": ["1", ""], "b": ["true", ""], "c": ["2020-01-02", ""], "d": [str(2**64 - 1), ""],
    }  # fmt: skip


def test_names_that_differ_only_in_case() -> None:
    frame = nanoarrow.Array(rows(a=([1.0], nanoarrow.float64()), A=([2.0], nanoarrow.float64())))
    found = user_inputs(DataSignature({"A": NUMBER, "a": NUMBER}), frame)
    assert {n: a.tolist() for n, a in found.items()} == {"a": [[1]], "A": [[2]]}


def test_problems_name_the_input_and_the_row() -> None:
    frame = nanoarrow.Array(rows(x=([1.0, None], nanoarrow.float64()), t=([0.5, 1.5], nanoarrow.float64())))
    with pytest.raises(SpecError) as error:
        user_inputs(DataSignature({"x": NUMBER, "t": TEXT, "z": NUMBER}), frame)
    found = {d.path: (d.code, d.message) for d in error.value.diagnostics}
    assert found["x"] == ("GS505", "input 'x' has no value in 1 of 2 rows; first: the row at index 1")
    assert found["t"] == ("GS504", "input 't' contains values of type DOUBLE, which are not text")
    assert found["z"][0] == "GS502"


def test_bytes_that_are_not_utf8_are_refused() -> None:
    from nanoarrow.c_buffer import c_buffer

    buffers = [None, c_buffer(np.array([0, 1, 3], np.int32)), c_buffer(b"a\xff\xfe")]
    column = c_array_from_buffers(nanoarrow.string(), 2, buffers)
    with pytest.raises(SpecError) as error:
        user_inputs(DataSignature({"t": TEXT}), {"t": nanoarrow.Array(column)})
    assert error.value.diagnostics[0].path == "t"


def test_a_stream_that_fails_is_refused() -> None:
    class Broken:
        def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
            raise RuntimeError("no rows today")

    with pytest.raises(UsageError, match="the data frame cannot be read: no rows today"):
        user_inputs(DataSignature({"t": TEXT}), Broken())


def test_a_library_that_cannot_export() -> None:
    """Columns are then read as arrays, as with pandas without pyarrow."""

    class Frame:
        columns = ("t", "x", "other")

        def __getitem__(self, name: Any) -> Any:
            if isinstance(name, list):
                return self
            return {"t": ["a", None], "x": [1.5, np.nan], "other": [object(), 1]}[name]

        def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
            raise ImportError("needs pyarrow")

    found = user_inputs(DataSignature({"t": TEXT, "x": NUMBER}, gaps=frozenset("x")), Frame())
    assert found["t"][:].tolist() == [["a"], [""]]
    np.testing.assert_array_equal(found["x"], np.float32([[1.5], [np.nan]]))


def test_by_name() -> None:
    assert by_name(None, ["x"], "input") == {}
    assert set(by_name(table(), ["x", "t", "missing"], "input", {"t": "Marital Status"})) == {"x", "t"}
    array = np.zeros(3)
    assert by_name(array, ["x"], "input") == {"x": array}
    assert by_name({"Marital Status": array}, ["t"], "input", {"t": "Marital Status"}) == {"t": array}
    with pytest.raises(UsageError, match="a bare array is not enough"):
        by_name(array, ["x", "y"], "input")
    with pytest.raises(UsageError, match="make a data frame of it"):
        by_name([{"x": 1.0, "y": 2.0}], ["x", "y"], "input")


def test_columns_are_streamed_again() -> None:
    column = Column(nanoarrow.Array(["a", "b"], nanoarrow.string()))
    for _ in range(3):
        assert nanoarrow.ArrayStream(column).read_all().to_pylist() == [{"values": "a"}, {"values": "b"}]


def test_batches_of_texts() -> None:
    needed = DataSignature({"t": TEXT, "x": NUMBER, "i": ID}, gaps=frozenset("xi"))
    feeds = {"t": ["a", None], "x": np.array([1.5, np.nan]), "i": [3, None]}
    found = batch_inputs(needed, feeds)  # type: ignore[arg-type]
    assert found["t"].tolist() == [["a"], [""]]
    assert found["t"].dtype == object
    assert found["i"].tolist() == [[3], [-(2**63)]]
    np.testing.assert_array_equal(found["x"], [[1.5], [np.nan]])
    with pytest.raises(SpecError):
        batch_inputs(needed, {**feeds, "t": np.array([1.5, 2.5])})  # type: ignore[dict-item]


# Libraries


def values() -> dict[str, list[Any]]:
    return {
        "other": [{"nested": 1}, 2, "three"],
        "Marital Status": ["é", None, "007"],
        "x": [1.5, None, 3.0],
        "i": [2**53 + 1, None, -7],
        "y": ["no", "yes", "no"],
    }


@pytest.mark.parametrize("kind", ["object", "str", "category"])
def test_pandas(kind: str) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(values() | {"i": pandas.array(values()["i"], "Int64")})
    frame["Marital Status"] = frame["Marital Status"].astype(kind)
    frame["y"] = frame["y"].astype(kind)
    check(user_arrays(NEEDED, frame, frame))
    check(user_arrays(NEEDED, frame, frame["y"]))
    check(user_arrays(NEEDED, {"t": frame["Marital Status"], "x": frame["x"], "i": frame["i"]}, {"y": frame["y"]}))
    numbers = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    found = user_inputs(DataSignature({"x": Type("float32", ("N", 2))}), numbers)
    assert found["x"].tolist() == [[1, 3], [2, 4]]


def test_polars() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({n: v for n, v in values().items() if n != "other"})
    check(user_arrays(NEEDED, frame, frame))
    check(user_arrays(NEEDED, frame.with_columns(polars.col("y").cast(polars.Categorical)), frame["y"]))
    check(user_arrays(NEEDED, {n: frame[n] for n in ("Marital Status", "x", "i")}, frame.select("y")))
    check(user_arrays(NEEDED, frame.lazy().collect(), frame))


def test_pyarrow() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    frame = pyarrow.table({n: v for n, v in values().items() if n != "other"})
    check(user_arrays(NEEDED, frame, frame))
    check(user_arrays(NEEDED, frame, frame["y"].dictionary_encode()))
    check(user_arrays(NEEDED, frame.to_reader(), {"y": frame["y"].combine_chunks()}))
    check(user_arrays(NEEDED, {n: frame[n] for n in ("Marital Status", "x", "i")}, frame.select(["y"])))
    days = [datetime.date(2020, 1, 2), None]
    other = pyarrow.table({"a": pyarrow.array(days), "b": pyarrow.array(["1.50", None]).cast(pyarrow.decimal128(5, 2))})
    found = user_inputs(DataSignature({"a": TEXT, "b": TEXT}), other)
    assert {n: a[:][:, 0].tolist() for n, a in found.items()} == {"a": ["2020-01-02", ""], "b": ["1.50", ""]}
    views = pyarrow.array(["a view of a text", None], pyarrow.string_view())
    for given in (pyarrow.table({"t": views}), {"t": views}, {"t": pyarrow.chunked_array([views])}):
        assert user_inputs(DataSignature({"t": TEXT}), given)["t"][:].tolist() == [["a view of a text"], [""]]
