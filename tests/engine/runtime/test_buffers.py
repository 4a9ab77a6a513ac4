"""Tests of buffers: freed ranges are reused and merged, and never allocated twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.lib.array_utils import byte_bounds

from graphspec.base.arrays.layout import root, view_as
from graphspec.engine.runtime.buffers import Pool, Scratch, reserve


def test_released_neighbours_are_merged() -> None:
    pool = Pool(1000)
    blocks = [pool.take((64,), np.uint8) for _ in range(4)]
    assert pool.nbytes == 256
    for k in (0, 2, 1):
        pool.release(root(blocks[k]))
        pool.release(root(blocks[k]))  # the pool ignores a block that is free already
    joined = pool.take((48,), np.float32)
    assert byte_bounds(joined) == (byte_bounds(blocks[0])[0], byte_bounds(blocks[2])[1])
    assert pool.nbytes == 256


def test_the_smallest_free_range_is_used() -> None:
    pool = Pool(1000)
    blocks = [pool.take((size,), np.uint8) for size in (256, 1, 128, 1)]
    for k in (0, 2):
        pool.release(root(blocks[k]))
    assert byte_bounds(pool.take((100,), np.uint8))[0] == byte_bounds(blocks[2])[0]
    assert byte_bounds(pool.take((100,), np.uint8))[0] == byte_bounds(blocks[0])[0]


def test_more_than_was_expected() -> None:
    pool, scratch = Pool(100), Scratch(100)
    for source in (pool, scratch):
        parts = [source.take((3, 10), np.float32) for _ in range(5)]
        for k, part in enumerate(parts):
            part[...] = k
        assert [part[0, 0] for part in parts] == [0, 1, 2, 3, 4]
        assert source.nbytes == 5 * 128


def test_random_buffers_never_overlap() -> None:
    random = np.random.default_rng(0)
    pool, held = Pool(1 << 12), list[Any]()
    for mark in range(400):
        if held and random.random() < 0.45:
            array, value = held.pop(int(random.integers(len(held))))
            assert (array == value).all()
            pool.release(root(array))
        held.append((pool.take((int(random.integers(0, 200)),), np.int64), mark))
        held[-1][0][...] = mark
        assert held[-1][0].ctypes.data % 64 == 0
    assert all((array == value).all() for array, value in held)
    assert len({root(array) for array, _ in held}) == len(held)


def test_scratch_memory_is_reused() -> None:
    scratch = Scratch(1000)
    first = scratch.take((5,), np.float32)
    mark = scratch.mark()
    second = scratch.take((5,), np.float32)
    scratch.reset(mark)
    assert scratch.take((7,), np.float64).ctypes.data == second.ctypes.data != first.ctypes.data
    scratch.reset()
    assert scratch.take((1,), np.int8).ctypes.data == first.ctypes.data
    assert scratch.nbytes == 128


@pytest.mark.parametrize("nbytes", [100, 1 << 20, 5 << 20])
def test_reserved_memory(nbytes: int) -> None:
    block = reserve(nbytes)
    assert (block.nbytes, block.ctypes.data % 64, block.any()) == (nbytes, 0, False)
    block[:] = 1
    assert reserve(nbytes).sum() == 0


def test_views_in_an_order() -> None:
    view = view_as(np.zeros(100, np.uint8), (2, 3), np.dtype(np.float32), (1, 0))
    assert (view.shape, view.strides) == ((2, 3), (4, 8))
