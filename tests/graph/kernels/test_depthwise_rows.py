"""Depthwise convolutions row by row, with the algorithm forced and forbidden."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS, both_layouts, normal, same

from graphspec.graph.kernels import compiled
from graphspec.graph.kernels import compiled as choice
from graphspec.graph.kernels import depthwise as depthwise_rows
from graphspec.graph.kernels.windows import Axis

Array = np.ndarray[Any, Any]
Convolution = tuple[list[Array | None], dict[str, Any]]


@pytest.fixture(params=[True, False], ids=["rows", "planes"])
def algorithm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", request.param)
    monkeypatch.setattr(compiled, "LIBRARY", None)


@pytest.fixture(params=["as measured", "small chunks"])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "small chunks":
        monkeypatch.setattr(depthwise_rows, "_PADDED", 200)
        monkeypatch.setattr(depthwise_rows, "_TILED", 60)


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    """Images with padding beyond the kernel, strides and dilations."""
    kernel, strides, dilations = ([draw(st.integers(1, n)) for _ in range(2)] for n in (4, 2, 2))
    pads = [draw(st.integers(0, 4)) for _ in range(4)]
    least = [max(1, (kernel[k] - 1) * dilations[k] + 1 - pads[k] - pads[k + 2]) for k in range(2)]
    spatial = [draw(st.integers(n, n + 6)) for n in least]
    batch, channels, seed = draw(st.integers(1, 4)), draw(st.integers(2, 5)), draw(st.integers(0, 1000))
    X, W = normal(seed, batch, channels, *spatial), normal(seed + 1, channels, 1, *kernel)
    return [X, W], {"group": channels, "pads": pads, "strides": strides, "dilations": dilations}


@pytest.mark.usefixtures("algorithm", "chunk")
@SETTINGS
@given(convolutions())
def test_conv_matches_onnxruntime(case: Convolution) -> None:
    inputs, attrs = case
    same("Conv", inputs, **attrs)


@pytest.mark.slow
@pytest.mark.usefixtures("algorithm", "chunk")
@SETTINGS
@given(convolutions())
def test_conv_gradients_in_all_layouts(case: Convolution) -> None:
    inputs, attrs = case
    both_layouts("Conv", inputs, [0, 1], **attrs)


def test_rows_need_channels_last_and_windows_at_every_column() -> None:
    axes = [Axis(8, 8, 3, 1, 1, 1), Axis(8, 8, 3, 1, 1, 1)]
    X = normal(0, 2, 8, 8, 64)
    assert depthwise_rows.DepthwiseRows.fits(X.transpose(0, 3, 1, 2), axes)
    assert depthwise_rows.DepthwiseRows.fits(X.transpose(1, 3, 0, 2), axes)
    assert not depthwise_rows.DepthwiseRows.fits(X, axes)
    assert not depthwise_rows.DepthwiseRows.fits(X.transpose(0, 3, 1, 2), [axes[0], Axis(8, 4, 3, 2, 1, 1)])
    assert depthwise_rows.DepthwiseRows.fits(X.transpose(0, 3, 1, 2), [Axis(8, 4, 3, 2, 1, 1), axes[1]])
