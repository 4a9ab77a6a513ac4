"""The golden cases of regularizers; data only."""

from __future__ import annotations

from typing import Any

Args = dict[str, Any]

# Arguments and the shape of the weight.
REGULARIZERS: list[tuple[str, Args, tuple[int, ...]]] = [
    ("L1", {"type": "L1"}, (3, 4)),
    ("L1-factor", {"type": "L1", "l1": 0.3}, (2, 1, 2, 3)),
    ("L2", {"type": "L2"}, (3, 4)),
    ("L2-factor", {"type": "L2", "l2": 0.3}, (4,)),
    ("L1L2", {"type": "L1L2"}, (3, 4)),
    ("L1L2-factors", {"type": "L1L2", "l1": 0.2, "l2": 0.3}, (2, 1, 2, 3)),
    ("OrthogonalRegularizer", {"type": "OrthogonalRegularizer"}, (3, 4)),
    ("OrthogonalRegularizer-columns", {"type": "OrthogonalRegularizer", "factor": 0.3, "mode": "columns"}, (3, 4)),
    ("OrthogonalRegularizer-tall", {"type": "OrthogonalRegularizer", "factor": 2.0}, (5, 2)),
    ("OrthogonalRegularizer-pair", {"type": "OrthogonalRegularizer", "mode": "columns"}, (5, 2)),
]
