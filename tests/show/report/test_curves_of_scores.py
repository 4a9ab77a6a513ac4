"""Areas and curves agree with scikit-learn 1.9: ``roc_curve``, ``precision_recall_curve``, ``average_precision_score``."""

from __future__ import annotations

import numpy as np
import pytest

from graphspec.show.report.scores import Curve, at_thresholds, both_curves, macro

K = np.arange(200)
SCORES = (K * 37 % 101) / 100
POSITIVE = (K * 53 + 7) % 97 + (SCORES * 60).astype(int) > 75


def roc(positive: np.ndarray, scores: np.ndarray) -> Curve | None:
    return both_curves(positive, scores)[0]


def precision_recall(positive: np.ndarray, scores: np.ndarray) -> Curve | None:
    return both_curves(positive, scores)[1]


def test_roc_is_that_of_scikit_learn() -> None:
    curve = roc(POSITIVE, SCORES)
    assert curve is not None
    assert curve.area == pytest.approx(0.7096741854636591, abs=1e-12)
    assert len(curve.x) == 102
    np.testing.assert_allclose(curve.x[[1, 10, 50]], [0, 0.031578947368421054, 0.3263157894736842])
    np.testing.assert_allclose(curve.y[[1, 10, 50]], [0.01904761904761905, 0.1619047619047619, 0.6476190476190476])


def test_precision_and_recall_are_those_of_scikit_learn() -> None:
    curve = precision_recall(POSITIVE, SCORES)
    assert curve is not None
    assert curve.area == pytest.approx(0.7177004073712175, abs=1e-12)
    np.testing.assert_allclose(curve.y[[1, 10, 50]], [1, 0.85, 0.6868686868686869])
    np.testing.assert_allclose(curve.x[[1, 10, 50]], [0.01904761904761905, 0.1619047619047619, 0.6476190476190476])


@pytest.mark.parametrize("kind", [roc, precision_recall])
@pytest.mark.parametrize("positive", [np.zeros(4, bool), np.ones(4, bool), np.zeros(0, bool)])
def test_with_one_class_nothing_is_defined(kind: object, positive: np.ndarray) -> None:
    assert kind(positive, np.linspace(0, 1, len(positive))) is None  # type: ignore[operator]


def test_equal_scores_are_one_point() -> None:
    curve = roc(np.array([True, False, True, False]), np.full(4, 0.5))
    assert curve is not None
    assert curve.points() == [(0, 0), (1, 1)]
    assert curve.area == 0.5


def test_fewer_points_keep_the_ends() -> None:
    curve = roc(POSITIVE, SCORES)
    assert curve is not None
    points = curve.points(20)
    assert len(points) <= 21
    assert (points[0], points[-1]) == ((0, 0), (1, 1))
    assert set(points) <= set(zip(curve.x.tolist(), curve.y.tolist(), strict=True))


def test_the_mean_of_curves_has_the_mean_area() -> None:
    curves = [roc(POSITIVE, SCORES), roc(~POSITIVE, -SCORES), roc(POSITIVE, (K % 7).astype(float))]
    mean = macro([c for c in curves if c is not None])
    assert mean.area == pytest.approx(np.mean([c.area for c in curves if c is not None]))
    assert (mean.y[0], mean.y[-1]) == (pytest.approx(np.mean([c.y[0] for c in curves if c is not None]), abs=0.02), 1)


def test_a_score_equal_to_the_threshold_is_negative() -> None:
    limits = np.array([0.5, 0.0, 1.0, 0.37, -1])
    counts = at_thresholds(POSITIVE, SCORES, limits)
    for k, limit in enumerate(limits):
        called = limit < SCORES
        found = (counts.tp[k], counts.fp[k], counts.fn[k], counts.tn[k])
        wanted = [(called & POSITIVE), (called & ~POSITIVE), (~called & POSITIVE), (~called & ~POSITIVE)]
        assert found == tuple(int(x.sum()) for x in wanted)
