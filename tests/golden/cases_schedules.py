"""The golden cases of learning-rate schedules; data only."""

from __future__ import annotations

from typing import Any

Args = dict[str, Any]

STEPS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 19, 20, 21, 25, 30, 31, 49, 100, 1000]

_DECAY: Args = {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}
_START: Args = {"initial_learning_rate": 0.1, "decay_steps": 10}
_RESTARTS: Args = {"type": "CosineDecayRestarts", "initial_learning_rate": 0.1, "first_decay_steps": 7}

SCHEDULES: list[tuple[str, Args]] = [
    ("ExponentialDecay", {"type": "ExponentialDecay", **_DECAY}),
    ("ExponentialDecay-staircase", {"type": "ExponentialDecay", **_DECAY, "staircase": True}),
    ("ExponentialDecay-rate", {"type": "ExponentialDecay", **_DECAY, "decay_steps": 7, "decay_rate": 0.96}),
    ("InverseTimeDecay", {"type": "InverseTimeDecay", **_DECAY}),
    ("InverseTimeDecay-staircase", {"type": "InverseTimeDecay", **_DECAY, "staircase": True}),
    ("PolynomialDecay", {"type": "PolynomialDecay", **_START}),
    ("PolynomialDecay-power", {"type": "PolynomialDecay", **_START, "end_learning_rate": 0.01, "power": 0.5}),
    ("PolynomialDecay-cycle", {"type": "PolynomialDecay", **_START, "cycle": True, "power": 2.0}),
    ("PiecewiseConstantDecay", {"type": "PiecewiseConstantDecay", "boundaries": [3, 10], "values": [1.0, 0.5, 0.1]}),
    ("PiecewiseConstantDecay-one", {"type": "PiecewiseConstantDecay", "boundaries": [20], "values": [0.2, 0.3]}),
    ("CosineDecay", {"type": "CosineDecay", **_START}),
    ("CosineDecay-alpha", {"type": "CosineDecay", **_START, "alpha": 0.1}),
    ("CosineDecay-warmup", {"type": "CosineDecay", **_START, "warmup_target": 0.4, "warmup_steps": 5}),
    (
        "CosineDecay-warmup_alpha",
        {"type": "CosineDecay", **_START, "alpha": 0.2, "warmup_target": 0.3, "warmup_steps": 20},
    ),
    ("CosineDecay-warmup_none", {"type": "CosineDecay", **_START, "warmup_target": 0.4, "warmup_steps": 0}),
    ("CosineDecay-no_target", {"type": "CosineDecay", **_START, "warmup_steps": 5}),
    ("CosineDecayRestarts", _RESTARTS),
    ("CosineDecayRestarts-factors", {**_RESTARTS, "t_mul": 1.5, "m_mul": 0.5, "alpha": 0.1}),
    ("CosineDecayRestarts-equal", {**_RESTARTS, "t_mul": 1.0, "m_mul": 0.8}),
]
