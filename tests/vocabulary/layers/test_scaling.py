"""Scales of numbers: arguments, what is learnt, shapes before it, values and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from adapting import adapted, graph_of, in_both, learn, value_of
from graphs import scalar_loss
from lowering import TIME, lower
from pydantic import ValidationError

from graphspec.base.errors import ShapeError
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.vocabulary.layers import LAYERS

X = np.random.default_rng(0).normal(5.0, 3.0, (40, 2, 3)).astype(np.float32)


@pytest.mark.parametrize("axis", [-1, 1, [1, 2], [-1, 1], None])
def test_normalized_rows_have_mean_0_and_variance_1(axis: Any) -> None:
    layer = adapted({"type": "Normalization", "axis": axis}, X)
    (Y,) = in_both(layer, X)
    axes = range(3) if axis is None else [a % 3 for a in np.atleast_1d(axis)]
    others = (0, 1, 2) if axis is None else tuple({0, 1, 2} - set(axes))
    np.testing.assert_allclose(Y.mean(others), 0.0, atol=1e-5)
    np.testing.assert_allclose(Y.var(others), 1.0, rtol=1e-5)
    inverse = layer.model_copy(update={"invert": True})
    np.testing.assert_allclose(in_both(inverse, Y)[0], X, rtol=1e-5, atol=1e-5)


def test_a_feature_that_is_constant_but_for_rounding_is_divided_by_one() -> None:
    layer = adapted("Normalization", np.full((5, 1), 3.0, np.float32))
    assert in_both(layer, np.array([[3.0], [4.0]], np.float32))[0].tolist() == [[0.0], [1.0]]
    large = np.float32(2**24)
    rounded = np.full((1000, 1), large, np.float32)
    rounded[0] = np.nextafter(large, np.float32(0))
    layer = adapted("Normalization", rounded)
    assert in_both(layer, np.array([[large], [large + 2]], np.float32))[0].tolist() == [[0.0], [2.0]]


def test_a_tiny_deviation_is_one_of_a_feature_around_zero() -> None:
    tiny = np.array([[-1e-9], [1e-9]], np.float32)
    layer = adapted("Normalization", tiny)
    np.testing.assert_allclose(in_both(layer, tiny)[0], [[-0.01], [0.01]], rtol=1e-5)


def test_integers_are_scaled_too() -> None:
    ids = np.array([[1], [2], [6]], np.int64)
    (Y,) = in_both(adapted("Normalization", ids), ids)
    np.testing.assert_allclose(Y[:, 0], (ids[:, 0] - 3) / np.sqrt(14 / 3), rtol=1e-6)
    assert in_both(adapted("MinMaxScaling", ids), ids)[0].ravel().tolist() == [0.0, pytest.approx(0.2), 1.0]


def test_min_max_scaling() -> None:
    (Y,) = in_both(adapted("MinMaxScaling", X), X)
    np.testing.assert_allclose(Y.min((0, 1)), 0.0, atol=1e-7)
    np.testing.assert_allclose(Y.max((0, 1)), 1.0, rtol=1e-6)
    given = {"type": "MinMaxScaling", "minimum": [0.0, 3.0], "maximum": [4.0, 3.0]}
    (Y,) = in_both(given, np.array([[1.0, 3.0], [8.0, 4.0]], np.float32))
    assert Y.tolist() == [[0.25, 0.0], [2.0, 1.0]]


def test_scalars_have_one_scale() -> None:
    x = np.array([1.0, 3.0], np.float32)
    assert in_both(adapted("MinMaxScaling", x), x)[0].tolist() == [0.0, 1.0]


def test_log1p() -> None:
    x = np.array([[-1e6, -1.0, 0.0, 1e-3, 7.0, 1e30]], np.float32)
    (Y,) = in_both("Log1p", x)
    np.testing.assert_allclose(Y, np.sign(x) * np.log1p(np.abs(x)), rtol=1e-4)


@pytest.mark.parametrize(
    ("layer", "derivative"),
    [
        ({"type": "Normalization", "mean": 1.0, "variance": 4.0}, lambda x: np.full_like(x, 0.5)),
        ({"type": "MinMaxScaling", "minimum": 1.0, "maximum": 5.0}, lambda x: np.full_like(x, 0.25)),
        ("Log1p", lambda x: 1 / (1 + np.abs(x))),
        ({"type": "Impute", "strategy": "zero"}, lambda x: np.where(np.isnan(x), 0.0, 1.0)),
    ],
)
def test_gradients(layer: Any, derivative: Any) -> None:
    x = np.array([[-3.0, 0.5, 2.0]], np.float32)
    if isinstance(layer, dict) and layer["type"] == "Impute":
        x[0, 1] = np.nan
    graph = graph_of(layer, x)
    with_loss = graph.with_outputs({}, scalar_loss(graph, {"0": np.ones(x.shape)}))
    program = build_program(with_loss, Parameters(graph, np.float32), Target({"x": x.shape}, input_grads=["x"]))
    program.feeds["x"][...] = x
    program.run()
    np.testing.assert_allclose(program.grads["x"], derivative(x), rtol=1e-6)


@pytest.mark.parametrize("kind", ["Normalization", "MinMaxScaling", "Log1p"])
def test_shapes(kind: str) -> None:
    """They are known before anything is learnt; the graph then cannot be run."""
    graph, (output,) = lower(kind, TIME)
    assert (output.shape, output.dtype) == (TIME, "float32")
    assert list(graph.learnt) == ([] if kind == "Log1p" else ["y.statistics"])
    assert LAYERS.parse(kind).learns == (kind != "Log1p")


def test_nodes_that_share_weights_share_what_is_learnt() -> None:
    graph, _ = lower("Normalization", TIME)
    with Builder(graph, "z", weights="y") as g:
        LAYERS.parse("Normalization").lower(g, value_of(X))
    assert list(graph.learnt) == ["y.statistics"]


@pytest.mark.parametrize(
    ("layer", "shape", "code"),
    [
        ("Normalization", ("N", "features"), "GS305"),
        ({"type": "Normalization", "axis": 1}, TIME, "GS305"),
        ({"type": "Normalization", "axis": 0}, TIME, "GS301"),
        ({"type": "Normalization", "axis": 3}, TIME, "GS301"),
        ("Normalization", ("N",), "GS301"),
        ({"type": "MinMaxScaling", "minimum": [0.0, 1.0], "maximum": [1.0, 2.0]}, TIME, "GS304"),
        ({"type": "TimeDistributed", "layer": "Normalization"}, TIME, "GS105"),
    ],
)
def test_shape_error(layer: Any, shape: tuple[Any, ...], code: str) -> None:
    with pytest.raises(ShapeError) as error:
        lower(layer, shape)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"minimum": 0.0}, "GS103"),
        ({"maximum": 0.0}, "GS103"),
        ({"minimum": 1.0, "maximum": 0.0}, "GS105"),
        ({"minimum": [0.0, 1.0], "maximum": [1.0]}, "GS105"),
        ({"minimum": 0.0, "maximum": float("inf")}, "finite_number"),
    ],
)
def test_argument_error(arguments: dict[str, Any], code: str) -> None:
    cls = LAYERS.get("MinMaxScaling")
    assert cls is not None
    with pytest.raises(ValidationError) as error:
        cls.model_validate(arguments)
    assert error.value.errors()[0]["type"] == code


def test_what_is_learnt_elsewhere_is_refused() -> None:
    layer = LAYERS.parse("Normalization")
    with pytest.raises(ValueError, match="does not learn median"):
        layer.with_learnt({"median": 1.0})
    with pytest.raises(ValueError, match="variance"):
        layer.with_learnt({"mean": [1.0], "variance": [-1.0]})
    state = learn(layer.learner(value_of(X)), [X])
    with pytest.raises(ShapeError, match="3 values in `mean`"):
        lower(layer.with_learnt(state), ("N", 2))


@pytest.mark.parametrize("deviation", [True, False])
@pytest.mark.parametrize("by", ["last", "mean"])
@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3)])
def test_a_window_is_scaled_by_itself(shape: tuple[int, ...], by: str, deviation: bool) -> None:
    x = np.random.default_rng(1).normal(50.0, 3.0, shape)
    x[2], x[3:] = 4.0, -x[3:]
    layer = {"type": "WindowScaling", "by": by, "deviation": deviation}
    found = in_both(layer, x.astype(np.float32))
    level = x[:, -1:] if by == "last" else x.mean(1, keepdims=True)
    spread = np.sqrt(x.var(1, keepdims=True) + 1e-5) + 0.1 * np.abs(x.mean(1, keepdims=True))
    expected = [(x - level) / spread, level, spread] if deviation else [x - level, level]
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    assert not found[0][2].any(), "a window without a deviation is 0"


@pytest.mark.parametrize("deviation", [True, False])
@pytest.mark.parametrize("by", ["last", "mean"])
def test_gradients_of_a_window(by: str, deviation: bool) -> None:
    """Against finite differences of the formula in float64."""
    random = np.random.default_rng(2)
    x, weights = random.normal(2.0, 1.5, (3, 4, 2)), random.normal(size=(1, 4, 2))

    def value(x: Any) -> float:
        level = x[:, -1:] if by == "last" else x.mean(1, keepdims=True)
        spread = np.sqrt(x.var(1, keepdims=True) + 1e-5) + 0.1 * np.abs(x.mean(1, keepdims=True)) if deviation else 1.0
        return float((weights * (x - level) / spread).sum())

    graph = graph_of({"type": "WindowScaling", "by": by, "deviation": deviation}, x.astype(np.float32))
    with_loss = graph.with_outputs({}, scalar_loss(graph, {"0": weights}))
    program = build_program(with_loss, Parameters(graph, np.float32), Target({"x": x.shape}, input_grads=["x"]))
    program.feeds["x"][...] = x
    program.run()
    steps = np.eye(x.size).reshape(-1, *x.shape) * 1e-6
    expected = np.array([(value(x + step) - value(x - step)) / 2e-6 for step in steps]).reshape(x.shape)
    np.testing.assert_allclose(program.grads["x"], expected, rtol=1e-3, atol=1e-4)


def test_a_window_has_a_time() -> None:
    with pytest.raises(ShapeError) as error:
        lower("WindowScaling", ("N",))
    assert error.value.problem.code == "GS301"


@pytest.mark.parametrize("by", ["last", "mean"])
def test_a_window_far_from_zero(by: str) -> None:
    x = (1e6 + np.random.default_rng(3).normal(size=(5, 30))).astype(np.float32)
    (found, *_), exact = in_both({"type": "WindowScaling", "by": by, "floor": 0}, x), x.astype(np.float64)
    level = exact[:, -1:] if by == "last" else exact.mean(1, keepdims=True)
    np.testing.assert_allclose(found, (exact - level) / exact.std(1, keepdims=True), rtol=1e-3, atol=1e-3)
