"""The drawing of a page: boxes with the numbers of their nodes, marks of problems, and no text that is not escaped."""

from __future__ import annotations

import re
from typing import Any

from drawings import panels
from findings import check_html

from graphspec.show.report.network import drawing, legend
from specs import dense_spec

BLOCKS: dict[str, Any] = {
    "graphspec": 1,
    "name": "blocks",
    "inputs": {"x": {"shape": [4]}},
    "blocks": {
        "pair": {
            "inputs": "x",
            "outputs": "b",
            "layers": [
                {"name": "a", "type": "Dense", "units": 4, "inputs": "x"},
                {"name": "b", "type": "Dense", "units": 4},
            ],
        }
    },
    "layers": [{"name": "p", "block": "pair", "repeat": 3}, {"name": "y", "type": "Dense", "units": 1}],
    "outputs": {"y": {"loss": "mse"}},
}


def test_boxes_are_buttons_with_their_nodes() -> None:
    numbers = {"hidden": 0, "drop": 1, "kind": 2}
    html = drawing(panels(dense_spec()), numbers, {"hidden": "has <3> dead units"})
    check_html(html)
    assert re.findall(r'data-nodes="([^"]*)"', html) == ["0", "1", "2"]
    assert html.count('role="button" tabindex="0"') == 3
    assert html.count('class="flag"') == 1
    assert "has &lt;3&gt; dead units" in html
    assert "regularization" in legend(panels(dense_spec()))


def test_a_box_of_a_block_stands_for_all_its_nodes() -> None:
    names = [f"p_{k}/{part}" for k in (1, 2, 3) for part in "ab"]
    html = drawing(panels(BLOCKS), {name: k for k, name in enumerate([*names, "y"])}, {})
    check_html(html)
    assert sorted(len(nodes.split()) for nodes in re.findall(r'data-nodes="([^"]*)"', html)) == [1, 1, 1, 6]
    assert "block pair" in html
