"""Entries of the operators in ``graphspec/graph/ops/loss.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import X, large
from graph.ops.cases.case import Example, OpCase, batch, ids, ints, normal, positive
from graph.ops.cases.draw import Array


def with_targets(*targets: Array) -> OpCase:
    """Of numbers and targets in the same shape; the first have a gradient."""
    examples = [Example([normal(*t.shape), t], wrt=[0]) for t in targets]
    return OpCase(None, examples, allocates=[Example([X, large(300, 400)])], batched=batch(0, 1))


CASES = {
    "SigmoidCrossEntropy": with_targets(positive(4, 3), positive(2, 3, 1)),
    "SoftmaxCrossEntropy": with_targets(positive(4, 3), positive(2, 3, 80), positive(2, 3, 4)),
    "SparseSoftmaxCrossEntropy": OpCase(
        None,
        [
            Example([normal(4, 3), ints(0, 2, 1, 2)]),
            Example([normal(2, 2, 80), np.array([[0, 79], [3, 3]])]),
            Example([normal(3, 2, 5), np.array([[0, 4], [3, 3], [1, 0]])]),
        ],
        allocates=[Example([large(120_000 // n, n), ids(n, 120_000 // n)]) for n in (8, 400)],
        batched=batch(0, 1),
    ),
    "SquaredError": with_targets(positive(4, 3), positive(5, 1), positive(2, 3, 4)),
    "PerRow": OpCase(None, [Example([normal(4, 3)])]),
    "ReduceLoss": OpCase(
        None,
        [
            Example([normal(4, 3), weight, mask], {"reduction": reduction}, wrt=[0])
            for reduction in ("sum", "sum_over_batch_size", "mean_with_sample_weight")
            for weight in (None, positive(4), positive(4, 3))
            for mask in (None, np.array([True, False, True, True]))
        ],
        allocates=[Example([X, large(300), X > 0])],
        batched=batch(0, 1, 2),
    ),
    "RowShare": OpCase(None, [Example([normal(4, 3)])]),
}
