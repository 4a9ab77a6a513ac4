"""Tests of packed texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphspec.base.arrays.memory import InFiles
from graphspec.base.arrays.strings import Strings, StringsBuilder, TextError

NASTY = [
    "",
    "a",
    "é",
    "日本語",
    "🙂🙂",
    "a\0",
    "\0",
    "line\nbreak",
    "007",
    " x ",
    "x" * 5000,
    "",
    "\ufeff",
    "e\u0301",
    "",
]
UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def objects(texts: Any, shape: tuple[int, ...] | None = None) -> np.ndarray[Any, Any]:
    array = np.empty(len(texts), object)
    array[:] = texts
    return array if shape is None else array.reshape(shape)


def test_texts_come_back() -> None:
    array = objects(NASTY)
    packed = Strings.of(array)
    assert (packed.shape, packed.ndim, packed.dtype, len(packed), packed.size) == ((15,), 1, object, 15, 15)
    assert packed[:].tolist() == NASTY
    assert Strings.of(NASTY)[:].tolist() == NASTY
    assert np.asarray(packed).tolist() == NASTY
    assert packed.nbytes == sum(len(t.encode()) for t in NASTY) + 16 * 8
    assert packed.lengths().tolist() == [len(t.encode()) for t in NASTY]
    assert list(packed) == NASTY


@given(st.lists(st.lists(UNICODE, min_size=3, max_size=3), max_size=6), st.data())
@pytest.mark.slow
def test_rows_are_indexed_like_an_array(rows: list[list[str]], data: st.DataObject) -> None:
    array = objects([t for row in rows for t in row], (len(rows), 3))
    packed = Strings.of(array)
    assert packed.shape == array.shape
    cuts = [st.none() | st.integers(-8, 8), st.none() | st.integers(-8, 8), st.sampled_from([None, 1, 2, -1, -2])]
    part = slice(*(data.draw(cut) for cut in cuts))
    assert packed[part].tolist() == array[part].tolist()
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), bool)
    assert packed[mask].tolist() == array[mask].tolist()
    if rows:
        chosen = np.array(data.draw(st.lists(st.integers(-len(rows), len(rows) - 1), max_size=9)), np.int64)
        assert packed[chosen].tolist() == array[chosen].tolist()
        assert packed.select(chosen)[:].tolist() == array[chosen].tolist()
        assert packed[-1].tolist() == array[-1].tolist()
    selected = packed.select(mask)
    assert selected.shape == array[mask].shape
    assert selected[:].tolist() == array[mask].tolist()


def test_results_are_object_arrays_of_the_right_shape() -> None:
    packed = Strings.of(objects(NASTY[:12], (3, 2, 2)))
    for rows in (slice(1, 3), np.array([2, 0]), np.array([True, False, True])):
        assert packed[rows].shape == (2, 2, 2)
        assert packed[rows].dtype == object
    assert packed[:0].shape == packed[2:1].shape == (0, 2, 2)
    assert packed.reshape((3, 4))[0].tolist() == NASTY[:4]


def test_wrong_rows_are_refused() -> None:
    packed = Strings.of(["a", "b"])
    for rows in (np.array([2]), np.array([-3]), np.array([0.0]), np.array([True]), np.array([[0]])):
        with pytest.raises(IndexError):
            packed[rows]
    with pytest.raises(IndexError):
        packed[2]
    with pytest.raises(ValueError, match="2 texts have no shape"):
        packed.reshape((3,))


def test_half_a_character_is_refused() -> None:
    with pytest.raises(TextError) as error:
        Strings.of(objects(["a", "b", "c", "x\ud800"], (2, 2)))
    assert error.value.code == "GS504"
    assert "'x\\ud800', which is not Unicode text, in the row at index 1" in error.value.problem.message


@pytest.mark.parametrize(
    ("data", "offsets", "row", "shown"),
    [
        (b"ab\xffc", [0, 2, 2, 4], 2, r"b'\xffc'"),
        ("aé".encode(), [0, 2, 3], 1, "b'\\xa9'"),
        (b"\xc3", [0, 0, 1, 1], 1, r"b'\xc3'"),
    ],
)
def test_bytes_that_are_not_utf8_are_refused(data: bytes, offsets: list[int], row: int, shown: str) -> None:
    builder = StringsBuilder()
    with pytest.raises(TextError) as error:
        builder.add(np.frombuffer(data, np.uint8), np.array(offsets))
    assert f"holds {shown}, which is not UTF-8, in the row at index {row}" == error.value.problem.message


@pytest.mark.parametrize("on_disk", [False, True])
def test_buffers_are_appended(on_disk: bool, tmp_path: Path) -> None:
    builder = StringsBuilder((), "x", InFiles(tmp_path) if on_disk else None)
    data = np.frombuffer("__abéd".encode(), np.uint8)
    builder.add(data, np.array([2, 3, 3, 4, 6, 7], np.int32))
    builder.add(data, np.array([0, 1, 3, 4], np.int32), np.array([True, False, True]))
    builder.add(data, np.array([0], np.int32))
    builder.add_texts(["ü", ""])
    builder.add_texts([])
    packed = builder.finish()
    assert packed[:].tolist() == ["a", "", "b", "é", "d", "_", "", "b", "ü", ""]
    assert isinstance(packed.data, np.memmap) == on_disk
    assert packed[np.array([8, 3])].tolist() == ["ü", "é"]


def test_no_texts() -> None:
    packed = StringsBuilder((2,)).finish()
    assert packed.shape == (0, 2)
    assert packed[:].shape == (0, 2)
    assert packed[np.empty(0, np.int64)].shape == (0, 2)
    assert packed.select(np.empty(0, np.int64)).shape == (0, 2)
    assert Strings.of(["", ""])[:].tolist() == ["", ""]
    assert Strings.of(["", ""])[np.array([1])].tolist() == [""]


def test_saved_arrays_are_texts_again(tmp_path: Path) -> None:
    packed = Strings.of(objects(NASTY[:14], (7, 2)))
    for name, array in packed.arrays().items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = {n: np.load(tmp_path / f"{n}.npy", mmap_mode="r") for n in packed.arrays()}
    again = Strings.from_arrays(mapped)
    assert again.shape == (7, 2)
    assert again[:].tolist() == packed[:].tolist()
    assert again[np.array([3, 1])].tolist() == packed[np.array([3, 1])].tolist()
    assert again.select(np.array([6, 0]))[:].tolist() == packed[np.array([6, 0])].tolist()
