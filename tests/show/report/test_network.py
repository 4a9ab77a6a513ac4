"""The network on the page: the drawing and its table agree, problems are named, large networks have a table alone."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import chromium, shown
from findings import DATA, check_html, findings_of
from paths import ROOT

import graphspec as gs
from graphspec.show.html import html_of
from graphspec.show.report.findings import Findings
from graphspec.show.report.network import network
from specs import blobs, dense_spec, pairs, two_heads_spec


def _html(found: Findings) -> str:
    html = html_of(network(found).blocks)
    check_html(html)
    assert len(html) < 120_000
    return html


def test_every_box_has_its_lines_in_the_table() -> None:
    x, y = pairs(30)
    html = _html(findings_of(gs.compile(two_heads_spec() | {"data": DATA}), x, y))
    boxes = {key for nodes in re.findall(r'data-nodes="([^"]*)"', html) for key in nodes.split()}
    lines = re.findall(r'<tr data-node="(\d+)"', html)
    assert boxes == {*lines}
    assert len(lines) == 7
    embed = html[html.index("<th scope=row>embed</th>") :].partition("</tr>")[0]
    assert "<td>Embedding</td><td>input_dim 20, output_dim 6</td><td>(N, time, 6)</td>" in embed
    assert "<td class=number>120</td>" in embed
    assert "norm of the gradient" in embed


def test_dead_units_are_named() -> None:
    model = gs.compile(dense_spec(data=DATA))
    model.set_weights({"hidden/bias": np.full(8, -1000, np.float32)})
    found = findings_of(model, *blobs(20))
    html, section = _html(found), network(found)
    assert (section.finding, section.alarm) == ("8 hidden units dead", True)
    assert "<li><code>hidden</code> 8 of 8 units are 0 in all 20 rows (dead)</li>" in html
    assert '<tr data-node="0" data-problem="8 of 8 units' in html


def test_values_that_are_not_finite_come_first() -> None:
    model = gs.compile(dense_spec(data=DATA))
    model.set_weights({"hidden/kernel": np.full((4, 8), np.nan, np.float32)})
    found = findings_of(model, *blobs(20))
    html = _html(found)
    assert re.fullmatch(r"\d layers? with problems", network(found).finding)
    assert "<li><code>hidden</code> has values that are not finite</li>" in html


@pytest.mark.slow
@pytest.mark.parametrize(("nodes", "drawn"), [(60, True), (420, False)])
def test_large_networks_have_room(nodes: int, drawn: bool) -> None:
    layers: list[dict[str, Any]] = [{"name": f"d{k}", "type": "Dense", "units": 4} for k in range(nodes)]
    layers.append(dense_spec()["layers"][2])
    html = _html(findings_of(gs.compile(dense_spec(data=DATA, layers=layers)), *blobs(10)))
    assert ("<svg" in html) == drawn
    assert ("graphspec plot runs/none -o network.svg" in html) != drawn
    assert ("most expensive of 421 layers" in html) != drawn


@pytest.mark.slow
def test_a_large_network_of_blocks_is_drawn() -> None:
    model = gs.compile(ROOT / "specs" / "architectures" / "resnet50.yaml")
    html = _html(Findings(model, Path("runs/none"), {}))
    assert "<svg" in html
    assert "Without rows" in html


def test_networks_without_weights_and_without_losses() -> None:
    spec = dense_spec(data=DATA)
    spec["layers"] = [{"name": "kind", "type": "Activation", "activation": "softmax"}]
    x, y = blobs(10)
    assert "0 trainable parameters" in _html(findings_of(gs.compile(spec), x, y))


_CLICK = """
const box = [...document.querySelectorAll("[data-nodes]")].find((b) => b.textContent.startsWith("hidden"));
box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
document.body.append(`pressed ${box.getAttribute("aria-pressed")}`);
"""


@pytest.mark.slow
def test_enter_on_a_box_shows_its_node(tmp_path: Path) -> None:
    browser = chromium()
    if browser is None:
        pytest.skip("needs Chromium")
    html = html_of(network(findings_of(gs.compile(dense_spec(data=DATA)), *blobs(20))).blocks)
    script = files("graphspec.show.report").joinpath("rows.js").read_text(encoding="utf-8")
    page = f"<!doctype html><body>{html}<script>{script}</script><script>{_CLICK}</script>"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    text = shown(browser, tmp_path, "page.html", lambda text: "pressed" in text)
    assert "pressed true" in text
    assert "units 8, activation relu" in text
    assert "Multiply-adds\n32" in text
    assert re.search(r"Gradient / weights\n[0-9.e-]+ \(norm of the gradient", text)
