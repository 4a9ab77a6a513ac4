"""Kernels on arrays of more elements than an integer of 32 bits counts. Only the pages that are used take memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bits import FOUND, needs_kernels

WIDTH = 16
ROWS = (1 << 31) // WIDTH + 8
LAST = np.arange(1, WIDTH + 1, dtype=np.float32)
pytestmark = needs_kernels


@pytest.fixture(scope="module")
def table() -> np.ndarray[Any, Any]:
    try:
        found = np.zeros((ROWS, WIDTH), np.float32)  # 8 GiB of addresses
    except MemoryError:
        pytest.skip("the system does not give 8 GiB of addresses")
    found[-1] = LAST
    return found


def call(kernel: str, *operands: Any) -> None:
    bound = FOUND.bind(kernel, *operands)
    assert bound is not None
    bound()


def test_rows_far_behind_are_added_up(table: np.ndarray[Any, Any]) -> None:
    sums = np.empty((1, WIDTH), np.float32)
    call("gather_sum", np.array([[0, ROWS - 1, ROWS - 1]]), table, sums)
    assert sums[0].tolist() == (2 * LAST).tolist()


def test_rows_are_added_far_behind(table: np.ndarray[Any, Any]) -> None:
    call("add_rows", table, np.array([ROWS - 2, ROWS - 2]), np.array([LAST, LAST]))
    assert table[-2].tolist() == (2 * LAST).tolist()
    assert table[-1].tolist() == LAST.tolist()


def test_a_logit_far_behind_is_picked(table: np.ndarray[Any, Any]) -> None:
    index, value = np.empty(1, np.int64), np.empty(1, np.float32)
    call("pick", table, np.array([5]), np.array([(ROWS - 1) * WIDTH]), None, index, value)
    assert (index[0], value[0]) == ((ROWS - 1) * WIDTH + 5, 6)


def test_rows_far_behind_are_copied(table: np.ndarray[Any, Any]) -> None:
    batch = np.empty((2, WIDTH), np.float32)
    FOUND.rows(2, 0, [(table, batch)])(0, np.array([ROWS - 1, 0]))
    assert batch.tolist() == [LAST.tolist(), [0] * WIDTH]
