"""Entries of the operators in ``graphspec/graph/ops/dropout.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from graph.ops.cases.broadcasting import X, large
from graph.ops.cases.case import Elsewhere, Example, OpCase, batch, normal

RATE, ON = np.array(0.3), np.array(True)
CUBE = large(30, 40, 100)
SHAPES = ((4, 3, 5), (3, 2, 4, 3))


def noise(*settings: dict[str, Any]) -> OpCase:
    """An operator that changes numbers at random while a network is trained."""
    return OpCase(
        None,
        [
            Example([normal(*shape)], attrs, training=training)
            for attrs in settings
            for shape in SHAPES
            for training in (True, False)
        ],
        allocates=[Example([CUBE], attrs, training=True) for attrs in settings],
    )


CASES = {
    "AlphaDropout": noise({"rate": 0.3}, {"rate": 0.3, "shared": (0, 1)}),
    "Dropout": OpCase(
        Elsewhere("graph/ops/test_dropout.py"),
        [Example([normal(*shape), RATE, ON], {}, {1, 2}, training=True) for shape in ((4, 3), (2, 3, 4))],
        allocates=[Example([X, RATE, ON], {}, {1, 2}, training=True)],
    ),
    "GaussianDropout": noise({"deviation": 0.5}),
    "GaussianNoise": noise({"deviation": 0.5}),
    "SharedDropout": noise({"rate": 0.3, "shared": (1,)}, {"rate": 0.3, "shared": (0, 2)}),
    "GumbelNoise": noise({}),
    "Sample": OpCase(
        None,
        [Example([normal(*shape), normal(*shape)], training=on) for shape in SHAPES for on in (True, False)],
        allocates=[Example([CUBE, CUBE], training=True)],
        batched=batch(0, 1),
    ),
    "StraightThrough": OpCase(
        None,
        Elsewhere("graph/ops/test_dropout.py"),
        no_rows=[Example([normal(0, 3), normal(0, 3)])],
        allocates=[Example([CUBE, CUBE])],
    ),
    "UniformNoise": noise({"width": 0.5}),
}
