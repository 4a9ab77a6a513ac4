"""What simple rules answer, in the form of each kind of head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judged import dense, judge, network, numbers

import graphspec as gs
from graphspec.show.report.baselines import baselines, training_targets
from graphspec.show.report.findings import find
from graphspec.show.report.kinds import flatten

X, Y = numbers(60, 5), np.repeat([0, 1, 2], [30, 20, 10])
LOGITS = {"type": "sparse_categorical_crossentropy", "from_logits": True}


@pytest.mark.parametrize(("activation", "loss"), [("softmax", "sparse_categorical_crossentropy"), (None, LOGITS)])
def test_classes_have_the_most_frequent_one_and_the_shares(activation: str | None, loss: Any) -> None:
    _, judged, _ = judge(network(dense(3, activation), {"loss": loss}), X, Y)
    always, shares = baselines(judged, "h", None, np.repeat([0, 1, 2], [1, 3, 0]))
    assert (always.name, shares.name) == ("always '1'", "the shares of the training rows")
    head = judged.heads["h"]
    answered = flatten(type(head)(**{**vars(head), "answers": shares.answers}))
    np.testing.assert_allclose(answered.scores[0], [0.25, 0.75, 0], atol=1e-6)
    assert (always.answers.argmax(1) == 1).all()
    assert [rule.name for rule in baselines(judged, "h")] == ["always '0'", "the shares of these rows"]


def test_numbers_have_the_mean_and_the_median_of_the_training_rows() -> None:
    _, judged, _ = judge(network(dense(2), {"loss": "mse"}), X, numbers(60, 2))
    mean, median = baselines(judged, "h", None, np.array([[0.0, 1], [0, 1], [6, 10]]))
    assert mean.answers.shape == median.answers.shape == (60, 2)
    assert (mean.answers[7].tolist(), median.answers[7].tolist()) == ([2, 4], [0, 1])


def test_heads_of_groups_have_no_rule() -> None:
    _, judged, _ = judge(network(dense(4), {"loss": "circle"}), X, Y)
    assert baselines(judged, "h") == []


def test_an_hourly_series_is_compared_with_the_day_and_the_week_before(tmp_path: Path) -> None:
    hours = np.arange(24 * 30)
    values = hours % 168 + 0.001 * (hours // 168)
    times = np.datetime_as_string(np.datetime64("2025-01-01T00") + hours.astype("timedelta64[h]"), unit="m")
    lines = ["t,v", *(f"{t},{v:.3f}" for t, v in zip(times, values, strict=True))]
    (tmp_path / "v.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    spec = {
        "graphspec": 1,
        "name": "v",
        "inputs": {"past": {"shape": [48, 1]}},
        "layers": [{"type": "Flatten"}, {"name": "next", "type": "Dense", "units": 24}],
        "outputs": {"next": {"loss": "mse", "scale": "standard", "metrics": ["mae"]}},
        "training": {"seed": 1},
        "data": {
            "train": {
                "file": str(tmp_path / "v.csv"),
                "windows": {"length": 48, "horizon": 24, "order": "t"},
                "inputs": {"past": ["v"]},
                "targets": {"next": "v"},
            },
            "validation": {"split": 0.3, "by": "time"},
        },
    }
    model = gs.compile(spec)
    model.fit(epochs=1, verbose=0)
    found = find(model, tmp_path)
    assert found.judged is not None
    rules = {rule.name: rule.answers for rule in found.baselines["next"]}
    assert list(rules)[:3] == ["the last known value", "the same hour one day before", "the same hour one week before"]
    targets = np.asarray(found.judged.heads["next"].targets).reshape(-1, 24)
    np.testing.assert_allclose(rules["the same hour one week before"], targets - 0.001, atol=1e-4)
    [verdict] = found.verdicts
    assert verdict.baseline == "the same hour one week before"
    assert (verdict.better, verdict.other) == (False, pytest.approx(0.001, abs=1e-5))
    assert str(verdict).endswith("The network is NOT better than the seasonal naive forecast.")
    assert verdict.mase == pytest.approx(
        (verdict.score / 0.001, 1), rel=1e-2
    )  # each week is 0.001 above the one before


def test_training_targets_are_those_of_the_losses() -> None:
    model = gs.compile(network(dense(2), {"loss": "mse"}))
    assert training_targets(model, None) == {}
