"""The importance of inputs on the page: the most important first, reasons instead of bars, and sizes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from findings import DATA, check_html, findings_of

import graphspec as gs
from graphspec.show.html import html_of
from graphspec.show.report.findings import Findings
from graphspec.show.report.importance import SHOWN, importance
from specs import blobs, dense_spec, pairs, two_heads_spec


def test_the_input_that_matters_is_first() -> None:
    model = gs.compile(dense_spec(data=DATA))
    kernel = np.zeros((4, 8), np.float32)
    kernel[2] = 1
    model.set_weights({"hidden/kernel": kernel, "kind/kernel": np.array([[0, 0, 1]] * 8, np.float32)})
    model.set_weights({"kind/bias": np.array([4, 0, 0], np.float32)})
    x, _ = blobs(60)
    section = importance(findings_of(model, x, model.predict(x).argmax(1)))
    assert section is not None
    check_html(html_of(section.blocks))
    assert re.findall(r"<th scope=row>([^<]+)</th>", html_of(section.blocks))[0] == "x[2]"
    assert html_of(section.blocks).count('class="whisker"') == 4
    assert "60 test rows" in html_of(section.blocks)


def test_several_inputs_are_permuted_as_a_whole() -> None:
    x, y = pairs(30)
    section = importance(findings_of(gs.compile(two_heads_spec() | {"data": DATA}), x, y))
    assert section is not None
    assert sorted(re.findall(r"<th scope=row>([^<]+)</th>", html_of(section.blocks))) == ["left", "right"]


def test_one_input_alone_has_no_section() -> None:
    spec = dense_spec(data=DATA, inputs={"x": {"shape": [300]}})
    assert importance(findings_of(gs.compile(spec), np.ones((9, 300), np.float32), np.arange(9) % 3)) is None
    assert importance(Findings(gs.compile(spec), Path("runs/none"), {})) is None


def test_many_inputs_have_room() -> None:
    spec = dense_spec(data=DATA, inputs={"x": {"shape": [90]}})
    x = np.random.default_rng(0).normal(size=(40, 90)).astype(np.float32)
    section = importance(findings_of(gs.compile(spec), x, np.arange(40) % 3))
    assert section is not None
    assert html_of(section.blocks).count("<th scope=row>") == SHOWN
    assert "30 less important inputs not shown" in html_of(section.blocks)
    assert len(html_of(section.blocks)) < 60_000
