"""Augmentation: Keras's transformations with fixed random numbers, and the distribution of random ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load
from golden_run import assert_close, cotangent_loss, onnx_outputs, run

from graphspec.base.arrays.layout import shard_slice
from graphspec.base.arrays.random import Clock
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.kernels.context import LocalGroup, Shard
from graphspec.graph.ops import images as augment
from graphspec.vocabulary.layers import LAYERS

Array = np.ndarray[Any, Any]
CASES = load("augmentation")
RANDOM = [
    {"type": "RandomFlip"},
    {"type": "RandomRotation", "factor": 0.3},
    {"type": "RandomTranslation", "height_factor": 0.3, "width_factor": 0.3},
    {"type": "RandomZoom", "height_factor": 0.3, "width_factor": 0.4},
    {"type": "RandomContrast", "factor": [0.5, 0.9]},
    {"type": "RandomBrightness", "factor": 0.4},
    {"type": "RandomCrop", "height": 5, "width": 6},
]
"""One configuration of each."""
A_ROW = [layer for layer in RANDOM if layer["type"] != "RandomCrop"]
"""The layers with random numbers per image; RandomCrop has them per batch, as in Keras."""


def name(layer: Any) -> str:
    return str(layer["type"])


def graph_of(layer: dict[str, Any], shape: tuple[Any, ...]) -> Graph:
    """Return the graph of one layer `y` on images `x`."""
    graph = Graph("test")
    graph.inputs["x"] = Value("x", Type("float32", ("N", *shape[1:])), "input")
    with Builder(graph, "y") as g:
        graph.outputs["y"] = LAYERS.parse(layer).lower(g, graph.inputs["x"])
    return graph


def images(rows: int = 8) -> Array:
    return np.random.default_rng(3).uniform(0, 255, (rows, 7, 8, 2)).astype(np.float32)


def train(layer: dict[str, Any], x: Array, *, seed: int = 0, step: int = 0, rows: slice | None = None) -> Array:
    """Return the output of a training step for the rows of one worker."""
    graph, total, rows = graph_of(layer, x.shape), len(x), rows or slice(0, len(x))
    part = x[rows]
    program = build_program(
        graph,
        Parameters(graph),
        Target({"x": part.shape}, shard=Shard(LocalGroup(), rows, total)),
        training=True,
        seed=seed,
        clock=Clock(step),
    )
    program.feeds["x"][...] = part
    program.run()
    return program.fetches["y"].copy()


def given(monkeypatch: pytest.MonkeyPatch, draws: list[list[float]]) -> None:
    """Make the operators draw these numbers: one list per column."""
    bits = (np.array(draws).T * 2**32).astype(np.uint32)
    monkeypatch.setattr(augment, "random_words", lambda *_, **__: (bits, []))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_images_and_gradients_with_fixed_random_numbers_are_those_of_keras(
    case: Case, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, case.args["draws"])
    x = case["images"]
    graph = graph_of(case.args["layer"], x.shape)
    loss = cotangent_loss(graph)
    arrays = {"x": x, "y/cotangent": case["cotangents"]}
    found, _, gradients = run(
        graph, Parameters(graph, dtype), arrays, graph.outputs, loss=loss, training=True, input_grads=["x"]
    )
    atol = 1e-5 * max(1.0, float(np.abs(x).max()))
    assert_close(found, {"y": case["outputs"]}, atol=atol)
    assert_close(gradients, {"x": case["gradients"]}, atol=atol)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_outside_training_and_exported_nothing_is_random(case: Case) -> None:
    x = case["images"]
    graph = graph_of(case.args["layer"], x.shape)
    found, _, _ = run(graph, Parameters(graph), {"x": x}, graph.outputs)
    assert_close(found, {"y": case["plain"]}, atol=1e-3)
    assert_close(onnx_outputs(graph, {}, {"x": x}), {"y": case["plain"]}, atol=1e-3)


@pytest.mark.parametrize("layer", RANDOM, ids=name)
def test_outputs_of_workers_are_parts_of_the_batch(layer: dict[str, Any]) -> None:
    x = images(7)
    whole = train(layer, x, seed=4, step=9)
    for size in (2, 3):
        parts = [train(layer, x, seed=4, step=9, rows=shard_slice(7, rank, size)) for rank in range(size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert train(layer, x, rows=slice(7, 7)).shape == (0, *whole.shape[1:])


@pytest.mark.parametrize("layer", RANDOM, ids=name)
def test_random_numbers_depend_on_the_step_and_the_seeds(layer: dict[str, Any]) -> None:
    x = images(32)
    first = train(layer, x, seed=1, step=3)
    np.testing.assert_array_equal(train(layer, x, seed=1, step=3), first)
    others = [
        train(layer, x, seed=1, step=4),
        train(layer, x, seed=2, step=3),
        train({**layer, "seed": 5}, x, seed=1, step=3),
    ]
    assert all(not np.array_equal(other, first) for other in others)


@pytest.mark.parametrize("layer", A_ROW, ids=name)
def test_rows_have_independent_random_numbers(layer: dict[str, Any]) -> None:
    x = np.repeat(images(1), 32, axis=0)
    rows = {row.tobytes() for row in train(layer, x)}
    assert len(rows) == (2 if layer["type"] == "RandomFlip" else 32)


def uniform(values: Array, low: float, high: float) -> bool:
    """Return whether the values are uniform between the bounds."""
    shard_slice = np.sort((values - low) / (high - low))
    even = np.abs(shard_slice - np.linspace(0, 1, len(shard_slice))).max() < 0.05
    return bool(even and shard_slice[0] >= -1e-4 and shard_slice[-1] <= 1 + 1e-4)


N = 2000


def test_brightness_is_uniform_within_its_factors() -> None:
    y = train({"type": "RandomBrightness", "factor": [-0.2, 0.3]}, np.full((N, 1, 1, 1), 100, np.float32))
    assert uniform(y.reshape(-1) - 100, -0.2 * 255, 0.3 * 255)


def test_contrast_is_uniform_within_its_factors() -> None:
    x = np.tile(np.array([100, 102], np.float32).reshape(1, 1, 2, 1), (N, 1, 1, 1))
    for factor, low, high in (([0.2, 0.4], 0.8, 1.4), (0.4, 1.0, 1.4)):
        y = train({"type": "RandomContrast", "factor": factor}, x)
        assert uniform((y[:, 0, 1, 0] - y[:, 0, 0, 0]) / 2, low, high)


def ramps(axis: int) -> Array:
    """Return images with pixels that are their positions along an axis, relative to the centre."""
    places = np.moveaxis(np.mgrid[-4:5, -4:5].astype(np.float32), 0, -1)[..., axis - 1]
    return np.tile(places[None, ..., None], (N, 1, 1, 1))


def test_translation_and_zoom_are_uniform_within_their_factors() -> None:
    layer = {"type": "RandomTranslation", "height_factor": [-0.3, 0.1], "width_factor": 0.2}
    assert uniform(-train(layer, ramps(1))[:, 4, 4, 0] / 9, -0.3, 0.1)
    assert uniform(-train(layer, ramps(2))[:, 4, 4, 0] / 9, -0.2, 0.2)
    zoom = {"type": "RandomZoom", "height_factor": [-0.5, -0.1], "width_factor": [-0.2, 0.0]}
    assert uniform(train(zoom, ramps(1))[:, 8, 4, 0] / 4 - 1, -0.5, -0.1)
    assert uniform(train(zoom, ramps(2))[:, 4, 8, 0] / 4 - 1, -0.2, 0.0)
    both = {"type": "RandomZoom", "height_factor": [-0.5, 0.0]}
    np.testing.assert_allclose(train(both, ramps(1))[:, 8, 4], train(both, ramps(2))[:, 4, 8], atol=1e-5)


def test_rotation_is_uniform_within_its_factors() -> None:
    layer = {"type": "RandomRotation", "factor": [-0.1, 0.2]}
    down, across = train(layer, ramps(1))[:, 4, 6, 0], train(layer, ramps(2))[:, 4, 6, 0]
    assert uniform(np.arctan2(down, across) / (2 * np.pi), -0.1, 0.2)


def test_half_of_the_images_are_flipped() -> None:
    flipped = train({"type": "RandomFlip", "mode": "horizontal"}, ramps(2))[:, 0, 0, 0] > 0
    assert abs(flipped.mean() - 0.5) < 0.05


def test_every_window_is_cropped() -> None:
    x = np.arange(4 * 5, dtype=np.float32).reshape(1, 4, 5, 1)
    corners = [int(train({"type": "RandomCrop", "height": 3, "width": 3}, x, step=k)[0, 0, 0, 0]) for k in range(200)]
    assert sorted(set(corners)) == [0, 1, 2, 5, 6, 7]
    assert min(corners.count(corner) for corner in set(corners)) > 15


def test_a_smaller_image_is_resized_in_training_too() -> None:
    x = images(2)
    layer = {"type": "RandomCrop", "height": 9, "width": 4}
    y = train(layer, x)
    graph = graph_of({**layer, "type": "CenterCrop"}, x.shape)
    found, _, _ = run(graph, Parameters(graph), {"x": x}, graph.outputs)
    np.testing.assert_allclose(y, found["y"], rtol=1e-5)
