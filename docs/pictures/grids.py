"""Pictures of layers on small pictures: convolution, pooling, and the layers that move cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from docs.pictures.canvas import Array, Canvas, number
from docs.pictures.compute import run
from docs.pictures.units import shape

PICTURE = np.zeros((6, 6))
PICTURE[:, 3:] = 1.0
PICTURE[4:, 2] = 1.0
EDGES = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
DIAMOND = np.array([[0.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 0.0]])


def convolved(kernel: Array, picture: Array, kind: str = "Conv2D", **more: Any) -> Array:
    """A picture after one convolution with one channel and no bias."""
    config = {"type": kind, "filters": 1, "kernel_size": 3, "use_bias": False, **more}
    found = run(config, picture[None, :, :, None], weights={"kernel": kernel[:, :, None, None]})
    return np.asarray(found[0, :, :, 0])


def convolution() -> str:
    canvas = Canvas(
        "A convolution moves one kernel over the picture",
        "A picture of 6 by 6 pixels that is 0 on the left and 1 on the right, a kernel of 3 by 3 weights that "
        "finds vertical edges, and the result, which is large along the edge. Below: the results with padding "
        "same, strides 2 and dilation_rate 2, and a transposed convolution that makes a larger picture.",
    )
    size = 30.0
    found = convolved(EDGES, PICTURE)
    row, column = 2, 1
    top = 92.0
    canvas.text(20, top - 10, "picture (6, 6, 1)", "m")
    canvas.cells(20, top, PICTURE, size, top=2)
    canvas.rect(20 + size * column, top + size * row, 3 * size, 3 * size, "mark")
    canvas.text(276, top + 30, "kernel (3, 3, 1, 1)", "m")
    canvas.cells(276, top + 40, EDGES, size, top=3)
    canvas.text(252, top + 90, "∗", "t", "middle")
    canvas.text(392, top + 90, "=", "t", "middle")
    canvas.text(420, top + 15, "result (4, 4, 1)", "m")
    canvas.cells(420, top + 25, found, size, top=6)
    canvas.rect(420 + size * column, top + 25 + size * row, size, size, "mark")
    window = PICTURE[row : row + 3, column : column + 3]
    canvas.text(566, top + 38, "the marked window", "b")
    for k in range(3):
        terms = " + ".join(f"{number(a)}·{bracket(b)}" for a, b in zip(window[k], EDGES[k], strict=True))
        canvas.text(566, top + 60 + 20 * k, terms + (" +" if k < 2 else f" = {number(found[row, column])}"))
    canvas.texts(
        566, top + 126, ["The sum of the products is", "large where the picture gets", "brighter to the right."], "m"
    )
    y = 336.0
    options: tuple[tuple[str, dict[str, Any], list[str]], ...] = (
        ("padding: same", {"padding": "same"}, ["zeros around the picture:", "the result is as large"]),
        ("strides: 2", {"strides": 2}, ["every second", "window"]),
        ("dilation_rate: 2", {"dilation_rate": 2}, ["the kernel's cells", "are two pixels", "apart"]),
    )
    for (name, more, about), x in zip(options, (20.0, 204.0, 326.0), strict=True):
        values = convolved(EDGES, PICTURE, **more)
        canvas.text(x, y, name, "h")
        canvas.cells(x, y + 12, values, 26.0, top=6)
        below = y + 12 + 26 * len(values) + 17
        canvas.texts(x, below, [shape(values[..., None]), *about], "m")
    small = np.array([[1.0, 0.0], [0.0, 2.0]])
    larger = convolved(DIAMOND, small, "Conv2DTranspose", strides=2)
    canvas.text(484, y, "Conv2DTranspose, strides: 2", "h")
    canvas.cells(484, y + 12, small, 26.0, top=3)
    canvas.text(484, y + 81, shape(small[..., None]), "m")
    canvas.arrow(542, y + 38, 590, y + 38)
    canvas.cells(598, y + 12, larger, 28.0, top=3)
    canvas.texts(
        484,
        y + 12 + 28 * len(larger) + 17,
        [f"{shape(larger[..., None])}: each cell is spread over", "3 by 3 cells; where these meet,", "they are added"],
        "m",
    )
    return canvas.svg(566)


def bracket(value: float) -> str:
    return number(value) if value >= 0 else f"({number(value)})"


VALUES = np.array([[1.0, 3.0, 2.0, 0.0], [5.0, 4.0, 1.0, 1.0], [0.0, 2.0, 8.0, 6.0], [2.0, 0.0, 7.0, 3.0]])


def pooling() -> str:
    canvas = Canvas(
        "Pooling keeps one value of each window",
        "A picture of 4 by 4 numbers, cut into four windows of 2 by 2. MaxPooling2D keeps the largest number of "
        "each window, AveragePooling2D the mean; with strides 1 the windows overlap; the global layers leave one "
        "number; the adaptive ones have a given size.",
    )

    def pooled(kind: str, **more: Any) -> Array:
        found = run({"type": kind, **more}, VALUES[None, :, :, None])
        return np.asarray(found[0, ..., 0])

    canvas.text(20, 70, "picture (4, 4, 1)", "m")
    canvas.cells(20, 80, VALUES, 42.0, top=10)
    for r in range(2):
        for c in range(2):
            canvas.rect(20 + 84 * c, 80 + 84 * r, 84, 84, "mark")
    canvas.texts(20, 272, ["Each channel of a picture is", "pooled by itself."], "m")
    shown = (
        ("MaxPooling2D", "the largest of a window", pooled("MaxPooling2D")),
        ("AveragePooling2D", "the mean of a window", pooled("AveragePooling2D", pool_size=2)),
        ("MaxPooling2D", "strides: 1, windows overlap", pooled("MaxPooling2D", strides=1)),
        ("GlobalMaxPooling2D", "one value per channel", pooled("GlobalMaxPooling2D")),
        ("GlobalAveragePooling2D", "one value per channel", pooled("GlobalAveragePooling2D")),
        ("AdaptiveMaxPooling2D", "output_size: [1, 2]", pooled("AdaptiveMaxPooling2D", output_size=[1, 2])),
    )
    for k, (name, about, values) in enumerate(shown):
        x, y = (206, 368, 560)[k % 3], 70 + 178 * (k // 3)
        canvas.text(x, y, name, "h")
        canvas.text(x, y + 19, about, "m")
        w, h = canvas.cells(x, y + 30, values, 36.0, top=10)
        size = "(1)" if values.ndim == 0 else shape(values[..., None])
        canvas.text(x + w + 8, y + 30 + h / 2 + 4, size, "m")
    return canvas.svg(338)


CELLS = np.arange(1.0, 7.0).reshape(2, 3)


def reshaping() -> str:
    canvas = Canvas(
        "Layers that move, repeat or remove values",
        "Six numbered cells in two rows of three. Flatten puts them into one line, Reshape into three rows of two "
        "in the same order, Permute exchanges rows and columns. ZeroPadding2D adds a border of zeros, Cropping2D "
        "removes one, UpSampling2D repeats each cell, RepeatVector repeats a row.",
    )

    def square(config: dict[str, Any], values: Array) -> Array:
        return np.asarray(run(config, values[None, :, :, None])[0, :, :, 0])

    def row(x: float, y: float, name: str, about: str, values: Array, wide: float = 28.0) -> None:
        canvas.text(x, y, name, "h")
        canvas.text(x, y + 19, about, "m")
        w, h = canvas.cells(x, y + 30, values, (wide, 28.0), top=9)
        canvas.text(x + w + 8, y + 30 + h / 2 + 4, shape(values), "m")

    row(20, 66, "the input", "two rows of three", CELLS)
    row(206, 66, "Flatten", "all cells in one line", run({"type": "Flatten"}, CELLS[None])[0])
    row(
        456,
        66,
        "RepeatVector, n: 2",
        "of the line: rows of it",
        run({"type": "RepeatVector", "n": 2}, CELLS.reshape(1, 6))[0],
    )
    reshaped = run({"type": "Reshape", "target_shape": [3, 2]}, CELLS[None])[0]
    permuted = run({"type": "Permute", "dims": [2, 1]}, CELLS[None])[0]
    row(20, 196, "Reshape, [3, 2]", "read in the same order", reshaped)
    row(206, 196, "Permute, dims: [2, 1]", "rows become columns", permuted)
    padded = square({"type": "ZeroPadding2D", "padding": 1}, CELLS)
    row(20, 362, "ZeroPadding2D", "padding: 1, for pictures", padded)
    row(236, 362, "Cropping2D", "of the padded, cropping: 1", square({"type": "Cropping2D", "cropping": 1}, padded))
    enlarged = square({"type": "UpSampling2D", "size": 2}, CELLS)
    row(456, 196, "UpSampling2D", "size: 2, nearest", enlarged)
    smooth = square({"type": "UpSampling2D", "size": 2, "interpolation": "bilinear"}, CELLS)
    row(456, 362, "UpSampling2D", "interpolation: bilinear", smooth, 37.0)
    return canvas.svg(526)
