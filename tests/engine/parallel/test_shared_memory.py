"""Tests of shared memory."""

from __future__ import annotations

import os

import numpy as np
import pytest

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
