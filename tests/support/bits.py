"""Compiled kernels against NumPy's calls: random and special numbers, and whether two results have the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphspec.base.arrays.calls import Calls, settings
from graphspec.graph.kernels.compiled import load

Array = np.ndarray[Any, Any]

FOUND = load("")
needs_kernels = pytest.mark.skipif(
    FOUND is None, reason="graphspec-onnx-kernels is not installed: pip install ./kernels"
)
SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1e-39, 3e38, -3e38, 5e-324, 1e308)


class Memory:
    """What twins ask of a node's context: scratch memory and constants."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)

    def scratch(self, shape: Any, dtype: Any = None) -> Array:
        return np.zeros(shape, dtype or self.dtype)

    def constant(self, value: Any, dtype: Any = None) -> Array:
        return np.array(value, dtype or self.dtype)

    def zeros_like(self, X: Array) -> Array:
        return np.zeros_like(X)


def numbers(random: np.random.Generator, shape: Any, dtype: Any) -> Array:
    """Normal numbers, among them every special one where there is room."""
    x = random.normal(size=shape)
    flat = x.reshape(-1)
    if flat.size > 40:
        flat[random.choice(flat.size, 2 * len(SPECIAL), replace=False)] = SPECIAL * 2
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def run(calls: Calls) -> None:
    with settings():
        for f, *operands in calls:
            f(*operands)


def assert_same_bits(a: Array, b: Array, text: str = "") -> None:
    """NaNs only need to be NaN in both: which of two operands gives its payload is not defined."""
    kind = np.dtype(f"u{a.dtype.itemsize}")
    with np.errstate(all="ignore"):
        same = (a.view(kind) == b.view(kind)) | ((a != a) & (b != b))
    assert same.all(), f"{text}: {a[~same][:5]} {b[~same][:5]}"
