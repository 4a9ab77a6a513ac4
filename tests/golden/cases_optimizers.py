"""The golden cases of optimizers; data only."""

from __future__ import annotations

from typing import Any

Args = dict[str, Any]


# Ten steps of each.
OPTIMIZERS: list[tuple[str, Args]] = [
    ("SGD", {"type": "SGD"}),
    ("SGD-momentum", {"type": "SGD", "learning_rate": 0.1, "momentum": 0.9}),
    ("SGD-nesterov", {"type": "SGD", "learning_rate": 0.1, "momentum": 0.8, "nesterov": True}),
    ("SGD-weight_decay", {"type": "SGD", "learning_rate": 0.1, "weight_decay": 0.05}),
    ("SGD-momentum_weight_decay", {"type": "SGD", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
    ("SGD-clipnorm", {"type": "SGD", "learning_rate": 0.1, "clipnorm": 1.5}),
    ("SGD-clipvalue", {"type": "SGD", "learning_rate": 0.1, "clipvalue": 0.4}),
    ("SGD-global_clipnorm", {"type": "SGD", "learning_rate": 0.1, "global_clipnorm": 2.0}),
    (
        "SGD-ema",
        {"type": "SGD", "learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 4},
    ),
    ("SGD-accumulation", {"type": "SGD", "learning_rate": 0.1, "momentum": 0.5, "gradient_accumulation_steps": 3}),
    ("RMSprop", {"type": "RMSprop"}),
    ("RMSprop-momentum", {"type": "RMSprop", "learning_rate": 0.01, "rho": 0.8, "momentum": 0.7}),
    ("RMSprop-centered", {"type": "RMSprop", "learning_rate": 0.01, "centered": True}),
    ("RMSprop-centered_momentum", {"type": "RMSprop", "learning_rate": 0.01, "centered": True, "momentum": 0.5}),
    ("RMSprop-epsilon", {"type": "RMSprop", "learning_rate": 0.01, "epsilon": 0.1}),
    (
        "RMSprop-weight_decay_clip",
        {"type": "RMSprop", "learning_rate": 0.01, "weight_decay": 0.1, "global_clipnorm": 1.0},
    ),
    ("Adam", {"type": "Adam"}),
    ("Adam-betas", {"type": "Adam", "learning_rate": 0.02, "beta_1": 0.7, "beta_2": 0.9, "epsilon": 0.01}),
    ("Adam-amsgrad", {"type": "Adam", "learning_rate": 0.02, "amsgrad": True, "beta_2": 0.5}),
    ("Adam-weight_decay", {"type": "Adam", "learning_rate": 0.02, "weight_decay": 0.1}),
    ("Adam-clipnorm", {"type": "Adam", "learning_rate": 0.02, "clipnorm": 0.5}),
    ("AdamW", {"type": "AdamW"}),
    ("AdamW-weight_decay", {"type": "AdamW", "learning_rate": 0.02, "weight_decay": 0.2}),
    ("AdamW-amsgrad_clipvalue", {"type": "AdamW", "learning_rate": 0.02, "amsgrad": True, "clipvalue": 0.3}),
]
