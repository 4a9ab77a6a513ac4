"""Whether a network beats a simple rule, and in which words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from judged import dense, judge, network, numbers, rows

from graphspec.show.report.baselines import Baseline
from graphspec.show.report.verdicts import _share, known_rows, lines, rule_scores, verdicts

X, Y = numbers(60, 5), 10 * numbers(60, 1, seed=4)
IDS = np.repeat([0, 1], [40, 20])


def test_numbers_by_the_mean_absolute_error() -> None:
    _, judged, _ = judge(network(dense(1), {"loss": "mse", "metrics": ["mae"]}), X, Y)
    head = judged.heads["h"]
    good = replace(judged, heads={"h": replace(head, answers=Y + 0.5)})
    [better] = verdicts(good, {"h": [Baseline("yesterday", Y + 2), Baseline("rarely", Y * np.nan)]})
    assert (better.score, better.other, better.better) == (pytest.approx(0.5), pytest.approx(2), True)
    assert lines([better]) == [("0.5000 off on average, R² 0.9974; yesterday: 2.000. The network is better.", True)]
    [worse] = verdicts(good, {"h": [Baseline("yesterday", Y + 0.4)]})
    assert (worse.better, lines([worse])[0].better) == (False, False)
    assert "The network is not better" in str(worse)
    noisy = replace(judged, heads={"h": replace(head, answers=Y + np.where(np.arange(60)[:, None] % 2, 1.0, -0.9))})
    [unclear] = verdicts(noisy, {"h": [Baseline("yesterday", Y + 0.96 * np.sign(numbers(60, 1)) + 0.01)]})
    assert unclear.better is None
    assert "other rows may say otherwise" in str(unclear)


def test_a_squared_loss_without_the_other_metric_is_judged_by_it() -> None:
    _, judged, _ = judge(network(dense(1), {"loss": "mse"}), X, Y)
    [found] = verdicts(judged, {"h": [Baseline("zero", Y * 0)]})
    assert (found.metric, found.other) == ("root mean squared error", pytest.approx(np.sqrt((Y**2).mean())))


def test_classes_by_the_share_that_is_right_and_then_by_the_probabilities() -> None:
    _, judged, _ = judge(network(dense(2, "softmax"), {"loss": "sparse_categorical_crossentropy"}), X, IDS)
    likely = np.where(IDS[:, None] == [0, 1], 0.6, 0.4)
    likely[IDS == 1] = [0.8, 0.2]
    always, shares = (
        Baseline("always '0'", np.eye(2)[IDS * 0]),
        Baseline("the shares", np.full((60, 2), [2 / 3, 1 / 3])),
    )
    found = verdicts(replace(judged, heads={"h": replace(judged.heads["h"], answers=likely)}), {"h": [always, shares]})
    assert [(v.metric, v.baseline, v.better) for v in found] == [
        ("accuracy", "always '0'", False),
        ("log loss", "the shares", False),
    ]
    assert lines(found)[0].text.startswith("66.7 % right; always '0': 66.7 %. The network is not better. None of ")
    right = replace(judged, heads={"h": replace(judged.heads["h"], answers=np.eye(2)[IDS])})
    assert str(verdicts(right, {"h": [always, shares]})[0]) == "100 % right; always '0': 66.7 %. The network is better."


def test_training_rows_and_a_few_rows_give_no_verdict() -> None:
    _, judged, _ = judge(network(dense(1), {"loss": "mse"}), X[:5], Y[:5])
    rules = {"h": [Baseline("zero", Y[:5] * 0 + 1000)]}
    [found] = verdicts(judged, rules)
    assert (found.gain, found.better) == (None, None)
    assert verdicts(replace(judged, part="train"), rules) == []


def test_a_rule_that_answers_few_rows_is_left_out() -> None:
    _, judged, _ = judge(network(dense(1), {"loss": "mse"}), X, Y)
    most, few = (np.where(np.arange(60)[:, None] < n, np.nan, Y) for n in (20, 50))
    kept, rows = known_rows(judged.heads["h"], [Baseline("few", few), Baseline("most", most)])
    assert ([rule.name for rule in kept], rows.tolist()) == (["most"], list(range(20, 60)))


def test_scores_of_a_head_stand_beside_those_of_rules() -> None:
    spec = network(dense(3, "softmax"), {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]})
    found, judged, html = judge(spec, numbers(40, 5), np.arange(40) % 3)
    head, rules = judged.heads["h"], found.baselines["h"]
    metrics, scores = rule_scores(head, rules)
    assert metrics == ["accuracy", "log loss"]
    assert [name for name, _ in scores] == ["this network", *(rule.name for rule in rules)]
    assert scores[0][1] == pytest.approx([judged.results["accuracy"], judged.results["loss"]], rel=1e-5)
    names = [row[0] for row in rows(html, "Beside simple rules")]
    assert names == ["This network", "Always '0'", "The shares of these rows"]
    assert rule_scores(head, []) == ([], [])


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 %"), (0.0004, "0.04 %"), (0.5, "50.0 %"), (0.9996, "99.96 %"), (0.99999, "99.999 %"), (1, "100 %")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(value: float, shown: str) -> None:
    assert _share(value) == shown
