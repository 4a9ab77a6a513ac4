"""The page of a search: hostile texts, many trials, and Chromium: console, width, accessibility (axe-core)."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browsing import chromium
from consumers.apps import HERE
from searches import SPACE, plan_of, project
from show.report.test_build import AUDIT, HOSTILE, LARGEST, OVERFLOW

from graphspec.language.search import Choice, Space
from graphspec.language.search_space import Chooser
from graphspec.search.page import search_html, write_page
from graphspec.search.study import Plan, Trial, sampled, sets_of
from tools.browser import opened


def chooser(number: int) -> Chooser:
    random = np.random.default_rng(number)

    def choose(space: Space) -> float:
        if isinstance(space, Choice):
            return int(random.integers(len(space.items)))
        value = random.uniform(space.low, space.high)
        return round(value) if space.integer else value

    return choose


def trials_of(plan: Plan, count: int) -> list[Trial]:
    found = []
    for k in range(1, count + 1):
        params = sampled(plan.search, chooser(k))
        value = 1 / k + params["layers.hidden.units"]
        trial = Trial(k, params, sets_of(plan.search, params), "complete", value, [value])
        if k % 7 == 0:
            trial = replace(trial, state="pruned")
        if k % 9 == 0:
            trial = replace(trial, state="infeasible", value=None, problem=HOSTILE)
        found.append(trial)
    return found


def hostile(folder: Path) -> Plan:
    label = HOSTILE.replace('"', "").replace("'", "").replace("\u202e", "")
    space = SPACE + f"    layers.hidden.activation: {{choice: [relu, '{label}']}}\n"
    return plan_of(project(folder, space), folder)


def test_texts_cannot_become_markup(tmp_path: Path) -> None:
    plan = hostile(tmp_path)
    html = search_html(plan, trials_of(plan, 40), ["graphspec", "train", HOSTILE])
    assert re.findall(r"<script[^>]*>", html) == ["<script>"]
    assert "<img" not in html
    assert "\u202e" not in html
    ids = re.findall(r' id="([^"]*)"', html)
    assert len(ids) == len({*ids})


def test_the_page_says_what_there_is(tmp_path: Path) -> None:
    plan = plan_of(project(tmp_path), tmp_path)
    trials = trials_of(plan, 30)
    (tmp_path / "0003").mkdir()
    (tmp_path / "0003" / "report.html").touch()
    html = search_html(plan, trials, ["graphspec", "train", "tiny.yaml"])
    assert re.findall(r'href="([^#"][^"]*)"', html) == ["0003/report.html"]
    assert html.count("<polyline") == 1 + sum(t.judged for t in trials)
    assert "ning.optimizer[SGD].learning_rate<" in html
    assert "Importance of settings" in html
    few = search_html(plan, trials[:3], ["x"])
    assert "needs 10 trials" in few
    assert "No trial was trained to its end" in search_html(plan, [Trial(1, state="failed")], ["x"])


def test_the_page_says_whether_trials_differ_by_more_than_noise(tmp_path: Path) -> None:
    plan = plan_of(project(tmp_path), tmp_path)
    values = (0.2, 0.21, 0.29, 0.4)
    trials = [Trial(k, {}, [], "complete", value, [value]) for k, value in enumerate(values, 1)]
    for between, wanted in (
        ((0.15, 0.3), "from 0.1500 to 0.3000: 2 of the 3 other trials are within, and may be as good."),
        ((0.19, 0.21), "from 0.1900 to 0.2100: 1 of the 3 other trials is within, and may be as good."),
        ((0.19, 0.205), "from 0.1900 to 0.2050: none of the 3 other trials is as good."),
        (None, ""),
    ):
        html = search_html(plan, [replace(trials[0], between=between), *trials[1:]], ["x"])
        assert wanted in html
        assert ("95 % interval of the best trial" in html) == (between is not None)


def test_a_thousand_trials_are_a_small_page(tmp_path: Path) -> None:
    plan = plan_of(project(tmp_path), tmp_path)
    html = search_html(plan, trials_of(plan, 1000), ["x"])
    assert len(html.encode()) < LARGEST
    assert "500 trials not shown" in html


@pytest.mark.slow
def test_in_chromium(tmp_path: Path) -> None:
    found = chromium()
    if found is None or os.name == "nt":
        pytest.skip("Chromium is not installed")
    plan = hostile(tmp_path)
    path = write_page(plan, trials_of(plan, 40), ["graphspec", "train", HOSTILE])
    axe = HERE / "node" / "node_modules" / "axe-core" / "axe.min.js"
    with opened(found) as page:
        for dark in (False, True):
            for width in (320, 1024, 1920):
                page.open(path, width, dark=dark)
                assert page.run(OVERFLOW) == [], width
                assert page.errors == []
            if axe.is_file():
                page.run(axe.read_text(encoding="utf-8") + "; 0")
                assert page.run(AUDIT) == []
