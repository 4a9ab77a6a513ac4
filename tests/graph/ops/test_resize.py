"""Resize: against onnxruntime, and its gradients."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import check_gradients
from layouts import both_layouts, normal, same


@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_resize(mode: str, coordinates: str, nearest: str) -> None:
    if mode != "nearest" and nearest != "floor":
        return
    attrs = {"mode": mode, "coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
    X = normal(0, 2, 3, 4, 5)
    for scales in ([1, 1, 2, 3], [1, 1, 2, 1], [1, 1, 1.5, 0.5], [1, 1, 0.4, 2.7]):
        inputs = [X, None, np.array(scales, np.float32)]
        same("Resize", inputs, {2}, **attrs)
        check_gradients("Resize", inputs, [0], {2}, **attrs)
    same("Resize", [X, None, None, np.array([2, 3, 7, 3])], {3}, **attrs)


@pytest.mark.parametrize("scales", [[1, 1, 2, 3], [1, 1, 1.5, 2]])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize_in_other_layouts(mode: str, scales: list[float]) -> None:
    attrs = {"mode": mode, "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    both_layouts("Resize", [normal(0, 2, 3, 4, 5), None, np.array(scales, np.float32)], [0], constants={2}, **attrs)
