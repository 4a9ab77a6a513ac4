"""Operations that golden cases cannot have: kernels as inputs, NaN, segments, parts; and that all of Keras's are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from paths import ROOT

import graphspec as gs
from graphspec.engine.compiler.check import check
from graphspec.vocabulary.layers import LAYERS

X = np.random.default_rng(5).normal(size=(3, 4, 5)).astype(np.float32)
PUBLIC = (ROOT / "tests" / "golden" / "keras_ops.txt").read_text(encoding="utf-8").split()


def spec(*layers: dict[str, Any], shape: Any = (4, 5), **inputs: Any) -> dict[str, Any]:
    declared = {"x": {"shape": list(shape)}, **inputs}
    nodes = [*layers[:-1], {"name": "y", **layers[-1]}]
    return {"graphspec": 1, "name": "s", "inputs": declared, "layers": nodes, "outputs": {"y": {}}}


def value(*layers: dict[str, Any], x: Any = X) -> Any:
    return gs.compile(spec(*layers, shape=x.shape[1:])).predict({"x": x})


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("time", [4, "t"])
def test_associative_scan(reverse: bool, time: Any) -> None:
    """Also where ``a`` is one number for all features, and with the gradient by the same recurrence the other way."""
    layers = [
        {"name": "a", "type": "Dense", "units": 1, "activation": "sigmoid"},
        {"name": "b", "type": "Dense", "units": 5, "inputs": "x"},
        {"type": "ops.associative_scan", "axis": 1, "reverse": reverse, "inputs": ["a", "b"]},
    ]
    training = {"optimizer": {"type": "SGD", "learning_rate": 1.0}, "batch_size": 3}
    model = gs.compile({**spec(*layers, shape=(time, 5)), "outputs": {"y": {"loss": "mse"}}, "training": training})
    before = {key: value.astype(np.float64) for key, value in model.weights.items()}
    x = X.astype(np.float64)
    a = 1 / (1 + np.exp(-(x @ before["a/kernel"] + before["a/bias"])))
    b, h = x @ before["b/kernel"] + before["b/bias"], np.zeros((3, 6, 5))
    order = range(4)[:: -1 if reverse else 1]
    for t in order:
        h[:, t] = a[:, t] * h[:, t + 1 if reverse else t - 1] + b[:, t]
    np.testing.assert_allclose(model.predict({"x": X}), h[:, :4], rtol=1e-5, atol=1e-6)
    model.fit({"x": X}, {"y": np.zeros_like(X)}, epochs=1, verbose=0)
    later, slopes = np.zeros((3, 5)), np.zeros_like(x)
    for t in list(order)[::-1]:
        slopes[:, t] = later = 2 * h[:, t] / h[:, :4].size + later
        later = later * a[:, t]
    found = before["b/kernel"] - model.weights["b/kernel"]
    np.testing.assert_allclose(found, np.einsum("nti,nto->io", x, slopes), rtol=1e-4, atol=1e-6)


def test_every_public_name_of_keras_is_there_or_refused_with_a_way_out() -> None:
    assert len(PUBLIC) > 350
    for name in PUBLIC:
        refused = LAYERS.refused.get(f"ops.{name}")
        assert (LAYERS.get(f"ops.{name}") is None) == (refused is not None), name
        assert refused is None or all(refused), name
    known = {name for name in LAYERS.names() if name.startswith("ops.")} | {
        n for n in LAYERS.refused if n[:4] == "ops."
    }
    assert known - {"ops.lgamma", "ops.digamma"} == {f"ops.{name}" for name in PUBLIC}


@pytest.mark.parametrize(
    ("operation", "layer", "size"),
    [
        ({"type": "ops.conv", "padding": "same"}, {"type": "Conv1D", "filters": 6, "kernel_size": 3}, (3, 5, 6)),
        ({"type": "ops.conv", "strides": 2}, {"type": "Conv1D", "filters": 2, "kernel_size": 2}, (2, 5, 2)),
        ({"type": "ops.conv", "dilation_rate": 2}, {"type": "Conv1D", "filters": 2, "kernel_size": 2}, (2, 5, 2)),
        (
            {"type": "ops.conv_transpose", "strides": 2, "padding": "same"},
            {"type": "Conv1DTranspose", "filters": 3, "kernel_size": 3},
            (3, 3, 5),
        ),
        (
            {"type": "ops.depthwise_conv"},
            {"type": "DepthwiseConv1D", "depth_multiplier": 2, "kernel_size": 3},
            (3, 5, 2),
        ),
    ],
    ids=lambda item: item["type"] if isinstance(item, dict) else "",
)
def test_a_kernel_may_be_an_input(operation: dict[str, Any], layer: dict[str, Any], size: Any, tmp_path: Any) -> None:
    """It gives what the layer gives, times a mask: PixelCNN."""
    kernel = np.random.default_rng(1).normal(size=size).astype(np.float32)
    mask = (np.arange(size[0])[:, None, None] < 2) * np.ones(size)
    nodes = [
        {"name": "k", "type": "Parameter", "shape": list(size)},
        {"name": "mask", "type": "Constant", "value": mask.tolist()},
        {"name": "masked", "type": "ops.multiply", "inputs": ["k", "mask"]},
        {**operation, "inputs": ["x", "masked"]},
    ]
    model = gs.compile(spec(*nodes))
    model.set_weights({"k/value": kernel})
    arguments = {key: v for key, v in operation.items() if key != "type"}
    other = gs.compile(spec({**layer, **arguments, "use_bias": False}))
    other.set_weights({next(iter(other.weights)): kernel * mask.astype(np.float32)})
    np.testing.assert_allclose(model.predict({"x": X}), other.predict({"x": X}), rtol=1e-5, atol=1e-6)
    assert model.export(tmp_path / "y.onnx").batches == [1, 2, 5]


def test_separable_convolution() -> None:
    nodes = [
        {"name": "d", "type": "Parameter", "shape": [3, 5, 2]},
        {"name": "p", "type": "Parameter", "shape": [1, 10, 4]},
        {"type": "ops.separable_conv", "inputs": ["x", "d", "p"]},
    ]
    model = gs.compile(spec(*nodes))
    other = gs.compile(
        spec({"type": "SeparableConv1D", "filters": 4, "kernel_size": 3, "depth_multiplier": 2, "use_bias": False})
    )
    d, p = model.weights.values()
    other.set_weights(dict(zip(other.weights, (d, p), strict=True)))
    np.testing.assert_allclose(model.predict({"x": X}), other.predict({"x": X}), rtol=1e-5, atol=1e-6)


GAPS = {"name": "g", "type": "ops.divide", "inputs": ["x", "x"]}  # 0 / 0 is NaN


@pytest.mark.parametrize("name", ["nansum", "nanmean", "nanprod", "nanvar", "nanstd", "nanmax", "nanmin", "nancumsum"])
@pytest.mark.filterwarnings("ignore")
def test_gaps(name: str) -> None:
    x = np.array([[1, 0, 2, 4], [0, 3, 0, 2], [0, 0, 0, 0]], np.float32)
    with np.errstate(invalid="ignore"):
        gaps = x / x * x
    nodes = [GAPS, {"name": "h", "type": "ops.multiply", "inputs": ["g", "x"]}, {"type": f"ops.{name}", "axis": 1}]
    np.testing.assert_allclose(value(*nodes, x=x), getattr(np, name)(gaps, axis=1), rtol=1e-6)


def test_the_number_beside_a_gap() -> None:
    x = np.array([[1, 0, 2]], np.float32)
    for name in ("fmax", "fmin"):
        found = value(GAPS, {"type": f"ops.{name}", "inputs": ["g", 0.5]}, x=x)
        np.testing.assert_array_equal(found, getattr(np, name)(np.array([[1, np.nan, 1]], np.float32), np.float32(0.5)))


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint"])
def test_quantiles(method: Any) -> None:
    node = {"type": "ops.quantile", "q": 0.3, "axis": [1, 2], "method": method, "keepdims": True}
    np.testing.assert_allclose(value(node), np.quantile(X, 0.3, (1, 2), method=method, keepdims=True), rtol=1e-6)


def test_several_quantiles_are_an_axis_in_front() -> None:
    both = [
        {"name": "q", "type": "ops.quantile", "q": [0.2, 0.9], "axis": -1},
        {"type": "ops.transpose", "axes": [1, 0, 2]},
    ]
    expected = np.quantile(X, [0.2, 0.9], axis=-1).transpose(1, 0, 2)
    np.testing.assert_allclose(value(*both), expected, rtol=1e-5, atol=1e-6)


def test_parts() -> None:
    np.testing.assert_array_equal(
        value({"type": "ops.slice", "start_indices": [0, 1, 2], "shape": [-1, 2, 3]}), X[:, 1:3, 2:]
    )
    (problem,) = check(spec({"type": "ops.slice", "start_indices": [0, 1, 2], "shape": [-1, 4, 3]})).errors
    assert problem.code == "GS304"
    first = {"name": "p", "type": "ops.slice", "start_indices": [0, 0, 0], "shape": [-1, 2, 5]}
    update = {"type": "ops.slice_update", "inputs": ["x", "p"], "start_indices": [0, 3, 0]}
    (problem,) = check(spec(first, update)).errors
    assert problem.code == "GS304"


def test_choices() -> None:
    nodes = [
        {"name": "low", "type": "ops.less", "inputs": ["x", -0.5]},
        {"name": "high", "type": "ops.greater", "inputs": ["x", 0.5]},
        {"type": "ops.select", "inputs": ["low", "high", -1.0, "x"]},
    ]
    np.testing.assert_array_equal(value(*nodes), np.select([X < -0.5, X > 0.5], [np.float32(-1), X]))


def test_steps() -> None:
    x = np.array([[-1, 0, 2]], np.float32)
    np.testing.assert_array_equal(value({"type": "ops.heaviside", "inputs": ["x", 0.5]}, x=x), [[0, 0.5, 1]])


def test_segments_of_rows() -> None:
    ids = {"shape": [], "dtype": "int64"}
    rows, numbers = X[:, 0], np.array([1, 0, 1])
    for name, expected in (
        ("ops.segment_sum", [rows[1], rows[0] + rows[2], 0 * rows[0]]),
        ("ops.segment_max", [rows[1], np.maximum(rows[0], rows[2]), np.full(5, -np.inf)]),
        ("ops.segment_min", [rows[1], np.minimum(rows[0], rows[2]), np.full(5, np.inf)]),
    ):
        nodes = [
            {"name": "s", "type": name, "inputs": ["x", "ids"], "num_segments": 3},
            {"type": "ops.take", "inputs": ["s", "ids"], "axis": 0},
        ]
        found = gs.compile(spec(*nodes, shape=(5,), ids=ids)).predict({"x": rows, "ids": numbers})
        np.testing.assert_allclose(found, np.array(expected)[numbers], rtol=1e-6)


def test_ids_of_segments_may_be_numbers() -> None:
    nodes = [
        {"name": "w", "type": "Constant", "value": [[1.0], [2.0], [4.0]]},
        {"name": "s", "type": "ops.segment_sum", "inputs": ["w", [1, 0, 1]], "num_segments": 2},
        {"type": "ops.multiply", "inputs": ["x", "s"]},
    ]
    x = np.ones((2, 2, 1), np.float32)
    np.testing.assert_array_equal(value(*nodes, x=x), [[[2], [5]]] * 2)


def test_any_number_of_inputs_has_no_null_among_them() -> None:
    (problem,) = check(spec({"type": "ops.concatenate", "inputs": ["x", None]})).errors
    assert (problem.code, "needs its input 1, got null" in problem.message) == ("GS203", True)


def test_a_mask_and_groups_of_queries() -> None:
    """Keys that are masked have no weight; two heads share one key."""
    q = np.random.default_rng(0).normal(size=(2, 3, 2, 4)).astype(np.float32)
    k = q[:, :, :1]
    seen = np.array([True, True, False])
    nodes = [
        {"name": "k", "type": "ops.slice", "inputs": "x", "start_indices": [0, 0, 0, 0], "shape": [-1, 3, 1, 4]},
        {"name": "m", "type": "Constant", "value": seen.tolist()},
        {"name": "b", "type": "Constant", "value": [0.5, -1.0, 2.0]},
        {"type": "ops.dot_product_attention", "inputs": ["x", "k", "k", "b", "m"]},
    ]
    logits = np.einsum("btnh,bsnh->bnts", q, np.repeat(k, 2, 2))[..., seen] / 2 + np.array([0.5, -1.0])
    weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = np.einsum("bnts,bsnh->btnh", weights, np.repeat(k, 2, 2)[:, seen])
    np.testing.assert_allclose(value(*nodes, x=q), expected, rtol=1e-4, atol=1e-5)
