"""MaskedBatchNormalization, which ONNX does not have."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import check_gradients, run

SHAPES = [((4, 3, 5), (4, 1, 5)), ((4, 3, 2, 3), (4, 1, 2, 1)), ((6, 3), (6, 1)), ((4, 3, 5), (4, 3, 1))]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("shape", "mask"), SHAPES)
def test_gradients(shape: tuple[int, ...], mask: tuple[int, ...], training: bool) -> None:
    random = np.random.default_rng(1)
    vectors = [random.normal(size=3), random.normal(size=3), random.normal(size=3), random.random(3) + 0.5]
    inputs = [random.normal(size=shape), (random.random(mask) < 0.6).astype(float), *vectors]
    check_gradients("MaskedBatchNormalization", inputs, [0, 2, 3], training=training)


def test_without_a_batch_of_its_own_it_is_batch_normalization() -> None:
    random = np.random.default_rng(2)
    X = random.normal(size=(4, 3, 5)).astype(np.float32)
    vectors = [(random.random(3) + 0.5).astype(np.float32) for _ in range(4)]
    W = np.ones((4, 1, 5), np.float32)
    (masked,) = run("MaskedBatchNormalization", [X, W, *vectors], epsilon=0.1)
    (plain,) = run("BatchNormalization", [X, *vectors], epsilon=0.1)
    np.testing.assert_allclose(masked, plain, rtol=1e-5, atol=1e-6)
