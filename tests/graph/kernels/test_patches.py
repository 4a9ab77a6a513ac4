"""Convolutions of 1 × 1: products with the input as it lies in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bits import run

from graphspec.graph.kernels import correlation as patches
from graphspec.graph.kernels.correlation import PatchProducts, correlation, input_gradient
from graphspec.graph.kernels.windows import Axis

Array = np.ndarray[Any, Any]
AXES = [Axis(9, 9, 1, 1, 1, 0), Axis(8, 8, 1, 1, 1, 0)]


class Memory:
    """The part of a context that algorithms use; what it gives is never taken back."""

    def __init__(self) -> None:
        self.dtype = np.dtype(np.float64)

    def scratch(self, shape: Any, dtype: Any = None) -> Array:
        return np.full(shape, 7, dtype or self.dtype)

    def constant(self, value: Any, dtype: Any = None) -> Array:
        return np.array(value, dtype or self.dtype)


@pytest.mark.parametrize("filters_last", [True, False], ids=["filters last", "channels last"])
@pytest.mark.parametrize(("channels", "filters"), [(24, 40), (40, 1), (1, 16), (130, 20)])
@pytest.mark.parametrize("tiles", [True, False], ids=["tiles", "whole"])
def test_values_and_gradients(
    tiles: bool, channels: int, filters: int, filters_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In tiles and whole; of a kernel that is transposed in memory, or whose gradient reads it transposed."""
    monkeypatch.setattr("graphspec.graph.kernels.compiled.FAST", tiles)
    if tiles:
        monkeypatch.setattr(patches, "_LEAST_TILE", 2)
    random, ctx = np.random.default_rng(1), Memory()

    def image(depth: int) -> Array:
        return np.moveaxis(random.normal(size=(16, 9, 8, depth)), -1, 1)

    x, dy, y, dx = image(channels), image(filters), image(filters), image(channels)
    kernel = random.normal(size=(1, 1, 1, channels, filters)).transpose(0, 4, 3, 1, 2)
    if not filters_last:
        kernel = np.ascontiguousarray(kernel)
    dk = np.empty_like(kernel)
    form = correlation(ctx, x, kernel.shape, AXES)
    assert isinstance(form, PatchProducts)
    run(form.forward(kernel, y))
    run(correlation(ctx, x, kernel.shape, AXES, gradient=True).kernel_gradient(dy, dk))
    run(input_gradient(ctx, dy, kernel, dx, AXES))
    weights = kernel[0, :, :, 0, 0]
    np.testing.assert_allclose(y, np.einsum("nchw,oc->nohw", x, weights), atol=1e-12)
    np.testing.assert_allclose(dk[0, :, :, 0, 0], np.einsum("nohw,nchw->oc", dy, x), atol=1e-10)
    np.testing.assert_allclose(dx, np.einsum("nohw,oc->nchw", dy, weights), atol=1e-12)


@pytest.mark.parametrize(("rows", "copies"), [(512, True), (64, False)])
def test_a_transposed_kernel_is_copied_for_many_rows(rows: int, copies: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.graph.kernels.compiled.FAST", True)
    x = np.moveaxis(np.ones((rows, 1, 1, 24)), -1, 1)
    axes = [Axis(1, 1, 1, 1, 1, 0)] * 2
    kernel, y = np.ones((1, 40, 24, 1, 1)), np.moveaxis(np.empty((rows, 1, 1, 40)), -1, 1)
    calls = correlation(Memory(), x, kernel.shape, axes).forward(kernel, y)
    assert any(f is np.copyto for f, *_ in calls) is copies
    run(calls)
    assert np.all(y == 24)
