"""Kernels of softmax, its losses, attention and sigmoids for ``benchmarks.kernels``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.kernels.compiled import TWINS
from graphspec.graph.kernels.softmax import divide_by_sum, largest, softmax_gradient, subtract_largest
from graphspec.graph.ops.attention import scaled_columns
from graphspec.graph.ops.elementwise import gelu_by_tanh
from graphspec.graph.ops.loss import class_gradient, pick, squared_error

Array = np.ndarray[Any, Any]


def softmaxes(
    ctx: Any, normal: Callable[..., Array], number: Callable[[float], Array]
) -> dict[str, tuple[Any, Callable[[Any], Calls]]]:
    """By what they compute: a twin, and the calls of it or of its NumPy part."""
    found: dict[str, tuple[Any, Callable[[Any], Calls]]] = {}

    def add(what: str, twin: Any, *operands: Any, **scratch: Any) -> None:
        found[what] = twin, lambda f: f(*operands, **scratch)

    z, weights, row, total = normal(32, 64, 64), normal(32, 64, 64), normal(32, 1, 64), np.ones((32, 1, 64), np.float32)
    maxima = largest(ctx, z[None], row[None])
    add("Softmax of 32 × 64 × 64 before exp", subtract_largest, z, None, row, z, maxima=lambda: [*maxima], source=z)
    add("after its sums", divide_by_sum, z, total, None, None, None)
    add("its gradient after its sums, 32 × 64 × 64", softmax_gradient, z.copy(), None, row * 0, weights * 0 + 1, None)
    heads = normal(8, 64, 4, 1, 32).transpose(0, 2, 3, 1, 4)
    add("queries as columns, 8 × 64 × 128", scaled_columns, heads, number(0.2), normal(8, 4, 32, 64))
    logits, block, tops = normal(128, 10).T[None], normal(1, 10, 128), normal(1, 1, 128)

    def copied() -> Calls:
        return [(np.copyto, block, logits), (np.maximum.reduce, block, 1, None, tops, True)]

    add(
        "Cross-entropy of 128 × 10 before exp", subtract_largest, logits, None, tops, block, maxima=copied, source=block
    )
    places, labels, values = np.arange(128), np.arange(128) % 10, normal(128)
    indices, step, ones = places + 128 * labels, np.array(128), np.ones(128, np.float32)
    add("logits of its labels", pick, block.reshape(-1), labels, places, step, indices.copy(), values)
    wrong, probabilities = np.zeros(1, np.int64), np.abs(normal(1, 10, 128))
    add("gradient of 128 × 10", class_gradient, probabilities, ones, ones, indices, values, wrong, scale=normal(128))
    x, error, square = normal(16, 1), normal(16, 1), normal(16, 1)
    add("Squared error of 16", squared_error, x, x.copy(), error, square)
    wide, y, t, slope = (normal(65_536) for _ in range(4))
    add("Sigmoid before exp, 65,536", TWINS["logistic_argument"], wide, number(87), y, ctx=ctx)
    add("Sigmoid after it", TWINS["logistic"], y, ctx=ctx)
    add("its gradient, 65,536", TWINS["logistic_gradient"], t, slope * 0, ctx=ctx)
    add("GELU by tanh, 65,536", gelu_by_tanh, wide, y.copy(), slope, ctx=ctx)
    return found
