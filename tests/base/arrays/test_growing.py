"""Tests of arrays that grow, in memory and in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphspec.base.arrays.memory import Growing, InFiles


@pytest.mark.parametrize("on_disk", [False, True])
def test_values_are_appended(on_disk: bool, tmp_path: Path) -> None:
    growing = Growing(np.int64, "a/b:c", InFiles(tmp_path) if on_disk else None)
    parts = [np.arange(n) + n for n in (0, 3, 0, 1, 40, 2, 1000)]
    for part in parts:
        growing.append(part)
    assert len(growing) == 1046
    found = growing.result()
    np.testing.assert_array_equal(found, np.concatenate(parts))
    assert isinstance(found, np.memmap) == on_disk
    assert [p.name for p in tmp_path.iterdir()] == (["a%2Fb%3Ac.bin"] if on_disk else [])


@pytest.mark.parametrize("on_disk", [False, True])
def test_nothing_is_an_empty_array(on_disk: bool, tmp_path: Path) -> None:
    found = Growing(np.uint8, "x", InFiles(tmp_path) if on_disk else None).result()
    assert (found.shape, found.dtype) == ((0,), np.uint8)


def test_memory_is_reserved_before_it_is_used() -> None:
    asked: list[int] = []
    growing = Growing(np.int64, reserve=asked.append)
    growing.append(np.arange(3))
    growing.append(np.arange(0))
    growing.append(np.arange(5))
    assert asked == [24, 40]


def test_values_are_converted_and_need_not_be_contiguous() -> None:
    growing = Growing(np.int64)
    growing.append(np.arange(10, dtype=np.uint8)[::3])
    assert growing.result().tolist() == [0, 3, 6, 9]


def test_a_longer_array_begins_with_the_earlier_one(tmp_path: Path) -> None:
    allocate = InFiles(tmp_path)
    first = allocate("x", (3, 2), np.dtype(np.float32))
    first[:] = 7
    again = allocate("x", (5, 2), np.dtype(np.float32))
    assert again[:3].tolist() == [[7, 7]] * 3
    other = InFiles(tmp_path)("x", (3, 2), np.dtype(np.float32))
    assert not other.any()
    assert allocate("y", (0, 4), np.dtype(np.int64)).shape == (0, 4)
