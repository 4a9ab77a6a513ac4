"""Every shipped spec is drawn as well-formed SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from drawings import panels
from paths import ROOT

from graphspec.show.drawing.svg import svg
from specs import dense_spec

ARCHITECTURES = ROOT / "specs" / "architectures"


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("specs/*.yaml")) + sorted(ARCHITECTURES.glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_shipped_spec_is_drawn_as_well_formed_svg(path: Path) -> None:
    drawn = panels(str(path))
    root = ElementTree.fromstring(svg(drawn))
    texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    for panel in drawn:
        assert panel.title in texts
        assert all(box.title in texts for box in panel.boxes.values())
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert 0 < width < 10_000
    assert 0 < height < 10_000


def test_text_is_escaped() -> None:
    spec = dense_spec(description='"Tom & Jerry" <i>')
    root = ElementTree.fromstring(svg(panels(spec)))
    assert any('"Tom & Jerry" <i>' in "".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text"))
