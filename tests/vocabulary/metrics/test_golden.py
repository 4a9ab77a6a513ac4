"""Every metric against Keras 3: its result, over batches and workers, and in a checkpoint."""

from __future__ import annotations

import json

import numpy as np
import pytest
from golden_cases import NOT_KERAS
from heads import loss, value
from paths import TESTS
from safetensors.numpy import load_file

from graphspec.engine.runtime.bind import Compute
from graphspec.graph.ir.graph import Value
from graphspec.vocabulary.metrics import METRICS, Metric, MetricState

GOLDEN = TESTS / "golden"


CASES = json.loads((GOLDEN / "metrics.json").read_text())


ARRAYS = load_file(GOLDEN / "metrics.safetensors")


LOSS = {"ids": "sparse_categorical_crossentropy", "one_hot": "categorical_crossentropy", "like": "mse"}


def resolve(case: str) -> tuple[Metric, Value]:
    """Return the metric of a golden case, and its head."""
    y_pred = value("N", *ARRAYS[f"{case}/y_pred"].shape[1:])
    given = CASES[case]["targets"] if CASES[case]["metric"] != "accuracy" or CASES[case]["targets"] == "ids" else None
    metric: Metric = METRICS.parse(CASES[case]["metric"]).resolve(loss(given and LOSS[given]), y_pred)
    return metric, y_pred


def fill(state: MetricState, case: str, parts: list[slice]) -> MetricState:
    """Return ``state`` after some batches of the case's rows."""
    y_true, y_pred, mask = ARRAYS[f"{case}/y_true"], ARRAYS[f"{case}/y_pred"], ARRAYS.get(f"{case}/mask")
    for rows in parts:
        state.update(y_true[rows], y_pred[rows], None if mask is None else mask[rows])
    return state


WHOLE = [slice(None)]


@pytest.mark.parametrize("case", CASES)
def test_results_are_those_of_keras(case: str) -> None:
    metric, y_pred = resolve(case)
    assert type(metric).__name__ == CASES[case]["resolved"]
    result = fill(metric.start(y_pred, Compute()), case, WHOLE).result()
    assert np.shape(result) == ARRAYS[f"{case}/result"].shape or np.size(result) == 1
    np.testing.assert_allclose(np.ravel(result), ARRAYS[f"{case}/result"].ravel(), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_results_do_not_depend_on_batches_and_workers(case: str) -> None:
    metric, y_pred = resolve(case)
    rows = len(ARRAYS[f"{case}/y_true"])
    whole = fill(metric.start(y_pred, Compute()), case, WHOLE).result()
    alone = fill(metric.start(y_pred, Compute()), case, [slice(k, k + 1) for k in range(rows)]).result()
    np.testing.assert_allclose(alone, whole, rtol=1e-9, atol=1e-12)
    cut = rows // 3
    first, second = (fill(metric.start(y_pred, Compute()), case, [part]) for part in (slice(cut), slice(cut, None)))
    first.counters += second.counters  # two workers; the first may have no rows
    np.testing.assert_allclose(first.result(), whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_a_state_goes_into_a_checkpoint_and_back(case: str) -> None:
    metric, y_pred = resolve(case)
    state, other = metric.start(y_pred, Compute()), metric.start(y_pred, Compute())
    empty = state.result()
    assert not np.any(empty)
    assert state.state() == []
    other.load(json.loads(json.dumps(fill(state, case, WHOLE).state())))
    assert np.array_equal(other.result(), state.result(), equal_nan=True)
    other.load([])
    state.reset()
    assert np.array_equal(state.result(), empty)
    assert np.array_equal(other.result(), empty)


def test_every_metric_has_two_golden_cases_and_every_option_one() -> None:
    written = [case["metric"] for case in CASES.values() if isinstance(case["metric"], dict)]
    for cls in METRICS:
        if cls.__name__ in NOT_KERAS["metric"]:
            continue
        mine = [config for config in written if METRICS.get(config["type"]) is cls]
        assert len(mine) >= 2, cls.__name__
        assert {key for config in mine for key in config} >= {"type", *cls.model_fields} - {"name"}, cls.__name__
