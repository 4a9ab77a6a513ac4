"""Times of a table: as numbers, and as the table writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphspec.data.files import open_table
from graphspec.data.series import Instants, instants
from graphspec.data.source import DataError

HOUR = 3_600_000_000


def read(folder: Path, *texts: str, form: str | None = None, days: bool = False) -> Instants:
    (folder / "t.csv").write_text("\n".join(["time", *texts]) + "\n", encoding="utf-8")
    return instants(open_table(folder / "t.csv"), "time", form, days=days)


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-31",
        "2024-03-31T13",
        "2024-03-31 13:05",
        "2024-03-31T13:05:07",
        "2024-03-31T13:05+02:00",
        "2024-03-31T13:05Z",
    ],
)
def test_a_time_is_written_as_in_its_table(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert found.dated
    assert found.text(found.values[0]) == text


def test_a_format_reads_and_writes_the_times(tmp_path: Path) -> None:
    found = read(tmp_path, "31.01.2024 23:00", "01.02.2024 00:00", form="%d.%m.%Y %H:%M")
    assert found.values[1] - found.values[0] == HOUR
    assert [found.text(v) for v in (*found.values, found.values[1] + HOUR)] == [
        *("31.01.2024 23:00", "01.02.2024 00:00", "01.02.2024 01:00")
    ]
    numbers = read(tmp_path, "20240229", "20240301", form="%Y%m%d")
    assert numbers.values[1] - numbers.values[0] == 24 * HOUR
    with pytest.raises(DataError, match=r"has '31\.02\.2024' as 'time' in .*, not a date as `%d\.%m\.%Y`"):
        read(tmp_path, "01.02.2024", "31.02.2024", form="%d.%m.%Y")


def test_months_and_numbers(tmp_path: Path) -> None:
    months = read(tmp_path, "1949-01", "1949-02")
    assert [months.text(v) for v in months.values] == ["1949-01", "1949-02"]
    years = read(tmp_path, "1949", "1950")
    assert not years.dated
    assert years.text(years.values[1]) == "1950"


def test_days_are_those_of_the_clock(tmp_path: Path) -> None:
    """A day of 23 hours is a day."""
    texts = ("2024-03-30T00:00+01:00", "2024-03-31T00:00+01:00", "2024-04-01T00:00+02:00")
    assert set(
        (read(tmp_path, *texts, days=True).values[1:] - read(tmp_path, *texts, days=True).values[:-1]).tolist()
    ) == {24 * HOUR}
    hours = read(tmp_path, *texts)
    assert (hours.values[2] - hours.values[1]) == 23 * HOUR
    assert not hours.local


def test_a_time_that_is_missing_or_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no 'time'"):
        read(tmp_path, "2024-01-01", "NA")
    with pytest.raises(DataError, match="which is neither a number nor a date"):
        read(tmp_path, "2024-01-01", "soon")
