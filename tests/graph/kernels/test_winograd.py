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
from graphspec.graph.builder import Target
from graphspec.graph.kernels import compiled, correlation, winograd
from graphspec.graph.kernels import compiled as choice
from graphspec.graph.kernels.windows import Axis

Array = np.ndarray[Any, Any]
FORMS = winograd._FORMS
Convolution = tuple[list[Array | None], dict[str, Any]]


@pytest.fixture(params=[True, False], ids=["winograd", "direct"])
def algorithm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", request.param)


@pytest.fixture(params=[4, 6], ids=["4 products", "6 products"])
def products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    choose(request.param, monkeypatch)
    return int(request.param)


def choose(products: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a kernel has forms of 4 and of 6 products, that one."""
    monkeypatch.setattr(winograd, "_DEPTH", {4: 0, 6: 0 if products == 6 else 1 << 30})
    monkeypatch.setattr(winograd, "_FORMS", [f for f in FORMS if f.products == products or f.taps != 3])


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
def convolutions(draw: st.DrawFn, ranks: tuple[int, ...] = (1, 2, 2, 3)) -> Convolution:
    """Kernels of two to five rows; padding may exceed the kernel, so that input gradients crop."""
    rank = draw(st.sampled_from(ranks))
    kernel = [
        draw(st.sampled_from([3, 2, 4, 5])),
        *(draw(st.integers(1, 5 if rank == 2 else 3)) for _ in range(rank - 1)),
    ]
    pads = tuple(draw(st.integers(0, 4 if rank < 3 else 2)) for _ in range(2 * rank))
    least = [max(1, k - pads[i] - pads[i + rank]) for i, k in enumerate(kernel)]
    spatial = [draw(st.integers(n, n + (6 if rank < 3 else 3))) for n in least]
    batch, channels, filters = (draw(st.integers(1, 4)) for _ in range(3))
    seed = draw(st.integers(0, 1000))
    bias = normal(seed + 2, filters) if draw(st.booleans()) else None
    return [normal(seed, batch, channels, *spatial), normal(seed + 1, filters, channels, *kernel), bias], {"pads": pads}


@pytest.mark.usefixtures("products", "chunk")
@SETTINGS
@given(convolutions())
def test_conv_matches_onnxruntime(case: Convolution) -> None:
    inputs, attrs = case
    same("Conv", inputs, **attrs)


@pytest.mark.slow
@pytest.mark.usefixtures("products", "chunk")
@SETTINGS
@given(convolutions())
def test_conv_gradients(case: Convolution) -> None:
    inputs, attrs = case
    both_layouts("Conv", inputs, [0, 1] if inputs[2] is None else [0, 1, 2], **attrs)


@pytest.mark.slow
@pytest.mark.usefixtures("products", "chunk")
@SETTINGS
@given(convolutions((2,)), st.integers(0, 1))
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
    used: list[winograd.Form] = []
    form_of = winograd.form_of

    def recorded(*arguments: Any, **more: Any) -> Any:
        if (found := form_of(*arguments, **more)) is not None:
            used.append(found[0])
        return found

    monkeypatch.setattr(correlation, "form_of", recorded)
    monkeypatch.setattr(choice, "FAST", True)
    _, graph = compiled_case(case)
    for products in (4, 6):
        choose(products, monkeypatch)
        assert_golden(case, dtype, graph, cotangent_loss(graph))
        if all(form.taps != 3 for form in used):  # the other forms serve no kernel of this layer
            break


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
@pytest.mark.parametrize(
    "shape", [(8, 16, 24, 17, 16), (3, 64, 48, 8, 9), (2, 150, 140, 5, 4), (32, 16, 24, 6, 6), (3, 64, 48, 40)]
)
def test_error_is_about_as_small_as_without_winograd(
    shape: tuple[int, ...], pad: int, products: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, channels, filters, *spatial = shape
    pads = (pad,) * (2 * len(spatial))
    X, K = normal(0, batch, channels, *spatial), normal(1, filters, channels, *(3 for _ in spatial))
    errors = {}
    monkeypatch.setattr(choice, "FAST", False)
    exact = results(X, K, pads, np.float64)
    for forced in (False, True):
        monkeypatch.setattr(choice, "FAST", forced)
        found = results(X, K, pads, np.float32)
        errors[forced] = [np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2)) for a, b in zip(found, exact, strict=True)]
    most = 2 if products == 4 else 3.5
    assert all(a <= most * b and 0 < b < 1e-6 for a, b in zip(errors[True], errors[False], strict=True)), errors


@pytest.mark.parametrize("form", winograd._FORMS)
def test_a_form_multiplies_polynomials(form: winograd.Form, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transforms of one tile and kernel, as exact as float64 is."""
    monkeypatch.setattr(compiled, "LIBRARY", None)
    (m, r), n, random = form, form.products, np.random.default_rng(0)
    x, kernel, dy = (
        random.standard_normal((n, 1, 1, 1)),
        random.standard_normal(r),
        random.standard_normal((m, 1, 1, 1)),
    )
    V, M, D, y = np.zeros((n, 1, 1, 1, 1)), np.zeros((n + 1, 1, 1)), np.zeros((n + m, 1, 1)), np.zeros((m, 1, 1, 1))
    place, step = np.array([0, 0, m], np.intc), np.array([m], np.intc)
    run(winograd.winograd_input(x, V, place, rows=np.zeros((m + 1, 3, 1, 1, 1))))
    M[:n, 0, 0] = V.reshape(n) * (form.kernel_matrix() @ kernel)
    views = M[:, :, None, None]
    run(winograd.winograd_output(views[:n], y, step, flat=M, views=views))
    np.testing.assert_allclose(y.reshape(m), np.correlate(x.reshape(n), kernel, "valid"), rtol=1e-12)
    run(winograd.winograd_gradient(dy, D[:n, :, None, None], step, flat=D, views=D[:, :, None, None]))
    gradient = form.kernel_matrix().T @ (V.reshape(n) * D[:n].reshape(n))
    np.testing.assert_allclose(gradient, np.correlate(x.reshape(n), dy.reshape(m), "valid"), rtol=1e-12)


@pytest.mark.usefixtures("algorithm")
def test_no_rows() -> None:
    Y, dX, dW = results(np.zeros((0, 2, 5, 4), np.float32), normal(1, 3, 2, 3, 3), (1, 1, 1, 1), np.float32)
    assert Y.shape == (0, 3, 5, 4)
    assert dX.shape == (0, 2, 5, 4)
    np.testing.assert_array_equal(dW, np.zeros((3, 2, 3, 3)))


def test_winograd_is_used_if_it_saves_work() -> None:
    def chosen(*axes: Axis, channels: int = 16, filters: int = 16) -> tuple[int, ...] | None:
        found = winograd.form_of(axes, channels, filters)
        return tuple(found[0]) if found and found[1] else None

    same, long = Axis(8, 8, 3, 1, 1, 1), Axis(200, 197, 4, 1, 1, 0)
    assert chosen(same, same) == (2, 3)
    assert chosen(same, same, channels=32, filters=32) == (4, 3)
    assert chosen(same, same, channels=3) is None
    assert winograd.form_of([same] * 2, 16, 16, 2) is None
    assert winograd.form_of([Axis(8, 4, 3, 2, 1, 1), same], 16, 16) is None
    assert chosen(long, channels=128, filters=100) == (3, 4)
    assert chosen(long, channels=64, filters=64) is None
    assert chosen(same, same, same, channels=16, filters=32) == (4, 3)
    cropped = Axis(5, 3, 3, 1, 1, 0)  # one of four rows and two of five columns are not used
    assert chosen(cropped, cropped, channels=64, filters=64) is None


def test_one_matrix_per_column_if_many_windows_cross_rows() -> None:
    def by_column(batch: int, size: int, pad: int, *, gradient: bool = False) -> bool:
        X, axis = np.zeros((batch, 4, size, size)), Axis(size, size - 2 + 2 * pad, 3, 1, 1, pad)
        context: Any = None  # nothing is bound
        return winograd.Winograd(context, X, [axis] * 2, 4, winograd.Form(2, 3), gradient=gradient).by_column

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
@pytest.mark.parametrize("form", winograd._FORMS)
def test_compiled_sums_give_the_bits_of_numpy(
    rows: int,
    out: int,
    begin: int,
    channels: int,
    wide: bool,
    dtype: Any,
    form: winograd.Form,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random, (m, _), n = np.random.default_rng(2), form, form.products
    samples, columns, lead, period = 3, 5, 1, 7
    tiles = -(-out // m)
    part = slice(1, 1 + channels) if wide else slice(None)
    x, dy = (numbers(random, (k, samples, columns, channels + 2 * wide), dtype)[..., part] for k in (rows, out))
    products = numbers(random, (n + 1, tiles * samples * period, channels), dtype)
    place, step = np.array([-begin, lead, m], np.intc), np.array([m], np.intc)
    shape = tiles, samples, period, channels
    results = []
    for library in (None, FOUND):
        monkeypatch.setattr(compiled, "LIBRARY", library)
        V, M, y = np.zeros((n, *shape), dtype), products.copy(), np.zeros_like(dy)
        D = np.zeros((n + m, tiles * samples * period, channels), dtype)
        M5, D5 = M.reshape(n + 1, *shape), D.reshape(n + m, *shape)
        scratch = np.zeros((m + 1, tiles + (n - 1) // m, samples, period, channels), dtype)
        calls = [
            winograd.winograd_input(x, V, place, rows=scratch),
            winograd.winograd_output(M5[:n, :, :, :columns], y, step, flat=M, views=M5),
            winograd.winograd_gradient(dy, D5[:n], step, flat=D, views=D5),
        ]
        assert [hasattr(found[0][0], "uses") for found in calls] == [library is not None] * 3
        for found in calls:
            run(found)
        results.append((V, y, D[:n]))
    for name, a, b in zip(("input", "output", "gradient"), *results, strict=True):
        assert_same_bits(a, b, name)


@needs_kernels
def test_compiled_sums_refuse_images_that_do_not_fit() -> None:
    planes, x = np.zeros((4, 2, 3, 5, 8), np.float32), np.zeros((4, 3, 5, 8), np.float32)
    place, step = np.array([0, 1, 2], np.intc), np.array([2], np.intc)
    with pytest.raises(ValueError, match="does not fit into the planes"):
        FOUND.bind("winograd_input", x, planes, place)
    for wrong in (x[:2], np.zeros((4, 3, 6, 8), np.float32)):
        with pytest.raises(ValueError, match="does not fit the planes"):
            FOUND.bind("winograd_output", planes, wrong, step)
        with pytest.raises(ValueError, match="does not fit the planes"):
            FOUND.bind("winograd_gradient", wrong, planes, step)
    with pytest.raises(ValueError, match="from 2 rows"):
        FOUND.bind("winograd_output", planes, x, np.array([4], np.intc))
    with pytest.raises(ValueError, match="not contiguous"):
        FOUND.bind("winograd_output", planes, np.zeros((4, 3, 5, 16), np.float32)[..., ::2], step)


@st.composite
def strided(draw: st.DrawFn) -> Convolution:
    """Kernels that are multiples of the strides, at least one of which is more than 1."""
    rank, least = draw(st.integers(1, 3)), [2, 1, 1]
    strides = [draw(st.integers(low, 3 if rank < 3 else 2)) for low in least[:rank]]
    kernel = [stride * draw(st.integers(2 if k == 0 else 1, 2)) for k, stride in enumerate(strides)]
    pads = tuple(draw(st.integers(0, 3)) for _ in range(2 * rank))
    spatial = [draw(st.integers(n := max(1, k - pads[i] - pads[i + rank]), n + 5)) for i, k in enumerate(kernel)]
    batch, channels, filters, seed = (draw(st.integers(1, high)) for high in (3, 3, 3, 1000))
    X, W = normal(seed, batch, channels, *spatial), normal(seed + 1, filters, channels, *kernel)
    return [X, W, None], {"pads": pads, "strides": strides}


@pytest.mark.usefixtures("algorithm")
@SETTINGS
@given(strided())
def test_strides_that_divide_the_kernel(case: Convolution) -> None:
    inputs, attrs = case
    same("Conv", inputs, **attrs)


@pytest.mark.usefixtures("algorithm")
def test_gradients_of_one_transposed_convolution_by_blocks() -> None:
    both_layouts("ConvTranspose", [normal(1, 2, 3, 5, 4), normal(2, 3, 2, 4, 4)], [0, 1], strides=[2, 2])


@pytest.mark.slow
@pytest.mark.usefixtures("algorithm")
@SETTINGS
@given(strided(), st.booleans())
def test_gradients_of_strides_that_divide_the_kernel(case: Convolution, padded: bool) -> None:
    (X, W, _), attrs = case
    assert X is not None
    assert W is not None
    both_layouts("Conv", [X, W, None], [0, 1], **attrs)
    extra = [int(padded and step > 1) for step in attrs["strides"]]
    transposed = {"strides": attrs["strides"], "output_padding": extra}
    inputs: list[Array | None] = [X, W.reshape(X.shape[1], -1, *W.shape[2:])]
    same("ConvTranspose", inputs, **transposed)
    both_layouts("ConvTranspose", inputs, [0, 1], **transposed)


@pytest.mark.parametrize(
    ("spatial", "kernel", "stride"), [([9], 3, 1), ([9, 9], 3, 1), ([9, 9], 5, 1), ([5, 5, 5], 3, 1), ([8, 8], 4, 2)]
)
def test_no_rows_of_any_form(spatial: list[int], kernel: int, stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker may have none: an algorithm is chosen by the sizes of the kernel, and serves them, too."""
    monkeypatch.setattr(choice, "FAST", True)
    rank = len(spatial)
    X, W = np.zeros((0, 16, *spatial), np.float32), normal(1, 16, 16, *[kernel] * rank)
    graph, _ = build("Conv", [X, W, None], strides=[stride] * rank, pads=[1] * (2 * rank))
    loss = scalar_loss(graph, {n: np.ones(v.shape, np.float32) for n, v in graph.outputs.items()})
    target = Target({n: v.shape for n, v in graph.inputs.items()}, input_grads=["x0", "x1"])
    program = build_program(graph.with_outputs(graph.outputs, loss), Parameters(graph), target, training=True)
    feed(graph, program, {"x0": X, "x1": W})
    program.run()
    assert program.grads["x0"].shape == X.shape
    assert not program.grads["x1"].any()


def test_blocks_of_a_stride_are_used_where_winograd_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", None)  # by the sizes

    def used(kernel: int, stride: int, channels: int = 64) -> bool:
        axis = Axis(16, 8, kernel, stride, 1, (kernel - stride) // 2)
        return correlation.StrideBlocks.pays((1, 128, channels, kernel, kernel), [axis, axis])

    assert used(4, 2)
    assert not used(4, 2, channels=1)
    assert not used(3, 2)
    assert not used(2, 2)
    assert not correlation.StrideBlocks.pays((2, 64, 64, 4, 4), [Axis(16, 8, 4, 2, 1, 1)] * 2)
