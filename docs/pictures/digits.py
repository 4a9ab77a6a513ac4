"""The picture of layers that prepare pictures, on a digit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from docs.pictures.canvas import Array, Canvas
from docs.pictures.compute import run, train

DIGITS = Path(__file__).parents[2] / "examples" / "drawing-pad" / "digits_train.npz"

SIZE, MIDDLE = 16, 12
"""The pixels of the resized picture and of its middle."""
SEEDS = {
    "RandomFlip": (0, 1, 9),
    "RandomRotation": (2, 5, 9),
    "RandomTranslation": (9, 10, 11),
    "RandomZoom": (8, 9, 10),
    "RandomContrast": (8, 9, 10),
    "RandomBrightness": (7, 9, 10),
}
"""Seeds whose draws differ visibly, by layer."""


def pictures() -> str:
    with np.load(DIGITS) as found:
        digit = found["image"][np.flatnonzero(found["digit"] == 7)[0]]
    small = (digit.astype(np.float32) / 16)[None]
    canvas = Canvas(
        "What the layers make of one picture",
        "A handwritten seven of 8 by 8 pixels; Resizing makes 16 by 16 of it, and CenterCrop takes the middle "
        "out. Then three random versions each: mirrored by RandomFlip, turned by RandomRotation, moved by "
        "RandomTranslation, enlarged or reduced by RandomZoom, with other contrast or brightness.",
    )
    large = np.clip(run({"type": "Resizing", "height": SIZE, "width": SIZE}, small), 0, 1)
    canvas.text(20, 66, "in training and in inference", "h")
    still: tuple[tuple[str, str, Array, float], ...] = (
        ("the picture", "8 × 8", small, 72.0),
        ("Resizing", f"to {SIZE} × {SIZE}", large, 72.0),
        (
            "CenterCrop",
            f"to {MIDDLE} × {MIDDLE}",
            run({"type": "CenterCrop", "height": MIDDLE, "width": MIDDLE}, large),
            72.0 * MIDDLE / SIZE,
        ),
    )
    for k, (name, about, pixels, size) in enumerate(still):
        x = 20 + 120.0 * k
        canvas.text(x, 90, name, "b")
        canvas.text(x, 107, about, "m")
        canvas.shades(x, 116, size, pixels[0, :, :, 0])
    canvas.texts(
        400,
        120,
        [
            "The random layers below draw anew for each picture",
            "and each step of training. In inference, pictures pass",
            "unchanged. Dark pixels have high values.",
        ],
        "m",
    )
    canvas.text(20, 222, "in training only: three draws each", "h")
    nothing = {"fill_mode": "constant"}
    shown: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("RandomFlip", "mode: horizontal", {"mode": "horizontal"}),
        ("RandomRotation", "factor: 0.1", {"factor": 0.1, **nothing}),
        ("RandomTranslation", "up to 0.2 of the size", {"height_factor": 0.2, "width_factor": 0.2, **nothing}),
        ("RandomZoom", "height_factor: 0.3", {"height_factor": 0.3, **nothing}),
        ("RandomContrast", "factor: [0.5, 0.5]", {"factor": [0.5, 0.5], "value_range": [0, 1]}),
        ("RandomBrightness", "factor: 0.4", {"factor": 0.4, "value_range": [0, 1]}),
    )
    for k, (name, about, config) in enumerate(shown):
        x, y = 20 + 246.0 * (k % 3), 248 + 126.0 * (k // 3)
        canvas.text(x, y, name, "b")
        canvas.text(x, y + 17, about, "m")
        for draw, seed in enumerate(SEEDS[name]):
            pixels = train({"type": name, **config}, large, seed=seed)
            canvas.shades(x + 76 * draw, y + 26, 70, pixels[0, :, :, 0])
    return canvas.svg(494)
