"""Curves of each class against the rest."""

from __future__ import annotations

import numpy as np
import pytest
from findings import html_from

from graphspec.show.report import class_heads as one_against_rest
from graphspec.show.report.class_heads import area_cells, areas, classes_head, curve_charts, means, sample
from graphspec.show.report.kinds import Flat
from graphspec.show.report.scores import both_curves

RNG = np.random.default_rng(0)
TRUE, SCORES = RNG.integers(0, 3, 50), RNG.random((50, 4))
LABELS = ["ape", "bee", "cat", "dog"]


def test_a_class_has_the_area_of_its_own_scores() -> None:
    found = areas(TRUE, SCORES)
    own = both_curves(TRUE == 1, SCORES[:, 1])[0]
    assert own is not None
    assert found[1][0] is not None
    assert found[1][0].area == own.area
    assert found[3] == (None, None)
    assert area_cells(found[3]) == ["–", "–"]
    assert means(found)[0] == pytest.approx(np.mean([pair[0].area for pair in found if pair[0] is not None]))
    assert np.isnan(means([(None, None)])).all()


def test_ids_and_bools_are_the_same() -> None:
    one_hot = areas(np.arange(4) == TRUE[:, None], SCORES)
    for ours, theirs in zip(areas(TRUE, SCORES), one_hot, strict=True):
        assert area_cells(ours) == area_cells(theirs)


def test_few_classes_have_a_curve_each_and_many_their_mean() -> None:
    few = [html_from(c) for c in curve_charts(areas(TRUE, SCORES), LABELS, "each class against the rest")]
    assert len(few) == 2
    assert few[0].count("<polyline") == 4  # with the diagonal
    assert "bee, AUC" in few[0]
    scores = RNG.random((90, 12))
    charts = curve_charts(areas(np.arange(90) % 12, scores), list("abcdefghijkl"), "each class against the rest")
    many = [html_from(chart) for chart in charts]
    assert many[0].count("<polyline") == 2
    assert "Mean of 12 curves" in many[0]


def test_without_any_curve_there_is_no_chart() -> None:
    assert curve_charts([(None, None)], ["a"], "each class against the rest") == []


def test_curves_of_a_part_of_the_rows_are_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = Flat("classes", np.arange(1500) % 3, RNG.random((1500, 3)), False, ["a", "b", "c"], "row")
    assert sample(flat) == (flat, [])
    monkeypatch.setattr(one_against_rest, "_SCORES", 3)
    fewer, note = sample(flat)
    assert len(fewer.true) == len(fewer.scores) == 1000
    assert "1,000 of 1,500 rows, spread evenly" in html_from(note)
    assert "1,000 of 1,500 rows" in html_from(classes_head(flat, "h"))
