"""ConvPool and the pass that creates it: the same values and gradients as Conv and MaxPool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from graphs import allocated, build, feed, run, scalar_loss, without
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS, both_layouts, normal
from lowering import source

import graphspec as gs
from graphspec.base.errors import ShapeError
from graphspec.engine.runtime import bind as building
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.program import Program
from graphspec.engine.training import choose_workers as choose
from graphspec.graph.builder import Builder, Target
from graphspec.graph.initializers import INITIALIZERS
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.kernels import compiled as choice
from graphspec.graph.kernels import winograd
from graphspec.graph.ops import convolution as conv_pool
from graphspec.graph.passes.for_program import fuse_conv_max_pool

Array = np.ndarray[Any, Any]
Case = tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]
ONES = INITIALIZERS.parse("ones")


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", request.param)


@pytest.fixture(params=[None, 150], ids=["whole", "blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param is not None:
        monkeypatch.setattr(conv_pool, "_BLOCK", request.param)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw shapes of X and W, and attributes; some rows of the convolution are in no window of the pooling."""
    rank = draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    kernel, strides, dilations, pads = each(1, 3), each(1, 2), each(1, 2), each(0, 2) + each(0, 2)
    window = draw(st.sampled_from([w for w in [(2, 2, 2), (3, 1, 2), (2, 3, 1), (2, 1, 1)] if max(w[:rank]) > 1]))[
        :rank
    ]
    sizes = []
    for k, s, d, w, begin, end in zip(kernel, strides, dilations, window, pads, pads[rank:], strict=False):
        least = (w - 1) * s + (k - 1) * d + 1 - begin - end
        sizes.append(max(1, least) + draw(st.integers(0, 5)))
    batch, channels, filters = (draw(st.integers(1, n)) for n in (5, 3, 3))
    attrs = {"strides": strides, "dilations": dilations, "pads": pads}
    return (batch, channels, *sizes), (filters, channels, *kernel), attrs | {"window": window}


FIXED: list[Case] = [
    ((5, 2, 9, 8), (3, 2, 3, 3), {"window": (2, 2)}),
    ((5, 2, 9, 8), (3, 2, 3, 3), {"window": (2, 3), "auto_pad": "SAME_UPPER"}),
    ((5, 2, 9, 8), (3, 2, 3, 2), {"window": (3, 2), "auto_pad": "SAME_LOWER", "strides": (1, 2)}),
    ((4, 3, 8, 5), (3, 3, 1, 1), {"window": (2, 1)}),
    ((3, 12, 8, 7), (12, 12, 3, 3), {"window": (2, 1)}),
    ((7, 1, 30), (4, 1, 5), {"window": (4,)}),
    ((2, 2, 5, 6, 7), (3, 2, 2, 1, 3), {"window": (2, 2, 2)}),
]


def pooled(graph: Graph, X: Value, W: Value, window: tuple[int, ...], **attrs: Any) -> Value:
    g = Builder(graph, "apart")
    made: Value = g.MaxPool(g.Conv(X, W, **attrs), kernel_shape=window, strides=window)
    return made


def results(X: Array, W: Array, attrs: dict[str, Any], dtype: Any, *, fused: bool) -> tuple[Array, Array]:
    """Return Y, and the gradient of W."""
    graph, Y = build("ConvPool", [X, W], **attrs)
    if not fused:
        Y = pooled(graph, graph.inputs["x0"], graph.inputs["x1"], **attrs)
        graph.outputs["y0"] = Y
    loss = scalar_loss(graph, {"y0": np.arange(1.0, 1 + np.prod(Y.shape)).reshape(Y.shape)})
    fetches, shapes = {"y0": Y, "loss": loss}, {"x0": X.shape, "x1": W.shape}
    with patch.object(building, "FOR_PROGRAM", without(fuse_conv_max_pool)):
        program = build_program(
            graph.with_outputs(fetches, loss), Parameters(graph, dtype), Target(shapes, input_grads=["x1"])
        )
    feed(graph, program, {"x0": X, "x1": W})
    program.run()
    return program.fetches["y0"].copy(), program.grads["x1"].copy()


def check(case: Case) -> None:
    """Check that floats agree within rounding, and integers, many of them equal, exactly."""
    x, w, attrs = case
    random = np.random.default_rng(sum(x))
    for make, dtype, tolerance in (
        (random.standard_normal, np.float64, 1e-11),
        (random.standard_normal, np.float32, 1e-4),
        (lambda shape: random.integers(-1, 2, shape).astype(np.float32), np.float32, 0),
    ):
        X, W = make(x), make(w)
        exact = [form for form in winograd._FORMS if form.products == 4]  # of whole numbers; points like 5/8 are not
        with patch.object(winograd, "_FORMS", exact):
            got, expected = (results(X, W, attrs, dtype, fused=fused) for fused in (True, False))
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max(initial=0))


@pytest.mark.slow
@pytest.mark.usefixtures("kernels", "blocks")
@SETTINGS
@given(cases())
def test_values_match_onnxruntime(case: Case) -> None:
    check(case)


@pytest.mark.usefixtures("kernels", "blocks")
@pytest.mark.parametrize("case", FIXED)
def test_values_and_gradients(case: Case) -> None:
    check(case)
    x, w, attrs = case
    both_layouts("ConvPool", [normal(0, *x), normal(1, *w)], [1], **attrs)


def test_zeros_give_all_to_the_first_tap() -> None:
    _, dW = results(np.ones((1, 1, 4, 4)), np.zeros((1, 1, 2, 2)), {"window": (3, 3)}, np.float32, fused=True)
    np.testing.assert_array_equal(dW, np.ones((1, 1, 2, 2)))
    X = np.arange(16.0).reshape(1, 1, 4, 4)
    _, dW = results(X, np.zeros((1, 1, 2, 2)), {"window": (3, 3)}, np.float32, fused=True)
    np.testing.assert_array_equal(dW[0, 0], X[0, 0, :2, :2])


@pytest.mark.usefixtures("kernels_that_pay")
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_propagate(number: float) -> None:
    X = normal(0, 2, 1, 6, 6)
    X[0, 0, 2, 3] = number
    W = np.abs(normal(1, 2, 1, 3, 3))
    with np.errstate(invalid="ignore"):
        got, expected = (results(X, W, {"window": (2, 2)}, np.float32, fused=fused) for fused in (True, False))
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-5)
    assert np.isfinite(got[0][1]).all()
    assert np.isfinite(got[1]).all() <= np.isfinite(expected[1]).all()


def test_a_step_allocates_nothing_and_no_rows_are_fine() -> None:
    W = normal(1, 8, 3, 3, 3)
    for rows in (0, 1, 40):
        graph, Y = build("ConvPool", [normal(0, rows, 3, 20, 20), W], window=(2, 2))
        loss = Builder(graph, "loss").ReduceSum(Y, keepdims=0)
        shapes = {n: v.shape for n, v in graph.inputs.items()}
        program = build_program(
            graph.with_outputs({"loss": loss}, loss), Parameters(graph), Target(shapes, input_grads=["x1"])
        )
        feed(graph, program, {"x0": normal(0, rows, 3, 20, 20), "x1": W})
        assert allocated(program) < 1 << 17
        assert program.grads["x1"].any() == bool(rows)


def test_inference_saves_nothing_for_backward() -> None:
    X, W = normal(0, 64, 1, 28, 28), normal(1, 32, 1, 3, 3)
    (Y,) = run("ConvPool", [X, W], window=(2, 2))
    (C,) = run("Conv", [X, W])
    np.testing.assert_allclose(Y, C.reshape(64, 32, 13, 2, 13, 2).max((3, 5)), rtol=1e-4, atol=1e-5)
    graph, _ = build("ConvPool", [X, W], window=(2, 2))
    program = build_program(graph, Parameters(graph), Target({"x0": X.shape, "x1": W.shape}))
    assert program.nbytes < X.nbytes + W.nbytes + Y.nbytes + C.nbytes / 2


def test_invalid_arguments_are_refused() -> None:
    g = Builder(Graph("net"), "y")
    X, W = source("X", ("N", 3, 9, 9)), source("W", (4, 3, 3, 3))
    for window in ((1, 1), (2,), (0, 2), (2, 8)):
        with pytest.raises(ShapeError):
            g.ConvPool(X, W, window=window)
    with pytest.raises(ShapeError):
        g.ConvPool(X, source("V", (4, 2, 3, 3)), window=(2, 2))
    assert (
        g.ConvPool(source("Z", ("N", 3, "h", 9)), W, window=(2, 2)).shape
        == g.MaxPool(g.Conv(source("Z", ("N", 3, "h", 9)), W), kernel_shape=(2, 2), strides=(2, 2)).shape
    )


Network = Callable[[Builder, Value], Value]
POOL: dict[str, Any] = {"kernel_shape": (2, 2), "strides": (2, 2)}


def conv(g: Builder, x: Value, channels: int = 3, kernel: tuple[int, ...] = (3, 3), **attrs: Any) -> Value:
    made: Value = g.Conv(x, g.param("kernel", (4, channels, *kernel), ONES), **attrs)
    return made


def last(g: Builder, x: Value) -> Value:
    made: Value = g.Transpose(x, perm=(0, 2, 3, 1))
    return made


def first(g: Builder, x: Value) -> Value:
    made: Value = g.Transpose(x, perm=(0, 3, 1, 2))
    return made


def scaled(g: Builder, x: Value) -> Value:
    made: Value = g.Mul(x, g.param("scale", (), ONES))
    return made


FUSED: dict[str, Network] = {
    "as it is": lambda g, x: g.MaxPool(conv(g, x), **POOL),
    "transposed to and fro": lambda g, x: g.MaxPool(first(g, last(g, conv(g, first(g, last(g, x))))), **POOL),
    "bias and relu between": lambda g, x: g.MaxPool(
        g.Relu(g.Conv(x, g.param("kernel", (4, 3, 3, 3), ONES), g.param("bias", (4,), ONES))), **POOL
    ),
    "of numbers that are computed": lambda g, x: g.MaxPool(conv(g, g.Tanh(x), strides=(2, 1)), **POOL),
}
APART: dict[str, Network] = {
    "axes that are others": lambda g, x: g.MaxPool(last(g, conv(g, x)), **POOL),
    "a gradient for what is read": lambda g, x: g.MaxPool(conv(g, scaled(g, x)), **POOL),
    "read twice": lambda g, x: g.Add(g.ReduceMax(y := conv(g, x), axes=None), g.MaxPool(y, **POOL)),
    "a bias that is computed": lambda g, x: g.MaxPool(
        g.Conv(x, g.param("kernel", (4, 3, 3, 3), ONES), g.Exp(g.param("bias", (4,), ONES))), **POOL
    ),
    "groups": lambda g, x: g.MaxPool(g.Conv(x, g.param("kernel", (3, 1, 3, 3), ONES), group=3), **POOL),
    "windows that overlap": lambda g, x: g.MaxPool(conv(g, x), kernel_shape=(3, 3), strides=(2, 2)),
    "windows with gaps": lambda g, x: g.MaxPool(conv(g, x), kernel_shape=(2, 2), strides=(3, 3)),
    "one tap": lambda g, x: g.MaxPool(conv(g, x), kernel_shape=(1, 1)),
    "padding": lambda g, x: g.MaxPool(conv(g, x), pads=(0, 0, 0, 1), **POOL),
    "the same size": lambda g, x: g.MaxPool(conv(g, x), auto_pad="SAME_UPPER", **POOL),
    "dilations": lambda g, x: g.MaxPool(conv(g, x), dilations=(2, 1), **POOL),
    "rounded up": lambda g, x: g.MaxPool(conv(g, x), ceil_mode=1, **POOL),
    "another operator": lambda g, x: g.MaxPool(g.Tanh(conv(g, x)), **POOL),
}
SLOWER: dict[str, Network] = {
    "many channels": lambda g, x: g.MaxPool(conv(g, g.Concat(*[x] * 10, axis=1), 30), **POOL),
    "one place": lambda g, x: g.MaxPool(conv(g, x, kernel=(1, 1)), **POOL),
}


def program_of(network: Network, input_grads: tuple[str, ...] = ()) -> Program:
    graph = Graph("net")
    graph.inputs["x"] = Value("x", Type("float32", ("N", 3, 12, 12)), "input")
    g = Builder(graph, "node")
    y = network(g, graph.inputs["x"])
    loss = g.ReduceMean(y, axes=None, keepdims=0)
    parameters = Parameters(graph)
    parameters.initialize(0)
    gradient = np.zeros_like(parameters.vectors["trainable"])
    target = Target({"x": (2, 3, 12, 12)}, input_grads)
    return build_program(graph.with_outputs({"y": y}, loss), parameters, target, gradient=gradient)


def fused(program: Program) -> bool:
    return any(name.endswith("ConvPool") for _, name, *_ in program.spans)


def test_it_is_used_if_applicable_and_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    for forced, networks in ((None, FUSED), (True, FUSED | SLOWER)):
        monkeypatch.setattr(choice, "FAST", forced)
        assert {name for name, network in networks.items() if not fused(program_of(network))} == set()
    for forced, networks in ((None, APART | SLOWER), (True, APART), (False, FUSED)):
        monkeypatch.setattr(choice, "FAST", forced)
        assert {name for name, network in networks.items() if fused(program_of(network))} == set()
    monkeypatch.setattr(choice, "FAST", True)
    assert not fused(program_of(FUSED["as it is"], ("x",)))


def spec(workers: int = 1) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "images",
        "inputs": {"x": {"shape": [11, 10, 2]}},
        "layers": [
            {"type": "Conv2D", "filters": 5, "kernel_size": 3, "activation": "relu"},
            {"type": "MaxPooling2D"},
            {"type": "Conv2D", "filters": 4, "kernel_size": 3},
            {"type": "MaxPooling2D"},
            {"type": "Flatten"},
            {"name": "y", "type": "Dense", "units": 3},
        ],
        "outputs": {"y": {"loss": {"type": "sparse_categorical_crossentropy", "from_logits": True}}},
        "training": {"optimizer": "adam", "batch_size": 9, "epochs": 3, "seed": 4, "workers": workers},
    }


def trained(workers: int) -> tuple[gs.Model, Array]:
    random = np.random.default_rng(0)
    model = gs.compile(spec(workers))
    history = model.fit(random.standard_normal((40, 11, 10, 2)), random.integers(0, 3, 40), verbose=0).history
    return model, np.array(history["loss"])


@pytest.mark.slow
def test_training_matches_training_without_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import onnx

    monkeypatch.setattr(choose, "usable_cores", lambda: 2)
    monkeypatch.setattr(choice, "FAST", None)
    monkeypatch.delenv(choice.KERNELS, raising=False)
    model, losses = trained(1)
    again, by_two = trained(2)
    assert (model.workers, again.workers) == (1, 2)
    np.testing.assert_array_equal(trained(2)[1], by_two)
    x = normal(7, 6, 11, 10, 2)
    answers = model.predict(x)
    with patch.object(building, "FOR_PROGRAM", without(fuse_conv_max_pool)):
        apart, expected = trained(1)
        np.testing.assert_allclose(answers, apart.predict(x), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    np.testing.assert_allclose(by_two, expected, rtol=1e-4)
    assert losses[-1] < losses[0]
    model.export(tmp_path / "images.onnx")
    written = [node.op_type for node in onnx.load(tmp_path / "images.onnx").graph.node]
    assert (written.count("Conv"), written.count("MaxPool")) == (2, 2)
    assert "ConvPool" not in {node.op for node in model.graph.nodes}
