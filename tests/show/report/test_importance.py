"""Importance by permutation: exactly the field that a network reads matters, and by as much as by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from findings import rows_of

import graphspec as gs
from graphspec.base.arrays.random import generator
from graphspec.show.report import importance
from graphspec.show.report.importance import REPEATS, Importances, grouped, importances
from graphspec.show.report.rows import fields


def _linear(weights: list[float]) -> gs.Model:
    """A model ``y = weights · x`` of inputs ``(width,)``."""
    model = gs.compile(
        {
            "graphspec": 1,
            "name": "linear",
            "inputs": {"x": {"shape": [len(weights)]}},
            "layers": [{"name": "y", "type": "Dense", "units": 1, "use_bias": False}],
            "outputs": {"y": {"loss": "mse", "metrics": ["mae"]}},
            "training": {"batch_size": 8, "seed": 5},
        }
    )
    model.set_weights({"y/kernel": np.array(weights, np.float32).reshape(-1, 1)})
    return model


def test_exactly_one_feature_matters() -> None:
    model, random = _linear([0, 2, 0]), np.random.default_rng(0)
    x = random.normal(size=(60, 3)).astype(np.float32)
    found = importances(model, rows_of(model, x, 2 * x[:, 1:2]), 3)
    assert isinstance(found, Importances)
    assert [each.name for each in found.found] == ["x[1]", "x[0]", "x[2]"]
    assert found.loss == pytest.approx(0, abs=1e-12)
    first, *others = found.found
    errors = [4 * (x[:, 1] - x[generator(5, "importance", "x[1]", k).permutation(60), 1]) ** 2 for k in range(REPEATS)]
    losses = [float(e.mean()) for e in errors]
    assert first.loss.mean == pytest.approx(np.mean(losses), rel=1e-5)
    assert (first.loss.low, first.loss.high) == pytest.approx((min(losses), max(losses)), rel=1e-5)
    assert found.metric == ("mae", pytest.approx(0, abs=1e-6))
    assert first.metric is not None
    assert first.metric.mean == pytest.approx(np.mean([np.sqrt(e).mean() for e in errors]), rel=1e-5)
    assert all(each.loss.low == each.loss.high == 0 for each in others)
    assert importances(model, rows_of(model, x, 2 * x[:, 1:2]), 3) == found


def _record(column: str) -> dict[str, Any]:
    """A record with a text, a number, and a second number that may read the same column."""
    columns = {"kind": "category", "size": "number", "again": {"type": "number", "column": column}}
    return {
        "graphspec": 1,
        "name": "record",
        "inputs": {"r": {"columns": columns}},
        "layers": [{"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": {"loss": "mse"}},
        "training": {"epochs": 1, "seed": 1},
    }


def test_columns_of_records_go_through_the_prelude() -> None:
    random = np.random.default_rng(1)
    kinds = random.choice(["a", "b", "c"], 80)
    size = random.normal(size=(80, 1)).astype(np.float32)
    x = {"kind": kinds.reshape(-1, 1).astype(object), "size": size, "again": size}
    y = (kinds == "a").reshape(-1, 1).astype(np.float32) * 3
    model = gs.compile(_record("size"))
    model.fit(x, y, epochs=60, verbose=0)
    assert model.prelude is not None
    assert list(grouped(fields(model.spec), model)) == ["kind", "size"]
    found = importances(model, rows_of(model, x, y), 10)
    assert isinstance(found, Importances)
    assert [each.name for each in found.found] == ["kind", "size"]
    assert found.found[0].loss.low > 10 * abs(found.found[1].loss.high)


def test_reasons_why_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.ones((30, 3), np.float32)
    model = _linear([0, 2, 0])
    rows = rows_of(model, x, x[:, :1])
    assert "too few rows" in importances(model, rows.select(np.arange(1)), 3)  # type: ignore[operator]
    assert "too large" in importances(model, rows, 10**12)  # type: ignore[operator]
    lost = _linear([np.nan, 0, 0])
    assert "not finite" in importances(lost, rows, 3)  # type: ignore[operator]
    one = _linear([1])
    assert "one input" in importances(one, rows_of(one, x[:, :1], x[:, :1]), 3)  # type: ignore[operator]
    monkeypatch.setattr(importance, "ROWS", 20)
    some = importances(model, rows, 3)
    assert isinstance(some, Importances)
    assert some.rows == 20
