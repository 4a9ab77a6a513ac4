"""The golden cases of layers that learn from rows: their arguments and the shape of the rows."""

from __future__ import annotations

from typing import Any

Learning = tuple[str, dict[str, Any], tuple[int, ...]]

KERAS: list[Learning] = [
    ("last", {"type": "Normalization"}, (60, 3)),
    ("steps", {"type": "Normalization"}, (20, 4, 3)),
    ("axis_1", {"type": "Normalization", "axis": 1}, (20, 4, 3)),
    ("null", {"type": "Normalization", "axis": None}, (20, 4, 3)),
    ("null_scalars", {"type": "Normalization", "axis": None}, (20,)),
    ("axes", {"type": "Normalization", "axis": [1, 2]}, (20, 4, 3)),
    ("axes_unsorted", {"type": "Normalization", "axis": [-1, 1]}, (20, 4, 3)),
    ("axes_apart", {"type": "Normalization", "axis": [1, 3]}, (20, 2, 4, 3)),
    ("invert", {"type": "Normalization", "invert": True}, (20, 3)),
]
"""Adapted by Keras."""
SCIKIT_LEARN: list[Learning] = [
    ("standard", {"type": "Normalization"}, (61, 3)),
    ("median", {"type": "Impute"}, (60, 3)),
    ("median_odd", {"type": "Impute"}, (51, 4)),
    ("mean", {"type": "Impute", "strategy": "mean"}, (60, 3)),
    ("constant", {"type": "Impute", "strategy": "constant", "fill_value": -1.5}, (20, 3)),
    ("indicator", {"type": "Impute", "indicator": True}, (30, 2)),
    ("minmax", {"type": "MinMaxScaling"}, (60, 3)),
    ("bins_2", {"type": "Discretization", "num_bins": 2}, (60, 1)),
    ("bins_7", {"type": "Discretization", "num_bins": 7}, (101, 1)),
    ("bins_10", {"type": "Discretization", "num_bins": 10}, (64, 1)),
]
"""Fitted by scikit-learn's class of the same purpose."""
