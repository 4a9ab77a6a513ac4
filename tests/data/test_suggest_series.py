"""Specs of forecasts: what ``init --kind sequence`` finds in a table."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from commands import graphspec

import graphspec as gs
from graphspec.language.declarations import Every, Windows


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _sales(form: str = "%Y-%m-%d", shops: tuple[str, ...] = ("north", "south")) -> None:
    lines = ["day,shop,units sold,price,weather,gaps,size"]
    for k in range(64):
        day = (date(2024, 1, 1) + timedelta(days=k)).strftime(form)
        for n, shop in enumerate(shops):
            cells = [day, shop, k % 7 + n, 1 + k % 3 / 10, "sun" if k % 2 else "rain", k if k % 5 else "", 20 + n]
            lines.append(",".join(map(str, cells)))
    Path("sales.csv").write_text("\n".join(lines) + "\n")


def _command(target: str, *options: str, file: str = "sales.csv", spec: str = "net.yaml") -> tuple[str, ...]:
    return "init", spec, "--from", file, "--target", target, "--kind", "sequence", *options


def _init(target: str, *options: str) -> gs.Spec:
    result = graphspec(*_command(target, *options))
    assert result.exit_code == 0, result.stderr
    checked = graphspec("validate", "net.yaml", "--data")
    assert checked.stdout.startswith("net.yaml: ok ("), checked.stdout + checked.stderr
    return gs.compile("net.yaml").spec


def _windows(target: str, *options: str) -> Windows:
    windows = _init(target, *options).data["train"].windows
    assert windows is not None
    return windows


def _refused(target: str, *options: str) -> str:
    result = graphspec(*_command(target, *options, spec="other.yaml"))
    assert (result.exit_code, Path("other.yaml").exists()) == (2, False)
    return " ".join(result.stderr.split())


@pytest.mark.slow
def test_a_series_has_its_time_its_group_and_what_is_known() -> None:
    _sales()
    spec = _init("units sold", "--future", "price")
    train = spec.data["train"]
    windows = train.windows
    assert windows is not None
    assert (windows.order, windows.group, windows.every, windows.missing) == ("day", "shop", Every(1, "d"), None)
    assert (windows.length, windows.horizon, windows.future, windows.static) == (21, 7, ("ahead",), ("now", "size"))
    assert train.inputs == {"past": "units sold", "now": "day", "ahead": ["price"]}
    assert train.targets == {"next": "units sold"}
    text = Path("net.yaml").read_text()
    assert "# not read: gaps:" in text
    assert "      size: number" in text
    assert "clip: {min: 0}" in text  # units are counted
    result = graphspec("train", "net.yaml", "--set", "training.epochs=1", "--export", "net.onnx")
    assert result.exit_code == 0, result.stderr


def test_one_series_has_no_group() -> None:
    _sales(shops=("north",))
    windows = _windows("price")
    assert (windows.order, windows.group) == ("day", None)


def test_dates_of_another_format_are_sorted_by_it() -> None:
    _sales("%d.%m.%Y")
    windows = _windows("price")
    assert (windows.order, windows.format, windows.group, windows.every) == ("day", "%d.%m.%Y", "shop", Every(1, "d"))


def test_dates_that_cannot_be_sorted_are_named() -> None:
    _sales("%d.%m.%Y", shops=("north",))
    text = Path("sales.csv").read_text()
    Path("sales.csv").write_text(text.replace("01.01.2024", "2024-01-01"))
    result = graphspec(*_command("price"))
    assert "some values of column 'day' are no dates as %d.%m.%Y" in " ".join(result.stderr.split())
    windows = gs.compile("net.yaml").spec.data["train"].windows
    assert windows is not None
    assert windows.order is None


def test_days_and_months_that_may_be_swapped_are_named() -> None:
    lines = [f"{k}/{k}/{year},{k}" for year in (2024, 2025, 2026) for k in range(1, 13)]
    Path("sales.csv").write_text("\n".join(["day,price", *lines]) + "\n")
    result = graphspec(*_command("price"))
    assert "are read as %d/%m/%Y; they may also be %m/%d/%Y" in " ".join(result.stderr.split())


@pytest.mark.slow
def test_whole_numbers_that_count_up_in_each_series_are_the_time() -> None:
    """Where they do not start at the same value, or have a date's name, series are not joined end to end."""
    r = np.random.default_rng(1)
    lines = ["id,t,year,load"]
    for k in range(20):
        wave = np.sin(np.arange(60) * 2 * np.pi / 12) * (k + 1)
        lines += [f"{k},{n + 5 * k},{2000 + n // 12},{v:.3f}" for n, v in enumerate(wave + r.normal(0, 0.05, 60))]
    Path("sales.csv").write_text("\n".join(lines) + "\n")
    windows = _windows("load")
    assert (windows.order, windows.group, windows.every) == ("t", "id", Every(1))
    assert (windows.length, windows.horizon, windows.season) == (36, 12, 12)  # by the correlation of changes
    result = graphspec(*_command("load", "--horizon", "6", spec="six.yaml"))
    assert "the next 6 values of load of 1,200 rows, one every 1, 20 series by id, alike after 12" in " ".join(
        result.stdout.split()
    )


@pytest.mark.slow
def test_whole_numbers_with_a_gap_are_the_time_and_what_is_static_is_not_interpolated() -> None:
    r = np.random.default_rng(1)
    lines = ["id,t,kind,load"]
    for k in range(20):
        values = np.sin(np.arange(60) * 2 * np.pi / 12) * (k + 1) + r.normal(0, 0.05, 60)
        lines += [f"s{k},{n},{'ab'[k % 2]},{v:.3f}" for n, v in enumerate(values) if (k, n) != (3, 20)]
    Path("sales.csv").write_text("\n".join(lines) + "\n")
    windows = _windows("load")
    assert (windows.order, windows.group, windows.every, windows.missing) == ("t", "id", Every(1), "interpolate")
    assert windows.static == ("kind",)
    assert "1 missing row, the first after 19 (line 201) of group 's3'" in Path("net.yaml").read_text()
    assert graphspec("train", "net.yaml", "--set", "training.epochs=1", "--no-report").exit_code == 0


@pytest.mark.parametrize(("step", "season"), [(1, 24), (24, 7), (0.5, 48)])
def test_the_step_says_what_a_season_is(step: float, season: int) -> None:
    hours = np.arange(900) * step
    lines = [str(np.datetime64("2024-01-01T00:00") + np.timedelta64(int(h * 60), "m")) for h in hours]
    Path("sales.csv").write_text("t,v\n" + "".join(f"{t},{k % season}.5\n" for k, t in enumerate(lines)))
    windows = _windows("v")
    assert windows.horizon == season
    assert windows.length % season == 0


def test_the_week_is_in_the_past_where_days_differ() -> None:
    time = np.datetime64("2024-01-01T00:00") + np.timedelta64(60, "m") * np.arange(24 * 60)
    load = [(k % 24) * (3 if k // 24 % 7 < 5 else 1) for k in range(len(time))]
    Path("sales.csv").write_text("t,v\n" + "".join(f"{t},{v}\n" for t, v in zip(time, load, strict=True)))
    assert _windows("v").length == 168


def test_what_is_no_number_or_not_there_is_refused_with_what_is() -> None:
    _sales()
    assert "column 'weather' is text; a forecast is made of numbers: units sold, price, gaps, size" in _refused(
        "weather"
    )
    assert "column 'load' is not there; a forecast is made of numbers" in _refused("price", "--future", "load")
    assert "--horizon and --future are for the series of a table" in " ".join(
        graphspec("init", "a.yaml", "--horizon", "3").stderr.split()
    )


@pytest.mark.slow
def test_a_target_with_many_gaps_is_refused_but_for_those_before_its_first_value() -> None:
    lines = [f"2024-01-{k:02},{k if k % 2 or k > 28 else ''}" for k in range(1, 32)]
    Path("sales.csv").write_text("\n".join(["day,price", *lines]))
    assert "column 'price' has 14 empty cells between others, of 31: more than a third" in _refused("price")
    lines = [f"{date(2024, 1, 1) + timedelta(days=k)},{k if k > 60 else ''}" for k in range(120)]
    Path("sales.csv").write_text("\n".join(["day,price", *lines]))
    assert _windows("price").missing == "interpolate"  # windows without a value before are left out
    assert "empty cell" not in Path("net.yaml").read_text()


@pytest.mark.slow
def test_missing_steps_are_filled_and_too_many_refused() -> None:
    _sales(shops=("north",))
    head, *lines = Path("sales.csv").read_text().splitlines()
    Path("sales.csv").write_text("\n".join([head, *lines[:20], *lines[22:]]))
    windows = _windows("price")
    assert (str(windows.every), windows.missing) == ("1d", "interpolate")
    assert "# 2 missing rows, the first after 2024-01-20 (line 21): filled" in Path("net.yaml").read_text()
    Path("sales.csv").write_text("\n".join([head, *lines[:5], *(x for k, x in enumerate(lines[5:]) if k % 8 < 2)]))
    assert "more than a third of the steps of 1d are missing in 'day', the first after 2024-01-07" in _refused("price")


EMPTY = "".join(f"2024-01-{k:02},{k if k % 2 else ''}\n" for k in range(1, 32))
HOURS = "".join(f"2024-01-{1 + k // 4:02} {(0, 1, 2, 13)[k % 4]:02}:00,{k % 7}\n" for k in range(60))
WEEK = "".join(f"2024-01-{k:02},{k}\n" for k in (*range(1, 11), *range(30, 32)))


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (EMPTY, "column 'price' has 15 empty cells between others, of 31: more than a third"),
        (HOURS, "more than a third of the steps of 1h are missing in 'day': write a row for each step"),
        (WEEK, "steps of 1d are missing in 'day', the first after 2024-01-10 (line 11): write a row for each step"),
    ],
)
def test_a_series_with_too_many_gaps(rows: str, text: str) -> None:
    Path("sales.csv").write_text(f"day,price\n{rows}")
    assert text in _refused("price", "--horizon", "3")


def test_quarters_with_what_is_known_of_the_future() -> None:
    lines = [f"{1990 + k // 4}-{k % 4 * 3 + 1:02}-01,{k % 4},{k % 3},{k % 5}\n" for k in range(60) if k != 30]
    Path("sales.csv").write_text("quarter,price,tax,rate\n" + "".join(lines))
    spec = _init("price", "--horizon", "2", "--future", "tax", "--future", "rate")
    windows = spec.data["train"].windows
    assert windows is not None
    assert (str(windows.every), windows.length, windows.missing) == ("3month", 12, "interpolate")
    assert spec.inputs["ahead"].shape == (2, 2)
    assert "# 1 missing row, the first after 1997-04-01 (line 31): filled" in Path("net.yaml").read_text()


def test_few_values_are_refused() -> None:
    Path("sales.csv").write_text("day,price\n" + "".join(f"2024-01-{k:02},{k}\n" for k in range(1, 6)))
    assert "the longest series has 5 values of 'price': too few for" in _refused("price", "--horizon", "4")


def test_the_group_is_a_column_in_which_no_time_occurs_twice() -> None:
    lines = [
        f"{date(2024, 1, 1) + timedelta(days=k)},{'sun' if k % 2 else 'rain'},{shop},{k % 7 + n}"
        for k in range(64)
        for n, shop in enumerate(("north", "south"))
    ]
    Path("sales.csv").write_text("\n".join(["day,weather,shop,v", *lines]))
    assert _windows("v").group == "shop"


def test_a_series_without_a_time_is_said() -> None:
    Path("sales.csv").write_text("shop,price\n" + "".join(f"{'ab'[k > 20]},{k}\n" for k in range(40)))
    result = graphspec(*_command("price"))
    assert "no column of times is found. The rows are read as one series" in " ".join(result.stderr.split())


def test_names_that_yaml_would_read_otherwise() -> None:
    lines = [f"{date(2024, 1, 1) + timedelta(days=k)},{k % 7},{k % 5}.5" for k in range(64)]
    Path("sales.csv").write_text("\n".join(['day,"sold: ${now} #1","other\nname"', *lines]))
    spec = _init("sold: ${now} #1")
    assert spec.data["train"].targets == {"next": "sold: ${now} #1"}
    assert spec.description == "The next values of sold: ${now} #1, from the last ones."
