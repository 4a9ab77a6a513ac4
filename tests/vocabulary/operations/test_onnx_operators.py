"""Operators of ONNX as layers: all that a file may contain, with their attributes as arguments."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import onnxruntime
import pytest

import graphspec as gs
from graphspec.engine.compiler.check import check
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.ops import OPS
from graphspec.graph.ops.op import REQUIRED, declared_attributes
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.operations.onnx_operators import names
from graphspec.vocabulary.operations.sampling import COMPOSED


def spec(node: dict[str, Any], head: str = "y", **inputs: Any) -> dict[str, Any]:
    declared = {"x": {"shape": [3]}, **inputs}
    heads = {"y": {"layer": head}} if head != "y" else {"y": {}}
    return {"graphspec": 1, "name": "s", "inputs": declared, "layers": [{"name": "y", **node}], "outputs": heads}


def test_they_are_those_that_a_file_may_contain() -> None:
    exported = {name for name in OPS if OPS[name].exported and OPS[name].in_specs}
    assert {name.removeprefix("onnx.") for name in names()} == exported | COMPOSED.keys()
    assert LAYERS.get("onnx.PerRow") is None


@pytest.mark.parametrize("name", [name for name in names() if name.removeprefix("onnx.") not in COMPOSED])
def test_attributes_are_arguments(name: str) -> None:
    op, cls = OPS[name.removeprefix("onnx.")], LAYERS.get(name)
    assert cls is not None
    declared = declared_attributes(op)
    assert list(cls.model_fields) == list(declared)
    for key, field in cls.model_fields.items():
        assert field.is_required() == (declared[key] is REQUIRED)
    methods = [op.bind, op.infer] if op.has_kernel else [op.infer]
    signatures = [inspect.signature(method).parameters.values() for method in methods]
    all_inputs = [[p for p in signature if p.name not in ("self", "ctx")] for signature in signatures]
    # a base class may bind any number of inputs; then what infers the type says how many there are
    inputs = next((i for i in all_inputs if all(p.kind is not p.VAR_POSITIONAL for p in i)), all_inputs[0])
    variadic = any(p.kind is p.VAR_POSITIONAL for p in inputs)
    assert cls.arity[1] == (None if variadic else len(inputs))


def emitted(name: str, *inputs: Value, **attributes: Any) -> tuple[str, dict[str, Any]]:
    """The operator and its attributes that a layer with these arguments emits."""
    graph = Graph("g")
    with Builder(graph, "y") as g:
        LAYERS.parse({"type": name, **attributes}).lower(g, *inputs)
    (node,) = graph.nodes
    return node.op, node.attrs


def test_it_emits_the_operator_with_its_attributes() -> None:
    X = Value("x", Type("float32", ("N", 4, 6, 6)), "input")
    op, attributes = emitted("onnx.AveragePool", X, kernel_shape=[2, 2], strides=[2, 2])
    assert op == "AveragePool"
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
        ({"type": "onnx.Cast", "to": "nothing"}, "GS306", "does not cast float32 to nothing"),
        ({"type": "onnx.Cast", "to": "i,,j"}, "GS306", "does not cast float32 to i,,j"),
        ({"type": "onnx.EyeLike", "dtype": "linear"}, "GS306", "does not support linear"),
        ({"type": "onnx.TopK", "inputs": ["x", [1, 2]]}, "GS105", "needs one K, got 2 numbers"),
        ({"type": "onnx.Split", "inputs": ["x", [1, 1, 1, 1]], "axis": 1}, "GS304", "do not add up"),
        ({"type": "onnx.Sub", "inputs": "x"}, "GS203", "takes 2 inputs, got 1"),
        (
            {"type": "onnx.BatchNormalization", "inputs": ["x", *[[1.0, 2.0, 3.0]] * 4], "training_mode": 1},
            "GS105",
            "needs a Parameter for the mean and one for the variance",
        ),
        ({"type": "onnx.Max", "inputs": ["x", None]}, "GS203", "needs its input 1, got null"),
    ],
)
def test_mistakes(node: dict[str, Any], code: str, text: str) -> None:
    problems = check(spec({"name": "y", **node})).errors
    assert [(p.code, text in p.message) for p in problems] == [(code, True)], problems


def parameter(name: str, *shape: int, initializer: Any = "GlorotUniform", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "Parameter", "shape": shape, "initializer": initializer, "inputs": [], **more}


def trained(tmp_path: Any, shape: list[int], nodes: list[dict[str, Any]]) -> set[str]:
    """Compare ``y`` with onnxruntime's before and after a step of training, twice; return the weights that changed."""
    document = spec({"type": "ReLU"})
    document["inputs"]["x"]["shape"] = shape
    document["layers"] = [*nodes, {"name": "head", "type": "Dense", "units": 2}]
    document["outputs"] = {"head": {"loss": "mean_squared_error"}}
    document["training"] = {"optimizer": {"type": "SGD", "learning_rate": 0.1}, "epochs": 1, "batch_size": 8}
    x = np.random.default_rng(3).normal(size=(8, *shape)).astype(np.float32)
    y = np.ones((8, 2), np.float32)
    one, two = gs.compile(document), gs.compile(document)
    before = {name: a.copy() for name, a in one.weights.items()}
    assert_same_as_onnxruntime(one, x, tmp_path / "before.onnx")
    for model in (one, two):
        model.fit(x, y, verbose=0)
    assert_same_as_onnxruntime(one, x, tmp_path / "after.onnx")
    assert all(np.array_equal(a, two.weights[name]) for name, a in one.weights.items())
    return {name for name, a in one.weights.items() if not np.array_equal(a, before[name])}


def assert_same_as_onnxruntime(model: gs.Model, x: Any, path: Any) -> None:
    model.export(path)
    (found,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    np.testing.assert_allclose(found, model.predict(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_operators_train(kind: str, gates: int, tmp_path: Any) -> None:
    nodes = [
        {"name": "steps", "type": "onnx.Transpose", "perm": [1, 0, 2], "inputs": "x"},
        parameter("W", 2, 3 * gates, 2),
        parameter("R", 2, 3 * gates, 3),
        parameter("B", 2, 6 * gates),
        {"name": "seen", "type": f"onnx.{kind}", "inputs": ["steps", "W", "R", "B"], "hidden_size": 3},
        {"name": "last", "type": "onnx.Transpose", "perm": [1, 0, 2], "inputs": "seen:1"},
        {"name": "flat", "type": "Flatten"},
    ]
    nodes[4]["direction"] = "bidirectional"
    assert {"W/value", "R/value", "B/value"} < trained(tmp_path, [4, 2], nodes)


@pytest.mark.parametrize("training_mode", [0, 1])
def test_batch_normalization_trains(training_mode: int, tmp_path: Any) -> None:
    """With ``training_mode`` 1, training normalizes by the batch and moves the statistics; the file has these."""
    moved = [parameter("mean", 3, trainable=False), parameter("variance", 3, initializer="ones", trainable=False)]
    inputs = ["x", "scale", "shift", "mean", "variance"]
    normalized = {"name": "y", "type": "onnx.BatchNormalization", "inputs": inputs, "training_mode": training_mode}
    weights = [parameter("scale", 3, initializer="ones"), parameter("shift", 3)]
    changed = trained(tmp_path, [3], [*weights, *moved, normalized])
    assert {"scale/value", "shift/value"} < changed
    assert ({"mean/value", "variance/value"} <= changed) == bool(training_mode)


def test_dropout_drops_in_training_if_its_third_input_says_so(tmp_path: Any) -> None:
    kernels = []
    node: dict[str, Any] = {"name": "y", "type": "onnx.Dropout", "inputs": ["x", 0.6, 1]}
    assert trained(tmp_path, [3], [node]) == {"head/kernel", "head/bias"}
    for inputs in (["x"], ["x", 0.6], ["x", 0.6, 0], ["x", 0.6, 1]):
        node = {"name": "y", "type": "onnx.Dropout", "inputs": inputs, "seed": 1}
        document = spec(node)
        document["layers"].append({"name": "head", "type": "Dense", "units": 1, "kernel_initializer": "ones"})
        document["outputs"] = {"head": {"loss": "mean_squared_error"}}
        model = gs.compile(document)
        model.fit(X, np.ones((2, 1), np.float32), verbose=0, epochs=1)
        kernels.append(model.weights["head/kernel"])
    assert np.array_equal(kernels[0], kernels[1])
    assert np.array_equal(kernels[0], kernels[2])
    assert not np.array_equal(kernels[0], kernels[3])
