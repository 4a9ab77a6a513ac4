"""Sums over the processes of a group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from signalling import spinning, together

from graphspec.parallel import group as replicas
from graphspec.parallel.group import ProcessGroup

Array = np.ndarray[Any, Any]


@pytest.mark.parametrize("size", [2, 3])
def test_sums_are_in_the_order_of_ranks(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "SCRATCH", 256)
    random = np.random.default_rng(size)
    shapes: list[Any] = [(), (5,), (0, 3), (2, 3), (4, 50), (3, 5)]
    given = [[random.standard_normal(s).astype(np.float32) for s in shapes] for _ in range(size)]
    given = [
        [*arrays[:-1], np.asfortranarray(arrays[-1]).T.T, np.full((3, 100), rank)[:, ::2]]
        for rank, arrays in enumerate(given)
    ]
    expected = []
    for parts in zip(*given, strict=True):
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        expected.append(total)
    signals, scratch = spinning(size), np.zeros((2, size, 256), np.uint8)

    def work(rank: int) -> None:
        group = ProcessGroup(signals[rank], scratch, rank, size)
        for array in given[rank]:
            group.all_reduce(array)

    together(size, work)
    for arrays in given:
        for array, total in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(array, total)
