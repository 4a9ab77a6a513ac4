"""Convolutions with few filters by the terms of all inputs, with the algorithm forced and forbidden."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS, both_layouts, normal, same

from graphspec.graph.kernels import compiled as choice
from graphspec.graph.kernels import correlation as one_filter
from graphspec.graph.kernels.windows import Axis

Array = np.ndarray[Any, Any]
Convolution = tuple[list[Array | None], dict[str, Any]]


@pytest.fixture(params=[True, False], ids=["terms", "patches"])
def algorithm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", request.param)
    monkeypatch.setattr(one_filter, "_LEAST_CHANNELS", 1)
    monkeypatch.setattr(one_filter, "_MOST_TAPS", 1000)


@pytest.fixture(params=["as measured", "sample by sample"])
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "sample by sample":
        monkeypatch.setattr(one_filter, "CACHE_ELEMENTS", 1)


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    """One to three axes; padding may exceed the kernel, so that taps read nothing and input gradients crop."""
    spatial, kernel, dilations, begins, ends = [], [], [], [], []
    for _ in range(draw(st.integers(1, 3))):
        taps, dilation, begin, end = (draw(st.integers(low, 3)) for low in (1, 1, 0, 0))
        spatial.append(draw(st.integers(max(1, (taps - 1) * dilation + 1 - begin - end), 7)))
        kernel.append(taps)
        dilations.append(dilation)
        begins.append(begin)
        ends.append(end)
    batch, channels, filters, seed = (draw(st.integers(low, high)) for low, high in ((1, 4), (1, 5), (1, 4), (0, 1000)))
    bias = normal(seed + 2, filters) if draw(st.booleans()) else None
    X, W = normal(seed, batch, channels, *spatial), normal(seed + 1, filters, channels, *kernel)
    return [X, W, bias], {"pads": [*begins, *ends], "dilations": dilations}


@pytest.mark.usefixtures("algorithm", "chunks")
@SETTINGS
@given(convolutions())
def test_conv_matches_onnxruntime(case: Convolution) -> None:
    inputs, attrs = case
    same("Conv", inputs, **attrs)


@pytest.mark.slow
@pytest.mark.usefixtures("algorithm", "chunks")
@SETTINGS
@given(convolutions())
def test_conv_gradients(case: Convolution) -> None:
    inputs, attrs = case
    both_layouts("Conv", inputs, [0, 1] if inputs[2] is None else [0, 1, 2], **attrs)


@pytest.mark.parametrize(
    ("kernel", "stride", "expected"),
    [
        ((1, 1, 32, 3, 3), 1, True),
        ((1, 9, 32, 3, 3), 1, False),
        ((2, 1, 32, 3, 3), 1, False),
        ((1, 1, 32, 3, 3), 2, False),
        ((1, 1, 32, 1, 1), 1, False),
    ],
    ids=["one filter", "nine filters", "groups", "strides", "a product"],
)
def test_what_fits(kernel: tuple[int, ...], stride: int, expected: bool) -> None:
    taps = kernel[-1]
    axes = [Axis(9, (9 + taps // 2 * 2 - taps) // stride + 1, taps, stride, 1, taps // 2)] * 2
    assert one_filter.FewFilters.fits(np.zeros((4, 32, 9, 9)), kernel, axes) is expected
