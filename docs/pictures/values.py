"""Pictures of layers that change values inside a network: normalization, and what acts in training only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from docs.pictures.canvas import Array, Canvas, number
from docs.pictures.compute import run, train

BATCH = np.array([[1.0, 20.0, 0.2], [3.0, 60.0, 0.4], [2.0, 40.0, 0.9], [6.0, 80.0, 0.5]])


def normalization() -> str:
    canvas = Canvas(
        "Which values share a mean and a variance",
        "Two rows of a batch, each with three places and four channels. Cells with one number share a mean and a "
        "variance: in BatchNormalization all cells of a channel, in LayerNormalization all channels of a place, "
        "in GroupNormalization a group of channels of one row. Below: a batch of four rows and three features "
        "before and after, with means and standard deviations.",
    )
    kinds: tuple[tuple[str, list[str], Callable[[int, int, int], int]], ...] = (
        ("BatchNormalization", ["over the batch and all", "places, per channel"], lambda row, place, channel: channel),
        (
            "LayerNormalization",
            ["over the channels, per", "place (RMS likewise)"],
            lambda row, place, channel: 3 * row + place,
        ),
        (
            "GroupNormalization",
            ["groups: 2, over places", "and channels of a group"],
            lambda row, place, channel: 2 * row + channel // 2,
        ),
        (
            "GroupNormalization",
            ["groups: 4, each channel", "of each row by itself"],
            lambda row, place, channel: 4 * row + channel,
        ),
    )
    for k, (name, about, group) in enumerate(kinds):
        x, y = 20 + 184 * k, 66.0
        canvas.text(x, y, name, "h")
        canvas.texts(x, y + 19, about, "m")
        for row in range(2):
            left = x + 86 * row
            canvas.text(left + 38, y + 62, f"row {row}", "m", "middle")
            groups = np.array([[group(row, place, channel) for channel in range(4)] for place in range(3)])
            canvas.cells(left, y + 68, groups, (19, 24), plain=True)
            for (place, channel), member in np.ndenumerate(groups):
                canvas.rect(left + 19 * channel, y + 68 + 24 * place, 19, 24, f"f{member % 6}", 0.3)
    canvas.text(
        20,
        228,
        ("Columns are channels, lines are places (steps or pixels). Cells with one number belong together."),
        "m",
    )
    y = 268.0
    batch = train({"type": "BatchNormalization"}, BATCH)
    layer = run({"type": "LayerNormalization"}, BATCH)
    statistics(canvas, 20, y, "before", BATCH, 0)
    statistics(canvas, 286, y, "BatchNormalization", batch, 0)
    statistics(canvas, 552, y, "LayerNormalization", layer, 1)
    canvas.texts(
        20,
        y + 240,
        [
            "In training, BatchNormalization measures the batch; in inference it uses running means from training.",
            (
                "Afterwards both layers multiply by gamma and add beta, which are trained (here 1 and 0, the initial "
                "values)."
            ),
        ],
        "m",
    )
    return canvas.svg(544)


def statistics(canvas: Canvas, x: float, y: float, name: str, values: Array, axis: int) -> None:
    """A batch with the mean and the standard deviation of its columns (axis 0) or its rows."""
    canvas.text(x, y, name, "h")
    w, h = 44.0, 28.0
    canvas.cells(x, y + 12, values, (w, h), plain=name == "before")
    means, deviations = values.mean(axis), values.std(axis)
    if axis == 0:
        for label, found, down in (("mean", means, 20), ("deviation", deviations, 66)):
            canvas.text(x, y + 12 + 4 * h + down, label, "m")
            for k, value in enumerate(found):
                canvas.text(x + w * (k + 0.5), y + 12 + 4 * h + down + 19, number(value), "b", "middle")
    else:
        canvas.text(x, y + 12 + 4 * h + 20, "right: mean, deviation", "m")
        for k in range(4):
            canvas.text(x + 3 * w + 8, y + 12 + h * k + 18, f"{number(means[k])}, {number(deviations[k])}", "b")


ROWS = np.round(np.random.default_rng(4).uniform(0.5, 3, (4, 6)), 1)


def regularization() -> str:
    canvas = Canvas(
        "Layers that act in training only",
        "Four rows of six values. Dropout with rate 0.4 sets about four in ten values to 0 in training, others in "
        "every step, and divides the rest by 0.6; in inference it changes nothing. SpatialDropout1D drops whole "
        "channels, GaussianNoise adds noise.",
    )
    half = {"type": "Dropout", "rate": 0.4}
    columns = np.asarray(ROWS)
    shown = (
        ("the input", "four rows of six values", columns),
        ("Dropout, rate: 0.4", "in training, one step", train(half, columns, seed=3, step=0)),
        ("Dropout, rate: 0.4", "the next step", train(half, columns, seed=3, step=1)),
        ("Dropout in inference", "nothing changes", run(half, columns)),
        (
            "SpatialDropout1D",
            "columns are channels",
            train({"type": "SpatialDropout1D", "rate": 0.4}, columns[None], seed=6)[0],
        ),
        ("GaussianNoise", "stddev: 0.5, in training", train({"type": "GaussianNoise", "stddev": 0.5}, columns, seed=3)),
    )
    for k, (name, about, values) in enumerate(shown):
        x, y = 20 + 246 * (k % 3), 66 + 192 * (k // 3)
        canvas.text(x, y, name, "h")
        canvas.text(x, y + 19, about, "m")
        canvas.cells(x, y + 30, values, (37, 29), top=5)
    first = float(columns[0, 0])
    canvas.texts(
        20,
        446,
        [
            (
                f"What stays is divided by 1 − rate, so that sums stay the same on average: {number(first)} / 0.6 = "
                f"{number(first / 0.6)}."
            ),
            "In inference, and in an exported file, these layers are gone.",
        ],
        "m",
    )
    return canvas.svg(482)
