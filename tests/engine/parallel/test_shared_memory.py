"""Tests of shared memory."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from graphspec.base.arrays.layout import aligned
from graphspec.base.arrays.memory import give_back
from graphspec.engine.parallel.machine import allocate, attach


def test_shared_memory_has_no_name_and_is_seen_by_both() -> None:
    memory = allocate({"a": ((2, 3), np.float32), "b": ((), np.int64), "none": ((0, 4), bool)})
    assert all(array.ctypes.data % 64 == 0 and not array.any() for array in memory.arrays.values())
    description = memory.description | {"handle": os.dup(memory.description["handle"])}
    other = attach(description)
    memory.arrays["a"][1, 2], other["b"][...] = 5, 7
    assert other["a"][1, 2] == 5
    assert memory.arrays["b"] == 7
    assert other["none"].shape == (0, 4)
    memory.close()
    other["a"][0, 0] = 3  # it lives as long as it is used
    assert memory.arrays["a"][0, 0] == 3


def test_more_memory_than_there_is_is_an_error() -> None:
    with pytest.raises(OSError, match=r".+"):
        allocate({"a": ((1 << 50,), np.float64)})


def test_what_is_given_back_is_zeros_and_its_neighbours_are_not() -> None:
    block = aligned(1 << 20)
    block[...] = 1
    array = block[5000:-5000].view(np.uint8)
    give_back(array)
    assert block[:5000].all()
    assert block[-5000:].all()
    assert array.all() == (sys.platform != "linux")
    assert np.count_nonzero(array) < 2 * 4096 or sys.platform != "linux" or os.sysconf("SC_PAGESIZE") > 4096
    array[...] = 2  # it can be written again
    assert (array == 2).all()
    give_back(block[:0])
    give_back(block[1:3])
    assert (block[1:3] == 1).all()
