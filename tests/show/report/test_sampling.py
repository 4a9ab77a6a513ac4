"""Rows that are looked at are spread evenly, each once."""

from __future__ import annotations

from graphspec.show.report.rows import evenly


def test_rows_are_spread_evenly() -> None:
    assert evenly(10, 3).tolist() == [0, 4, 9]
    assert evenly(3, 10).tolist() == [0, 1, 2]
    assert evenly(0, 5).tolist() == []
