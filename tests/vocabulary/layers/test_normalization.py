"""Normalization, regularization, encoding: shapes, errors, and values without golden ones (noise, ids out of range)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lowering import IMAGE, SEQUENCE, TIME, Dims, lower, source, weights
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

import graphspec as gs
from graphspec.base.errors import ShapeError
from graphspec.export.onnx import prepare, to_model
from graphspec.graph.onnx_session import session
from graphspec.vocabulary.layers import LAYERS

DENSE = {"type": "Dense", "units": 4}
TWO = {"mean": [0.0] * 3, "variance": [1.0] * 3}
SHAPES: list[tuple[str, dict[str, Any], Dims, Dims]] = [
    ("Identity", {}, TIME, TIME),
    ("GroupNormalization", {"groups": 3}, IMAGE, IMAGE),
    ("GroupNormalization", {"groups": 2, "axis": 1}, ("N", 4, "time"), ("N", 4, "time")),
    ("RMSNormalization", {}, TIME, TIME),
    ("RMSNormalization", {"axis": [1, 2]}, SEQUENCE, SEQUENCE),
    ("UnitNormalization", {"axis": 1}, TIME, TIME),
    ("UnitNormalization", {"axis": [1, 2, 3]}, IMAGE, IMAGE),
    ("SpectralNormalization", {"layer": DENSE}, TIME, ("N", "time", 4)),
    (
        "SpectralNormalization",
        {"layer": {"type": "Conv2D", "filters": 4, "kernel_size": 3}},
        IMAGE,
        ("N", 6, 4, 4),
    ),
    ("AlphaDropout", {"rate": 0.5, "noise_shape": [None, 1, 3]}, TIME, TIME),
    ("GaussianDropout", {"rate": 0.5}, TIME, TIME),
    ("GaussianNoise", {"stddev": 0.5}, TIME, TIME),
    ("SpatialDropout1D", {"rate": 0.5}, TIME, TIME),
    ("SpatialDropout2D", {"rate": 0.5}, IMAGE, IMAGE),
    ("SpatialDropout3D", {"rate": 0.5}, ("N", "depth", 2, 2, 3), ("N", "depth", 2, 2, 3)),
    ("ActivityRegularization", {"l1": 0.5}, TIME, TIME),
    ("Normalization", TWO, TIME, TIME),
    ("Discretization", {"bin_boundaries": [0.0, 1.0]}, TIME, TIME),
    ("Discretization", {"bin_boundaries": [0.0, 1.0], "output_mode": "one_hot"}, TIME, ("N", "time", 3, 3)),
    ("Discretization", {"bin_boundaries": [0.0, 1.0], "output_mode": "count"}, ("N", "time"), ("N", 3)),
    ("CategoryEncoding", {"num_tokens": 9}, ("N", "time"), ("N", 9)),
    ("CategoryEncoding", {"num_tokens": 9}, TIME, ("N", 3, 9)),
    ("CategoryEncoding", {"num_tokens": 9, "output_mode": "one_hot"}, ("N", "time", 1), ("N", "time", 9)),
]


@pytest.mark.parametrize(("kind", "args", "shape", "expected"), SHAPES, ids=[case[0] for case in SHAPES])
def test_shape(kind: str, args: dict[str, Any], shape: Dims, expected: Dims) -> None:
    _, (output,) = lower({"type": kind, **args}, shape)
    assert output.shape == expected
    assert output.dtype == ("int32" if kind == "Discretization" and len(args) == 1 else "float32")


def test_weights() -> None:
    graph, _ = lower({"type": "SpectralNormalization", "layer": DENSE}, TIME)
    assert weights(graph) == {"kernel": (3, 4), "bias": (4,), "vector_u": (1, 4)}
    assert [p.name for p in graph.params.values() if p.state] == ["y/vector_u"]
    assert weights(lower({"type": "GroupNormalization", "groups": -1}, IMAGE)[0]) == {"gamma": (3,), "beta": (3,)}
    assert weights(lower({"type": "RMSNormalization", "axis": [-1, 1]}, IMAGE)[0]) == {"scale": (8, 3)}


SHAPE_ERRORS: list[tuple[dict[str, Any], Dims, str, str, str | None]] = [
    (
        {"type": "GroupNormalization"},
        IMAGE,
        "GS304",
        "3 channels in (N, 8, 6, 3), not divisible into 32 groups",
        "groups",
    ),
    ({"type": "GroupNormalization", "groups": 2, "axis": 0}, IMAGE, "GS301", "axis from 1 to 3", "axis"),
    ({"type": "GroupNormalization", "groups": -1}, ("N", 3, "time"), "GS305", "varies", None),
    ({"type": "RMSNormalization", "axis": 3}, TIME, "GS301", "axis from 1 to 2", "axis"),
    ({"type": "UnitNormalization", "axis": [1, 4]}, IMAGE, "GS301", "axis from 1 to 3", "axis"),
    ({"type": "SpectralNormalization", "layer": "ReLU"}, TIME, "GS105", "ReLU, which has no kernel", "layer"),
    (
        {"type": "SpectralNormalization", "layer": {"type": "LSTM", "units": 2}},
        TIME,
        "GS105",
        "LSTM, which has no kernel",
        "layer",
    ),
    ({"type": "AlphaDropout", "rate": 0.5, "noise_shape": [1, 2]}, TIME, "GS301", "noise_shape", "noise_shape"),
    ({"type": "SpatialDropout1D", "rate": 0.5}, IMAGE, "GS301", "rank-3", None),
    ({"type": "SpatialDropout2D", "rate": 0.5}, TIME, "GS301", "(batch, height, width, channels)", None),
    ({"type": "Normalization", **TWO}, ("N", 4), "GS304", "3 values in `mean` for axis 1 of (N, 4)", "mean"),
    ({"type": "Normalization", **TWO, "axis": None}, TIME, "GS301", "a `mean` with 1 axes", "mean"),
    ({"type": "Normalization", **TWO, "axis": 2}, ("N", 3), "GS301", "axis from 1 to 1", "axis"),
    ({"type": "Normalization", **TWO, "axis": 1}, TIME, "GS305", "varies", None),
    ({"type": "CategoryEncoding", "num_tokens": 3}, ("N",), "GS301", "(batch, ids, …)", None),
    ({"type": "CategoryEncoding"}, ("N", 3), "GS305", "needs `num_tokens`", "num_tokens"),
]


@pytest.mark.parametrize(
    ("layer", "shape", "code", "text", "key"), SHAPE_ERRORS, ids=[f"{c[0]['type']}-{c[2]}" for c in SHAPE_ERRORS]
)
def test_shape_error(layer: dict[str, Any], shape: Dims, code: str, text: str, key: str | None) -> None:
    with pytest.raises(ShapeError) as error:
        lower(layer, shape)
    assert error.value.code == code
    assert text in error.value.problem.message
    assert error.value.problem.key == key


ARGUMENT_ERRORS: list[tuple[dict[str, Any], tuple[str, ...], str]] = [
    ({"type": "GroupNormalization", "groups": 0}, ("groups",), "GS105"),
    ({"type": "GaussianNoise", "stddev": 1.5}, ("stddev",), "less_than_equal"),
    ({"type": "Normalization", "mean": 1.0}, (), "GS103"),
    ({"type": "Normalization", "mean": [1.0, 2.0], "variance": [1.0]}, (), "GS105"),
    ({"type": "Normalization", "mean": 0.0, "variance": -1.0}, (), "GS105"),
    ({"type": "Normalization", "mean": [[1.0], [1.0, 2.0]], "variance": 1.0}, ("mean",), "GS105"),
    ({"type": "Discretization", "bin_boundaries": [1.0, 0.0]}, ("bin_boundaries",), "GS105"),
    ({"type": "Discretization", "bin_boundaries": []}, ("bin_boundaries",), "GS105"),
    ({"type": "CategoryEncoding", "num_tokens": 3, "sparse": True}, ("sparse",), "GS105"),
]


@pytest.mark.parametrize(
    ("layer", "where", "kind"), ARGUMENT_ERRORS, ids=[f"{c[0]['type']}-{c[2]}" for c in ARGUMENT_ERRORS]
)
def test_argument_error(layer: dict[str, Any], where: tuple[str, ...], kind: str) -> None:
    cls = LAYERS.get(layer["type"])
    assert cls is not None
    with pytest.raises(ValidationError) as error:
        cls.model_validate({k: v for k, v in layer.items() if k != "type"})
    (found,) = error.value.errors()
    assert found["loc"][:1] == where
    assert found["type"] == kind


@pytest.mark.parametrize("name", sorted(LAYERS.refused))
def test_refused_layers_say_why(name: str) -> None:
    assert LAYERS.get(name) is None
    with pytest.raises(PydanticCustomError, match=f"{name}, which is refused: ") as error:
        LAYERS.parse(name)
    assert error.value.type == "GS105"
    assert (error.value.context or {})["problem"].hint


def model_of(layers: list[dict[str, Any]], inputs: dict[str, Any], loss: str | None = None) -> gs.Model:
    head = {} if loss is None else {"loss": loss}
    spec = {"graphspec": 1, "name": "net", "inputs": inputs, "layers": layers, "outputs": {"y": head}}
    return gs.compile({**spec, "training": {"optimizer": {"type": "SGD", "learning_rate": 0.1}, "seed": 3}})


@pytest.mark.parametrize("mode", ["multi_hot", "count", "one_hot"])
def test_ids_out_of_range_do_not_count(mode: str) -> None:
    layer = {"name": "y", "type": "CategoryEncoding", "num_tokens": 4, "output_mode": mode}
    model = model_of([layer], {"x": {"shape": [None], "dtype": "int64"}})
    ids = np.array([[0, 3, 3, 4, -1], [7, -4, -9, 4, 100]])
    each = (ids[..., None] == np.arange(4)).astype(np.float32)
    expected = {"one_hot": each, "multi_hot": each.max(1), "count": each.sum(1)}[mode]
    np.testing.assert_array_equal(model.predict(ids), expected)
    proto = to_model(model.graph, model.parameters, labels={}, metadata={})
    (exported,) = session(proto.SerializeToString(), threads=1).run(None, {"x": ids})
    np.testing.assert_array_equal(exported, expected)


def test_count_weights_must_fit() -> None:
    layer = {"type": "CategoryEncoding", "num_tokens": 4, "output_mode": "count"}
    ids, w = source("ids", ("N", 3), "int64"), source("w", ("N", 4))
    with pytest.raises(ShapeError, match=r"shape \(N, 3\) as `count_weights`, got \(N, 4\)"):
        lower(layer, ids, count_weights=[w])
    with pytest.raises(ShapeError, match="only with `output_mode: count`"):
        lower({**layer, "output_mode": "multi_hot"}, ids, count_weights=[source("w", ("N", 3))])


def test_activity_regularization_equals_that_of_a_dense_layer() -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 8, 3)).astype(np.float32)
    dense = {"type": "Dense", "units": 3, "name": "d"}
    apart = [dense, {"type": "ActivityRegularization", "l1": 0.1, "l2": 0.2, "name": "y"}]
    within = [{**dense, "name": "y", "activity_regularizer": {"type": "L1L2", "l1": 0.1, "l2": 0.2}}]
    losses, start = [], None
    for layers in (apart, within):
        model = model_of(layers, {"x": {"shape": [3]}}, "mse")
        arrays = list(model.weights.values()) if start is None else start
        start = start or arrays
        model.set_weights(dict(zip(model.weights, arrays, strict=True)))
        error, answers = model.evaluate({"x": x}, {"y": y})["loss"], model.predict(x).astype(np.float64)
        assert error == pytest.approx(((answers - y) ** 2).mean(), rel=1e-5)  # of the answers alone
        penalty = (0.1 * np.abs(answers) + 0.2 * answers**2).sum() / len(x)
        losses.append(model.fit({"x": x}, {"y": y}, batch_size=len(x), verbose=0)["loss"][0])
        assert losses[-1] == pytest.approx(error + penalty, rel=1e-5)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_spectral_normalization_trains_to_a_norm_of_one_and_exports() -> None:
    layer = {"name": "y", "type": "SpectralNormalization", "layer": {**DENSE, "kernel_initializer": "he_normal"}}
    model = model_of([layer], {"x": {"shape": [6]}}, "mse")
    random = np.random.default_rng(1)
    x, y = random.standard_normal((64, 6)).astype(np.float32), np.zeros((64, 4), np.float32)
    before = model.weights["y/vector_u"]
    model.fit({"x": x}, {"y": y}, epochs=20, batch_size=64, verbose=0)
    sigma = np.linalg.svd(model.weights["y/kernel"], compute_uv=False)[0]
    assert 0.7 < sigma < 1.01  # divided to 1, then one step of the optimizer
    assert not np.array_equal(model.weights["y/vector_u"], before)
    assert [node.op for node in prepare(model.graph, model.parameters).nodes] == ["Gemm"]


def test_spectral_normalization_of_an_embedding_uses_the_divided_table() -> None:
    """Keras casts the result to the ids' integer dtype; here it remains float32."""
    embed = {"type": "Embedding", "input_dim": 5, "output_dim": 3}
    layers: list[dict[str, Any]] = [
        {"type": "SpectralNormalization", "layer": embed, "name": "e"},
        {"type": "Flatten"},
        {**DENSE, "name": "y"},
    ]
    model = model_of(layers, {"x": {"shape": [2], "dtype": "int64"}}, "mse")
    ids = np.random.default_rng(3).integers(0, 5, (32, 2))
    model.fit({"x": ids}, {"y": np.zeros((32, 4), np.float32)}, epochs=30, batch_size=32, verbose=0)
    assert model.weights["e/vector_u"].shape == (1, 3)
    assert 0.7 < np.linalg.svd(model.weights["e/embeddings"], compute_uv=False)[0] < 1.01


@pytest.mark.parametrize("opset", [17, 21, 23])
def test_new_operators_are_written_if_the_opset_has_them(opset: int) -> None:
    layers: list[dict[str, Any]] = [
        {"type": "GroupNormalization", "groups": 2},
        {"name": "y", "type": "RMSNormalization"},
    ]
    model = model_of(layers, {"x": {"shape": [None, 4]}})
    proto = to_model(model.graph, model.parameters, labels={}, metadata={}, opset=opset)
    written = {node.op_type for node in proto.graph.node}
    assert ("GroupNormalization" in written) == (opset >= 21)
    assert ("RMSNormalization" in written) == (opset >= 23)
    for shape in ((2, 3, 4), (1, 5, 4)):
        x = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
        (found,) = session(proto.SerializeToString(), threads=1).run(None, {"x": x})
        np.testing.assert_allclose(found, model.predict(x), rtol=1e-4, atol=1e-5)


def test_noise_is_repeated_exactly_and_absent_from_exports() -> None:
    layers: list[dict[str, Any]] = [
        {"type": "GaussianNoise", "stddev": 0.3},
        {"type": "GaussianDropout", "rate": 0.2},
        {"type": "AlphaDropout", "rate": 0.2, "noise_shape": [1, None, 3], "seed": 4},
        {"type": "SpatialDropout1D", "rate": 0.2},
        {"type": "Dropout", "rate": 0.2, "noise_shape": [None, 1, 1]},
        {"type": "Flatten"},
        {"name": "y", "type": "Dense", "units": 2},
    ]
    random = np.random.default_rng(2)
    x, y = random.standard_normal((12, 4, 3)).astype(np.float32), np.ones((12, 2), np.float32)
    found = []
    for _ in range(2):
        model = model_of(layers, {"x": {"shape": [4, 3]}}, "mse")
        model.fit({"x": x}, {"y": y}, epochs=3, batch_size=5, verbose=0)
        found.append(model.weights["y/kernel"])
    np.testing.assert_array_equal(found[0], found[1])
    assert {node.op for node in prepare(model.graph, model.parameters).nodes} == {"Reshape", "Gemm"}
