"""The golden cases of metrics; data only."""

from __future__ import annotations

from typing import Any

Args = dict[str, Any]


# id, metric (a name or a mapping), kind, shape of y_pred, what else. `accuracy` is resolved as by Model.compile.
METRICS: list[tuple[str, str | Args, str, tuple[int, ...], Args]] = [
    ("accuracy-binary", "accuracy", "binary", (6, 1), {}),
    ("accuracy-multi_label", "accuracy", "onehot", (6, 3), {}),
    ("accuracy-categorical", "accuracy", "soft", (6, 4), {}),
    ("accuracy-sparse", "accuracy", "ids", (6, 4), {}),
    ("accuracy-sparse_column", "accuracy", "ids", (6, 4), {"column": True}),
    ("accuracy-steps", "accuracy", "ids", (3, 5, 3), {}),
    ("accuracy-masked", "accuracy", "ids", (3, 4, 3), {"mask": True}),
    ("accuracy-binary_steps", "accuracy", "binary", (3, 4, 1), {}),
    ("accuracy-binary_masked", "accuracy", "binary", (3, 4, 1), {"mask": True}),
    ("binary_accuracy-half", {"type": "BinaryAccuracy"}, "half", (6, 1), {}),
    ("binary_accuracy-labels", {"type": "BinaryAccuracy"}, "binary", (5, 3), {}),
    ("binary_accuracy-threshold", {"type": "BinaryAccuracy", "threshold": 0.3}, "binary", (8, 1), {}),
    ("categorical_accuracy", {"type": "CategoricalAccuracy"}, "onehot", (6, 4), {}),
    ("sparse_categorical_accuracy", {"type": "SparseCategoricalAccuracy"}, "ids", (6, 4), {}),
    ("sparse_categorical_accuracy-ties", {"type": "SparseCategoricalAccuracy"}, "ties", (6, 3), {}),
    ("top_k_categorical_accuracy", {"type": "TopKCategoricalAccuracy"}, "onehot", (8, 9), {}),
    ("top_k_categorical_accuracy-2", {"type": "TopKCategoricalAccuracy", "k": 2}, "onehot", (8, 5), {}),
    ("sparse_top_k_categorical_accuracy", {"type": "SparseTopKCategoricalAccuracy"}, "ids", (8, 9), {}),
    ("sparse_top_k_categorical_accuracy-3", {"type": "SparseTopKCategoricalAccuracy", "k": 3}, "ids", (8, 6), {}),
    (
        "sparse_top_k_categorical_accuracy-steps",
        {"type": "SparseTopKCategoricalAccuracy", "k": 2},
        "ids",
        (3, 4, 5),
        {},
    ),
    (
        "sparse_top_k_categorical_accuracy-masked",
        {"type": "SparseTopKCategoricalAccuracy", "k": 2},
        "ids",
        (3, 4, 5),
        {"mask": True},
    ),
    ("mean_squared_error", {"type": "MeanSquaredError"}, "real", (5, 2), {}),
    ("mean_squared_error-steps", {"type": "MeanSquaredError"}, "real", (3, 4, 2), {"mask": True}),
    ("mean_absolute_error", {"type": "MeanAbsoluteError"}, "real", (5, 1), {}),
    ("mean_absolute_error-1d", {"type": "MeanAbsoluteError"}, "real", (5, 1), {"squeeze": True}),
]
