"""The golden cases of constraints; data only."""

from __future__ import annotations

from typing import Any

Args = dict[str, Any]

# Arguments and the shape of the weight.
CONSTRAINTS: list[tuple[str, Args, tuple[int, ...]]] = [
    ("NonNeg", {"type": "NonNeg"}, (3, 4)),
    ("NonNeg-1d", {"type": "NonNeg"}, (4,)),
    ("MaxNorm", {"type": "MaxNorm"}, (3, 4)),
    ("MaxNorm-1d", {"type": "MaxNorm", "max_value": 0.5}, (4,)),
    ("MaxNorm-axis1", {"type": "MaxNorm", "max_value": 1.0, "axis": 1}, (3, 4)),
    ("MaxNorm-last", {"type": "MaxNorm", "max_value": 1.0, "axis": -1}, (2, 3, 4)),
    ("MaxNorm-filters", {"type": "MaxNorm", "max_value": 1.5, "axis": [0, 1, 2]}, (2, 2, 3, 4)),
    ("UnitNorm", {"type": "UnitNorm"}, (3, 4)),
    ("UnitNorm-1d", {"type": "UnitNorm"}, (4,)),
    ("UnitNorm-axes", {"type": "UnitNorm", "axis": [0, 2]}, (2, 3, 4)),
    ("UnitNorm-filters", {"type": "UnitNorm", "axis": [-4, 1, 2]}, (2, 2, 3, 4)),
    ("MinMaxNorm", {"type": "MinMaxNorm"}, (3, 4)),
    ("MinMaxNorm-bounds", {"type": "MinMaxNorm", "min_value": 1.5, "max_value": 2.0, "axis": 1}, (3, 4)),
    (
        "MinMaxNorm-rate",
        {"type": "MinMaxNorm", "min_value": 1.5, "max_value": 2.0, "rate": 0.3, "axis": [0, 1, 2]},
        (2, 2, 3, 4),
    ),
    ("MinMaxNorm-3d", {"type": "MinMaxNorm", "min_value": 0.5, "rate": 0.5, "axis": 1}, (2, 3, 4)),
]

_UNIT = {"type": "UnitNorm"}
_SLOW = {"type": "MinMaxNorm", "min_value": 0.4, "max_value": 0.6, "rate": 0.5}
_FILTERS = {"type": "MaxNorm", "max_value": 0.4, "axis": [0, 1, 2]}


def _training(layers: list[Args], shape: list[int], optimizer: Args, units: int = 2, **source: Any) -> Args:
    layers = [*layers, {"name": "y", "type": "Dense", "units": units}]
    return {
        "inputs": {"x": {"shape": shape, **source}},
        "layers": layers,
        "outputs": {"y": {"loss": "mean_squared_error"}},
        "optimizer": optimizer,
    }


# Networks that train for four steps.
TRAINING: list[tuple[str, Args]] = [
    (
        "train-dense",
        _training(
            [
                {
                    "name": "a",
                    "type": "Dense",
                    "units": 4,
                    "kernel_constraint": _UNIT,
                    "bias_constraint": "non_neg",
                    "activation": "tanh",
                }
            ],
            [3],
            {"type": "SGD", "learning_rate": 0.5},
        ),
    ),
    (
        "train-accumulation",
        _training(
            [{"name": "a", "type": "Dense", "units": 4, "kernel_constraint": {**_SLOW, "axis": 1}}],
            [3],
            {
                "type": "Adam",
                "learning_rate": 0.1,
                "gradient_accumulation_steps": 2,
                "use_ema": True,
                "ema_momentum": 0.5,
                "ema_overwrite_frequency": 2,
            },
        ),
    ),
    (
        "train-conv2d",
        _training(
            [
                {"name": "a", "type": "Conv2D", "filters": 3, "kernel_size": 2, "kernel_constraint": _FILTERS},
                {"name": "flat", "type": "Flatten"},
            ],
            [3, 4, 2],
            {"type": "SGD", "learning_rate": 0.1, "momentum": 0.9},
        ),
    ),
    (
        "train-lstm",
        _training(
            [
                {
                    "name": "a",
                    "type": "LSTM",
                    "units": 3,
                    "kernel_constraint": {**_SLOW, "axis": 0},
                    "recurrent_constraint": {**_UNIT, "axis": 1},
                    "bias_constraint": {"type": "MaxNorm", "max_value": 0.7},
                }
            ],
            [4, 2],
            {"type": "Adam", "learning_rate": 0.05},
        ),
    ),
    (
        "train-gru",
        _training(
            [
                {
                    "name": "a",
                    "type": "GRU",
                    "units": 3,
                    "recurrent_constraint": {**_UNIT, "axis": 0},
                    "bias_constraint": {"type": "MaxNorm", "max_value": 0.3, "axis": 1},
                }
            ],
            [4, 2],
            {"type": "Adam", "learning_rate": 0.05},
        ),
    ),
    (
        "train-embedding",
        _training(
            [
                {
                    "name": "a",
                    "type": "Embedding",
                    "input_dim": 6,
                    "output_dim": 3,
                    "embeddings_constraint": {**_UNIT, "axis": 1},
                },
                {"name": "flat", "type": "Flatten"},
            ],
            [4],
            {"type": "SGD", "learning_rate": 0.5},
            dtype="int64",
        ),
    ),
    (
        "train-batch_normalization",
        _training(
            [
                {
                    "name": "a",
                    "type": "BatchNormalization",
                    "gamma_constraint": {"type": "MinMaxNorm", "min_value": 0.5, "max_value": 1.0},
                    "beta_constraint": "NonNeg",
                }
            ],
            [3],
            {"type": "SGD", "learning_rate": 0.5},
        ),
    ),
]
