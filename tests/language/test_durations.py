"""Durations: what is one, their sizes, and the words for a time ahead."""

from __future__ import annotations

import pytest

from graphspec.language.declarations import Every


@pytest.mark.parametrize(
    ("value", "count", "unit"),
    [
        ("15min", 15, "min"),
        ("1h", 1, "h"),
        ("30s", 30, "s"),
        ("1d", 1, "d"),
        ("2w", 2, "w"),
        ("1month", 1, "month"),
        (5, 5, ""),
    ],
)
def test_a_number_and_a_unit(value: object, count: int, unit: str) -> None:
    every = Every.of(value)
    assert every == Every(count, unit)
    assert str(every) == str(value)


@pytest.mark.parametrize(
    "value",
    ["1 h", "h", "0h", "-1h", "1.5h", "1H", "1hour", "1 month", "", "10000h", "1", 0, -1, True, 1.5, None, 10_000],
)
def test_nothing_else(value: object) -> None:
    assert Every.of(value) is None


def test_months_have_no_size_and_days_are_of_the_calendar() -> None:
    assert (Every(2, "y").months, Every(1, "month").months, Every(1, "d").months) == (24, 1, 0)
    assert [Every(1, unit).in_days for unit in ("s", "min", "h", "d", "w", "month", "y", "")] == [False] * 3 + [
        True
    ] * 4 + [False]
    assert Every(15, "min").ahead(3) == "+45min"
    assert Every(1).ahead(3) == "+3"
