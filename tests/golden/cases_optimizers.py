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
    ("Adadelta", {"type": "Adadelta"}),
    ("Adadelta-rho", {"type": "Adadelta", "learning_rate": 1.0, "rho": 0.8, "epsilon": 0.01}),
    (
        "Adadelta-weight_decay_clipnorm",
        {"type": "Adadelta", "learning_rate": 0.5, "weight_decay": 0.1, "clipnorm": 1.0},
    ),
    ("Adagrad", {"type": "Adagrad"}),
    (
        "Adagrad-initial",
        {"type": "Adagrad", "learning_rate": 0.1, "initial_accumulator_value": 0.0, "epsilon": 0.01},
    ),
    (
        "Adagrad-weight_decay_clipvalue",
        {"type": "Adagrad", "learning_rate": 0.1, "weight_decay": 0.1, "clipvalue": 0.5},
    ),
    ("Adamax", {"type": "Adamax"}),
    ("Adamax-betas", {"type": "Adamax", "learning_rate": 0.02, "beta_1": 0.7, "beta_2": 0.8, "epsilon": 0.01}),
    ("Adamax-accumulation", {"type": "Adamax", "learning_rate": 0.1, "gradient_accumulation_steps": 2}),
    ("Nadam", {"type": "Nadam"}),
    ("Nadam-betas", {"type": "Nadam", "learning_rate": 0.02, "beta_1": 0.7, "beta_2": 0.9, "epsilon": 0.01}),
    ("Nadam-accumulation", {"type": "Nadam", "learning_rate": 0.1, "gradient_accumulation_steps": 3}),
    ("Ftrl", {"type": "Ftrl"}),
    (
        "Ftrl-l1_l2",
        {
            "type": "Ftrl",
            "learning_rate": 0.1,
            "l1_regularization_strength": 0.3,
            "l2_regularization_strength": 0.2,
        },
    ),
    (
        "Ftrl-power_shrinkage_beta",
        {
            "type": "Ftrl",
            "learning_rate": 0.1,
            "learning_rate_power": -0.8,
            "initial_accumulator_value": 0.5,
            "l2_shrinkage_regularization_strength": 0.1,
            "beta": 0.4,
        },
    ),
    ("Ftrl-weight_decay_clip", {"type": "Ftrl", "learning_rate": 0.1, "weight_decay": 0.1, "global_clipnorm": 1.0}),
    ("Lion", {"type": "Lion"}),
    ("Lion-betas", {"type": "Lion", "learning_rate": 0.01, "beta_1": 0.6, "beta_2": 0.8, "weight_decay": 0.1}),
    ("Lion-one", {"type": "Lion", "learning_rate": 0.01, "beta_1": 1.0, "beta_2": 0.8}),
    ("Lamb", {"type": "Lamb"}),
    ("Lamb-betas", {"type": "Lamb", "learning_rate": 0.02, "beta_1": 0.7, "beta_2": 0.9, "epsilon": 0.01}),
    ("Lamb-weight_decay_clipnorm", {"type": "Lamb", "learning_rate": 0.1, "weight_decay": 0.1, "clipnorm": 0.5}),
    (
        "Lamb-accumulation_ema",
        {
            "type": "Lamb",
            "learning_rate": 0.1,
            "gradient_accumulation_steps": 2,
            "use_ema": True,
            "ema_momentum": 0.8,
            "ema_overwrite_frequency": 2,
        },
    ),
    ("Adafactor", {"type": "Adafactor"}),
    (
        "Adafactor-arguments",
        {
            "type": "Adafactor",
            "learning_rate": 0.6,
            "beta_2_decay": -0.5,
            "epsilon_1": 0.001,
            "epsilon_2": 0.9,
            "clip_threshold": 0.5,
            "relative_step": False,
        },
    ),
    (
        "Adafactor-weight_decay_clip",
        {"type": "Adafactor", "learning_rate": 0.1, "weight_decay": 0.1, "global_clipnorm": 1.0},
    ),
    ("Adafactor-accumulation", {"type": "Adafactor", "learning_rate": 0.1, "gradient_accumulation_steps": 2}),
    ("Muon", {"type": "Muon"}),
    ("Muon-embeddings", {"type": "Muon", "learning_rate": 0.05, "exclude_embeddings": False, "nesterov": False}),
    (
        "Muon-exclude",
        {"type": "Muon", "learning_rate": 0.05, "exclude_layers": ["^ker.el$"], "exclude_embeddings": False},
    ),
    (
        "Muon-coefficients",
        {
            "type": "Muon",
            "learning_rate": 0.05,
            "muon_a": 3.0,
            "muon_b": -3.2,
            "muon_c": 1.2,
            "momentum": 0.8,
            "ns_steps": 3,
            "rms_rate": None,
            "exclude_embeddings": False,
        },
    ),
    (
        "Muon-adam",
        {
            "type": "Muon",
            "learning_rate": 0.05,
            "adam_beta_1": 0.7,
            "adam_beta_2": 0.9,
            "epsilon": 0.01,
            "adam_lr_ratio": 0.5,
            "adam_weight_decay": 0.3,
            "weight_decay": 0.2,
        },
    ),
    (
        "Muon-no_decay_clip",
        {"type": "Muon", "learning_rate": 0.05, "adam_weight_decay": None, "weight_decay": None, "clipnorm": 1.0},
    ),
    ("ScheduleFreeAdamW", {"type": "ScheduleFreeAdamW"}),
    (
        "ScheduleFreeAdamW-betas",
        {"type": "ScheduleFreeAdamW", "learning_rate": 0.05, "beta_1": 0.7, "beta_2": 0.9, "epsilon": 0.01},
    ),
    (
        "ScheduleFreeAdamW-warmup_weight_decay",
        {"type": "ScheduleFreeAdamW", "learning_rate": 0.05, "warmup_steps": 4, "weight_decay": 0.1},
    ),
    (
        "ScheduleFreeAdamW-accumulation",
        {"type": "ScheduleFreeAdamW", "learning_rate": 0.05, "gradient_accumulation_steps": 3, "clipvalue": 0.3},
    ),
    (
        "SGD-ema_accumulation",
        {"type": "SGD", "learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.7, "gradient_accumulation_steps": 2},
    ),
    (
        "Adam-schedule",
        {"type": "Adam", "learning_rate": {"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 6}},
    ),
    (
        "Adafactor-schedule_accumulation",
        {
            "type": "Adafactor",
            "learning_rate": {
                "type": "ExponentialDecay",
                "initial_learning_rate": 0.9,
                "decay_steps": 3,
                "decay_rate": 0.5,
            },
            "gradient_accumulation_steps": 2,
        },
    ),
    ("SGD-loss_scale", {"type": "SGD", "learning_rate": 0.1, "loss_scale_factor": 8.0}),
]

# Weights of rank 1, 2 and 4; one that Muon's default leaves to Adam.
SHAPES: dict[str, tuple[int, ...]] = {"kernel": (3, 4), "bias": (4,), "filters": (2, 1, 2, 3), "embeddings": (5, 2)}
