"""Dates in texts, computed by onnxruntime, against Python's datetime."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from adapting import graph_of, in_onnxruntime
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS
from lowering import lower, source
from pydantic import ValidationError

from graphspec.base.errors import ShapeError
from graphspec.engine.runtime.prepared_rows import Prelude
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.layers.dates import is_date

Array = np.ndarray[Any, Any]
PARTS = ("year", "month", "day", "weekday", "hour", "minute", "days", "yearday")
FIRST = date(1970, 1, 1)


def texts(*values: str) -> Array:
    return np.array([*values, None], object)[:-1].reshape(-1, 1)


def parts_of(moment: datetime) -> list[float]:
    days = (moment.date() - FIRST).days
    since = moment.timetuple().tm_yday
    return [moment.year, moment.month, moment.day, moment.weekday(), moment.hour, moment.minute, days, since]


def read(form: str | None, *values: str, parts: tuple[str, ...] = PARTS) -> Array:
    """The parts of dates, without cycles; NaN in all or none of a row."""
    found = in_onnxruntime(
        {"type": "DateParts", "format": form, "parts": list(parts), "cyclic": False}, texts(*values)
    )[0]
    missing = np.isnan(found)
    assert (missing.all(1) == missing.any(1)).all()
    assert [is_date(text, form) for text in values] == (~missing[:, 0]).tolist()
    return found


def moments(count: int, first: int, last: int) -> list[datetime]:
    """Random moments of whole minutes, from the beginning of a year to the end of another one."""
    start = datetime(first, 1, 1, tzinfo=UTC)
    minutes = (datetime(last, 12, 31, 23, 59, tzinfo=UTC) - start) // timedelta(minutes=1)
    random = np.random.default_rng(first)
    return [start + timedelta(minutes=int(m)) for m in random.integers(0, minutes + 1, count)]


@pytest.mark.parametrize("separator", ["T", " "])
def test_random_dates(separator: str) -> None:
    found = moments(5000, 1901, 2100)
    values = [f"{m:%Y-%m-%d}{separator}{m:%H:%M}" for m in found]
    np.testing.assert_array_equal(read(None, *values), [parts_of(m) for m in found])


def test_every_day_of_some_years() -> None:
    years = (1, 4, 100, 400, 1600, 1699, 1700, 1899, 1900, 1999, 2000, 2024, 2100, 9999)
    spans = [range(date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal() + 1) for year in years]
    days = [date.fromordinal(day) for span in spans for day in span]
    expected = [parts_of(datetime(d.year, d.month, d.day, tzinfo=UTC)) for d in days]
    np.testing.assert_array_equal(read(None, *(d.isoformat() for d in days)), expected)


def test_every_day_and_month_that_can_be_written() -> None:
    """Exactly those are dates that Python can make."""
    values = [(y, m, d) for y in (0, 1900, 2000, 2023, 2024) for m in range(14) for d in range(33)]

    def exists(y: int, m: int, d: int) -> bool:
        try:
            date(y, m, d)
        except ValueError:
            return False
        return True

    found = read(None, *(f"{y:04}-{m:02}-{d:02}" for y, m, d in values))
    assert (~np.isnan(found[:, 0])).tolist() == [exists(*v) for v in values]
    found = read("%d.%m.%Y", *(f"{d}.{m}.{y:04}" for y, m, d in values), parts=("year", "days"))
    assert (~np.isnan(found[:, 0])).tolist() == [exists(*v) for v in values]


DATES = [
    *("2024-02-29", "0001-01-01", "9999-12-31", "2024-12-31T00:00", "2024-12-31 23:59", "2024-12-31T23:59:59"),
    *("2024-12-31T23:59:59.1", "2024-12-31T23:59:59,123456789", "2024-12-31T23:59Z", "2024-12-31T23:59:59.5+01:00"),
    *("2024-12-31 23:59-0530", "2024-12-31 23:59+14"),
]
NASTY = [
    *("", " ", "-", "NaN", "null", "today", "2024", "2024-01", "2024-1-2", "24-01-02", "20240102", "2024/01/02"),
    *("2023-02-29", "1900-02-29", "2024-02-30", "2024-04-31", "2024-00-10", "2024-13-01", "2024-01-00", "2024-01-32"),
    *(
        "0000-01-01",
        "0000-02-29",
        "-2024-01-02",
        "+2024-01-02",
        "02024-01-02",
        "12024-01-02",
        "2024-01-021",
        "2024-01-02x",
    ),
    *("x2024-01-02", "abc 2024-01-02", "2024-01-02 abc", " 2024-01-02", "2024-01-02 ", "2024-01-02\n", "\n2024-01-02"),
    *(
        "2024-01-02\r",
        "2024-01-02\n2024-01-03",
        "2024-01-022024-01-03",
        "2024-01-02,2024-01-03",
        "20240101x",
        "2024--01-02",
    ),
    *("2024-01-02T", "2024-01-02T10", "2024-01-02T24:00", "2024-01-02T23:60", "2024-01-02T23:59:60", "2024-01-02T1:00"),
    *("2024-01-02t10:00", "2024-01-02T10:00z", "2024-01-02T10:00:00.", "2024-01-02T10:00.5", "2024-01-02Z", "10:00"),
    *(
        "2024-01-02T10:00+24",
        "2024-01-02T10:00+1:00",
        "2024-01-02T10:00+01:60",
        "2024-01-02  10:00",
        "2024-01-02T10:00 Z",
    ),
    *(
        "٢٠٢٤-٠١-٠٢",
        "２０２４-０１-０２",
        "2024\u201101\u201102",
        "2024-01-0\u00b2",
        "é",
        "日本",
        "\U0001f600",
        "\ufeff2024-01-02",
    ),
    *("2024-01-02\u2028", "2024-01-02\u0000", "\u00002024-01-02", "2024-01-02\u0085", "2024-01-0\u0662", "9" * 10_000),
    *(
        "2024-01-02" * 500,
        "99999999999999999999",
        "2024-99999999999999999999-01",
        "1e3",
        "0x10",
        "2024-01-02T10:00:00" + "0" * 30,
    ),
]


def test_nasty_texts_are_missing() -> None:
    found = read(None, *DATES, *NASTY)
    assert np.isnan(found[:, 0]).tolist() == [False] * len(DATES) + [True] * len(NASTY)
    prelude = Prelude(graph_of("DateParts", texts("")))
    for text in NASTY:  # no row needs another one
        assert np.isnan(prelude.run({"x": texts(text)})["0"]).all()


def test_a_zone_is_ignored() -> None:
    found = read(None, *(f"2024-12-31T23:59{zone}" for zone in ("", "Z", "+01:00", "-0130", "+14")))
    assert (found == found[0]).all()
    assert found[0].tolist() == [2024, 12, 31, 1, 23, 59, 20088, 366]


@pytest.mark.slow
@given(st.lists(st.text("0123456789-T :Z+.", max_size=22) | st.sampled_from(DATES), min_size=1, max_size=20))
@SETTINGS
def test_the_graph_and_python_agree(values: list[str]) -> None:
    """``read`` compares what the graph cannot read with what ``is_date`` says; Python reads whatever the graph reads."""
    found = read(None, *values)
    for text, row in zip(values, found, strict=True):
        if not np.isnan(row[0]):
            plain = re.sub(r"(Z|[+-]\d\d:?\d*)$", "", text[16:])
            moment = datetime.fromisoformat(text[:16] + re.sub(r"[.,]\d+", "", plain) if len(text) > 10 else text)
            assert row.tolist() == parts_of(moment)


FORMATS = [
    *("%d/%m/%Y", "%m/%d/%y", "%Y%m%d", "%y%m%d%H%M", "%Y%m%d %H:%M:%S", "%d.%m.%Y %H:%M:%S.%f", "%H h %M, %d-%m-%Y"),
    *("%Y年%m月%d日", "[%Y]^%m\\%d%%"),
]


@pytest.mark.parametrize("form", FORMATS)
def test_formats(form: str) -> None:
    """Numbers lack their leading zeros only where there is something between all fields."""
    timed = "%H" in form
    parts = tuple(part for part in PARTS if timed or part not in ("hour", "minute"))
    found = [m if timed else m.replace(hour=0, minute=0) for m in moments(200, 1969, 2068)]
    values = [m.strftime(form) for m in found]
    expected = np.array([parts_of(m) for m in found])[:, [PARTS.index(part) for part in parts]]
    np.testing.assert_array_equal(read(form, *values, parts=parts), expected)
    short = [re.sub(r"(?<![0-9])0([0-9])(?=[^0-9])", r"\1", text) for text in values]
    changed = np.array([s != v for s, v in zip(short, values, strict=True)])
    if re.search("%[A-Za-z]%[A-Za-z]", form):
        assert changed.any() == (":" in form)
        assert not changed.any() or np.isnan(read(form, *np.array(short)[changed], parts=parts)).all()
    else:
        assert changed.any()
        np.testing.assert_array_equal(read(form, *short, parts=parts), expected)


@pytest.mark.parametrize(
    ("form", "values", "wrong"),
    [
        (
            "%d/%m/%Y",
            ["29/02/2024", "1/1/0001"],
            ["", "29/02/2023", "31/04/2024", "0/1/2024", "1/0/2024", "1/1/24", "2024-01-01"],
        ),
        ("%m/%d/%Y", ["12/31/2024"], ["13/1/2024", "31/12/2024", "1/2/2024 ", "a1/2/2024", "1/2/2024/3", "001/2/2024"]),
        ("%d-%m-%y", ["29-02-00", "29-02-68", "31-12-99"], ["29-02-01", "29-02-1900", "1-1-1"]),
        ("%Y%m%d", ["20240229"], ["20230229", "2024229", "202402291", "0240229", "20240229x", "00000101"]),
        (
            "%d.%m.%Y %H:%M",
            ["1.1.2024 0:00", "1.1.2024 23:59"],
            ["1.1.2024", "1.1.2024 24:00", "1.1.2024 0:60", "1a1a2024 0:00"],
        ),
    ],
)
def test_what_formats_refuse(form: str, values: list[str], wrong: list[str]) -> None:
    found = read(form, *values, *wrong, parts=("year", "days"))
    assert np.isnan(found[:, 0]).tolist() == [False] * len(values) + [True] * len(wrong)


def test_fields_without_a_whole_date() -> None:
    assert read("%H:%M", "7:05", "23:59", "24:00", parts=("minute", "hour"))[:2].tolist() == [[5, 7], [59, 23]]
    assert read("%Y-%m", "2024-1", "2024-13", parts=("year", "month"))[0].tolist() == [2024, 1]
    assert np.isnan(read("%d.%m.", "31.04.", parts=("day",))).all()
    assert read("%d.%m.", "29.2.", parts=("day", "month")).tolist() == [[29, 2]]
    assert read("%y", "68", "69", parts=("year",)).tolist() == [[2068], [1969]]


def test_cycles() -> None:
    """Sine and cosine of where a part stands in its cycle, in the order of the parts."""
    values = texts("2024-01-01T00:00", "2023-12-31T23:45", "no date", "2000-07-16 06:30")
    layer = {"type": "DateParts", "parts": ["minute", "days", "month", "weekday", "year", "day", "hour"]}
    (found,) = in_onnxruntime(layer, values)
    assert found.shape == (4, 12)
    assert np.isnan(found[2]).all()
    minute, days, month, weekday, year, day, hour = np.array(
        [[0, 19723, 0, 0, 2024, 0, 0], [45, 19722, 11, 6, 2023, 30, 23], [30, 11154, 6, 6, 2000, 15, 6]]
    ).T

    def turned(values: Array, period: int) -> list[Array]:
        return [np.sin(2 * np.pi * values / period), np.cos(2 * np.pi * values / period)]

    expected = [
        *turned(minute, 60),
        days,
        *turned(month, 12),
        *turned(weekday, 7),
        year,
        *turned(day, 31),
        *turned(hour, 24),
    ]
    np.testing.assert_allclose(found[[0, 1, 3]], np.stack(expected, -1), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [({}, 7), ({"cyclic": False}, 4), ({"parts": ["year", "days"]}, 2), ({"parts": ["hour"], "format": "%H"}, 2)],
)
def test_shape(layer: dict[str, Any], shape: int) -> None:
    output = graph_of({"type": "DateParts", **layer}, texts("2024-01-01")).outputs["0"]
    assert (output.shape, output.dtype) == (("N", shape), "float32")


@pytest.mark.parametrize(
    ("shape", "dtype", "code"),
    [(("N", 1), "float32", "GS306"), (("N", 2, 1), "string", "GS304"), (("N",), "string", "GS304")],
)
def test_shape_error(shape: tuple[Any, ...], dtype: str, code: str) -> None:
    with pytest.raises(ShapeError) as error:
        lower("DateParts", source("x", shape, dtype))
    assert error.value.code == code


@pytest.mark.parametrize(
    ("arguments", "where", "text"),
    [
        ({"format": "%d. %B %Y"}, ("format",), "has %B, which is not available"),
        ({"format": "%Y-%j"}, ("format",), "has %j, which is not available"),
        ({"format": "%Y-%m-%d %z"}, ("format",), "has %z, which is not available"),
        ({"format": "yyyy-mm-dd"}, ("format",), "must have a field"),
        ({"format": ""}, ("format",), "must have a field"),
        ({"format": "%Y-%y"}, ("format",), "has the year twice"),
        ({"format": "%f %Y"}, ("format",), "must have %f at the end"),
        ({"format": "%H%M%f"}, ("format",), "must have %f at the end"),
        ({"format": "20%y-%m-%d"}, ("format",), "between them no digits"),
        ({"format": "%-d/%m/%Y"}, ("format",), "fields of a letter"),
        ({"format": "%d/%m/%Y%"}, ("format",), "fields of a letter"),
        ({"parts": []}, (), "must name at least one part"),
        ({"parts": ["year", "year"]}, (), "must not have 'year' twice"),
        ({"format": "%H:%M"}, (), "must not have 'year', since `format` has no year"),
        ({"format": "%Y-%m", "parts": ["year", "weekday"]}, (), "must not have 'weekday', since `format` has no day"),
        ({"parts": ["second"]}, ("parts", 0), "Input should be"),
    ],
)
def test_argument_error(arguments: dict[str, Any], where: tuple[Any, ...], text: str) -> None:
    cls = LAYERS.get("DateParts")
    assert cls is not None
    with pytest.raises(ValidationError) as error:
        cls.model_validate(arguments)
    (found,) = error.value.errors()
    assert found["loc"] == where
    assert text in found["msg"]


def test_is_date_refuses_formats_as_the_layer_does() -> None:
    with pytest.raises(ValueError, match="has %j"):
        is_date("2024-001", "%Y-%j")


def test_steps_of_time_have_parts_each() -> None:
    found = [moments(3, 1999, 2025) for _ in range(4)]
    written = np.array([[m.isoformat(timespec="minutes") for m in row] for row in found], object)
    written[2, 1] = "never"
    layer = {"type": "DateParts", "parts": list(PARTS), "cyclic": False}
    read = in_onnxruntime(layer, written)[0]
    expected = np.array([[parts_of(m) for m in row] for row in found], float)
    expected[2, 1] = np.nan
    np.testing.assert_array_equal(read, expected)
    ones = in_onnxruntime(layer | {"parts": ["weekday", "year"], "one_hot": True}, written)[0]
    assert ones.shape == (4, 3, 8)
    np.testing.assert_array_equal(ones[0, :, :7].argmax(-1), [m.weekday() for m in found[0]])
    assert (ones[0, :, :7].sum(-1) == 1).all()
