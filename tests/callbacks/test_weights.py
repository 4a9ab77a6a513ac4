"""Callbacks that change weights or rates are checked against the optimizer."""

from __future__ import annotations

from typing import Any

import pytest

import graphspec as gs
from graphspec.callbacks import CALLBACKS
from graphspec.errors import SpecError
from specs import blobs, dense_spec


@pytest.mark.parametrize(
    ("callback", "optimizer", "match"),
    [
        ("SwapEMAWeights", "sgd", "use_ema"),
        (
            {
                "type": "LearningRateScheduler",
                "schedule": {"type": "CosineDecay", "initial_learning_rate": 1, "decay_steps": 2},
            },
            {"type": "SGD", "learning_rate": {"type": "CosineDecay", "initial_learning_rate": 1, "decay_steps": 2}},
            "follows a schedule",
        ),
    ],
)
def test_callbacks_given_to_fit_are_checked_there(callback: Any, optimizer: Any, match: str) -> None:
    model = gs.compile(dense_spec(training={"optimizer": optimizer}))
    with pytest.raises(SpecError, match=match):
        model.fit(*blobs(), callbacks=[CALLBACKS.parse(callback)], verbose=0)
