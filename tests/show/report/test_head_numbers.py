"""A head of numbers: its errors beside those of a constant, dots or cells, the worst output."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from findings import html_from
from judged import dense, judge, network, numbers, plain, rows

from graphspec.base.errors import Mark
from graphspec.language.declarations import DataSource, Windows
from graphspec.language.tree import Tree
from graphspec.show.report import number_heads as head_numbers
from graphspec.show.report.baselines import Baseline
from graphspec.show.report.kinds import flatten
from graphspec.show.report.number_heads import MOST_DOTS, numbers_head, unit_names

Y = 100 + 20 * numbers(60, 1, seed=4)


def test_the_constant_answer_is_the_mean() -> None:
    _, _, html = judge(network(dense(1), {"loss": "mse"}), numbers(60, 5), Y)
    constant = rows(html, "Errors of 60 values")[1]
    assert constant[0] == f"Always {Y.mean():.2f}, the mean of these rows"
    assert float(constant[1]) == pytest.approx(np.abs(Y - Y.mean()).mean(), rel=1e-3)
    assert constant[4:] == ["0.000", "0.000"]
    median = rows(html, "Errors of 60 values")[2]
    assert median[0] == f"Always {np.median(Y):.2f}, the median of these rows"
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
    assert rule[:3] == ["The day before", "1.000", "1.000"]


def test_the_charts_are_of_the_worst_output() -> None:
    x = numbers(60, 5)
    y = numbers(60, 3, seed=6)
    y[:, 1] = 50 + y[:, 1]
    _, _, html = judge(network(dense(3), {"loss": "mse"}), x, y)
    scores = [float(row[5].replace(",", "").replace("−", "-")) for row in rows(html, "Each value")]
    assert np.argmin(scores) == 1
    assert "The charts show the value with the lowest R²: value 2." in plain(html)


def test_values_of_a_head_have_the_names_of_columns_and_steps() -> None:
    columns: dict[str, str | list[str]] = {"h": ["low", "high"], "one": "low"}
    table = DataSource(None, {}, columns, None, None, Tree({}, Mark("spec.yaml")))
    ahead = replace(table, windows=Windows(4, horizon=2))
    steps = ["1 step ahead", "2 steps ahead"]
    for source, name, units, wanted in (
        (table, "h", 2, ["low", "high"]),
        (table, "h", 3, []),
        (table, "other", 1, []),
        (ahead, "one", 2, steps),
        (ahead, "h", 2, ["low", "high"]),
        (ahead, "h", 4, [f"{column}, {step}" for step in steps for column in ("low", "high")]),
        (ahead, "h", 5, []),
        (None, "h", 1, []),
    ):
        assert unit_names(source, name, units) == wanted


def test_the_table_of_many_values_is_folded_below_the_charts() -> None:
    _, judged, _ = judge(network(dense(13), {"loss": "mse"}), numbers(60, 5), numbers(60, 13, seed=6))
    head = judged.heads["h"]
    html = html_from(numbers_head(head, flatten(head), names=[f"<{k}> km" for k in range(13)]))
    assert html.index("</svg>") < html.index("<summary>Each value</summary>")
    assert [row[0] for row in rows(html, "Each value")] == [f"<{k}> km" for k in range(13)]


def test_groups_of_predicted_values_have_the_value_of_their_middle() -> None:
    _, judged, html = judge(network(dense(1), {"loss": "mse"}), numbers(60, 5), Y)
    chart = html.partition("<figcaption>Errors by predicted value")[2].partition("Predicted: the middle")[0]
    labels = [float(v.replace("−", "-")) for v in re.findall(r'text-anchor="middle">(−?[0-9.]+)</text>', chart)]
    assert len(labels) in (5, 10)
    assert labels == sorted(labels)
    assert judged.heads["h"].answers.min() < labels[0] < labels[-1] < judged.heads["h"].answers.max()


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
