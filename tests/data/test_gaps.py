"""Missing values of series: on a line in time, or the last one; never from another group."""

from __future__ import annotations

import numpy as np

from graphspec.data.series import Gaps, Series
from graphspec.graph.ir.graph import MISSING_INTEGER

NAN = float("nan")


def gaps(times: list[float], groups: list[int] | None = None, added: tuple[int, ...] = ()) -> Gaps:
    steps = np.arange(len(times))
    return Gaps(Series(steps, np.isin(steps, added), np.array(groups or [0] * len(times)), ["a", "b"], np.array(times)))


def test_a_straight_line_in_time() -> None:
    found = gaps([0, 1, 4, 5, 6, 7], added=(2,))
    assert found.fill(np.array([0, 10, 99, NAN, NAN, 22], "f4"), "interpolate", name="v", is_input=True).tolist() == [
        0,
        10,
        16,
        18,
        20,
        22,
    ]
    assert found.later.tolist() == [False, False, True, True, True, False]
    assert found.missing == {"v": 2}


def test_the_last_value_before() -> None:
    found = gaps([0, 1, 2, 3])
    assert found.fill(np.array([1, NAN, NAN, 4], "f4"), "previous", name="v", is_input=True).tolist() == [1, 1, 1, 4]
    assert found.fill(np.array([7, MISSING_INTEGER, 8, 9]), "previous", name="v", is_input=True).tolist() == [
        7,
        7,
        8,
        9,
    ]
    assert found.fill(np.array(["sun", "", None, "rain"], object), "previous", name="v", is_input=True).tolist() == [
        "sun",
        "sun",
        "sun",
        "rain",
    ]
    assert not found.later.any()


def test_nothing_after_the_end_and_nothing_before_the_start() -> None:
    found = gaps([0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 1])
    filled = found.fill(np.array([1, NAN, NAN, NAN, 5, NAN], "f4"), "interpolate", name="v", is_input=True)
    assert filled[[0, 1, 2, 4, 5]].tolist() == [1, 1, 1, 5, 5]
    assert found.empty.tolist() == [False, False, False, True, False, False]
    assert not found.later[[1, 2, 5]].any(), "the last known value is no look ahead"


def test_targets_may_know_what_comes_later() -> None:
    found = gaps([0, 1, 2])
    assert found.fill(np.array([0, NAN, 4], "f4"), "interpolate", name="v", is_input=False).tolist() == [0, 2, 4]
    assert not found.later.any()
