"""The forms of losses in training: their gradients, against the runtime's own operators."""

from __future__ import annotations

import numpy as np
import pytest
from derivatives import check_derivatives

random = np.random.default_rng(0)
LOGITS = random.standard_normal((5, 4))


def test_cross_entropies() -> None:
    targets = random.dirichlet(np.ones(4), 5)
    check_derivatives("SparseSoftmaxCrossEntropy", [LOGITS, np.array([0, 3, 1, 1, 2])], [0], {1})
    check_derivatives("SoftmaxCrossEntropy", [LOGITS, targets], [0], {1})
    X = np.concatenate([LOGITS, np.zeros((1, 4)), np.full((1, 4), 30.0), np.full((1, 4), -30.0)])
    check_derivatives("SigmoidCrossEntropy", [X, np.tile([0.0, 1.0, 0.3, 1.0], (8, 1))], [0], {1})


def test_squared_error() -> None:
    check_derivatives("SquaredError", [LOGITS, random.standard_normal((5, 4))], [0], {1})


@pytest.mark.parametrize("reduction", ["sum", "mean", "sum_over_batch_size", "mean_with_sample_weight"])
def test_reductions_of_losses(reduction: str) -> None:
    weight, mask = np.abs(random.standard_normal(5)), random.uniform(size=(5, 4)) > 0.5
    check_derivatives("ReduceLoss", [LOGITS], [0], reduction=reduction)
    check_derivatives("ReduceLoss", [LOGITS, weight], [0], {1}, reduction=reduction)
    check_derivatives("ReduceLoss", [LOGITS, None, mask], [0], {2}, reduction=reduction)
    check_derivatives("ReduceLoss", [LOGITS, weight, mask], [0], {1, 2}, reduction=reduction)
    check_derivatives("ReduceLoss", [LOGITS, weight, np.zeros_like(mask)], [0], {1, 2}, reduction=reduction)
