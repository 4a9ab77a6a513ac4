"""Concordance: lifelines' value, all pairs by hand, the same in batches, and a training's pairs of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import GOLDEN
from safetensors.numpy import load_file

import graphspec as gs
from graphspec.graph.ir.graph import Type, Value
from graphspec.vocabulary.losses import LOSSES
from graphspec.vocabulary.metrics import METRICS

FILE = load_file(GOLDEN / "torch_losses.safetensors")
RISK = FILE["cox/h"][:, None]
ROWS = np.stack([FILE["cox/time"], FILE["cox/event"]], 1)
HEAD = Value("x", Type("float32", ("N", 1)), "input")


def state(*sizes: int, keeps_rows: bool = True) -> Any:
    found: Any = METRICS.parse("concordance").start(HEAD, lambda *_: {})
    found.keeps_rows, at = keeps_rows, 0
    for size in sizes:
        found.update(ROWS[at : at + size], RISK[at : at + size])
        at += size
    return found


@pytest.mark.parametrize("sizes", [(20,), (7, 7, 6), (1,) * 20])
def test_the_value_of_lifelines_whatever_the_batches(sizes: tuple[int, ...]) -> None:
    assert state(*sizes).result() == pytest.approx(FILE["cox/concordance"].item(), rel=1e-12)


def test_pairs_by_hand() -> None:
    right = total = 0.0
    for (time, event), risk in zip(ROWS, RISK[:, 0], strict=True):
        for (later, other), low in zip(ROWS, RISK[:, 0], strict=True):
            if event and (time < later or (time == later and not other)):
                total += 1
                right += 1.0 if risk > low else 0.5 if risk == low else 0.0
    assert state(10, 10).counters.tolist() == [right, total]


def test_totals_that_are_summed_are_of_a_batch() -> None:
    apart = [state(10), state(10)]
    apart[1].reset()
    apart[1].update(ROWS[10:], RISK[10:])
    expected = apart[0].counters + apart[1].counters
    np.testing.assert_array_equal(state(10, 10, keeps_rows=False).counters, expected)


def test_a_network_of_survival_learns_its_risk() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    time, limit = rng.exponential(np.exp(-x[:, 0])), rng.exponential(2, 200)
    y = np.stack([np.minimum(time, limit), time < limit], 1).astype(np.float32)
    model = gs.compile({
        "graphspec": 1, "name": "m", "inputs": {"x": {"shape": [3]}},
        "layers": [{"name": "risk", "type": "Dense", "units": 1}],
        "outputs": {"risk": {"loss": "cox", "metrics": ["concordance"]}},
        "training": {"optimizer": {"type": "Adam", "learning_rate": 0.05}, "batch_size": 50, "epochs": 20, "seed": 1},
    })  # fmt: skip
    model.fit(x, y, validation_data=(x, y), verbose=0)
    found = model.evaluate(x, y, verbose=0, batch_size=16)["concordance"]
    assert found > 0.7
    assert model.evaluate(x, y, verbose=0, batch_size=200)["concordance"] == found


def test_what_does_not_fit_is_refused() -> None:
    metric = METRICS.parse("concordance")
    [problem] = metric.check(HEAD, LOSSES.parse("mse"))
    assert "expects times and events" in problem.message
    [problem] = METRICS.parse("mae").check(HEAD, LOSSES.parse("cox"))
    assert "the targets of Cox are times and events" in problem.message
