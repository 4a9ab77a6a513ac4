"""Operators of ONNX that are made of others: GridSample, AffineGrid, MaxPool's indices, MaxUnpool."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from oracles import make_model, ort

import graphspec as gs

Arrays = dict[str, np.ndarray[Any, Any]]
DRAW = np.random.default_rng(11)
MODES = list(product(("linear", "nearest", "cubic"), ("zeros", "border", "reflection"), (0, 1)))


def model(layers: list[dict[str, Any]], inputs: Arrays, **settings: Any) -> Any:
    return gs.compile({
        "graphspec": 1, "name": "s", "layers": layers, "outputs": {"y": {}},
        "inputs": {key: {"shape": list(a.shape[1:]), "dtype": a.dtype.name} for key, a in inputs.items()}, **settings,
    })  # fmt: skip


def by_onnxruntime(op: str, inputs: Arrays, outputs: int = 1, **attributes: Any) -> list[Any]:
    names = [f"y{k}" for k in range(outputs)]
    node = helper.make_node(op, list(inputs), names, **attributes)
    made = make_model([node], inputs, names, opset=22)
    return list(ort.InferenceSession(made.SerializeToString()).run(names, inputs))


@pytest.mark.parametrize(("mode", "padding", "corners"), MODES)
def test_grid_sample_is_that_of_onnxruntime(mode: str, padding: str, corners: int) -> None:
    x = DRAW.normal(size=(2, 3, 4, 5)).astype(np.float32)
    grid = DRAW.uniform(-1.7, 1.7, size=(2, 6, 3, 2)).astype(np.float32)
    options = {"mode": mode, "padding_mode": padding, "align_corners": corners}
    inputs = {"x": x, "grid": grid}
    node = {"name": "y", "type": "onnx.GridSample", "inputs": ["x", "grid"], **options}
    found = model([node], inputs).predict(inputs)
    np.testing.assert_allclose(found, *by_onnxruntime("GridSample", inputs, **options), atol=1e-5)


@pytest.mark.parametrize(("mode", "padding", "corners"), MODES)
def test_gradients_are_those_of_float64(mode: str, padding: str, corners: int, tmp_path: Path) -> None:
    x = DRAW.normal(size=(2, 2, 4, 3))
    grid = DRAW.uniform(-1.4, 1.4, size=(2, 3, 2, 2))
    seen = DRAW.normal(size=(2, 2, 3, 2))
    options = {"mode": mode, "padding_mode": padding, "align_corners": corners}
    layers = [
        {"name": "scale", "type": "Parameter", "shape": [2, 4, 3], "initializer": "ones"},
        {"name": "shift", "type": "Parameter", "shape": [3, 2, 2], "initializer": "zeros"},
        {"name": "read", "type": "Formula", "value": "x * scale"},
        {"name": "at", "type": "Formula", "value": "grid + shift"},
        {"name": "y", "type": "onnx.GridSample", "inputs": ["read", "at"], **options},
        {"name": "cost", "type": "Formula", "value": "sum(y * seen, axis=[1, 2, 3], keepdims=false)"},
    ]
    given = {key: a.astype(np.float32) for key, a in {"x": x, "grid": grid, "seen": seen}.items()}
    made = gs.compile({
        "graphspec": 1, "name": "s", "layers": layers, "outputs": {"y": {}, "c": {"layer": "cost", "loss": "value"}},
        "inputs": {key: {"shape": list(a.shape[1:])} for key, a in given.items()},
        "training": {"optimizer": {"type": "SGD", "learning_rate": 1.0}},
    })  # fmt: skip
    before = {key: a.astype(np.float64) for key, a in made.weights.items()}
    made.fit(given, epochs=1, verbose=0)
    wide = {"x": x * before["scale/value"], "grid": grid + before["shift/value"]}
    node = helper.make_node("GridSample", list(wide), ["y"], **options)
    session = ort.InferenceSession(make_model([node], wide, ["y"], opset=22).SerializeToString())
    for key, weight in (("x", "scale/value"), ("grid", "shift/value")):
        expected = np.zeros_like(before[weight])
        for place in np.ndindex(expected.shape):
            for sign in (1, -1):
                moved = wide | {key: wide[key].copy()}
                moved[key][:, *place] += sign * 1e-6 * (x[:, *place] if key == "x" else 1)
                expected[place] += sign * (session.run(None, moved)[0] * seen).sum() / 2 / 2e-6
        np.testing.assert_allclose(before[weight] - made.weights[weight], expected, atol=2e-5, err_msg=weight)
    if (padding, corners) == ("border", 1):
        assert "equal to the runtime" in str(made.export(tmp_path / "m.onnx"))


@pytest.mark.parametrize("corners", [0, 1])
def test_affine_grids_are_those_of_onnx(corners: int) -> None:
    for theta, size in (((2, 2, 3), [2, 1, 3, 4]), ((2, 3, 4), [2, 1, 2, 3, 4])):
        given = {"theta": DRAW.normal(size=theta).astype(np.float32)}
        node = {"name": "y", "type": "onnx.AffineGrid", "inputs": ["theta", size], "align_corners": corners}
        both = {**given, "size": np.array(size)}
        made = make_model(
            [helper.make_node("AffineGrid", list(both), ["y"], align_corners=corners)], both, ["y"], opset=20
        )
        expected = ReferenceEvaluator(made).run(None, both)[0]
        np.testing.assert_allclose(model([node], given).predict(given), expected, atol=1e-6)


def test_volumes_and_sizes_that_vary() -> None:
    x = DRAW.normal(size=(2, 2, 3, 4, 5)).astype(np.float32)
    grid = DRAW.uniform(-1.3, 1.3, size=(2, 2, 3, 4, 3)).astype(np.float32)
    inputs = {"x": x, "grid": grid}
    found = model([{"name": "y", "type": "onnx.GridSample", "inputs": ["x", "grid"]}], inputs).predict(inputs)
    np.testing.assert_allclose(found, *by_onnxruntime("GridSample", inputs), atol=1e-5)
    pictures = {"x": x[:, :, 0], "grid": grid[:, 0, :, :, :2].copy()}
    for padding, corners in product(("zeros", "reflection"), (0, 1)):
        options = {"padding_mode": padding, "align_corners": corners}
        made = gs.compile({
            "graphspec": 1, "name": "s", "outputs": {"y": {}},
            "inputs": {"x": {"shape": [2, "height", "width"]}, "grid": {"shape": ["h", "w", 2]}},
            "layers": [{"name": "y", "type": "onnx.GridSample", "inputs": ["x", "grid"], **options}],
        })  # fmt: skip
        expected = by_onnxruntime("GridSample", pictures, **options)
        np.testing.assert_allclose(made.predict(pictures), *expected, atol=1e-5)


@pytest.mark.parametrize(
    "windows", [{"kernel_shape": [2, 2], "strides": [2, 2]}, {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1]}]
)
@pytest.mark.parametrize("order", [0, 1])
def test_indices_are_those_of_onnxruntime(windows: dict[str, Any], order: int) -> None:
    x = DRAW.integers(0, 4, size=(3, 2, 4, 6)).astype(np.float32)  # with equal ones
    node = {"name": "p", "type": "onnx.MaxPool", "inputs": "x", "storage_order": order, **windows}
    layers = [node, {"name": "y", "type": "onnx.Cast", "to": "float32", "inputs": "p:1"}]
    expected = by_onnxruntime("MaxPool", {"x": x}, 2, storage_order=order, **windows)
    np.testing.assert_array_equal(model(layers, {"x": x}).predict({"x": x}), expected[1])


@pytest.mark.parametrize("size", [[], [[3, 2, 5, 7]]])
def test_what_was_taken_is_put_back(size: list[Any], tmp_path: Path) -> None:
    x = DRAW.normal(size=(3, 2, 5, 7) if size else (3, 2, 4, 6)).astype(np.float32)
    windows = {"kernel_shape": [2, 2], "strides": [2, 2]}
    layers = [{"name": "p", "type": "onnx.MaxPool", "inputs": "x", **windows},
              {"name": "y", "type": "onnx.MaxUnpool", "inputs": ["p", "p:1", *size], **windows}]  # fmt: skip
    made = model(layers, {"x": x})
    taken, at = by_onnxruntime("MaxPool", {"x": x}, 2, **windows)
    expected = np.zeros_like(x)
    expected.reshape(-1)[at.reshape(-1)] = taken.reshape(-1)
    np.testing.assert_array_equal(made.predict({"x": x}), expected)
    assert "equal to the runtime" in str(made.export(tmp_path / "m.onnx"))
