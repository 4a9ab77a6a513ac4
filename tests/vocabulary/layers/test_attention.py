"""Attention beyond golden values: files for newer opsets, penalties, initial weights, dropout, costs, masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load_layers
from golden_run import assert_close, compiled, run, store_of

from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.lowered_network import cost
from graphspec.engine.runtime.parameters import Parameters
from graphspec.export.onnx import to_model
from graphspec.graph.ir.graph import Graph
from graphspec.graph.onnx_session import session

CASES = [case for case in load_layers() if "Attention" in case.id]
HEADS = {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3, "inputs": ["x", "x"]}


def graph_of(layer: dict[str, Any], shape: list[int | None] | None = None) -> Graph:
    head = {"s": {"layer": "y:1"}} if layer.get("return_attention_scores") else {}
    spec = {
        "graphspec": 1,
        "name": "x",
        "inputs": {"x": {"shape": shape or [5, 4]}},
        "layers": [{"name": "y", **layer}],
        "outputs": {"y": {}, **head},
    }
    return check(spec).require()[1].graph


Q, V, K = ["time", 6], ["other", 4], ["other", 6]
GROUPS = {"head_dim": 2, "num_query_heads": 4, "num_key_value_heads": 2}
SCORES = {"return_attention_scores": True}
SHAPES: list[tuple[str, dict[str, Any], list[list[Any]], list[tuple[Any, ...]]]] = [
    ("Attention", {}, [Q, V, K], [("N", "time", 4)]),
    ("Attention", {"use_causal_mask": True, **SCORES}, [Q, K], [("N", "time", 6), ("N", "time", "other")]),
    ("AdditiveAttention", SCORES, [Q, V, K], [("N", "time", 4), ("N", "time", "other")]),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, [Q, V], [("N", "time", 6)]),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "output_shape": [2, 5]}, [Q, V], [("N", "time", 2, 5)]),
    (
        "MultiHeadAttention",
        {"num_heads": 2, "key_dim": 3, **SCORES},
        [Q, V],
        [("N", "time", 6), ("N", 2, "time", "other")],
    ),
    (
        "MultiHeadAttention",
        {"num_heads": 2, "key_dim": 3, "attention_axes": [2, 1], **SCORES},
        [["time", 3, 6], [4, 5, 2]],
        [("N", "time", 3, 6), ("N", 2, 3, "time", 5, 4)],
    ),
    ("GroupQueryAttention", {**GROUPS, "sliding_window": 2}, [Q, K], [("N", "time", 6)]),
    ("GroupQueryAttention", {**GROUPS, **SCORES}, [Q, K], [("N", "time", 6), ("N", 4, "time", "other")]),
    ("EinsumDense", {"equation": "...x,xy->...y", "output_shape": 5, "bias_axes": "y"}, [Q], [("N", "time", 5)]),
    ("EinsumDense", {"equation": "abc,cde->adbe", "output_shape": [2, None, 3]}, [Q], [("N", 2, "time", 3)]),
]


@pytest.mark.parametrize(("kind", "args", "inputs", "expected"), SHAPES)
def test_shapes(kind: str, args: dict[str, Any], inputs: list[list[Any]], expected: list[tuple[Any, ...]]) -> None:
    """The lengths may vary independently."""
    names = [f"x{k}" for k in range(len(inputs))]
    spec = {
        "graphspec": 1,
        "name": "x",
        "inputs": {name: {"shape": shape} for name, shape in zip(names, inputs, strict=True)},
        "layers": [{"name": "y", "type": kind, "inputs": names, **args}],
        "outputs": {f"head_{k}": {"layer": f"y:{k}"} for k in range(len(expected))},
    }
    outputs = check(spec).require()[1].graph.outputs
    assert [value.shape for value in outputs.values()] == expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_exported_for_opset_23(case: Case) -> None:
    """From opset 23 on the file contains the operator itself, and onnxruntime has a kernel for it."""
    _, graph = compiled(case)
    model = to_model(graph, store_of(graph, case["weights"], np.float32), labels={}, metadata={}, opset=23)
    ops = [node.op for node in graph.needed(graph.outputs.values())]
    whole = ops.count("Attention") + ops.count("DropoutAttention")
    assert [node.op_type for node in model.graph.node].count("Attention") == whole
    heads = list(graph.outputs)
    found = session(model.SerializeToString(), threads=1).run(heads, case["inputs"])
    assert_close(dict(zip(heads, found, strict=True)), case["outputs"])


@pytest.mark.parametrize("more", [{}, {"return_attention_scores": True}, {"use_gate": True}])
def test_every_projection_is_penalized_and_nothing_else(more: dict[str, Any]) -> None:
    graph = graph_of({**HEADS, **more, "activity_regularizer": {"type": "L2", "l2": 0.1}})
    assert len(graph.penalties) == (5 if "use_gate" in more else 4)


def test_initial_weights_have_the_variance_of_the_joined_projection() -> None:
    """As in Keras, the fans are those of the kernel as a matrix, 64 to 4 · 16, not of its last two axes."""
    graph = graph_of({**HEADS, "num_heads": 4, "key_dim": 16}, [5, 64])
    parameters = Parameters(graph)
    parameters.initialize(3)
    weights = parameters.get()
    for name in ("query", "key", "value", "attention_output"):
        kernel = weights[f"y/{name}/kernel"]
        assert kernel.shape == ((4, 16, 64) if name == "attention_output" else (64, 4, 16))
        assert np.abs(kernel).max() <= np.sqrt(6 / 128)
        assert np.isclose(kernel.std(), np.sqrt(2 / 128), rtol=0.05)


def test_dropout_of_weights() -> None:
    """In training some weights are 0 and the others are scaled by 1 / (1 - rate); the returned scores have no dropout."""
    graph = graph_of({**HEADS, "dropout": 0.5, "return_attention_scores": True})
    parameters = Parameters(graph, np.float64)
    parameters.initialize(0)
    x = {"x": np.random.default_rng(0).standard_normal((3, 5, 4))}
    plain, _, _ = run(graph, parameters, x, graph.outputs)
    trained, _, _ = run(graph, parameters, x, graph.outputs, training=True)
    np.testing.assert_array_equal(plain["s"], trained["s"])
    np.testing.assert_allclose(plain["s"].sum(-1), 1.0)
    assert not np.allclose(plain["y"], trained["y"])


def test_cost() -> None:
    layers = [
        {"name": "y", **HEADS},
        {"name": "z", "type": "EinsumDense", "equation": "abc,cde->aed", "output_shape": [2, 3]},
    ]
    inputs = {"x": {"shape": [5, 4]}}
    spec = {"graphspec": 1, "name": "x", "inputs": inputs, "layers": layers, "outputs": {"z": {}}}
    counted = cost(*check(spec).require(), 2)
    assert counted.nodes["y"].multiply_adds == 2 * (4 * 5 * 4 * 6 + 2 * 5 * 5 * 6)
    assert counted.nodes["z"].multiply_adds == 2 * 5 * 4 * 6
    assert counted.nodes["y"].trainable == 3 * (4 * 6 + 6) + 6 * 4 + 4


def test_masks_outlive_attention() -> None:
    """The query keeps its mask for other layers, and the output has the same mask: their sum is masked."""
    layers: list[dict[str, Any]] = [
        {"name": "e", "type": "Embedding", "input_dim": 9, "output_dim": 4, "mask_zero": True},
        {"name": "a", **HEADS, "inputs": ["e", "e"], "return_attention_scores": True},
        {"name": "y", "type": "Add", "inputs": ["e", "a"]},
        {"name": "s", "type": "Flatten", "inputs": "a:1"},
    ]
    inputs = {"ids": {"shape": [5], "dtype": "int64"}}
    spec = {"graphspec": 1, "name": "x", "inputs": inputs, "layers": layers, "outputs": {"y": {}, "s": {}}}
    checked = check(spec)
    outputs = checked.require()[1].graph.outputs
    assert outputs["y"].mask is not None
    assert outputs["s"].mask is None
    assert not [d for d in checked.diagnostics if d.code == "GS308"]


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_a_query_without_keys(rate: float) -> None:
    """As in Keras it gives zeros with dropout, in training or not, and otherwise the mean of the values."""
    spec = {
        "graphspec": 1,
        "name": "x",
        "inputs": {"x": {"shape": [5, 4]}, "seen": {"shape": [5, 5], "dtype": "bool"}},
        "layers": [{"name": "y", **HEADS, "dropout": rate, "inputs": ["x", "x"], "attention_mask": "seen"}],
        "outputs": {"y": {}},
    }
    graph = check(spec).require()[1].graph
    parameters = Parameters(graph, np.float64)
    parameters.initialize(0)
    random = np.random.default_rng(0)
    x = {"x": random.standard_normal((3, 5, 4)), "seen": random.random((3, 5, 5)) < 0.7}
    x["seen"][1, 2] = False
    for training in (False, True):
        y = run(graph, parameters, x, graph.outputs, training=training)[0]["y"]
        assert y[1, 2].any() == (rate == 0)
        assert y[1, 3].any()
