"""Conv: against onnxruntime, its gradients, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import check_refusal
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS, both_layouts, normal, same

from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value

Array = np.ndarray[Any, Any]


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[list[Array | None], dict[str, Any]]:
    rank = draw(st.integers(1, 3))
    few = st.integers(1, 3)
    if draw(st.booleans()):
        group = channels = out = draw(st.integers(2, 5))  # depthwise
    else:
        group = draw(st.sampled_from([1, 1, 2, 3]))
        channels, out = group * draw(few), group * draw(few)
    batch = draw(few)
    vector = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(rank))  # noqa: E731
    kernel, strides = vector(1, 4 if rank < 3 else 3), vector(1, 3)
    auto_pad = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    dilations = vector(1, 2) if auto_pad in ("NOTSET", "VALID") else (1,) * rank  # onnxruntime refuses it for SAME
    attrs: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": group, "auto_pad": auto_pad}
    pads = (0,) * (2 * rank)
    if auto_pad == "NOTSET":
        pads = attrs["pads"] = vector(0, 2) + vector(0, 2)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    spatial = [
        draw(st.integers(max(1, e if auto_pad == "VALID" else e - pads[k] - pads[k + rank]), e + 6))
        for k, e in enumerate(extent)
    ]
    seed = draw(st.integers(0, 1000))
    bias = normal(seed + 2, out) if draw(st.booleans()) else None
    X, W = normal(seed, batch, channels, *spatial), normal(seed + 1, out, channels // group, *kernel)
    return [X, W, bias], attrs


@SETTINGS
@given(convolutions())
def test_conv_matches_onnxruntime(case: tuple[list[Array | None], dict[str, Any]]) -> None:
    inputs, attrs = case
    same("Conv", inputs, **attrs)


@pytest.mark.slow
@SETTINGS
@given(convolutions())
def test_conv_gradients(case: tuple[list[Array | None], dict[str, Any]]) -> None:
    inputs, attrs = case
    both_layouts("Conv", inputs, [0, 1] if inputs[2] is None else [0, 1, 2], **attrs)


@pytest.mark.parametrize(
    ("shapes", "attrs", "code", "text"),
    [
        ([(1, 2, 3, 3), (4, 2, 5, 5)], {}, "GS303", "window 5×5, larger than its input 3×3"),
        ([(1, 2, 3, 3), (4, 3, 2, 2)], {}, "GS304", "kernel for 3 channels"),
        ([(1, 4, 3, 3), (4, 1, 2, 2)], {"group": 3}, "GS304", "by 3 groups"),
        ([(1, 2, 3, 3), (4, 2, 2, 2), (3,)], {}, "GS304", "bias"),
        ([(1, 2), (4, 2)], {}, "GS301", "spatial axes"),
        ([(1, 2, 3, 3), (4, 2, 2)], {}, "GS301", "rank"),
        ([(1, 2, 3, 3), (4, 2, 2, 2)], {"strides": (1,)}, "GS301", "strides"),
    ],
)
def test_what_cannot_work_is_refused(
    shapes: list[tuple[int, ...]], attrs: dict[str, Any], code: str, text: str
) -> None:
    check_refusal("Conv", shapes, attrs, code, text)


@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        ({"auto_pad": "SAME_UPPER", "strides": (2,)}, "(time+1)//2"),
        ({"auto_pad": "VALID", "strides": (2,)}, "(time-3)//2+1"),
        ({"pads": (2, 0)}, "time"),
    ],
)
def test_sizes_that_vary_stay_symbolic(attrs: dict[str, Any], expected: str) -> None:
    g = Builder(Graph("test"), "node")
    X = Value("x", Type("float32", ("N", 4, "time")), "input")
    W = Value("w", Type("float32", (5, 4, 3)), "input")
    assert g.Conv(X, W, **attrs).shape == ("N", 5, expected)


def test_a_depthwise_convolution_in_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one sample's rows, and taps that are not repeated along a row."""
    X, W, B = normal(0, 3, 4, 9, 7), normal(1, 4, 1, 3, 2), normal(2, 4)
    attrs: dict[str, Any] = {"group": 4, "strides": (2, 1), "pads": (2, 1, 1, 2), "dilations": (1, 2)}
    same("Conv", [X, W, B], **attrs)
    monkeypatch.setattr("graphspec.graph.kernels.depthwise.BLOCK_ELEMENTS", 40)
    monkeypatch.setattr("graphspec.graph.kernels.depthwise._ROW", 1)
    same("Conv", [X, W, B], **attrs)
    both_layouts("Conv", [X, W, B], [0, 1, 2], **attrs)
