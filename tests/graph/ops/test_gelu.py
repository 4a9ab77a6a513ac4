"""Erf and GELU are accurate, with NumPy and with the compiled kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from bits import FOUND, Memory, needs_kernels
from bits import run as run_calls
from graphs import Array, run

from graphspec.graph.kernels import compiled
from graphspec.graph.ops.elementwise import gelu, gelu_by_tanh


@pytest.mark.parametrize(("dtype", "error"), [(np.float32, 5e-7), (np.float64, 4e-16)])
def test_erf_is_accurate(dtype: Any, error: float) -> None:
    x = np.concatenate([np.linspace(-7, 7, 4001), [0.0, 1e-20, -1e-8, 100.0, -1e30]]).astype(dtype)
    (y,) = run("Erf", [x], frozenset(), dtype)
    assert np.abs(y - [math.erf(v) for v in x.tolist()]).max() <= error


def by_hand(x: Array, by_tanh: bool) -> tuple[Array, Array]:
    """GELU and its derivative in float64."""
    if not by_tanh:
        normal = np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in x.tolist()])
        return x * normal, normal + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    a = math.sqrt(2 / math.pi)
    g = 0.5 + 0.5 * np.tanh(a * (x + 0.044715 * x**3))
    return x * g, g + 2 * g * (1 - g) * x * a * (1 + 3 * 0.044715 * x**2)


@pytest.mark.parametrize("library", [None, pytest.param(FOUND, marks=needs_kernels)], ids=["numpy", "compiled"])
@pytest.mark.parametrize("twin", [gelu, gelu_by_tanh])
def test_gelu_is_accurate(twin: Any, library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LIBRARY", library)
    x = np.concatenate([np.linspace(-9, 9, 20_001), [0.0, -0.0, 1e-20, -1e-8, 1e15, -1e15]]).astype(np.float32)
    y, slope, alone = np.empty_like(x), np.empty_like(x), x.copy()
    calls = twin(x, y, slope, ctx=Memory(np.float32))
    assert (len(calls) == 1) is (library is not None)
    run_calls(calls)
    run_calls(twin(alone, alone, None, ctx=Memory(np.float32)))  # in place, without the derivative
    expected, expected_slope = by_hand(x.astype(np.float64), twin is gelu_by_tanh)
    near = np.abs(x) < 20
    assert np.abs((y - expected) / np.maximum(1, np.abs(x)))[near].max() <= 2.4e-7  # two units of 1's last place
    cancels = library is None and twin is gelu_by_tanh  # NumPy's calls: the digits that g - g² loses near 1, times x³
    assert np.abs(slope - expected_slope)[near].max() <= (2.5e-6 if cancels else 3.6e-7)
    assert (y[~near].tolist(), slope[~near].tolist()) == ([float(np.float32(1e15)), 0.0], [1.0, 0.0])
    assert np.array_equal(y, alone)


@needs_kernels
@pytest.mark.parametrize("twin", [gelu, gelu_by_tanh])
def test_compiled_gelu_has_numpys_infinities(twin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.array([np.inf, -np.inf, np.nan, 3e38, -3e38] * 9, np.float32)
    results = []
    for library in (None, FOUND):
        monkeypatch.setattr(compiled, "LIBRARY", library)
        y, slope = np.empty_like(x), np.empty_like(x)
        with np.errstate(all="ignore"):
            run_calls(twin(x, y, slope, ctx=Memory(np.float32)))
        results.append((y, slope))
    np.testing.assert_array_equal(*results)
