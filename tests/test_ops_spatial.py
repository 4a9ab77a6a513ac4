"""Convolution, pooling, normalization, resizing and dropout: against onnxruntime, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphs import check_gradients, run
from graphspec.errors import ShapeError
from oracles import ort_run

Array = np.ndarray[Any, Any]
SETTINGS = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def same(op: str, inputs: list[Array | None], constants: set[int] = frozenset(), **attrs: Any) -> None:
    """One operator of ours and onnxruntime's give the same."""
    ours = run(op, inputs, constants, **attrs)
    theirs = ort_run(op, inputs, attrs, constants=constants, outputs=len(ours))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[list[Array | None], dict[str, Any]]:
    rank = draw(st.integers(1, 3))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    few = st.integers(1, 3)
    channels, out, batch = group * draw(few), group * draw(few), draw(few)
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


@SETTINGS
@given(convolutions())
def test_conv_gradients(case: tuple[list[Array | None], dict[str, Any]]) -> None:
    inputs, attrs = case
    check_gradients("Conv", inputs, [0, 1] if inputs[2] is None else [0, 1, 2], **attrs)
