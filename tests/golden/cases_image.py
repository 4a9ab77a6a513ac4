"""The golden cases of layers that bring images to a size, and of augmentation.

``augmentation_cases`` are of training, with the random numbers given: a case has the layer, the shape of the images, and
``draws``, the numbers in [0, 1) that stand for Keras's, in its order, one a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import Case, graph, single

FIRST = {"data_format": "channels_first"}
HALF = {"height": 4, "width": 3}
RANDOM: dict[str, dict[str, Any]] = {
    "RandomFlip": {},
    "RandomRotation": {"factor": 0.2},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": [-0.1, 0.3]},
    "RandomZoom": {"height_factor": 0.2},
    "RandomContrast": {"factor": 0.5},
    "RandomBrightness": {"factor": 0.2},
}


def layer_cases() -> list[Case]:
    pixels = np.random.default_rng(5).integers(0, 256, (2, 5, 6, 2))
    bytes_in = {"x": {"shape": [5, 6, 2], "dtype": "uint8"}}
    scaled = {"name": "y", "type": "Rescaling", "scale": 1 / 255}
    cases = [
        single("default", [5, 6, 2], "Resizing", HALF),
        single("larger", [3, 2, 2], "Resizing", {"height": 5, "width": 7}),
        single("same", [3, 4, 2], "Resizing", {"height": 3, "width": 4, "interpolation": "bicubic"}),
        single("one_axis", [3, 4, 2], "Resizing", {"height": 3, "width": 7, "interpolation": "lanczos3"}),
        single("time", [None, None, 2], "Resizing", {"height": 4, "width": 7}),
        single("channels_first", [2, 5, 6], "Resizing", {**HALF, **FIRST}),
        single("antialias", [7, 6, 2], "Resizing", {**HALF, "antialias": True}),
        single("antialias_larger", [3, 2, 2], "Resizing", {"height": 4, "width": 5, "antialias": True}),
        single("nearest", [5, 6, 2], "Resizing", {**HALF, "interpolation": "nearest"}),
        single("nearest_ties", [10, 4, 1], "Resizing", {"height": 7, "width": 6, "interpolation": "nearest"}),
        single("nearest_whole", [2, 3, 2], "Resizing", {"height": 6, "width": 6, "interpolation": "nearest"}),
        single("crop", [5, 6, 2], "Resizing", {"height": 4, "width": 2, "crop_to_aspect_ratio": True}),
        single("crop_wide", [6, 5, 2], "Resizing", {"height": 2, "width": 4, "crop_to_aspect_ratio": True}),
        single("pad", [5, 6, 2], "Resizing", {"height": 4, "width": 2, "pad_to_aspect_ratio": True}),
        single(
            "pad_wide",
            [2, 6, 4],
            "Resizing",
            {"height": 2, "width": 5, "pad_to_aspect_ratio": True, "fill_value": 1.5, **FIRST},
        ),
        graph("Resizing-uint8", bytes_in, {"name": "small", "type": "Resizing", **HALF}, scaled, values={"x": pixels}),
        graph(
            "Resizing-uint8_bicubic",
            bytes_in,
            {"name": "large", "type": "Resizing", "height": 9, "width": 11, "interpolation": "bicubic"},
            scaled,
            values={"x": (pixels > 128) * 255},
        ),
        single("even", [6, 5, 2], "CenterCrop", {"height": 4, "width": 3}),
        single("odd", [6, 5, 2], "CenterCrop", {"height": 3, "width": 2}),
        single("whole", [3, 4, 2], "CenterCrop", {"height": 3, "width": 4}),
        single("smaller", [3, 6, 2], "CenterCrop", {"height": 4, "width": 5}),
        single("channels_first", [2, 6, 5], "CenterCrop", {"height": 3, "width": 4, **FIRST}),
        single("smaller_channels_first", [2, 3, 3], "CenterCrop", {"height": 2, "width": 5, **FIRST}),
    ]
    for kernel in ("bicubic", "lanczos3", "lanczos5"):
        cases += [
            single(kernel, [5, 6, 2], "Resizing", {"height": 8, "width": 4, "interpolation": kernel}),
            single(f"{kernel}_antialias", [7, 6, 1], "Resizing", {**HALF, "interpolation": kernel, "antialias": True}),
        ]
    cases += [single("inference", [4, 3, 2], name, args) for name, args in RANDOM.items()]
    return cases


def draws(count: int, columns: int) -> list[list[float]]:
    """Multiples of 2⁻¹⁰, so that every dtype holds them."""
    return (np.random.default_rng(columns).integers(0, 1024, (columns, count)) / 1024).tolist()


def augmentation(label: str, name: str, args: dict[str, Any], columns: int, shape: list[int] | None = None) -> Case:
    return {
        "id": f"{name}-{label}",
        "layer": {"type": name, **args},
        "shape": shape or [3, 5, 6, 2],
        "draws": draws(3, columns),
    }


def augmentation_cases() -> list[Case]:
    cases = [
        augmentation("default", "RandomFlip", {}, 1),
        augmentation("horizontal", "RandomFlip", {"mode": "horizontal"}, 1),
        augmentation("vertical_channels_first", "RandomFlip", {"mode": "vertical", **FIRST}, 1),
        augmentation("pair", "RandomRotation", {"factor": [-0.1, 0.3]}, 1),
        augmentation("channels_first", "RandomRotation", {"factor": 0.5, **FIRST}, 1),
        augmentation("default", "RandomTranslation", {"height_factor": 0.4, "width_factor": 0.3}, 2),
        augmentation("far", "RandomTranslation", {"height_factor": [-1.0, 0.9], "width_factor": 1.0}, 2),
        augmentation("channels_first", "RandomTranslation", {"height_factor": 0.5, "width_factor": 0.2, **FIRST}, 2),
        augmentation("default", "RandomZoom", {"height_factor": 0.5}, 1),
        augmentation("pair", "RandomZoom", {"height_factor": [-0.5, 0.2], "width_factor": [0.1, 1.0]}, 2),
        augmentation("channels_first", "RandomZoom", {"height_factor": 0.3, "width_factor": 0.4, **FIRST}, 2),
        augmentation("default", "RandomContrast", {"factor": 0.4}, 1),
        augmentation("pair", "RandomContrast", {"factor": [0.2, 0.9], "value_range": [0, 100]}, 1),
        augmentation("channels_first", "RandomContrast", {"factor": [0.5, 0.5], **FIRST}, 1),
        augmentation("default", "RandomBrightness", {"factor": 0.4}, 1),
        augmentation("pair", "RandomBrightness", {"factor": [-0.6, 0.1], "value_range": [20, 220]}, 1),
    ]
    for fill in ("constant", "nearest", "reflect", "wrap"):
        for interpolation in ("nearest", "bilinear"):
            args = {"fill_mode": fill, "interpolation": interpolation, "fill_value": 7.0}
            cases += [
                augmentation(f"{fill}_{interpolation}", "RandomRotation", {"factor": 0.5, **args}, 1),
                augmentation(f"{fill}_{interpolation}", "RandomZoom", {"height_factor": [0.2, 1.0], **args}, 1),
            ]
    crop = {"height": 3, "width": 2}
    return [
        *cases,
        {**augmentation("default", "RandomCrop", crop, 2), "draws": [[0.75], [0.375]]},
        {**augmentation("last", "RandomCrop", crop, 2, [2, 6, 5, 1]), "draws": [[1023 / 1024], [1023 / 1024]]},
        {
            **augmentation("channels_first", "RandomCrop", {**crop, **FIRST}, 2, [3, 2, 6, 5]),
            "draws": [[0.125], [0.5]],
        },
    ]
