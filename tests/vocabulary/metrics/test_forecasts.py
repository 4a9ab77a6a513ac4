"""Metrics of forecasts, against their definitions in other words: those of the M4 Competition and of GluonTS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from heads import value

from graphspec.engine.runtime.bind import Compute
from graphspec.language.parse import parse
from graphspec.vocabulary.losses import LOSSES
from graphspec.vocabulary.metrics import METRICS

rng = np.random.default_rng(0)
QUANTILES = [0.1, 0.5, 0.75]


def measured(metric: str, loss: Any, y_true: Any, y_pred: Any, batches: int = 2) -> float:
    """Return a metric over some batches."""
    head, of = value("N", *y_pred.shape[1:]), LOSSES.parse(loss)
    found = METRICS.parse(metric)
    assert not found.check(head, of)
    state = found.resolve(of, head).start(head, Compute())
    for true, predicted in zip(np.array_split(y_true, batches), np.array_split(y_pred, batches), strict=True):
        state.update(true, predicted)
    return float(state.result())


def gluonts_quantile_loss(true: Any, forecast: Any, q: float) -> float:
    """``gluonts.evaluation.metrics.quantile_loss``, from its documentation."""
    return 2 * sum(abs((f - y) * ((y <= f) - q)) for y, f in zip(true.ravel(), forecast.ravel(), strict=True))


def test_smape_is_that_of_m4() -> None:
    true, found = rng.normal(10, 9, (6, 4)).astype(np.float32), rng.normal(10, 9, (6, 4)).astype(np.float32)
    true[0, 0] = found[0, 0] = 0
    pairs = list(zip(true.ravel().tolist(), found.ravel().tolist(), strict=True))
    each = [0.0 if y == f == 0 else 2 * abs(y - f) / (abs(y) + abs(f)) * 100 for y, f in pairs]
    assert measured("smape", "mae", true, found) == pytest.approx(sum(each) / 24, rel=1e-12)


def test_smape_of_quantiles_is_that_of_the_middle_one() -> None:
    true, found = rng.random((5, 4)).astype(np.float32), rng.random((5, 4, 3)).astype(np.float32)
    loss = {"type": "quantile", "quantiles": QUANTILES}
    assert measured("SMAPE", loss, true, found) == measured("smape", "mae", true, found[..., 1])


def test_wql_is_that_of_gluonts() -> None:
    true, found = rng.normal(2, 3, (6, 4)), rng.normal(2, 3, (6, 4, 3))
    losses = [gluonts_quantile_loss(true, found[..., k], q) for k, q in enumerate(QUANTILES)]
    loss = {"type": "quantile", "quantiles": QUANTILES}
    assert measured("wql", loss, true, found) == pytest.approx(np.mean(losses) / np.abs(true).sum(), rel=1e-12)


def test_wql_of_one_value_is_the_weighted_error() -> None:
    true, found = rng.normal(2, 3, (6, 4)), rng.normal(2, 3, (6, 4))
    expected = np.abs(true - found).sum() / np.abs(true).sum()
    assert measured("WQL", "mae", true, found) == pytest.approx(expected, rel=1e-12)
    one = {"type": "quantile", "quantiles": [0.5]}
    assert measured("wql", one, true, found[..., None]) == pytest.approx(expected, rel=1e-12)


def test_mase_is_no_metric_and_the_message_says_where_it_is() -> None:
    spec = {
        "graphspec": 1,
        "name": "net",
        "inputs": {"x": {"shape": [2]}},
        "layers": [{"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": {"loss": "mae", "metrics": ["mase"]}},
    }
    found = parse(spec)[1]
    assert "`train`, `evaluate` and the report show it" in str(found[0])
