"""MaxPool in training: values, and gradients, which go to the first maximum in row-major order, also among equals."""

from __future__ import annotations

from typing import Any

import graphs
import numpy as np
import pytest
from graphs import build, feed, run_poisoned, scalar_loss
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS, lying

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.program import Program
from graphspec.graph.builder import Target
from graphspec.graph.kernels import max_pool as max_taps
from graphspec.graph.ops import pooling

Array = np.ndarray[Any, Any]
Case = tuple[tuple[int, ...], dict[str, Any]]
FIXED: list[Case] = [
    ((7, 3, 6, 8), {"kernel_shape": (2, 2), "strides": (2, 2)}),
    ((7, 3, 7, 9), {"kernel_shape": (2, 2), "strides": (2, 2)}),
    ((5, 3, 6, 7), {"kernel_shape": (3, 3), "auto_pad": "SAME_UPPER"}),
    ((3, 2, 8, 9), {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}),
    ((2, 2, 5, 12), {"kernel_shape": (2, 5), "strides": (1, 3), "pads": (1, 4, 0, 2)}),
    ((2, 2, 9, 7), {"kernel_shape": (2, 2), "strides": (4, 3)}),
    ((2, 2, 5, 6), {"kernel_shape": (1, 1), "strides": (2, 1)}),
    ((2, 2, 6, 7), {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, -2, 0, -1)}),
    ((2, 3, 4), {"kernel_shape": (3,), "dilations": (5,), "pads": (5, 5)}),
    ((2, 3, 2), {"kernel_shape": (2,), "dilations": (9,), "pads": (6, 6)}),
    ((2, 2, 4, 5, 6), {"kernel_shape": (2, 2, 2), "strides": (2, 2, 2)}),
    ((2, 2, 4, 5, 4), {"kernel_shape": (3, 2, 3), "auto_pad": "SAME_LOWER"}),
]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rank = draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    kernel, strides, dilations = each(1, 4 if rank < 3 else 3), each(1, 4), each(1, 3)
    pads = tuple(draw(st.integers(0, (k - 1) * d)) for k, d in zip(kernel * 2, dilations * 2, strict=True))
    sizes = [
        max(1, (k - 1) * d + 1 - begin - end) + draw(st.integers(0, 5))
        for k, d, begin, end in zip(kernel, dilations, pads, pads[rank:], strict=False)
    ]
    attrs = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}
    return (draw(st.integers(1, 4)), draw(st.integers(1, 3)), *sizes), attrs


def expected(X: Array, dY: Array, attrs: dict[str, Any]) -> tuple[Array, Array]:
    """Return the outputs, computed window by window, and X's gradient."""
    rank = X.ndim - 2
    kernel = attrs["kernel_shape"]
    strides, dilations = attrs.get("strides", (1,) * rank), attrs.get("dilations", (1,) * rank)
    total = [max(k - 1, 0) for k in kernel]  # of SAME with strides of 1
    front = {"SAME_UPPER": [t // 2 for t in total], "SAME_LOWER": [t - t // 2 for t in total]}
    begin = front.get(attrs.get("auto_pad", ""), attrs.get("pads", (0,) * 2 * rank)[:rank])
    Y, dX = np.full(dY.shape, -np.inf, X.dtype), np.zeros_like(X)
    for n, c, *position in np.ndindex(*dY.shape):
        best = None
        for tap in np.ndindex(*kernel):
            at = [p * s + t * d - b for p, s, t, d, b in zip(position, strides, tap, dilations, begin, strict=True)]
            inside = all(0 <= i < size for i, size in zip(at, X.shape[2:], strict=True))
            if inside and (best is None or X[n, c, *at] > X[best]):
                best = (n, c, *at)
        if best is not None:
            Y[n, c, *position] = X[best]
            dX[best] += dY[n, c, *position]
    return Y, dX


def trained(X: Array, dY: Array, attrs: dict[str, Any]) -> Program:
    """Return a program that has run on X with dY as the gradient of the output."""
    graph, _ = graphs.build("MaxPool", [X], **attrs)
    loss = scalar_loss(graph, {"y0": dY})
    fetches = {"y": graph.outputs["y0"], "loss": loss}
    program = build_program(
        graph.with_outputs(fetches, loss), Parameters(graph), Target({"x0": X.shape}, input_grads=["x0"]), training=True
    )
    feed(graph, program, {"x0": X})
    with np.errstate(invalid="ignore"):  # an empty window is -inf, and its loss 0 times that
        run_poisoned(program)
    return program


def check(shape: tuple[int, ...], attrs: dict[str, Any], order: tuple[int, ...]) -> None:
    """Check integers, many of them equal, so gradients are exact sums. ``order`` is X's memory order."""
    random = np.random.default_rng(0)
    X = random.integers(0, 3, shape).astype(np.float32)
    graph, _ = build("MaxPool", [X], **attrs)
    dY = random.integers(-9, 10, graph.outputs["y0"].shape).astype(np.float32)
    Y, dX = expected(X, dY, attrs)
    back = tuple(int(k) for k in np.argsort(order))
    with lying(back):
        program = trained(np.ascontiguousarray(X.transpose(order)), dY, attrs)
    np.testing.assert_array_equal(program.fetches["y"], Y)
    np.testing.assert_array_equal(program.grads["x0"].transpose(back), dX)


@pytest.fixture(params=[0, 3, 1 << 20], ids=["in place", "some", "gathered"])
def gathered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(max_taps, "_SHORT", request.param)


@pytest.fixture(params=[None, 200], ids=["one block", "blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param is not None:
        monkeypatch.setattr(pooling, "_SEPARATE", request.param)
        monkeypatch.setattr(pooling, "_OVERLAPPING", request.param)


def orders(rank: int) -> list[tuple[int, ...]]:
    """Channels second, channels last, rows before samples, columns before rows."""
    spatial = tuple(range(2, rank))
    return [(0, 1, *spatial), (0, *spatial, 1), (2, 0, *spatial[1:], 1), (*spatial[::-1], 0, 1)]


@pytest.mark.usefixtures("gathered", "blocks")
@pytest.mark.parametrize("case", FIXED, ids=str)
def test_values_and_gradients(case: Case) -> None:
    for order in orders(len(case[0])):
        check(*case, order)


@pytest.mark.usefixtures("gathered", "blocks")
@SETTINGS
@given(cases(), st.integers(0, 3))
def test_values_and_gradients_of_any_window(case: Case, number: int) -> None:
    check(*case, orders(len(case[0]))[number])


def test_an_infinite_number_gets_the_gradient() -> None:
    X = np.array([[[1, np.inf, np.inf, -np.inf, -np.inf, -np.inf]]], np.float32)
    program = trained(X, np.array([[[2, 3]]], np.float32), {"kernel_shape": (3,), "strides": (3,)})
    np.testing.assert_array_equal(program.grads["x0"], [[[0, 2, 0, 3, 0, 0]]])
