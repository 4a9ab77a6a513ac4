"""Drawings of explanations: bars, marked words, heat maps; well-formed and without scripts."""

from __future__ import annotations

import io
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from graphspec.api.explanation import Explanation
from graphspec.engine.runtime.explanations import Attributed, Attributions, Contribution
from graphspec.show.drawing.explanations import MAX_DRAWN, TOP, drawing, heat_map, page, shown, signed
from graphspec.show.drawing.pictures import png

NAME = "{http://www.w3.org/2000/svg}"
BAD = "</text><script>alert(1)</script>\x1b[31m&"


def explanation(*parts: Attributed, label: str = "a") -> Explanation:
    rows = len(parts[0].values)
    some = np.full(rows, 0.5)
    return Explanation(
        Attributions("head", [label] * rows, some, some / 2, some * 0, np.full(rows, 32), list(parts)), "net"
    )


def numbers(count: int, rows: int = 1) -> Attributed:
    values = np.tile(np.arange(1.0, count + 1) * (-1) ** np.arange(count), (rows, 1))
    return Attributed("x", values, values * 10)


def drawn(found: Explanation) -> ElementTree.Element:
    return ElementTree.fromstring(drawing(found))


def test_bars_of_the_largest_and_the_sum_of_the_others() -> None:
    root = drawn(explanation(numbers(13)))
    texts = [text.text for text in root.iter(f"{NAME}text")]
    assert "row 1: head = a 0.5000" in texts
    assert "baseline 0.2500" in texts
    assert "x[12]" in texts
    assert "+13.00" in texts
    assert "3 others" in texts
    bars = [rect.get("class") for rect in root.iter(f"{NAME}rect") if rect.get("class") in ("gs-for", "gs-against")]
    assert len(bars) == TOP
    assert bars[:2] == ["gs-for", "gs-against"]


def test_words_have_backgrounds_as_strong_as_they_count() -> None:
    words = np.array([["fine", "film", None]], object)
    root = drawn(explanation(Attributed("text", np.array([[2.0, -1.0, 9.0]]), words, words=True)))
    marks = [rect for rect in root.iter(f"{NAME}rect") if rect.get("fill-opacity")]
    assert [(m.get("class"), m.get("fill-opacity")) for m in marks] == [("gs-for", "0.60"), ("gs-against", "0.30")]


def test_a_picture_stands_beside_its_heat_map() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3) * 20
    root = drawn(explanation(Attributed("image", np.array([[[1.0, -2.0], [0.0, 0.5]]]), pixels, picture=True)))
    assert len(list(root.iter(f"{NAME}image"))) == 2
    for raw in (
        np.full((1, 2, 2, 1), 0.3, np.float32),
        np.full((1, 2, 2, 4), 9, np.uint8),
        np.full((1, 2, 2, 1), np.nan),
    ):
        drawn(explanation(Attributed("image", np.zeros((1, 2, 2)), raw, picture=True)))


def test_colours_of_a_heat_map() -> None:
    found = heat_map(np.array([[1.0, -1.0], [0.0, np.nan]]))
    assert found[0, 0].tolist() == [37, 99, 235, 255]
    assert found[0, 1].tolist() == [234, 88, 12, 255]
    assert found[1, :, 3].tolist() == [0, 0]


def test_a_png_file_has_the_pixels() -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    np.testing.assert_array_equal(np.asarray(image.open(io.BytesIO(png(pixels)))), pixels)


def test_text_of_data_is_escaped() -> None:
    part = Attributed(BAD, np.ones((1, 1)), np.array([[BAD]], object), words=True)
    found = explanation(part, label=BAD)
    found.name = BAD
    for document in (drawing(found), page(found)):
        assert "<script" not in document
        assert "\x1b" not in document
    drawn(found)


def test_many_rows_are_cut() -> None:
    found = explanation(numbers(2, MAX_DRAWN + 5))
    assert drawing(found).count("baseline") == MAX_DRAWN
    assert f"the first {MAX_DRAWN} of {MAX_DRAWN + 5} rows" in page(found)
    assert "http" not in page(found).replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    ("value", "largest", "text"),
    [
        (0.12345, None, "+0.1235"),
        (-0.00012, 0.1, "-0.0001"),
        (1234.5, 1234.5, "+1234"),
        (1e-9, None, "+1e-09"),
        (0, 0, "+0"),
    ],
)
def test_attributions_have_their_sign(value: float, largest: float | None, text: str) -> None:
    assert signed(value, largest) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [(None, ""), ("", "missing"), (float("nan"), "missing"), ("a", '"a"'), (39.1, "39.1"), (3, "3"), (True, "True")],
)
def test_raw_values_as_text(raw: Any, text: str) -> None:
    assert shown(Contribution("x", "", raw, 1.0)) == text
