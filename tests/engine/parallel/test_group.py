"""Tests of sums over the workers of a group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from signalling import spinning, together

from graphspec.engine.parallel import machine as group_module
from graphspec.engine.parallel.machine import Place, ProcessGroup

Array = np.ndarray[Any, Any]


@pytest.mark.parametrize("size", [2, 3])
def test_sums_are_in_the_order_of_ranks(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_module, "SCRATCH", 256)
    random = np.random.default_rng(size)
    shapes: list[Any] = [(), (5,), (0, 3), (2, 3), (4, 50), (3, 5)]
    inputs = [[random.standard_normal(s).astype(np.float32) for s in shapes] for _ in range(size)]
    inputs = [
        [*arrays[:-1], np.asfortranarray(arrays[-1]).T.T, np.full((3, 100), rank)[:, ::2]]
        for rank, arrays in enumerate(inputs)
    ]
    expected = []
    for parts in zip(*inputs, strict=True):
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        expected.append(total)
    signals, scratch = spinning(size), np.zeros((2, size, 256), np.uint8)

    def work(rank: int) -> None:
        group = ProcessGroup(signals[rank], scratch, Place(rank, size))
        for array in inputs[rank]:
            group.all_reduce(array)

    together(size, work)
    for arrays in inputs:
        for array, total in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(array, total)
