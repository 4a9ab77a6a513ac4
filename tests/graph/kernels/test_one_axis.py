"""Convolutions along one axis by views of their windows, with the algorithm forced and forbidden."""

from __future__ import annotations

from typing import Any

import graphs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS, both_layouts, lying, normal, same

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Target
from graphspec.graph.kernels import compiled as choice
from graphspec.graph.kernels import correlation as one_axis
from graphspec.graph.kernels import correlation as patches
from graphspec.graph.kernels import winograd
from graphspec.graph.kernels.correlation import long_axis
from graphspec.graph.kernels.windows import Axis

Array = np.ndarray[Any, Any]
Convolution = tuple[list[Array | None], dict[str, Any]]


@pytest.fixture(params=[True, False], ids=["views", "patches"])
def algorithm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", request.param)
    monkeypatch.setattr(winograd, "_FORMS", [])


@pytest.fixture(params=["as measured", "in lines", "in tiles", "by output"])
def matrices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "as measured":
        monkeypatch.setattr(one_axis, "_LEAST_WINDOWS", 1000 if request.param == "by output" else 1)
    if request.param == "in tiles":
        for module, least in ((one_axis, 1), (patches, 2)):
            monkeypatch.setattr(module, "_LEAST_TILE", least)
            monkeypatch.setattr(module, "SMALL", 150)


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    """Windows along one of one or two axes; padding may exceed the kernel, so that input gradients crop."""
    rank, taps = draw(st.integers(1, 2)), draw(st.integers(2, 5))
    at = draw(st.integers(0, rank - 1))
    begin, end = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    inputs = draw(st.integers(max(1, taps - begin - end), 14))
    spatial, kernel, strides, pads = [draw(st.integers(1, 3))] * rank, [1] * rank, [1] * rank, [0] * (2 * rank)
    spatial[at], kernel[at], strides[at], pads[at], pads[at + rank] = inputs, taps, draw(st.integers(1, 3)), begin, end
    batch, channels, filters = (draw(st.integers(1, 4)) for _ in range(3))
    seed = draw(st.integers(0, 1000))
    bias = normal(seed + 2, filters) if draw(st.booleans()) else None
    X, W = normal(seed, batch, channels, *spatial), normal(seed + 1, filters, channels, *kernel)
    return [X, W, bias], {"pads": pads, "strides": strides}


@pytest.mark.usefixtures("algorithm", "matrices")
@SETTINGS
@given(convolutions())
def test_conv_matches_onnxruntime(case: Convolution) -> None:
    inputs, attrs = case
    same("Conv", inputs, **attrs)


@pytest.mark.slow
@pytest.mark.usefixtures("algorithm", "matrices")
@SETTINGS
@given(convolutions())
def test_conv_gradients(case: Convolution) -> None:
    inputs, attrs = case
    both_layouts("Conv", inputs, [0, 1] if inputs[2] is None else [0, 1, 2], **attrs)


@pytest.mark.slow
@pytest.mark.usefixtures("algorithm", "matrices")
@SETTINGS
@given(convolutions())
def test_conv_transpose(case: Convolution) -> None:
    (X, W, _), attrs = case
    assert X is not None
    assert W is not None
    inputs: list[Array | None] = [X, W.reshape(X.shape[1], -1, *W.shape[2:])]
    same("ConvTranspose", inputs, strides=attrs["strides"])
    both_layouts("ConvTranspose", inputs, [0, 1], strides=attrs["strides"])


@pytest.mark.parametrize(
    ("shape", "kernel", "copies"),
    [((2, 300, 16), (16, 16, 5), 0), ((16, 17, 17, 8), (8, 8, 1, 7), 0), ((16, 17, 17, 8), (8, 8, 7, 1), 1)],
    ids=["every fifth window", "by output", "another axis is the fastest"],
)
def test_inputs_are_copied_only_if_another_axis_is_the_fastest(
    shape: tuple[int, ...], kernel: tuple[int, ...], copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "FAST", True)
    monkeypatch.setattr(winograd, "_FORMS", [])
    perm = (0, len(shape) - 1, *range(1, len(shape) - 1))
    with lying(perm):
        graph, _ = graphs.build("Conv", [normal(0, *shape), normal(1, *kernel)], {1}, auto_pad="SAME_UPPER")
    program = build_program(graph, Parameters(graph), Target({"x0": shape}))
    large = [target for f, target, *_ in program.calls if f is np.copyto and target.size >= np.prod(shape)]
    assert len(large) == copies


def test_the_axis_has_adjacent_taps_and_is_the_only_one() -> None:
    trivial, long = Axis(5, 5, 1, 1, 1, 0), Axis(9, 7, 3, 1, 1, 0)
    assert long_axis([long]) == 0
    assert long_axis([trivial, long]) == 1
    others = [[trivial], [long, long], [Axis(9, 5, 3, 1, 2, 0)], [Axis(9, 5, 1, 2, 1, 0)]]
    assert [long_axis(axes) for axes in others] == [None] * len(others)
