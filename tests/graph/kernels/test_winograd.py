"""Convolutions to which Winograd's algorithm applies, with the algorithm forced and forbidden."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bits import FOUND, assert_same_bits, needs_kernels, numbers, run
from golden_cases import Case, load_layers
from golden_run import assert_golden, cotangent_loss
from golden_run import compiled as compiled_case
from graphs import build, feed, scalar_loss
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS, both_layouts, normal, same

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.kernels import compiled, winograd
from graphspec.graph.kernels import compiled as choice
from graphspec.graph.kernels.windows import Axis
from graphspec.graph.target import Target

Array = np.ndarray[Any, Any]
Convolution = tuple[list[Array | None], dict[str, Any]]


@pytest.fixture(params=[True, False], ids=["winograd", "direct"])
def algorithm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", request.param)


@pytest.fixture(params=["direct", "one chunk", "chunks", "columns", "chunks of columns"])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", request.param != "direct")
    if "chunks" in request.param:
        monkeypatch.setattr(winograd, "CACHE_ELEMENTS", 300)
        monkeypatch.setattr(winograd, "_LEAST_COLUMNS", 1)
        monkeypatch.setattr(winograd, "SMALL", 2000)
    for name in ("_LEAST_CHUNK_ROWS", "_WASTED", "_WASTED_BACK"):
        monkeypatch.setattr(winograd, name, 0 if "columns" in request.param else 1 << 30)


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    """Kernels of three rows; padding may exceed the kernel, so that input gradients crop."""
    width = draw(st.integers(1, 5))
    pads = tuple(draw(st.integers(0, 4)) for _ in range(4))
    least = max(1, 3 - pads[0] - pads[2]), max(1, width - pads[1] - pads[3])
    spatial = [draw(st.integers(n, n + 6)) for n in least]
    batch, channels, filters = (draw(st.integers(1, 4)) for _ in range(3))
    seed = draw(st.integers(0, 1000))
    bias = normal(seed + 2, filters) if draw(st.booleans()) else None
    return [normal(seed, batch, channels, *spatial), normal(seed + 1, filters, channels, 3, width), bias], {
        "pads": pads
    }


@pytest.mark.usefixtures("chunk")
@SETTINGS
@given(convolutions())
def test_conv_matches_onnxruntime(case: Convolution) -> None:
    inputs, attrs = case
    same("Conv", inputs, **attrs)


@pytest.mark.slow
@pytest.mark.usefixtures("chunk")
@SETTINGS
@given(convolutions())
def test_conv_gradients(case: Convolution) -> None:
    inputs, attrs = case
    both_layouts("Conv", inputs, [0, 1] if inputs[2] is None else [0, 1, 2], **attrs)


@pytest.mark.slow
@pytest.mark.usefixtures("chunk")
@SETTINGS
@given(convolutions(), st.integers(0, 1))
def test_conv_transpose(case: Convolution, pad: int) -> None:
    (X, W, _), _ = case
    assert X is not None
    assert W is not None
    inputs: list[Array | None] = [X, W.reshape(X.shape[1], -1, *W.shape[2:])]
    pads = (pad, 0, 0, min(pad, X.shape[3] + W.shape[3] - 2))
    same("ConvTranspose", inputs, pads=pads)
    both_layouts("ConvTranspose", inputs, [0, 1], pads=pads)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", [c for c in load_layers() if "Conv" in str(c.spec)], ids=lambda case: case.id)
def test_layers_match_keras(case: Case, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the algorithm; without any, ``GRAPHSPEC_KERNELS=reference`` runs the test of all layers."""
    monkeypatch.setattr(choice, "FAST", True)
    _, graph = compiled_case(case)
    assert_golden(case, dtype, graph, cotangent_loss(graph))


def results(X: Array, W: Array, pads: tuple[int, ...], dtype: Any) -> list[Array]:
    """Y, and the gradients of X and W."""
    graph, Y = build("Conv", [X, W], pads=pads)
    loss = scalar_loss(graph, {"y0": normal(2, *Y.shape)})
    program = build_program(
        graph.with_outputs(graph.outputs | {"loss": loss}, loss),
        Parameters(graph, dtype),
        Target({"x0": X.shape, "x1": W.shape}, input_grads=["x0", "x1"]),
    )
    feed(graph, program, {"x0": X, "x1": W})
    program.run()
    return [program.fetches["y0"].copy(), program.grads["x0"].copy(), program.grads["x1"].copy()]


@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("shape", [(8, 16, 24, 17, 16), (3, 64, 48, 8, 9), (2, 150, 140, 5, 4), (32, 16, 24, 6, 6)])
def test_error_is_about_as_small_as_without_winograd(
    shape: tuple[int, ...], pad: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, channels, filters, *spatial = shape
    X, K, pads = normal(0, batch, channels, *spatial), normal(1, filters, channels, 3, 3), (pad,) * 4
    errors = {}
    monkeypatch.setattr(choice, "FAST", False)
    exact = results(X, K, pads, np.float64)
    for forced in (False, True):
        monkeypatch.setattr(choice, "FAST", forced)
        found = results(X, K, pads, np.float32)
        errors[forced] = [np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2)) for a, b in zip(found, exact, strict=True)]
    assert all(a <= 2 * b and 0 < b < 1e-6 for a, b in zip(errors[True], errors[False], strict=True)), errors


@pytest.mark.usefixtures("algorithm")
def test_no_rows() -> None:
    Y, dX, dW = results(np.zeros((0, 2, 5, 4), np.float32), normal(1, 3, 2, 3, 3), (1, 1, 1, 1), np.float32)
    assert Y.shape == (0, 3, 5, 4)
    assert dX.shape == (0, 2, 5, 4)
    np.testing.assert_array_equal(dW, np.zeros((3, 2, 3, 3)))


def test_winograd_is_used_if_it_saves_work() -> None:
    def same_size(n: int) -> Axis:
        return Axis(n, n, 3, 1, 1, 1)

    assert winograd.fits([same_size(8)] * 2, 1)
    assert not winograd.fits([same_size(8)] * 2, 2)
    assert not winograd.fits([Axis(8, 4, 3, 2, 1, 1), same_size(8)], 1)
    assert winograd.pays([same_size(8)] * 2, 16, 16)
    assert not winograd.pays([same_size(8)] * 2, 3, 16)
    assert not winograd.pays(
        [Axis(5, 3, 3, 1, 1, 0)] * 2, 64, 64
    )  # one of four rows and two of five columns are not used


def test_one_matrix_per_column_if_many_windows_cross_rows() -> None:
    def by_column(batch: int, size: int, pad: int, *, gradient: bool = False) -> bool:
        X, axis = np.zeros((batch, 4, size, size)), Axis(size, size - 2 + 2 * pad, 3, 1, 1, pad)
        context: Any = None  # nothing is bound
        return winograd.Winograd(context, X, [axis] * 2, 4, gradient=gradient).by_column

    assert by_column(32, 13, 0)
    assert by_column(32, 13, 0, gradient=True)
    assert by_column(32, 8, 1)
    assert not by_column(32, 8, 1, gradient=True)
    assert not by_column(32, 32, 1)
    assert not by_column(2, 13, 0)


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3, 16])
@pytest.mark.parametrize(("rows", "out", "begin"), [(6, 6, 1), (7, 7, 1), (5, 3, 0), (9, 4, -2), (2, 9, 5), (0, 2, 1)])
@pytest.mark.parametrize("wide", [False, True], ids=["contiguous", "part of an image"])
def test_compiled_sums_give_the_bits_of_numpy(
    rows: int, out: int, begin: int, channels: int, wide: bool, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(2)
    samples, columns, lead, period = 3, 5, 1, 7
    tiles = -(-out // 2)
    part = slice(1, 1 + channels) if wide else slice(None)
    x, dy = (numbers(random, (n, samples, columns, channels + 2 * wide), dtype)[..., part] for n in (rows, out))
    products = numbers(random, (4, tiles * samples * period, channels), dtype)
    place = np.array([-begin, lead], np.intc)
    shape = 4, tiles, samples, period, channels
    results = []
    for library in (None, FOUND):
        monkeypatch.setattr(compiled, "LIBRARY", library)
        V, M, D, y = (np.zeros(shape, dtype), products.copy(), np.zeros(shape, dtype), np.zeros_like(dy))
        halves = np.zeros((2, tiles + 1, samples, period, channels), dtype)
        calls = [
            winograd.winograd_input(x, V, place, halves=halves),
            winograd.winograd_output(M.reshape(shape)[:, :, :, :columns], y, flat=M),
            winograd.winograd_gradient(dy, D, flat=D.reshape(4, -1)),
        ]
        assert [hasattr(found[0][0], "uses") for found in calls] == [library is not None] * 3
        for found in calls:
            run(found)
        results.append((V, y, D))
    for name, a, b in zip(("input", "output", "gradient"), *results, strict=True):
        assert_same_bits(a, b, name)


@needs_kernels
def test_compiled_sums_refuse_images_that_do_not_fit() -> None:
    planes, x = np.zeros((4, 2, 3, 5, 8), np.float32), np.zeros((4, 3, 5, 8), np.float32)
    place = np.array([0, 1], np.intc)
    with pytest.raises(ValueError, match="does not fit into the planes"):
        FOUND.bind("winograd_input", x, planes, place)
    for wrong in (x[:2], np.zeros((4, 3, 6, 8), np.float32)):
        with pytest.raises(ValueError, match="does not fit the planes"):
            FOUND.bind("winograd_output", planes, wrong)
        with pytest.raises(ValueError, match="does not fit the planes"):
            FOUND.bind("winograd_gradient", wrong, planes)
    with pytest.raises(ValueError, match="not contiguous"):
        FOUND.bind("winograd_output", planes, np.zeros((4, 3, 5, 16), np.float32)[..., ::2])
