"""Small specs and made-up rows that several tests share."""

from __future__ import annotations

from typing import Any

import numpy as np


def dense_spec(**more: Any) -> dict[str, Any]:
    """Three classes from four numbers; learnable in a few epochs."""
    spec = {
        "graphspec": 1,
        "name": "blobs",
        "inputs": {"x": {"shape": [4]}},
        "layers": [
            {"name": "hidden", "type": "Dense", "units": 8, "activation": "relu"},
            {"name": "drop", "type": "Dropout", "rate": 0.25},
            {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"},
        ],
        "outputs": {"kind": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}},
        "training": {"optimizer": {"type": "Adam", "learning_rate": 0.02}, "epochs": 3, "batch_size": 16, "seed": 3},
    }
    return spec | more


def blobs(rows: int = 120, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Rows around three centres, and which centre each belongs to."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, rows)
    x = random.standard_normal((rows, 4)) + np.array([[2, 0, 0, 1], [0, 2, 0, -1], [0, 0, 2, 0]])[y]
    return x.astype(np.float32), y


def two_heads_spec() -> dict[str, Any]:
    """Two branches with shared weights over sequences of ids, two heads; time varies."""
    return {
        "graphspec": 1,
        "name": "pairs",
        "inputs": {"left": {"shape": ["time"], "dtype": "int64"}, "right": {"shape": ["time"], "dtype": "int64"}},
        "layers": [
            {"name": "embed", "type": "Embedding", "input_dim": 20, "output_dim": 6, "inputs": "left"},
            {"name": "mean", "type": "GlobalAveragePooling1D"},
            {"name": "embed_right", "share": "embed", "inputs": "right"},
            {"name": "mean_right", "type": "GlobalAveragePooling1D"},
            {"name": "both", "type": "Concatenate", "inputs": ["mean", "mean_right"]},
            {"name": "same", "type": "Dense", "units": 1, "activation": "sigmoid", "inputs": "both"},
            {"name": "gap", "type": "Dense", "units": 1, "inputs": "both"},
        ],
        "outputs": {
            "same": {"loss": "binary_crossentropy", "metrics": ["accuracy"], "labels": ["no", "yes"]},
            "gap": {"loss": "mean_squared_error", "metrics": ["mae"], "weight": 0.5},
        },
        "training": {"optimizer": "sgd", "epochs": 1, "batch_size": 8, "seed": 1},
    }


def pairs(rows: int = 30, time: int = 7, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    random = np.random.default_rng(seed)
    x = {"left": random.integers(0, 20, (rows, time)), "right": random.integers(0, 20, (rows, time))}
    y = {"same": random.integers(0, 2, (rows, 1)).astype(np.float32), "gap": random.standard_normal((rows, 1))}
    return x, y
