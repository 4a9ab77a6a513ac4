"""Raw values as HTML: what is missing is said to be, long ones are cut, all text is escaped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from findings import ATTACK, check_html, html_from

from graphspec.graph.ir.graph import MISSING_INTEGER
from graphspec.show.report.rows import Field
from graphspec.show.report.worst import as_picture, compact, excerpt, is_short, plain, shown

GAP = "<span class=missing>missing</span>"
FIELD = Field("x", "x", None, frozenset(["NA"]))


def _text(*values: str) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(39.1), "39.1"),
        (np.array([7.0], "f4"), "7"),
        (np.array([np.nan], "f4"), GAP),
        (np.array([np.inf], "f4"), "infinite"),
        (np.array([MISSING_INTEGER]), GAP),
        (np.array([-3]), "-3"),
        (np.array([True]), "true"),
        (_text("Biscoe"), "Biscoe"),
        (_text(""), GAP),
        (_text("NA"), f"{GAP} (NA)"),
        (np.array([1.5, np.nan], "f4"), "1.5, missing"),
        (np.array([5, 0, 0, 0, 7, 7]), "5, 0 × 3, 7, 7"),
        (_text("a", "a", "a", "", "b"), "a × 3, missing, b"),
        (np.zeros((0, 3), "f4"), "<span class=missing>empty</span>"),
        (np.ones((2, 3, 4, 2), "f4"), "array 2 × 3 × 4 × 2, from 1 to 1, mean 1"),
        (np.full((2, 3), np.nan, "f4"), "array 2 × 3, 6 missing"),
    ],
)
def test_values(value: Any, expected: str) -> None:
    assert html_from(shown(FIELD, np.asarray(value))) == expected


def test_numbers() -> None:
    assert [plain(np.float32(v)) for v in (0.1, 1e-8, 123456, 1e20, -2)] == ["0.1", "1e-08", "123456", "1e+20", "-2"]
    assert [compact(v) for v in (3.69407, 22, 1234567, 0.00042, 20.0002)] == [
        "3.6941",
        "22",
        "1234567",
        "0.00042",
        "20",
    ]


def test_series_are_drawn_with_their_gaps() -> None:
    values = np.sin(np.arange(50, dtype=np.float32))
    values[20] = np.nan
    html = html_from(shown(Field("temp", "x"), values))
    check_html(html)
    assert html.count("<polyline") == 2
    assert "50 values, from" in html
    assert ", 1 missing" in html
    assert len(html_from(shown(FIELD, np.random.default_rng(0).normal(size=100_000)))) < 3000


def test_pictures_are_images_of_limited_size() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    html = html_from(shown(FIELD, noise, 4000))
    check_html(html)
    assert html.startswith('<img class="picture" width="80" height="120"')
    assert 'alt="x, 200 × 300 pixels"' in html
    assert len(html) < 4200
    assert 'class="picture small"' in html_from(shown(FIELD, noise[:28, :28]))
    assert as_picture(noise[..., 0]) is not None
    assert as_picture(np.zeros((48, 5), "f4")) is None
    assert as_picture(np.zeros((20, 20), "i8")) is None


def test_long_texts_fold_and_are_cut() -> None:
    html = html_from(excerpt("word " * 2000))
    check_html(html)
    assert html.startswith("word word")
    assert "<details><summary>9,696 more characters</summary>" in html
    assert len(html) < 1800
    assert "<details>" not in html_from(excerpt("word " * 60))
    assert len(html_from(excerpt("x" * 5000))) < 1800


def test_text_is_escaped() -> None:
    for html in (
        html_from(shown(FIELD, _text(ATTACK))),
        html_from(shown(FIELD, _text(ATTACK, "b"))),
        html_from(excerpt(ATTACK * 100)),
    ):
        check_html(html)
        assert "&lt;/script&gt;" in html


def test_what_fits_into_a_table() -> None:
    assert is_short(np.array([1.0]))
    assert is_short(_text("Biscoe"))
    assert not is_short(_text("x" * 61))
    assert not is_short(np.zeros(3))
