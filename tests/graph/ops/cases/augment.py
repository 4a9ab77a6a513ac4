"""Entries of the operators in ``graphspec/graph/ops/augment.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import large
from graph.ops.cases.case import Example, OpCase, batch, normal

IMAGES, PLANES = large(20, 64, 48, 3), large(20, 3, 64, 48)

CASES = {
    "RandomCrop": OpCase(
        None,
        [
            Example([normal(2, 3, 5, 6), np.array([[0.7, 0.2]]), normal(3, 5), normal(6, 4)], {}, {2, 3}, [0], training)
            for training in (True, False)
        ],
        allocates=[Example([PLANES, np.array([[0.3, 0.9]]), large(40, 64), large(48, 24)], {}, {2, 3}, [0], True)],
    ),
    "Recolor": OpCase(
        None,
        [
            Example(
                [normal(3, 4, 3, 2), *(normal(3, 1) if k in given else None for k in (1, 2))],
                {"low": -1.0, "high": 0.8, "axes": axes},
                wrt=[0],
                training=True,
            )
            for given in ({1}, {2}, {1, 2})
            for axes in ((1, 2), (2, 3))
        ],
        allocates=[
            Example(inputs, {"low": -1.0, "high": 1.0, "axes": axes}, wrt=[0], training=True)
            for inputs, axes in (([IMAGES, large(20, 1), large(20, 1)], (1, 2)), ([PLANES, large(20, 1)], (2, 3)))
        ],
        batched=batch(0, 1, 2),
    ),
    "RowUniform": OpCase(
        None,
        "it draws numbers, whatever its input holds",
        no_rows=[Example([large(0, 4)], {"low": (0.0, 1.0), "high": (1.0, 2.0)}, wrt=[0], training=True)],
        allocates=[Example([large(120_000, 1)], {"low": (0.0,), "high": (1.0,)}, wrt=[0], training=True)],
    ),
}
