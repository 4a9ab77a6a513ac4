"""Series: missing steps, times that occur twice or are off the steps, and what follows the last row."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from graphspec.data.files import open_table
from graphspec.data.series import Series, series_of
from graphspec.data.source import DataError
from graphspec.language.declarations import Windows
from graphspec.language.durations import Every

H = Every(1, "h")


def read(folder: Path, header: str, lines: list[str], **windows: Any) -> Series:
    (folder / "t.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return series_of(open_table(folder / "t.csv"), Windows(2, **({"order": "time"} | windows)), 0)


def hours(start: str, count: int, *without: int) -> list[str]:
    first = datetime.fromisoformat(start)
    return [f"{first + timedelta(hours=k):%Y-%m-%d %H:%M}" for k in range(count) if k not in without]


def test_missing_steps_are_told_and_added(tmp_path: Path) -> None:
    lines = hours("2024-05-06", 12, 4, 5, 9)
    with pytest.raises(DataError) as error:
        read(tmp_path, "time", lines, every=H)
    assert error.value.code == "GS516"
    assert error.value.problem.message == "lacks 3 rows, the first after 2024-05-06 03:00 (line 5)"
    found = read(tmp_path, "time", lines, every=H, missing="previous")
    assert found.added.tolist() == [k in (4, 5, 9) for k in range(12)]
    assert found.rows.tolist() == [0, 1, 2, 3, 3, 3, 4, 5, 6, 6, 7, 8]
    assert [found.time_of(k) for k in (4, 9, 11)] == ["2024-05-06 04:00", "2024-05-06 09:00", "2024-05-06 11:00"]
    assert found.time_after(11, 14) == "2024-05-07 01:00"


def test_without_a_step_a_warning(tmp_path: Path) -> None:
    found = read(tmp_path, "time", hours("2024-05-06", 12, 4, 5, 9))
    assert found.warning is not None
    assert "lacks 3 rows, the first after 2024-05-06 03:00 (line 5); windows span them" in str(found.warning)
    assert found.warning.problem.hint == "write `every: 1h` and `missing: interpolate` (or `previous`) to `windows`"
    assert found.every == H
    assert read(tmp_path, "time", hours("2024-05-06", 12)).warning is None
    irregular = ["2024-05-06 00:00", "2024-05-06 01:00", "2024-05-06 02:00", "2024-05-06 02:20"]
    assert read(tmp_path, "time", irregular).warning is None


@pytest.mark.parametrize(
    ("lines", "every", "message", "hint"),
    [
        (
            hours("2024-05-06", 5),
            Every(1, "d"),
            "has 4 times off the steps of 1d, the first 2024-05-06 01:00 (line 3)",
            "`every: 1h`",
        ),
        (hours("2024-05-06", 5), Every(1, "s"), "lacks 14,396 rows", "the usual step is 1h: write `every: 1h`"),
        (
            hours("2024-05-06", 5),
            Every(1),
            "has dates as 'time', and `every: 1` is no step of them",
            "write `every: 1h`",
        ),
        (["1", "2", "3"], H, "has numbers as 'time', and `every: 1h` is no step of them", "write `every: 1`"),
        (["1", "2", "2"], Every(1), "has the same 'time' in line 3 and in line 4", "give `group`"),
    ],
)
def test_steps_that_do_not_fit(tmp_path: Path, lines: list[str], every: Every, message: str, hint: str) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, "time", lines, every=every, missing="previous")
    assert message in error.value.problem.message
    assert hint in str(error.value.problem.hint)


def test_groups_have_their_own_ranges(tmp_path: Path) -> None:
    lines = [f"{k},{g}" for g, ks in (("b", (10, 11, 14)), ("a", (1, 2, 3))) for k in ks]
    with pytest.raises(DataError, match=r"lacks 2 rows, the first after 11 \(line 3\) of group 'b'"):
        read(tmp_path, "time,g", lines, group="g", every=Every(1))
    found = read(tmp_path, "time,g", lines, group="g", every=Every(1), missing="previous")
    assert found.groups.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert [found.time_of(k) for k in range(8)] == ["1", "2", "3", "10", "11", "12", "13", "14"]
    assert (found.group_of(2), found.time_after(2, 1), found.time_after(7, 2)) == ("a", "4", "16")


def test_months(tmp_path: Path) -> None:
    ends = ["2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29", "2024-05-31"]
    found = read(tmp_path, "time", ends, every=Every(1, "month"), missing="interpolate")
    assert [found.time_of(k) for k in range(7)] == [*ends[:4], "2024-03-31", "2024-04-30", "2024-05-31"]
    assert found.time_after(3, 1) == "2024-03-31"
    assert (
        read(tmp_path, "time", ["1949-11", "1949-12", "1950-02"], every=Every(1, "month"), missing="previous").time_of(
            2
        )
        == "1950-01"
    )


def test_clocks_that_are_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has the same 'time' in line 4 and in line 5") as error:
        read(tmp_path, "time", [*hours("2024-10-27", 3), "2024-10-27 02:00", "2024-10-27 03:00"], every=H)
    assert "clocks were probably set back here: write the times in UTC, or with their offset" in str(
        error.value.problem.hint
    )
    with pytest.raises(DataError, match=r"lacks 1 row, the first after 2024-03-31 01:00 \(line 3\)") as error:
        read(tmp_path, "time", hours("2024-03-31", 9, 2), every=H)
    assert "clocks were probably set forward here" in str(error.value.problem.hint)
    offsets = ["2024-03-31T01:00+01:00", "2024-03-31T03:00+02:00", "2024-03-31T04:00+02:00"]
    assert read(tmp_path, "time", offsets, every=H).time_after(2, 1) == "2024-03-31T05:00+02:00"


def test_steps_without_times_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("v\n1\n2\n", encoding="utf-8")
    found = series_of(open_table(tmp_path / "t.csv"), Windows(2), 2)
    assert (found.time_of(1), found.time_after(1, 3)) == ("", "+3")
