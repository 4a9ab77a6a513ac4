"""FlipMean: the mean over a picture and its mirror image at prediction, and nothing in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec
from graphspec import Model

NODES: list[dict[str, Any]] = [
    {"name": "scaled", "type": "Rescaling", "scale": 0.01, "inputs": "image"},
    {"name": "moved", "type": "RandomTranslation", "height_factor": 0.2, "width_factor": 0.2},
    {"name": "conv", "type": "Conv2D", "filters": 3, "kernel_size": 3, "padding": "same", "activation": "relu"},
    {"name": "norm", "type": "BatchNormalization", "momentum": 0.5},
    {"name": "dropped", "type": "Dropout", "rate": 0.3},
    {"name": "flat", "type": "Flatten"},
    {"name": "features", "type": "Dense", "units": 4, "kernel_regularizer": "l2"},
]
BOTH = {"name": "both", "type": "FlipMean", "inputs": ["features", "scaled"]}
HEAD = {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"}


def spec(*more: dict[str, Any], shape: Any = (5, 6, 2)) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "mirrored",
        "inputs": {"image": {"shape": list(shape), "dtype": "uint8"}},
        "layers": [*NODES, *more, HEAD],
        "outputs": {"kind": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}},
        "training": {"optimizer": {"type": "Adam", "learning_rate": 0.01}, "epochs": 2, "batch_size": 8, "seed": 4},
    }


def rows(count: int = 24) -> tuple[dict[str, Any], dict[str, Any]]:
    random = np.random.default_rng(2)
    return {"image": random.integers(0, 255, (count, 5, 6, 2), np.uint8)}, {"kind": random.integers(0, 3, count)}


@pytest.fixture(scope="module")
def trained() -> tuple[Model, Model]:
    """Two networks after the same training, the second with the layer."""
    models = graphspec.compile(spec()), graphspec.compile(spec(BOTH))
    for model in models:
        model.fit(*rows(), verbose=0)
    return models


def test_training_does_not_see_it(trained: tuple[Model, Model]) -> None:
    """Weights, moving statistics and random numbers have the same bits."""
    plain, both = (model.weights for model in trained)
    assert plain.keys() == both.keys()
    for name in plain:
        np.testing.assert_array_equal(plain[name], both[name])


@pytest.mark.parametrize(
    ("mode", "axes"), [("horizontal", (2,)), ("vertical", (1,)), ("horizontal_and_vertical", (1, 2))]
)
def test_the_mean_of_features(trained: tuple[Model, Model], mode: str, axes: tuple[int, ...]) -> None:
    """The answer equals the head of the mean of the features of a picture and of its mirror image, by NumPy."""
    plain, weights = trained[0], trained[0].weights
    features = graphspec.compile({**spec(), "layers": NODES, "outputs": {"features": {}}})
    features.set_weights({name: value for name, value in weights.items() if not name.startswith("kind/")})
    x, _ = rows()
    each = [features.predict({"image": image}) for image in (x["image"], np.flip(x["image"], axes))]
    logits = np.mean(each, axis=0, dtype=np.float64) @ weights["kind/kernel"] + weights["kind/bias"]
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    model = graphspec.compile(spec(BOTH | {"mode": mode}))
    model.set_weights(weights)
    np.testing.assert_allclose(model.predict(x), expected, atol=1e-6)
    assert np.abs(plain.predict(x) - expected).max() > 1e-3


def test_channels_first_and_any_size(trained: tuple[Model, Model], tmp_path: Path) -> None:
    """Axes of pictures may vary; the export is proved with the layer."""
    turned = {"name": "turned", "type": "Permute", "dims": [3, 1, 2], "inputs": "image"}
    pooled = {"name": "pooled", "type": "GlobalMaxPooling2D", "data_format": "channels_first"}
    kernel = {"type": "Conv2D", "filters": 2, "kernel_size": 2, "data_format": "channels_first"}
    both = {"name": "both", "type": "FlipMean", "inputs": ["pooled", "turned"], "data_format": "channels_first"}
    layers = [turned, {"name": "conv", **kernel}, pooled, both]
    pictures = {"image": {"shape": [None, None, 2]}}
    model = graphspec.compile({**spec(), "inputs": pictures, "layers": layers, "outputs": {"both": {}}})
    x = np.random.default_rng(1).normal(size=(3, 4, 5, 2)).astype(np.float32)
    layers.pop()
    single = graphspec.compile({**spec(), "inputs": pictures, "layers": layers, "outputs": {"pooled": {}}})
    single.set_weights(model.weights)
    each = [single.predict({"image": image}) for image in (x, x[:, :, ::-1])]
    np.testing.assert_allclose(model.predict({"image": x}), np.mean(each, 0), atol=1e-6)
    model.export(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("inputs", "codes"),
    [(["scaled", "flat"], ["GS301"]), (["conv", "moved"], []), (["scaled", "norm"], ["GS105"])],
)
def test_what_is_mirrored(inputs: list[str], codes: list[str]) -> None:
    """The second input is pictures, from which the first is computed."""
    found = graphspec.validate(spec(BOTH | {"inputs": inputs}, {"name": "other", "type": "Flatten"}))
    assert [d.code for d in found if d.severity == "error"] == codes
