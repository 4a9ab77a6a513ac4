"""Entries of the operators in ``graphspec/ops/dropout.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops.cases.case import Elsewhere, Example, OpCase, normal
from ops.cases.elementwise import X, large

RATE, ON = np.array(0.3), np.array(True)
CUBE = large(30, 40, 100)


def noise(*settings: dict[str, Any]) -> OpCase:
    """An operator that changes numbers at random while a network is trained."""
    shapes = ((4, 3, 5), (3, 2, 4, 3))
    return OpCase(
        None,
        [
            Example([normal(*shape)], attrs, training=training)
            for attrs in settings
            for shape in shapes
            for training in (True, False)
        ],
        allocates=[Example([CUBE], attrs, training=True) for attrs in settings],
    )


CASES = {
    "AlphaDropout": noise({"rate": 0.3}, {"rate": 0.3, "shared": (0, 1)}),
    "Dropout": OpCase(
        Elsewhere("ops/test_dropout.py"),
        [Example([normal(*shape), RATE, ON], {}, {1, 2}, training=True) for shape in ((4, 3), (2, 3, 4))],
        allocates=[Example([X, RATE, ON], {}, {1, 2}, training=True)],
    ),
    "GaussianDropout": noise({"deviation": 0.5}),
    "GaussianNoise": noise({"deviation": 0.5}),
    "SharedDropout": noise({"rate": 0.3, "shared": (1,)}, {"rate": 0.3, "shared": (0, 2)}),
}
