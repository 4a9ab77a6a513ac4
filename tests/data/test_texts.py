"""Tests of texts of Python objects."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from graphspec.base.arrays.strings import Strings
from graphspec.data.convert import holds_texts, pack, side_by_side
from graphspec.data.source import DataError


class NAType:
    """Stands for pandas.NA: comparisons with it are neither true nor false."""

    def __eq__(self, other: object) -> bool:
        raise TypeError

    __hash__ = None  # type: ignore[assignment]


def test_objects_become_texts() -> None:
    time = datetime.datetime(2020, 1, 2, 3, 4, 5, 500_000)
    values: list[Any] = ["a", None, np.nan, float("nan"), NAType(), np.datetime64("NaT", "s"), 7, np.int8(-1)]
    values += [True, np.bool_(False), np.datetime64("2020-01-02", "ns"), np.datetime64("2020-01-02")]
    values += [Decimal("1.50"), datetime.date(2020, 1, 2), time, datetime.time(1, 2), b"\xc3\xa9", np.str_("s"), ""]
    array = np.empty(len(values), object)
    array[:] = values
    assert pack(array)[:].tolist() == [
        "a", "", "", "", "", "", "7", "-1", "true", "false", "2020-01-02 00:00:00", "2020-01-02",
        "1.50", "2020-01-02", "2020-01-02 03:04:05.5", "01:02:00", "é", "s", "",
    ]  # fmt: skip


@pytest.mark.parametrize("value", [1.5, b"\xff", [1], {}, 1j, object()])
def test_other_objects_are_refused(value: Any) -> None:
    array = np.empty((3, 2), object)
    array[:] = "a"
    array[2, 0] = value
    with pytest.raises(DataError) as error:
        pack(array)
    assert error.value.code == "GS504"
    assert "in the row at index 2, which is not text" in error.value.problem.message


def test_half_a_character_is_refused() -> None:
    with pytest.raises(DataError) as error:
        pack(np.array(["a", "\ud83d"], object))
    assert (error.value.code, "not Unicode text, in the row at index 1" in error.value.problem.message) == (
        "GS504",
        True,
    )


def test_arrays_of_many_blocks() -> None:
    array = np.array([f"é{k}" for k in range(150_000)], object).reshape(-1, 3)
    packed = pack(array)
    assert packed.shape == array.shape
    assert (packed[:] == array).all()


def test_empty_arrays() -> None:
    assert pack(np.empty((0, 2), object)).shape == (0, 2)
    with pytest.raises(DataError):
        pack(np.array("a"))


def test_what_holds_texts() -> None:
    assert holds_texts(np.array(["a"]))
    assert holds_texts(np.array([b"a"]))
    assert holds_texts(np.array([None, "a"], object))
    assert not holds_texts(np.array([None, 1], object))
    assert not holds_texts(np.array([1]))


def test_columns_side_by_side() -> None:
    columns = [Strings.of(c) for c in (["a", "", "é"], ["🙂", "b", ""], ["", "", "x"])]
    table = side_by_side(columns)
    assert table.shape == (3, 3)
    assert table[:].tolist() == [["a", "🙂", ""], ["", "b", ""], ["é", "", "x"]]
