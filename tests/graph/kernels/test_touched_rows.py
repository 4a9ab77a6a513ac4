"""Tests of the rows of a gradient that a step writes."""

from __future__ import annotations

import numpy as np
import pytest
from signalling import spinning, together

from graphspec.base.arrays.calls import Calls
from graphspec.engine.parallel import machine as replicas
from graphspec.engine.parallel.machine import Place, ProcessGroup
from graphspec.graph.kernels.touched_rows import TouchedRows, unique


def run(calls: Calls) -> None:
    for f, *a in calls:
        f(*a)


@pytest.mark.parametrize("ids", [[], [3], [2, 2, 2], [5, 0, 5, 1, 0]])
def test_unique(ids: list[int]) -> None:
    np.testing.assert_array_equal(unique(np.array(ids, np.int64)), sorted(set(ids)))


def test_a_step_clears_the_rows_of_the_last_one() -> None:
    touched, gradient = TouchedRows("e", 6, 2), np.full((6, 2), 7.0)
    touched.reserve(4)
    touched.begin(gradient)
    assert not gradient.any()  # nothing is known of the first content
    touched.add(np.array([1, 4, 1]))
    gradient[[1, 4]] = 3.0
    run(touched.share(None))
    np.testing.assert_array_equal(touched.ids, [1, 4])
    gradient[5] = 9.0  # nobody does that: it shows which rows are cleared
    touched.begin(gradient)
    np.testing.assert_array_equal(gradient[:, 0], [0, 0, 0, 0, 0, 9])
    run(touched.share(None))
    assert touched.ids is not None
    assert touched.ids.size == 0


def test_several_lookups_of_a_step_are_noted_one_after_the_other() -> None:
    touched, gradient = TouchedRows("e", 6, 2), np.zeros((6, 2))
    touched.reserve(2)
    touched.reserve(3)
    touched.begin(gradient)
    touched.add(np.array([5, 2]))
    touched.add(np.array([3]))
    run(touched.share(None))
    np.testing.assert_array_equal(touched.ids, [2, 3, 5])


@pytest.mark.parametrize("kept", [True, False])
def test_everything_is_cleared_after_a_step_that_may_have_written_any_row(kept: bool) -> None:
    touched, gradient = TouchedRows("e", 3, 2, kept=kept), np.ones((3, 2))
    touched.reserve(1)
    touched.begin(gradient)
    touched.add(np.array([1]))
    gradient[...] = 1.0
    if kept:
        touched.touch_all()
        run(touched.share(None))
        assert touched.ids is None
    touched.begin(gradient)
    assert not gradient.any()


@pytest.mark.parametrize("noted", [[[3, 1], [1, 5, 0]], [[], [2]], [[], []], [[4], None], [[1], [2], [2, 0]]])
def test_workers_share_their_ids(noted: list[list[int] | None]) -> None:
    size = len(noted)
    scratch, signals = np.zeros((2, size, replicas.SCRATCH), np.uint8), spinning(size)
    rows = [TouchedRows("e", 6, 2) for _ in range(size)]

    def work(rank: int) -> None:
        ids = noted[rank]
        if ids is not None:
            rows[rank].reserve(len(ids))
            rows[rank].begin(np.zeros((6, 2)))
            rows[rank].add(np.array(ids, np.int64))
        run(rows[rank].share(ProcessGroup(signals[rank], scratch, Place(rank, size))))

    together(size, work)
    for touched in rows:
        if None in noted:
            assert touched.ids is None
            assert touched.count is None, "this worker's gradient may be overwritten, too"
        else:
            np.testing.assert_array_equal(touched.ids, sorted({i for ids in noted for i in ids or ()}))
