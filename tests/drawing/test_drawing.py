"""`graphspec plot`: what is drawn, where it stands, and how it is written."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from commands import graphspec
from paths import ROOT

from graphspec.compiler.check import check
from graphspec.compiler.cost import cost
from graphspec.drawing.layered import GAP_X, apart, crossings, layered
from graphspec.drawing.mermaid import mermaid
from graphspec.drawing.outline import Panel, outline
from graphspec.drawing.svg import svg
from specs import dense_spec, two_heads_spec

ARCHITECTURES = ROOT / "specs" / "architectures"

Arrows = list[tuple[str, str]]
GRAPHS: dict[str, Arrows] = {
    "chain": [("a", "b"), ("b", "c"), ("c", "d")],
    "diamond": [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")],
    "long": [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")],
    "two inputs": [("a", "c"), ("b", "d"), ("c", "d"), ("d", "e"), ("d", "f")],
    "crossed": [("a", "x"), ("a", "y"), ("b", "w"), ("b", "x"), ("c", "w")],
}


def panels(spec: Any, **more: Any) -> list[Panel]:
    declaration, lowered = check(spec).require()
    return outline(declaration, lowered, cost(declaration, lowered, 1), **more)


@pytest.mark.parametrize("arrows", GRAPHS.values(), ids=GRAPHS)
def test_boxes_do_not_touch_and_arrows_go_down(arrows: Arrows) -> None:
    keys = sorted({key for arrow in arrows for key in arrow})
    layout = layered({key: (80 + 40 * (k % 3), 40 + 10 * (k % 2)) for k, key in enumerate(keys)}, arrows)
    for a, b in itertools.combinations(layout.places.values(), 2):
        if a.row == b.row:
            assert abs(a.x - b.x) >= (a.width + b.width) / 2 + GAP_X - 1e-6
        else:
            assert abs(a.y - b.y) >= (a.height + b.height) / 2
    for (a_key, b_key), points in zip(arrows, layout.arrows, strict=True):
        a, b = layout.places[a_key], layout.places[b_key]
        assert points[0] == (a.x, a.y + a.height / 2)
        assert points[-1] == (b.x, b.y - b.height / 2)
        assert [y for _, y in points] == sorted(y for _, y in points)
    for place in layout.places.values():
        assert place.x - place.width / 2 >= -1e-6
        assert place.x + place.width / 2 <= layout.width + 1e-6
        assert place.y - place.height / 2 >= -1e-6
        assert place.y + place.height / 2 <= layout.height + 1e-6


def test_crossings_that_can_be_avoided_are() -> None:
    places = layered(dict.fromkeys("abcwxy", (50, 30)), GRAPHS["crossed"]).places
    rows = [sorted(keys, key=lambda k: places[k].x) for keys in ("abc", "wxy")]
    below = {key: [b for a, b in GRAPHS["crossed"] if a == key] for key in "abc"}
    assert crossings(rows, below) == 0
    assert crossings(["abc", "wxy"], below) > 0


def test_a_chain_is_straight() -> None:
    layout = layered({"a": (50, 30), "b": (150, 30), "c": (90, 30)}, [("a", "b"), ("b", "c")])
    assert len({round(p.x, 6) for p in layout.places.values()}) == 1


def test_places_apart_are_the_nearest_ones() -> None:
    assert apart([0, 200, 400], [1, 1, 1], [10, 10, 10]) == [0, 200, 400]
    x = apart([50, 50], [1, 3], [10, 10])
    assert x[1] - x[0] == pytest.approx(10 + GAP_X)
    assert x[0] + 3 * x[1] == pytest.approx(200)  # the centre of gravity stays


def test_a_small_network_has_a_box_a_node() -> None:
    (panel,) = panels(two_heads_spec())
    nodes = [layer["name"] for layer in two_heads_spec()["layers"]]
    assert list(panel.boxes) == ["left", "right", *nodes, "head same", "head gap"]
    assert ("mean", "both") in panel.arrows
    assert ("gap", "head gap") in panel.arrows
    assert panel.boxes["embed_right"].kind == "shared"
    assert panel.boxes["embed_right"].lines[0] == "Embedding with the weights of embed"
    assert panel.boxes["same"].lines == ["Dense · 1 unit · sigmoid", "(N, 1) · 13 parameters"]


def test_resnet_50_folds_its_blocks() -> None:
    top, *blocks = panels(str(ARCHITECTURES / "resnet50.yaml"))
    assert [panel.title for panel in blocks] == ["block project", "block keep", "block branch"]
    assert len(top.boxes) == 18
    assert top.boxes["stage4_more"].title == "stage4_more × 5"
    assert top.boxes["stage4_more"].lines[0] == "block keep: filters 256, wide 1024"
    assert blocks[0].about == "filters 64, wide 256, strides 1, as in 'stage2'"
    assert ("x", "shortcut") in [(blocks[0].boxes[a].title, b) for a, b in blocks[0].arrows]
    assert ("out", "output 0") in blocks[0].arrows
    (everything,) = panels(str(ARCHITECTURES / "resnet50.yaml"), expand=True)
    assert len(everything.boxes) == 176 + 2


def test_nested_params_are_resolved_and_every_output_is_shown() -> None:
    _, layer, gate = panels(str(ARCHITECTURES / "wavenet.yaml"))
    assert layer.boxes["gate"].lines[0] == "block gate: dilation 1"
    assert [a for a in gate.arrows if a[1].startswith("output")] == [("gated", "output 0"), ("skip", "output 1")]


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


def test_mermaid() -> None:
    assert mermaid(panels(dense_spec())) == (
        "flowchart TD\n"
        '    n0(["x<br/>(N, 4) float32"])\n'
        '    n1["hidden<br/>Dense · 8 units · relu<br/>(N, 8) · 40 parameters"]\n'
        '    n2["drop<br/>Dropout · rate 0.25<br/>(N, 8)"]\n'
        '    n3["kind<br/>Dense · 3 units · softmax<br/>(N, 3) · 27 parameters"]\n'
        '    n4(["kind<br/>loss SparseCategoricalCrossentropy<br/>metrics accuracy"])\n'
        "    n0 --> n1\n    n1 --> n2\n    n2 --> n3\n    n3 --> n4\n"
    )


def test_command(tmp_path: Path) -> None:
    spec = ROOT / "specs" / "fashion_inception.yaml"
    drawn = graphspec("plot", spec, "-o", tmp_path / "net.svg")
    assert (drawn.exit_code, drawn.stdout) == (0, f"wrote {tmp_path / 'net.svg'}\n")
    ElementTree.fromstring((tmp_path / "net.svg").read_text(encoding="utf-8"))
    printed = graphspec("plot", spec)
    assert printed.exit_code == 0
    assert printed.stdout.startswith("flowchart TD\n")
    graphspec("plot", spec, "-o", tmp_path / "net.md")
    assert (tmp_path / "net.md").read_text(encoding="utf-8") == f"```mermaid\n{printed.stdout}```\n"


def test_nothing_is_drawn_of_what_is_wrong(tmp_path: Path) -> None:
    refused = graphspec("plot", ROOT / "specs" / "housing.yaml", "-o", tmp_path / "net.png")
    assert refused.exit_code == 2
    assert ".svg" in refused.stderr
    (tmp_path / "bad.yaml").write_text("graphspec: 1\n", encoding="utf-8")
    wrong = graphspec("plot", tmp_path / "bad.yaml", "-o", tmp_path / "bad.svg")
    assert wrong.exit_code == 1
    assert "GS103" in wrong.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]
