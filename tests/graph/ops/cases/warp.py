"""The entry of the operator in ``graphspec/graph/ops/warp.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from graph.ops.cases.broadcasting import large
from graph.ops.cases.case import Example, OpCase, batch, normal

from graphspec.graph.ops.warp import FILL_MODES

Array = np.ndarray[Any, Any]


def maps(rows: int) -> Array:
    """Affine maps that stretch, turn and shift, also far out of the image."""
    return np.array([1.0, 0, 0, 0, 1.0, 0]) + normal(rows, 6) * [0.7, 0.7, 0.5, 0.7, 0.7, 0.5]


CASES = {
    "AffineWarp": OpCase(
        None,
        [
            Example(
                [normal(5, 4, 6, 2), maps(5)],
                {"interpolation": interpolation, "fill_mode": mode, "fill_value": 0.3},
                wrt=[0],
                training=True,
            )
            for interpolation in ("nearest", "bilinear")
            for mode in FILL_MODES
        ],
        allocates=[
            *(
                Example([large(20, 64, 48, 3), maps(20)], {"fill_mode": mode, "fill_value": 1.0}, set(), [0], True)
                for mode in FILL_MODES
            ),
            Example(
                [large(20, 64, 48, 3), maps(20)],
                {"interpolation": "nearest", "fill_mode": "constant"},
                wrt=[0],
                training=True,
            ),
        ],
        batched=batch(0, 1),
    ),
}
