"""Drawings of the size of a line: points in their range, gaps, bins with their shares."""

from __future__ import annotations

import re

import numpy as np
from findings import ATTACK, check_html, html_from

from graphspec.show.report.charts import POINTS, histogram, spark


def test_lines_have_a_common_scale() -> None:
    html = html_from(spark([("soft", np.array([0.0, 10.0])), ("b", np.array([5.0, 5.0]))], "both"))
    check_html(html)
    assert re.findall(r'points="([^"]+)"', html) == ["0,96 1,4", "0,50 1,50"]
    assert 'viewBox="0 0 1 100"' in html


def test_gaps_and_single_points() -> None:
    html = html_from(spark([("a", np.array([1.0, np.nan, 2.0, np.inf, 3.0, 1.0]))], "gaps"))
    assert re.findall(r'points="([^"]+)"', html) == ["0,96 0.5,96", "2,50 2.5,50", "4,4 5,96"]
    for nothing in (np.zeros(0), np.full(3, np.nan)):
        check_html(html_from(spark([("a", nothing)], "nothing")))
    assert ",50 " in html_from(spark([("a", np.ones(3))], "constant"))


def test_long_series_are_thinned() -> None:
    html = html_from(spark([("a", np.arange(10_000.0))], ATTACK))
    check_html(html)
    assert html.count(",") < POINTS + 5
    assert html.endswith('9999,4"/></svg>')


def test_bins_have_heights_and_texts() -> None:
    html = html_from(
        histogram([("a", np.array([0.5, 0.0, 0.25])), ("b", np.array([1.0, 0.0, 0.0]))], ["x", "y", ATTACK], "two")
    )
    check_html(html)
    assert 'd="M1 100v-47h8v47zM21 100v-24h8v24z"' in html
    assert 'points="0,4 10,4 10,98 20,98 20,98 30,98"' in html
    assert html.count("data-tip") == 3
    assert html_from(histogram([("a", np.ones(3) / 3)], ["x", "y", "z"], "one", each=False)).count("data-tip") == 1
