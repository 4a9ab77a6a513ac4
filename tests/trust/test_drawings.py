"""Drawings of large networks and of hostile text."""

from __future__ import annotations

import itertools
import random
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import pytest
from counting import assert_linear

from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.lowered_network import cost
from graphspec.show.drawing.outline import Panel, outline
from graphspec.show.drawing.svg import BENDS, inversions, layered, mermaid, svg
from specs import dense_spec


def panels(spec: Any, **more: Any) -> list[Panel]:
    declaration, lowered = check(spec).require()
    return outline(declaration, lowered, cost(declaration, lowered, 1), **more)


def chain(n: int) -> dict[str, Any]:
    return dense_spec(layers=[{"name": f"r{k}", "type": "ReLU"} for k in range(n)] + dense_spec()["layers"])


def repeated(n: int) -> dict[str, Any]:
    entries = [{"name": f"r{k}", "type": "ReLU", "repeat": 2} for k in range(n)]
    return dense_spec(layers=entries + dense_spec()["layers"])


def residual(n: int) -> dict[str, Any]:
    entries: list[dict[str, Any]] = [{"name": "a0", "type": "Dense", "units": 4}]
    for k in range(n):
        entries += [
            {"name": f"r{k}", "type": "ReLU"},
            {"name": f"a{k + 1}", "type": "Add", "inputs": [f"a{k}", f"r{k}"]},
        ]
    return dense_spec(layers=entries + dense_spec()["layers"])


def wide(n: int) -> dict[str, Any]:
    entries = [{"name": f"r{k}", "type": "ReLU", "inputs": "x"} for k in range(n)]
    join = {"name": "join", "type": "Concatenate", "inputs": [f"r{k}" for k in reversed(range(n))]}
    return dense_spec(layers=[*entries, join, *dense_spec()["layers"]])


def to_the_end(n: int) -> dict[str, Any]:
    """Every node leads to the last one too."""
    entries = [{"name": f"r{k}", "type": "ReLU"} for k in range(n)]
    join = {"name": "join", "type": "Concatenate", "inputs": [f"r{k}" for k in range(n)]}
    return dense_spec(layers=[*entries, join, *dense_spec()["layers"]])


def blocks(n: int) -> dict[str, Any]:
    body = {"inputs": ["x"], "layers": [{"name": "n", "type": "ReLU"}], "outputs": ["n"]}
    entries = [{"name": f"b{k}", "block": f"b{k}"} for k in range(n)]
    return dense_spec(blocks={f"b{k}": body for k in range(n)}, layers=entries + dense_spec()["layers"])


@pytest.mark.slow
@pytest.mark.parametrize("make", [chain, repeated, residual, wide, to_the_end, blocks])
@pytest.mark.parametrize("write", [svg, mermaid])
def test_drawing_takes_time_in_proportion(
    make: Callable[[int], dict[str, Any]], write: Callable[[list[Panel]], str]
) -> None:
    def prepare(n: int) -> Callable[[], Any]:
        declaration, lowered = check(make(n)).require()
        costs = cost(declaration, lowered, 1)
        return lambda: write(outline(declaration, lowered, costs))

    assert_linear(prepare, 40, 320)


def test_wrong_pairs_are_counted() -> None:
    draw = random.Random(2)
    for _ in range(200):
        numbers = [draw.randrange(9) for _ in range(draw.randrange(20))]
        pairs = sum(b < a for k, a in enumerate(numbers) for b in numbers[k + 1 :])
        assert inversions(numbers) == pairs


def test_bends_are_limited_and_the_longest_arrows_have_none() -> None:
    n = 300
    keys = [f"k{k}" for k in range(n)]
    arrows = [*itertools.pairwise(keys)] + [(key, keys[-1]) for key in keys[:-2]]
    layout = layered(dict.fromkeys(keys, (50.0, 30.0)), arrows)
    lengths = [len(points) - 2 for points in layout.arrows]
    assert sum(lengths) <= BENDS * (n + 100)
    assert lengths[n - 1] == 0, "from the first box to the last"
    assert lengths[-1] == 1
    assert lengths[-50] == 50


HOSTILE = (
    'a"]; click n0 "javascript:alert(1)"',
    "</text><script>alert(1)</script>",
    '%%{init: {"securityLevel": "loose"}}%%',
    "```\n\n# heading",
    "line\nend\nsubgraph x",
    "\x00\x1b[31m\x07\x7f\x85\u2028\ufffe\uffff\U000e0001",
    "`markdown` #quot; &amp; &#0; ]]> <!-- --> <![CDATA[",
    "\N{RIGHT-TO-LEFT OVERRIDE}txt",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    spec = dense_spec(
        description=text,
        vars={"v": text},
        blocks={
            "b": {"params": {"p": 0}, "inputs": ["x"], "layers": [{"name": "n", "type": "ReLU"}], "outputs": ["n"]}
        },
        layers=[{"name": "block", "block": "b", "params": {"p": text}}, *dense_spec()["layers"]],
    )
    drawn = panels(spec)
    drawn[0].title = text
    picture = svg(drawn)
    root = ElementTree.fromstring(picture.encode())
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names <= {"svg", "title", "style", "defs", "marker", "path", "rect", "g", "text"}
    shown = " ".join("".join(element.itertext()) for element in root.iter())
    visible = "".join(c for c in text if c.isprintable() and c not in " \U000e0001")
    assert visible in re.sub(r"\s", "", shown)
    for line in mermaid(drawn).splitlines():
        assert re.fullmatch(
            r'flowchart TD|    end| +(subgraph )?n\d+_?(\(\[|\[\[|\[)"[^"`%{}<>\\]*(<br/>[^"`%{}<>\\]*)*"(\]\)|\]\]|\])'
            r"| +n\d+ --> n\d+",
            line,
        ), line
