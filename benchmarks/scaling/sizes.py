"""How a step in one process grows with the batch and with the width of layers."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphspec as gs
from benchmarks.networks import ROWS, spec
from benchmarks.prepare import rate
from benchmarks.steps import seconds, trainer_of
from benchmarks.tables import milliseconds, table
from benchmarks.workload import Array

BATCHES = 1, 4, 16, 64, 256, 1024
LEAST = 512
"""Rows, so that they are not learnt by heart: the gradients would be subnormal numbers, which are slow."""
WORKLOADS = "W1", "W5", "W6", "W9"
WIDTHS = 16, 64, 256, 1024
LAYERS = 4
ROWS_OF_DENSE, ROWS_OF_CONVOLUTION, SIDE = 128, 16, 16
MOST_CHANNELS = 256


def batch() -> str:
    """Milliseconds per step (microseconds per row) by batch size."""
    models = {name: gs.compile(spec(name)) for name in WORKLOADS}
    lines = []
    for size in BATCHES:
        cells = [str(size)]
        for name, model in models.items():
            rows = ROWS[name](max(8 * size, LEAST))
            step = seconds(trainer_of(model, rows, batch=size), 0.5)
            cells.append(f"{milliseconds(step)} ({step / size * 1e6:.1f})")
        lines.append(cells)
    return table(["batch", *(f"{name}, ms (µs a row)" for name in WORKLOADS)], lines)


def width() -> str:
    """Milliseconds per step of four layers, and the part of the rate of large matrix products that it reaches."""
    most, lines = 0.0, []
    for w in WIDTHS:
        cells, most = [str(w)], max(most, rate())
        dense = {"type": "Dense", "units": w, "activation": "relu"}
        convolution = {"type": "Conv2D", "filters": w, "kernel_size": 3, "padding": "same", "activation": "relu"}
        for layer, shape, rows, products in (
            (dense, [w], ROWS_OF_DENSE, w * w),
            (convolution, [SIDE, SIDE, w], ROWS_OF_CONVOLUTION, 9 * w * w * SIDE * SIDE),
        ):
            if layer is convolution and w > MOST_CHANNELS:
                cells.append("–")
                continue
            step = _step(layer, shape, rows)
            # Forward and both gradients, but none for the input.
            part = products * rows * (3 * LAYERS - 1) / step / most
            cells.append(f"{milliseconds(step)} ({part:.0%})")
        lines.append(cells)
    return table(["width", "Dense, batch 128", f"Conv2D 3×3 on {SIDE}×{SIDE}, batch 16"], lines)


def _step(layer: dict[str, Any], shape: list[int], rows: int) -> float:
    layers = [{"name": f"n{k}", **layer} for k in range(LAYERS)]
    document = {
        "graphspec": 1,
        "name": "sized",
        "inputs": {"x": {"shape": shape}},
        "layers": layers,
        "outputs": {layers[-1]["name"]: {"loss": "mean_squared_error"}},
        "training": {"optimizer": "sgd"},
    }
    x: Array = np.random.default_rng(0).random((rows, *shape), dtype=np.float32)
    return seconds(trainer_of(gs.compile(document), (x, x), batch=rows), 0.5)
