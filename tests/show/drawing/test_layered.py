"""The layout of boxes and arrows."""

from __future__ import annotations

import itertools

import pytest
from paths import ROOT

from graphspec.show.drawing.svg import GAP_X, apart, crossings, layered

ARCHITECTURES = ROOT / "specs" / "architectures"

Arrows = list[tuple[str, str]]
GRAPHS: dict[str, Arrows] = {
    "chain": [("a", "b"), ("b", "c"), ("c", "d")],
    "diamond": [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")],
    "long": [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")],
    "two inputs": [("a", "c"), ("b", "d"), ("c", "d"), ("d", "e"), ("d", "f")],
    "crossed": [("a", "x"), ("a", "y"), ("b", "w"), ("b", "x"), ("c", "w")],
}


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
