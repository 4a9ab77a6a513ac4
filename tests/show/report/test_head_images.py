"""A head whose answers are pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from judged import judge, network

PIXELS = np.random.default_rng(0).random((9, 12, 12, 1)).astype("f4")


def section(filters: int, loss: str, y: np.ndarray, size: int = 12) -> str:
    activation = "softmax" if filters == 4 else "sigmoid"
    kernel = {"filters": filters, "kernel_size": 1, "activation": activation}
    layers: list[dict[str, Any]] = [{"name": "h", "type": "Conv2D", **kernel}]
    spec = network(layers, {"loss": loss}, {"x": {"shape": [size, size, 1]}})
    return judge(spec, PIXELS[:, :size, :size], y)[2]


@pytest.mark.parametrize(
    ("filters", "loss", "y"),
    [
        (1, "binary_crossentropy", PIXELS),
        (1, "binary_crossentropy", (PIXELS > 0.5).astype("f4")),
        (3, "mse", np.repeat(PIXELS, 3, -1)),
        (4, "sparse_categorical_crossentropy", (PIXELS[..., 0] * 4).astype(int)),
    ],
)
def test_input_target_and_answer_are_shown(filters: int, loss: str, y: np.ndarray) -> None:
    html = section(filters, loss, y)
    assert html.count('<img src="data:image/png;base64,') == 15
    assert 'alt="target of row' in html
    assert ("Colours of the classes" in html) == (filters == 4)


def test_few_pixels_or_other_channels_are_no_picture() -> None:
    assert "<img" not in section(2, "mse", np.repeat(PIXELS, 2, -1))
    assert "<img" not in section(1, "mse", PIXELS[:, :6, :6], size=6)
