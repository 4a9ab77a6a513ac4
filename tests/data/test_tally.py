"""Rows with the same problem, counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphspec.data.source import Tally, at


@pytest.mark.parametrize(("value", "shown"), [("a", "'a'"), (3, "3"), (0.1, "0.1"), (2**60, str(2**60))])
def test_values_in_words(value: Any, shown: str) -> None:
    tally = Tally("has it")
    tally.add(2, value)
    assert tally.text(5, at) == f"has it in 1 of 5 rows; first: {shown} in the row at index 2"


def test_blocks_of_rows() -> None:
    tally = Tally("has ids outside 0 … 4")
    block = np.array([[1, 9], [2, 3], [9, 8], [7, 6]])
    tally.add_block(10, block, block > 4)
    assert tally.text(20, at) == (
        "has ids outside 0 … 4 in 3 of 20 rows; first: 9 in the row at index 10, 8 in the row at index 12, "
        "7 in the row at index 13"
    )
