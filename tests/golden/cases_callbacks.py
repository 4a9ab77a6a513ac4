"""The golden cases of callbacks that change training; data only."""

from __future__ import annotations

from typing import Any

Args = dict[str, Any]

_AVERAGED = {"type": "SGD", "learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.8}
_OFTEN = {**_AVERAGED, "ema_overwrite_frequency": 2}
_STEPS = {"type": "PiecewiseConstantDecay", "boundaries": [0, 2], "values": [0.05, 0.2, 0.01]}
_FAST = {"type": "SGD", "learning_rate": 0.9}

# Optimizer and callbacks of six epochs of a small network with validation.
CALLBACKS: list[tuple[str, Args, list[Args]]] = [
    ("ema", _AVERAGED, []),
    ("SwapEMAWeights", _AVERAGED, [{"type": "SwapEMAWeights"}]),
    ("SwapEMAWeights-overwrite", _OFTEN, [{"type": "SwapEMAWeights"}]),
    ("SwapEMAWeights-epoch", _AVERAGED, [{"type": "SwapEMAWeights", "swap_on_epoch": True}]),
    ("LearningRateScheduler", {"type": "SGD"}, [{"type": "LearningRateScheduler", "schedule": _STEPS}]),
    ("ReduceLROnPlateau", _FAST, [{"type": "ReduceLROnPlateau", "patience": 1, "factor": 0.3, "min_delta": 0.1}]),
    (
        "EarlyStopping",
        _FAST,
        [{"type": "EarlyStopping", "patience": 1, "min_delta": 0.075, "restore_best_weights": True}],
    ),
]
