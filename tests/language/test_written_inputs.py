"""Numbers in place of inputs: where they may stand, what they become, and what is said elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.differences import Side, network_differences
from graphspec.engine.compiler.lowered_network import cost
from graphspec.show.drawing.outline import outline


def spec(*layers: dict[str, Any], dtype: str = "float32", **more: Any) -> dict[str, Any]:
    inputs = {"x": {"shape": [3], "dtype": dtype}}
    return {"graphspec": 1, "name": "s", "inputs": inputs, "layers": [*layers], "outputs": {"y": {}}, **more}


def value(layer: dict[str, Any], x: Any) -> Any:
    x = np.asarray(x)
    dtype = "float32" if x.dtype.kind == "f" else x.dtype.name
    return gs.compile(spec({"name": "y", **layer}, dtype=dtype)).predict({"x": x.astype(dtype)})


X = np.array([[1.0, 2, 3], [4, 5, 6]], np.float32)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ({"type": "Add", "inputs": ["x", 1]}, X + 1),
        ({"type": "Multiply", "inputs": ["x", [1, 0.5, 0]]}, X * np.array([1, 0.5, 0])),
        ({"type": "Subtract", "inputs": [1.0, "x"]}, 1 - X),
        ({"type": "Maximum", "inputs": ["x", 2, "x"]}, np.maximum(X, 2)),
        ({"type": "Average", "inputs": ["x", [3, 2, 1]]}, (X + np.array([3, 2, 1])) / 2),
        ({"type": "ops.add", "inputs": [[1, 2, 3], "x"]}, X + np.array([1, 2, 3])),
        ({"type": "onnx.Clip", "inputs": ["x", None, 2.5]}, np.minimum(X, 2.5)),
        ({"type": "onnx.ReduceSum", "inputs": ["x", [1]], "keepdims": 1}, X.sum(1, keepdims=True)),
    ],
    ids=lambda item: item.get("type") if isinstance(item, dict) else "",
)
def test_a_number_is_an_input(layer: dict[str, Any], expected: Any) -> None:
    np.testing.assert_allclose(value(layer, X), expected, rtol=1e-6)


def test_an_integer_beside_integers_stays_one() -> None:
    found = value({"type": "ops.add", "inputs": ["x", 1]}, np.array([[1, 2, 2**40]]))
    assert found.dtype == np.int64
    assert found.tolist() == [[2, 3, 2**40 + 1]]
    assert value({"type": "ops.add", "inputs": ["x", 1.0]}, np.array([[1, 2, 3]])).dtype == np.float32
    assert value({"type": "Add", "inputs": ["x", 1]}, np.array([[1, 2, 3]])).dtype == np.int64


@pytest.mark.parametrize(
    ("layer", "code", "text"),
    [
        ({"type": "Dense", "units": 1, "inputs": ["x", 1.0]}, "GS104", "must contain names, not 1.0"),
        ({"type": "Concatenate", "inputs": ["x", [1, 2]]}, "GS104", "must contain names, not [1, 2]"),
        ({"type": "Add", "inputs": ["x", None]}, "GS104", "must contain names, not null"),
        ({"type": "Add", "inputs": ["x", True]}, "GS104", "must contain names, not true"),
        ({"type": "ops.add", "inputs": ["x", [[1], [2]]]}, "GS104", "must contain names"),
        ({"type": "ops.add", "inputs": [1, 2]}, "GS203", "`inputs` names no node"),
        ({"type": "ops.add", "inputs": 1}, "GS104", "must contain names, not 1"),
        ({"type": "ops.add", "inputs": ["x", 1, 2]}, "GS203", "takes 2 inputs, got 3"),
        ({"type": "ops.add", "inputs": ["x", None]}, "GS203", "needs its input 1, got null"),
        ({"type": "Add", "inputs": ["x", [1, 2]]}, "GS302", "cannot broadcast"),
        ({"type": "onnx.Add", "inputs": ["x", 1]}, "GS306", "different dtypes"),
    ],
)
def test_elsewhere_it_is_an_error(layer: dict[str, Any], code: str, text: str) -> None:
    problems = check(spec({"name": "y", **layer})).errors
    assert [(p.code, text in p.message) for p in problems] == [(code, True)], problems


def test_a_block_takes_names_only() -> None:
    block = {"inputs": ["a"], "layers": [{"name": "b", "type": "ReLU", "inputs": "a"}], "outputs": ["b"]}
    (problem,) = check(spec({"name": "y", "block": "k", "inputs": [1.0]}, blocks={"k": block})).errors
    assert (problem.code, "must contain names" in problem.message) == ("GS104", True)


def test_variables_repeats_and_shares() -> None:
    layers = [
        {"name": "a", "type": "ops.multiply", "inputs": ["x", "${k}"]},
        {"name": "b", "type": "ops.add", "inputs": ["x", 1.0], "repeat": 1},
        {"name": "y", "share": "a", "inputs": ["b", 3.0]},
        {"name": "z", "type": "ops.add", "inputs": ["a", "y"]},
    ]
    model = gs.compile(spec(*layers, vars={"k": 2.0}, outputs={"y": {}, "z": {}}))
    found = model.predict({"x": X})
    np.testing.assert_allclose(found["y"], (X + 1) * 3)
    np.testing.assert_allclose(found["z"], (X + 1) * 3 + X * 2)


def test_drawings_and_differences_show_it() -> None:
    old, new = (check(spec({"name": "y", "type": "ops.add", "inputs": ["x", k]})) for k in (1.0, 2.5))
    declared, lowered = old.require()
    (panel,) = outline(declared, lowered, cost(declared, lowered, 1))
    assert any("1.0" in line for line in panel.boxes["y"].lines)
    found = network_differences(Side(*old.require()), Side(*new.require()))
    assert "1.0" in str(found.nodes[0].changes[0])
    assert "2.5" in str(found.nodes[0].changes[0])
