"""The entry of the operator in ``graphspec/graph/ops/masked_norm.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.case import Example, OpCase, batch, normal, positive

CASES = {
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
}
