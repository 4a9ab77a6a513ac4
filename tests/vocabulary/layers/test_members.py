"""Members and MemberDense against NumPy's formulas, EinsumDense, finite differences and onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_run import cotangent_loss, onnx_outputs, run, store_of
from lowering import lower, source, weights

import graphspec as gs
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.graph import Graph

Array = np.ndarray[Any, Any]
RANDOM = np.random.default_rng(0)
FLAT: Array = RANDOM.standard_normal((5, 3))
VIEWS: Array = RANDOM.standard_normal((5, 4, 3))


def member_dense(units: int, **more: Any) -> dict[str, Any]:
    return {"type": "MemberDense", "units": units, **more}


def graph_of(layer: dict[str, Any], x: Array) -> Graph:
    graph, (y,) = lower(layer, source("x", ("N", *x.shape[1:])))
    graph.inputs["x"], graph.outputs["y"] = source("x", ("N", *x.shape[1:])), y
    return graph


def drawn(graph: Graph) -> dict[str, Array]:
    return {name: RANDOM.standard_normal(p.shape) for name, p in graph.params.items()}


def expected(layer: dict[str, Any], x: Array, w: dict[str, Array]) -> Array:
    if layer["type"] == "Members":
        return np.einsum("nd,kd->nkd", x, w["y/scale"])
    y: Array = np.stack([x[:, i] @ kernel for i, kernel in enumerate(w["y/kernel"])], axis=1)
    y += w.get("y/bias", 0.0)
    return np.tanh(y) if layer.get("activation") else y


CASES = [
    ({"type": "Members", "members": 4}, FLAT),
    (member_dense(2), VIEWS),
    (member_dense(2, use_bias=False, activation="tanh"), VIEWS),
    (member_dense(1), VIEWS),
    (member_dense(1, use_bias=False, activation="tanh"), VIEWS),
]


@pytest.mark.parametrize(("layer", "x"), CASES)
def test_values_and_gradients(layer: dict[str, Any], x: Array) -> None:
    graph = graph_of(layer, x)
    w = drawn(graph)
    right = expected(layer, x, w)
    np.testing.assert_allclose(onnx_outputs(graph, w, {"x": x.astype(np.float32)})["y"], right, rtol=1e-4, atol=1e-5)
    loss = cotangent_loss(graph)
    arrays = {"x": x, "y/cotangent": RANDOM.standard_normal(right.shape)}
    found, gradients, of_x = run(graph, store_of(graph, w), arrays, graph.outputs, loss=loss, input_grads=["x"])
    np.testing.assert_allclose(found["y"], right, rtol=1e-10)
    places = [(w, name, gradient) for name, gradient in gradients.items()] + [(arrays, "x", of_x["x"])]
    for values, name, gradient in places:
        array, step = values[name], 1e-6
        for index in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                moved = array.copy()
                moved[index] += sign * step
                other = {name: moved}
                y = expected(layer, arrays["x"] if name != "x" else moved, w if name == "x" else w | other)
                ends.append((y * arrays["y/cotangent"]).sum())
            assert gradient[index] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-7), name


def test_a_member_dense_is_an_einsum_dense() -> None:
    einsum = {"type": "EinsumDense", "equation": "nkd,kdu->nku", "output_shape": [4, 2], "bias_axes": "ku"}
    one, other = graph_of(member_dense(2), VIEWS), graph_of(einsum, VIEWS)
    w = drawn(one)
    assert weights(one) == weights(other) == {"kernel": (4, 3, 2), "bias": (4, 2)}
    found = [run(g, store_of(g, w), {"x": VIEWS}, g.outputs)[0]["y"] for g in (one, other)]
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_first_values() -> None:
    """Scales are 1 and -1, about equally often; each member's kernel has the variance of a Dense's."""
    graph, _ = lower({"type": "Members", "members": 100}, ("N", 50))
    scale = graph.params["y/scale"].initializer((100, 50), np.random.default_rng(1))
    assert scale.dtype == np.float32
    assert np.unique(scale).tolist() == [-1.0, 1.0]
    assert abs(scale.mean()) < 0.05
    graph, _ = lower(member_dense(30, kernel_initializer="he_uniform"), ("N", 16, 24))
    kernel = graph.params["y/kernel"].initializer((16, 24, 30), np.random.default_rng(1))
    assert np.abs(kernel).max() == pytest.approx(np.sqrt(6 / 24), rel=1e-3)


def test_the_width_of_a_record_is_learnt(tmp_path: Path) -> None:
    document = {
        "graphspec": 1,
        "name": "m",
        "inputs": {"row": {"columns": {"a": "number", "b": "category"}}},
        "layers": [
            {"name": "views", "type": "Members", "members": 4},
            {"type": "Dense", "units": 8, "activation": "relu"},
            {"name": "y", **member_dense(1)},
        ],
        "outputs": {"y": {"loss": "mse", "scale": "standard", "members": "mean"}},
    }
    a = np.arange(12.0, dtype=np.float32)
    rows = {"a": a, "b": np.array(["x", "y", "z"] * 4)}
    model = gs.compile(document)
    model.fit(rows, a * 2, verbose=0)
    assert model.weights["views/scale"].shape == (4, 6)
    model.export(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        ("Members", ("N", 3, 2), "needs rank-2 data"),
        (member_dense(1), ("N", 3), "needs rank-3 data"),
        (member_dense(1), ("N", "time", 3), "needs a fixed size on axis 1"),
    ],
)
def test_refused(layer: Any, shape: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        lower(layer, shape)
