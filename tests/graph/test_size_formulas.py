"""Formulas of sizes: what Reshape makes of them, with batches of any size, against NumPy, and in exported files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from lowering import lower, source
from numpy.typing import NDArray

import graphspec as gs
from graphspec.base.errors import ShapeError
from graphspec.export.prove import Rows, lengths_for
from graphspec.graph.ir.dims import show

Array = NDArray[Any]


def network(inputs: dict[str, list[Any]], target: Sequence[Any]) -> gs.Model:
    nodes = [
        {"name": "r", "type": "Reshape", "target_shape": list(target), "inputs": next(iter(inputs))},
        {"name": "y", "type": "Activation", "activation": "tanh"},
    ]
    declared = {name: {"shape": shape} for name, shape in inputs.items()}
    return gs.compile({"graphspec": 1, "name": "m", "inputs": declared, "layers": nodes, "outputs": {"y": {}}})


CASES: list[tuple[list[Any], list[Any], list[tuple[int, ...]], Callable[[Array], tuple[int, ...]]]] = [
    (["time", "height", 6], ["time * 2", "height", 3], [(4, 5), (3, 2)], lambda x: (x.shape[1] * 2, x.shape[2], 3)),
    (["time", "height", 6], ["time*height", 6], [(4, 5), (3, 2)], lambda x: (x.shape[1] * x.shape[2], 6)),
    (["a", "b", 6], [-1, "a", 2], [(4, 5), (3, 2)], lambda x: (x.shape[2] * 3, x.shape[1], 2)),
    (["a", "b", 6], [0, -1], [(4, 5), (3, 2)], lambda x: (x.shape[1], x.shape[2] * 6)),
    ([None, 6], [0, 3, 2], [(4,), (7,)], lambda x: (x.shape[1], 3, 2)),
    (["time", 6], ["(time + 1) - 1", 2, 3], [(4,), (7,)], lambda x: (x.shape[1], 2, 3)),
    (
        ["h", "w", 2],
        ["h / 2", 2, "w // 3", 3, 2],
        [(4, 6), (2, 9)],
        lambda x: (x.shape[1] // 2, 2, x.shape[2] // 3, 3, 2),
    ),
    (["time", 6], [-1, 4], [(4,), (8,)], lambda x: (x.shape[1] * 6 // 4, 4)),
]


@pytest.mark.parametrize(("shape", "target", "sizes", "wanted"), CASES, ids=[str(case[1]) for case in CASES])
def test_any_size(shape: Any, target: Any, sizes: Any, wanted: Any, tmp_path: Path) -> None:
    """The runtime and the exported file reshape batches of every size as NumPy does."""
    model = network({"x": shape}, target)
    model.export(tmp_path / "m.onnx")
    file = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    for varying in sizes:
        free = iter(varying)
        x = np.random.default_rng(1).normal(size=(2, *(d if isinstance(d, int) else next(free) for d in shape)))
        x = x.astype(np.float32)
        expected = np.tanh(x.reshape(2, *wanted(x)))
        np.testing.assert_allclose(model.predict(x), expected, atol=1e-5)
        np.testing.assert_allclose(file.run(None, {"x": x})[0], expected, atol=1e-5)


def test_remainder(tmp_path: Path) -> None:
    """A batch whose size a division leaves a remainder of is refused, by the runtime and by the exported file."""
    model = network({"x": ["time", 6]}, ["time / 4", 24])
    model.export(tmp_path / "m.onnx")
    x = np.ones((1, 7, 6), np.float32)
    with pytest.raises(ShapeError, match=r"node .*: the numbers of elements differ, for inputs of shape"):
        model.predict(x)
    with pytest.raises(Exception, match="Reshape"):
        onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"x": x})


def test_gradient() -> None:
    """The weights before a division learn as those before a Reshape to a fixed shape do."""

    def trained(time: Any, target: list[Any]) -> Array:
        layers: list[dict[str, Any]] = [
            {"name": "a", "type": "Dense", "units": 4},
            {"name": "r", "type": "Reshape", "target_shape": target},
            {"name": "y", "type": "Dense", "units": 1},
        ]
        spec = {"graphspec": 1, "name": "m", "inputs": {"x": {"shape": [time, 3]}}, "layers": layers}
        model = gs.compile(spec | {"outputs": {"y": {"loss": "mean_squared_error"}}, "training": {"seed": 3}})
        x = np.random.default_rng(0).normal(size=(8, 6, 3)).astype(np.float32)
        model.fit(x, x[:, :3, :1] ** 2, epochs=2, verbose=0)
        return np.asarray(model.weights["a/kernel"])

    np.testing.assert_array_equal(trained("time", ["time / 2", 8]), trained(6, [3, 8]))


def test_windows_and_back(tmp_path: Path) -> None:
    """Windows of pictures of any size: cut, and put together again, with the same values."""
    layers: list[dict[str, Any]] = [
        {"name": "cut", "type": "Reshape", "target_shape": ["h / 2", 2, "w / 3", 3, 2]},
        {"name": "turned", "type": "Permute", "dims": [1, 3, 2, 4, 5]},
        {"name": "windows", "type": "Reshape", "target_shape": ["h / 2 * w / 3", 12]},
        {"name": "grid", "type": "Reshape", "target_shape": ["h / 2", "w / 3", 2, 3, 2]},
        {"name": "back", "type": "Permute", "dims": [1, 3, 2, 4, 5]},
        {"name": "y", "type": "Reshape", "target_shape": ["h", "w", 2]},
    ]
    spec = {"graphspec": 1, "name": "m", "inputs": {"x": {"shape": ["h", "w", 2]}}, "layers": layers}
    model = gs.compile(spec | {"outputs": {"y": {}, "windows": {}}})
    assert show(model.graph.outputs["windows"].shape) == "(N, (h*w)/6, 12)"
    model.export(tmp_path / "m.onnx")
    file = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    for h, w in ((2, 3), (6, 9), (4, 3)):
        x = np.random.default_rng(1).normal(size=(2, h, w, 2)).astype(np.float32)
        answers = dict(zip([o.name for o in file.get_outputs()], file.run(None, {"x": x}), strict=True))
        windows = x.reshape(2, h // 2, 2, w // 3, 3, 2).transpose(0, 1, 3, 2, 4, 5).reshape(2, -1, 12)
        for found in (answers, model.predict(x)):
            np.testing.assert_array_equal(found["windows"], windows)
            np.testing.assert_array_equal(found["y"], x)
    for h, w in ((3, 3), (2, 4)):
        with pytest.raises(ShapeError, match="the numbers of elements differ"):
            model.predict(np.ones((1, h, w, 2), np.float32))


def test_rounded_by_another_layer(tmp_path: Path) -> None:
    """A size that a convolution has rounded up is not one that has been divided."""
    layers: list[dict[str, Any]] = [
        {"name": "c", "type": "Conv1D", "filters": 4, "kernel_size": 2, "strides": 2, "padding": "same"},
        {"name": "y", "type": "Reshape", "target_shape": ["time", 2]},
    ]
    spec = {
        "graphspec": 1,
        "name": "m",
        "inputs": {"x": {"shape": ["time", 1]}},
        "layers": layers,
        "outputs": {"y": {}},
    }
    with pytest.raises(gs.SpecError, match="cannot reshape"):
        gs.compile(spec)
    layers[1]["target_shape"] = ["(time + 1) / 2", 2, 2]
    with pytest.raises(gs.SpecError, match="cannot reshape"):
        gs.compile(spec)
    layers[1]["target_shape"] = [-1, 2]
    assert gs.compile(spec).predict(np.ones((1, 5, 1), np.float32)).shape == (1, 6, 2)


def test_size_that_no_axis_has() -> None:
    """What a valid convolution leaves of a sequence is named by its formula, also where no axis has this size."""
    layers: list[dict[str, Any]] = [
        {"name": "c", "type": "Conv1D", "filters": 4, "kernel_size": 3},
        {"name": "flat", "type": "Flatten"},
        {"name": "y", "type": "Reshape", "target_shape": ["time - 2", 4]},
    ]
    spec = {
        "graphspec": 1,
        "name": "m",
        "inputs": {"x": {"shape": ["time", 1]}},
        "layers": layers,
        "outputs": {"y": {}},
    }
    assert gs.compile(spec).predict(np.ones((1, 5, 1), np.float32)).shape == (1, 3, 4)


def test_name_of_another_input() -> None:
    """A name may be the size of an input that the layer does not read."""
    model = network({"x": [12], "other": ["time", 1]}, [4, 3])
    assert model.graph.outputs["y"].shape == ("N", 4, 3)
    with pytest.raises(gs.SpecError, match="cannot reshape"):
        network({"x": [12], "other": ["time", 1]}, ["time", 12])


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        (["tim", 6], "GS105", "names 'tim'"),
        (["time", 5], "GS304", "which needs time\\*5"),
        (["time", "time", -1], "GS304", "a multiple of time\\*time"),
        (["1 / time", -1], "GS105", "divides by a size that varies"),
        (["time - 1", 6], "GS304", "which needs \\(time-1\\)\\*6"),
        (["time - time", 6], "GS105", "has a size of 0"),
        ([0, 0, 0], "GS301", "a 0 for axis 3"),
        ([0, 5], "GS304", "which needs time\\*5"),
    ],
)
def test_refused(target: list[Any], code: str, message: str) -> None:
    with pytest.raises(ShapeError, match=message) as caught:
        lower({"type": "Reshape", "target_shape": target}, source("x", ("N", "time", 6)))
    assert (caught.value.problem.code, caught.value.problem.key) == (code, "target_shape")


@pytest.mark.parametrize("text", ["2 +", "f(time)", "time ** 2", "-time", "time / 0", "1.5", "x.y", "time" * 60])
def test_no_formula(text: str) -> None:
    with pytest.raises(gs.SpecError, match="must be a size or a formula of sizes"):
        network({"x": ["time", 6]}, [text, -1])


def test_sizes_to_prove_an_export_with() -> None:
    """The proof uses sizes that all divisions of the network fit."""
    model = network({"x": ["h", "w", 2]}, ["h / 7", 7, "w / 4", 4, 2])
    found = lengths_for(model, Rows())
    assert found == [{"h": 7, "w": 8}, {"h": 28, "w": 56}, {"h": 56, "w": 84}]
