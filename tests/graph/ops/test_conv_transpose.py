"""ConvTranspose: against onnxruntime, its gradients, and what it refuses."""

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
def transposed(draw: st.DrawFn) -> tuple[list[Array | None], dict[str, Any]]:
    rank = draw(st.integers(1, 3))
    few = st.integers(1, 3)
    group = draw(st.sampled_from([1, 1, 2, 3]))
    channels, out = (group, 1) if draw(st.booleans()) else (group * draw(few), draw(few))
    batch = draw(few)
    vector = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(rank))  # noqa: E731
    kernel, strides, dilations = vector(1, 4 if rank < 3 else 3), vector(1, 3), vector(1, 2)
    spatial = vector(1, 5 if rank < 3 else 3)
    more = tuple(draw(st.integers(0, s - 1)) for s in strides)
    pads: list[int] = [0] * (2 * rank)
    for k in range(rank):
        room = (spatial[k] - 1) * strides[k] + (kernel[k] - 1) * dilations[k] + more[k]  # leaves one number
        pads[k] = draw(st.integers(0, min(2, room)))
        pads[k + rank] = draw(st.integers(0, min(2, room - pads[k])))
    attrs = {"strides": strides, "dilations": dilations, "group": group, "pads": tuple(pads), "output_padding": more}
    seed = draw(st.integers(0, 1000))
    bias = normal(seed + 2, group * out) if draw(st.booleans()) else None
    return [normal(seed, batch, channels, *spatial), normal(seed + 1, channels, out, *kernel), bias], attrs


@SETTINGS
@given(transposed())
def test_matches_onnxruntime(case: tuple[list[Array | None], dict[str, Any]]) -> None:
    inputs, attrs = case
    same("ConvTranspose", inputs, **attrs)


@pytest.mark.slow
@SETTINGS
@given(transposed())
def test_gradients(case: tuple[list[Array | None], dict[str, Any]]) -> None:
    inputs, attrs = case
    both_layouts("ConvTranspose", inputs, [0, 1] if inputs[2] is None else [0, 1, 2], **attrs)


@pytest.mark.parametrize(
    ("shapes", "attrs", "code", "text"),
    [
        ([(1, 2), (2, 3)], {}, "GS301", "spatial axes"),
        ([(1, 2, 3), (2, 3, 2, 2)], {}, "GS301", "rank"),
        ([(1, 2, 3), (3, 3, 2)], {}, "GS304", "kernel for 3 channels"),
        ([(1, 4, 3), (4, 1, 2)], {"group": 3}, "GS304", "by 3 groups"),
        ([(1, 2, 3), (2, 1, 2), (2,)], {}, "GS304", "bias"),
        ([(1, 2, 3), (2, 1, 2)], {"pads": (1,)}, "GS301", "pads"),
        ([(1, 2, 3), (2, 1, 2)], {"output_padding": (0, 0)}, "GS301", "output_padding"),
        (
            [(1, 2, 3), (2, 1, 2)],
            {"strides": (2,), "output_padding": (2,)},
            "GS105",
            "output_padding below the stride 2",
        ),
        ([(1, 2, 1), (2, 1, 2)], {"pads": (1, 1)}, "GS304", "output of size 0 along spatial axis 1"),
    ],
)
def test_what_cannot_work_is_refused(
    shapes: list[tuple[int, ...]], attrs: dict[str, Any], code: str, text: str
) -> None:
    check_refusal("ConvTranspose", shapes, attrs, code, text)


def test_a_size_that_varies_stays_symbolic() -> None:
    g = Builder(Graph("test"), "node")
    X = Value("x", Type("float32", ("N", 4, "time")), "input")
    W = Value("w", Type("float32", (4, 5, 3)), "input")
    assert g.ConvTranspose(X, W).shape == ("N", 5, "time+2")
    assert g.ConvTranspose(X, W, strides=(2,), pads=(0, 1)).shape == ("N", 5, "time*2")
