"""The pictures of the vocabulary's pages are those that graphspec computes, small, and readable."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from paths import ROOT

from docs.pictures import PICTURES
from docs.pictures.canvas import WIDTH, Canvas, Line, inside, number, runs_of
from docs.pictures.compute import run, train
from graphspec.show.drawing.curves import Scale
from graphspec.show.drawing.svg import text_width

FOLDER = ROOT / "docs" / "pictures"
SVG = "{http://www.w3.org/2000/svg}"
WIDER = {"t": 1.5, "h": 1.15, "b": 1.06}
"""How much wider than text of 12 pixels the other kinds are."""
_NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?(?:e[-+]\d+)?")


def drawn(name: str) -> str:
    return (FOLDER / f"{name}.svg").read_text(encoding="utf-8")


def parts(svg: str) -> tuple[str, list[float]]:
    """The text without its numbers, and the numbers."""
    return _NUMBER.sub("#", svg), [float(n.replace("−", "-")) for n in _NUMBER.findall(svg)]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_current(name: str) -> None:
    """The numbers may differ in the last digit that is written, which the processor and the kernels decide."""
    found, wanted = parts(PICTURES[name]()), parts(drawn(name))
    assert found[0] == wanted[0], f"run python -m docs.pictures {name}"
    np.testing.assert_allclose(
        found[1], wanted[1], rtol=0.002, atol=0.11, err_msg=f"run python -m docs.pictures {name}"
    )


@pytest.mark.parametrize("name", ["basic", "regularization", "pictures"])
def test_a_picture_is_the_same_each_time(name: str) -> None:
    assert PICTURES[name]() == PICTURES[name]()


def test_the_folder_has_the_pictures_and_no_others() -> None:
    assert {path.stem for path in FOLDER.glob("*.svg")} == PICTURES.keys()


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_can_be_read(name: str) -> None:
    """On light and dark pages, by readers of the screen, at the width of a page; without scripts and other files."""
    text = drawn(name)
    assert len(text.encode()) <= 30_000
    root = ElementTree.fromstring(text)
    assert root[0].tag == f"{SVG}title"
    assert root[1].tag == f"{SVG}desc"
    assert len(root[1].text or "") > 80
    assert "prefers-color-scheme:dark" in text
    assert "<script" not in text
    assert "href" not in text
    sizes = [float(size) for size in re.findall(r"(?:font:|font-size:)(\d+)px", text)]
    assert min(sizes) * 700 / WIDTH >= 11
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for element in root.iter(f"{SVG}text"):
        x, wide = (
            float(element.attrib["x"]),
            text_width(element.text or "") * WIDER.get(element.attrib.get("class", ""), 1),
        )
        left = x - {"start": 0, "middle": wide / 2, "end": wide}[element.attrib.get("text-anchor", "start")]
        if "transform" not in element.attrib:
            assert left >= 0, element.text
            assert left + wide <= width, element.text
        assert 0 <= float(element.attrib["y"]) <= height - 8, element.text


def test_numbers_in_cells() -> None:
    assert [number(v) for v in (1.0, -0.5, -1e-9, 0.125, 20.0, 100.0)] == ["1", "−0.5", "0", "0.12", "20", "100"]


def test_a_line_ends_where_it_leaves_the_scale() -> None:
    line = Line("", [0, 1, 2, 3, 4, 5], [0, 1, 9, 9, 1, 0])
    assert inside(line, Scale(0, 2, ())) == [[(0, 0), (1, 1)], [(4, 1), (5, 0)]]


def test_runs_of_pixels() -> None:
    assert runs_of(np.array([[1, 1, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1]])) == [(0, 0, 2), (0, 3, 1), (2, 1, 3)]


def test_texts_are_escaped() -> None:
    assert "<title>a &lt; b</title>" in Canvas("a < b", "about").svg(100)


def test_layers_run_as_in_a_network() -> None:
    doubled = run({"type": "Dense", "units": 1}, [[1.0, 2.0]], weights={"kernel": [[2.0], [1.0]], "bias": [0.5]})
    assert doubled.tolist() == [[4.5]]
    dropped = train({"type": "Dropout", "rate": 0.5}, np.ones((4, 8)), seed=1)
    assert set(np.unique(dropped).tolist()) == {0.0, 2.0}
    np.testing.assert_allclose(train({"type": "BatchNormalization"}, np.array([[1.0], [3.0]])), [[-1], [1]], atol=1e-3)
