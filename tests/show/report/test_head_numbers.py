"""A head of numbers: its errors beside those of a constant, dots or cells, the worst output."""

from __future__ import annotations

import re

import numpy as np
import pytest
from findings import html_from
from judged import dense, judge, network, numbers, plain, rows

from graphspec.show.report import number_heads as head_numbers
from graphspec.show.report.baselines import Baseline
from graphspec.show.report.kinds import flatten
from graphspec.show.report.number_heads import MOST_DOTS, numbers_head

Y = 100 + 20 * numbers(60, 1, seed=4)


def test_the_constant_answer_is_the_mean() -> None:
    _, _, html = judge(network(dense(1), {"loss": "mse"}), numbers(60, 5), Y)
    constant = rows(html, "Errors of 60 values")[1]
    assert constant[0] == f"Always {Y.mean():.3f}, the mean of these rows"
    assert float(constant[1]) == pytest.approx(np.abs(Y - Y.mean()).mean(), rel=1e-3)
    assert constant[4:] == ["0.0000", "0.0000"]
    median = rows(html, "Errors of 60 values")[2]
    assert median[0] == f"Always {np.median(Y):.3f}, the median of these rows"
    assert float(median[1]) == pytest.approx(np.abs(Y - np.median(Y)).mean(), rel=1e-3)


def test_a_rule_without_an_answer_for_each_row_is_judged_with_the_network_on_the_others() -> None:
    _, judged, _ = judge(network(dense(1), {"loss": "mse"}), numbers(60, 5), Y)
    head = judged.heads["h"]
    answers = np.where(np.arange(60)[:, None] < 10, np.nan, Y + 1)
    html = html_from(
        numbers_head(head, flatten(head), [Baseline("the day before", answers), Baseline("rare", answers * np.nan)])
    )
    own, rule = rows(html, "Errors of 50 values")
    assert float(own[1]) == pytest.approx(np.abs(head.answers - Y)[10:].mean(), rel=1e-3)
    assert rule[:3] == ["The day before", "1.0000", "1.0000"]


def test_the_charts_are_of_the_worst_output() -> None:
    x = numbers(60, 5)
    y = numbers(60, 3, seed=6)
    y[:, 1] = 50 + y[:, 1]
    _, _, html = judge(network(dense(3), {"loss": "mse"}), x, y)
    scores = [float(row[5].replace(",", "").replace("−", "-")) for row in rows(html, "Each output")]
    assert np.argmin(scores) == 1
    assert "The charts show the output with the lowest R²: output 1." in plain(html)


def test_many_values_are_cells() -> None:
    _, _, few = judge(network(dense(1), {"loss": "mse"}), numbers(60, 5), Y)
    assert re.search(r'<path class="many[^>]*d="([^"]*)"', few)[1].count("M") == 60  # type: ignore[index]
    many = MOST_DOTS + 500
    _, _, html = judge(network(dense(1), {"loss": "mse"}), numbers(many, 5), numbers(many, 1, seed=1))
    assert 'class="many' not in html
    assert "The stronger the colour" in html
    assert len(html) < 40_000


def test_charts_of_a_part_of_the_values_are_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_numbers, "_CHARTED", 20)
    _, _, html = judge(network(dense(1), {"loss": "mse"}), numbers(60, 5), Y)
    assert "The charts are of 20 of 60 values, spread evenly." in plain(html)
    assert "Errors of 60 values" in plain(html)
