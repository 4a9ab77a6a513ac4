"""The entries of the operators in ``graphspec/graph/ops/crf.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.case import Elsewhere, Example, OpCase, batch, ids, normal

CHAIN = [normal(3, 3), normal(2, 3)]
MASK = np.arange(4) < np.array([[4], [2]])
ALLOCATES = "a recursion over steps, in whole arrays"

CASES = {
    "Viterbi": OpCase(
        None,
        Elsewhere("vocabulary/layers/test_crf.py"),
        no_rows=[Example([normal(0, 4, 3), *CHAIN])],
        allocates=ALLOCATES,
    ),
    "CRFLoss": OpCase(
        None,
        [
            Example([normal(2, 4, 3), *CHAIN, ids(3, 2, 4)]),
            Example([normal(2, 4, 3), *CHAIN, ids(3, 2, 4), MASK]),
            Example([normal(2, 1, 3), *CHAIN, ids(3, 2, 1)]),
        ],
        allocates=ALLOCATES,
        batched=batch(0, 3, 4),
    ),
}
