"""A head without targets."""

from __future__ import annotations

import numpy as np
from findings import html_from
from judged import rows

from graphspec.show.report.heads import values_head
from graphspec.show.report.kinds import Flat


def test_the_spread_of_each_unit() -> None:
    values = np.array([[1.0, np.nan], [3.0, np.nan]])
    found = rows(
        html_from(values_head(Flat("values", np.zeros(2), values, False, ["a", "b"], "row"))), "The head has no loss"
    )
    assert found == [["a", "2.000", "1.000", "1.000", "2.000", "3.000", "0"], ["b", *["–"] * 5, "2"]]


def test_of_many_units_the_first() -> None:
    flat = Flat("values", np.zeros(2), np.zeros((2, 99)), False, [str(k) for k in range(99)], "row")
    assert len(rows(html_from(values_head(flat)), "The head has no loss")) == 30
