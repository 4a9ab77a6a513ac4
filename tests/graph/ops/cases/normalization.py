"""Entries of the operators in ``graphspec/graph/ops/normalization.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import ROW, X, large
from graph.ops.cases.case import Elsewhere, Example, OpCase, batch, normal, positive

BATCH = Elsewhere("graph/ops/test_batch_norm.py")


HERE = Elsewhere("graph/ops/test_layer_norm.py")


EPSILON = {"epsilon": 1e-2}


CASES = {
    "BatchNormalization": OpCase(
        BATCH,
        [  # by given moments; those of the batch: test_batch_norm.py
            Example(
                [normal(4, 3, 2), normal(3), normal(3), normal(3), positive(3)], {"training_mode": 0}, wrt=[0, 1, 2]
            )
        ],
        no_rows=[
            Example(
                [normal(0, 3, *sizes), normal(3), normal(3), normal(3), positive(3)], {"training_mode": mode}, wrt=wrt
            )
            for sizes in ((), (5,), (4, 5))
            for mode, wrt in ((0, [0, 1, 2, 3, 4]), (1, [0, 1, 2]))
        ],
        allocates=[
            Example(
                [large(40, 30, 100), large(30), large(30), large(30), abs(large(30))], {"training_mode": mode}, wrt=wrt
            )
            for mode, wrt in ((0, [0, 1, 2]), (1, [0, 1, 2]))
        ],
    ),
    "MaskedBatchNormalization": OpCase(
        None,
        [
            Example(
                [normal(5, 3, 2), W, positive(3), normal(3), normal(3), positive(3)],
                wrt=[0, 2, 3],
                training=training,
            )
            for W in (np.round(positive(5, 1, 2) / 2), np.ones((5, 1, 1)))
            for training in (True, False)
        ],
        batched=batch(0, 1),
    ),
    "GroupNormalization": OpCase(
        HERE,
        [
            Example([normal(2, 4, *sizes), normal(4), normal(4)], {"num_groups": groups, **EPSILON})
            for groups, sizes in ((2, (3,)), (4, (2, 3)), (1, (2, 2)))
        ],
        no_rows=[
            Example([normal(0, 4, 4), normal(4), normal(4)], {"num_groups": 2}),
            Example([normal(0, 4), normal(4), normal(4)], {"num_groups": 2}),
        ],
        allocates=[Example([large(10, 60, 20, 10), large(60), large(60)], {"num_groups": 6})],
    ),
    "LayerNormalization": OpCase(
        HERE,
        [
            Example([normal(3, 4), normal(4), normal(4)], EPSILON),
            Example([normal(2, 3, 4), normal(4)], EPSILON),
            Example([normal(2, 4, 3), normal(3), normal(3)], EPSILON),
            Example([normal(2, 3, 4), normal(3, 4), normal(3, 4)], {"axis": 1, **EPSILON}),
        ],
        allocates=[Example([X, ROW, ROW])],
    ),
    "LpNormalization": OpCase(
        HERE,
        [Example([normal(2, 3, 4)], {"axis": axis, "p": p}) for axis in (-1, 1) for p in (1, 2)],
        allocates=[Example([X], {"axis": axis, "p": p}) for axis in (0, 1) for p in (1, 2)],
    ),
    "RMSNormalization": OpCase(
        HERE,
        [
            Example([normal(3, 4), normal(4)], EPSILON),
            Example([normal(2, 3, 4), normal(3, 4)], {"axis": 1, **EPSILON}),
        ],
        allocates=[Example([X, ROW])],
    ),
    "RunningMean": OpCase(
        None,
        "no gradient flows through it",
        no_rows="weights have no rows",
        allocates="weights do not grow with the batch",
    ),
    "SpectralScale": OpCase(
        None,
        [Example([normal(3, 4), normal(1, 4)], {"sizes": (3, 4), "columns": 1}, wrt=[0])],
        no_rows="weights have no rows",
        allocates="weights do not grow with the batch",
    ),
}
