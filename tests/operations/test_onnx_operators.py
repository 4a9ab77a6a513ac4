"""Operators of ONNX as layers: all that a file may contain, with their attributes as arguments."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.compiler.check import check
from graphspec.graph.builder import Builder
from graphspec.ir.graph import Graph, Type, Value
from graphspec.layers import LAYERS
from graphspec.operations.onnx_operators import names
from graphspec.ops import OPS
from graphspec.ops.base import REQUIRED, declared_attributes


def spec(node: dict[str, Any], head: str = "y", **inputs: Any) -> dict[str, Any]:
    declared = {"x": {"shape": [3]}, **inputs}
    heads = {"y": {"layer": head}} if head != "y" else {"y": {}}
    return {"graphspec": 1, "name": "s", "inputs": declared, "layers": [{"name": "y", **node}], "outputs": heads}


def test_they_are_those_that_a_file_may_contain() -> None:
    assert {name.removeprefix("onnx.") for name in names()} == {name for name in OPS if OPS[name].exported}
    assert LAYERS.get("onnx.PerRow") is None


@pytest.mark.parametrize("name", names())
def test_attributes_are_arguments(name: str) -> None:
    op, cls = OPS[name.removeprefix("onnx.")], LAYERS.get(name)
    assert cls is not None
    declared = declared_attributes(op)
    assert list(cls.model_fields) == list(declared)
    for key, field in cls.model_fields.items():
        assert field.is_required() == (declared[key] is REQUIRED)
    inputs = [p for p in list(inspect.signature(op.infer).parameters.values())[1:] if p.kind is not p.VAR_POSITIONAL]
    assert cls.arity[1] in (None, len(inputs))


def emitted(name: str, *inputs: Value, **attributes: Any) -> tuple[str, dict[str, Any]]:
    """The operator and its attributes that a layer with these arguments emits."""
    graph = Graph("g")
    LAYERS.parse({"type": name, **attributes}).lower(Builder(graph, "y"), *inputs)
    (node,) = graph.nodes
    return node.op, node.attrs


def test_it_emits_the_operator_with_its_attributes() -> None:
    X = Value("x", Type("float32", ("N", 4, 6, 6)), "input")
    op, attributes = emitted("onnx.MaxPool", X, kernel_shape=[2, 2], strides=[2, 2])
    assert op == "MaxPool"
    assert (attributes["kernel_shape"], attributes["strides"], attributes["pads"]) == ((2, 2), (2, 2), None)


X = np.array([[3.0, -1, 2], [0, 5, -2]], np.float32)


@pytest.mark.parametrize(
    ("node", "head", "expected"),
    [
        ({"type": "onnx.TopK", "inputs": ["x", [2]], "axis": 1}, "y:1", [[0, 2], [1, 0]]),
        ({"type": "onnx.Gather", "inputs": ["x", [2, 0]], "axis": 1}, "y", X[:, [2, 0]]),
        ({"type": "onnx.Cast", "to": "int64"}, "y", X.astype(np.int64)),
        ({"type": "onnx.Concat", "inputs": ["x", "x"], "axis": -1}, "y", np.hstack([X, X])),
        ({"type": "onnx.Split", "inputs": ["x", [1, 2]], "axis": 1}, "y:1", X[:, 1:]),
        ({"type": "onnx.Slice", "inputs": ["x", [1], [3], [1]]}, "y", X[:, 1:3]),
        ({"type": "onnx.Clip", "inputs": ["x", None, 1.0]}, "y", np.minimum(X, 1)),
        ({"type": "onnx.Einsum", "inputs": ["x", "x"], "equation": "ni,ni->n"}, "y", (X * X).sum(1)),
        ({"type": "onnx.LpNormalization", "axis": 1, "p": 1}, "y", X / np.abs(X).sum(1, keepdims=True)),
    ],
    ids=lambda item: item["type"] if isinstance(item, dict) else "",
)
def test_values(node: dict[str, Any], head: str, expected: Any, tmp_path: Any) -> None:
    model = gs.compile(spec(node, head))
    np.testing.assert_allclose(model.predict({"x": X}), expected, rtol=1e-6)
    assert model.export(tmp_path / "y.onnx").batches == [1, 2, 5]


@pytest.mark.parametrize(
    ("node", "code", "text"),
    [
        ({"type": "onnx.Concat", "inputs": ["x", "x"]}, "GS103", "needs `axis`"),
        ({"type": "onnx.Softmax", "axis": "1"}, "GS104", "`axis`"),
        ({"type": "onnx.Softmax", "axes": 1}, "GS102", "unknown key 'axes'"),
        ({"type": "onnx.MatMul", "inputs": "x"}, "GS203", "takes 2 inputs, got 1"),
        ({"type": "onnx.Gather", "inputs": ["x", 0.5]}, "GS306", "needs integer indices"),
        ({"type": "onnx.Cast", "to": "complex64"}, "GS306", "does not cast"),
        ({"type": "onnx.Cast", "to": "nothing"}, "GS105", "does not take these inputs and attributes"),
    ],
)
def test_mistakes(node: dict[str, Any], code: str, text: str) -> None:
    problems = check(spec({"name": "y", **node})).errors
    assert [(p.code, text in p.message) for p in problems] == [(code, True)], problems
