"""The cut between the prelude, which runs once per row, and the part that is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.engine.compiler.check import check
from graphspec.graph.builder import Builder
from graphspec.graph.cuts import any_size, cut, not_computable
from graphspec.graph.initializers import Zeros
from graphspec.graph.ir.graph import Graph, Type, Value


def graph_of(**inputs: tuple[str, tuple[object, ...]]) -> tuple[Graph, Builder, dict[str, Value]]:
    graph = Graph("test")
    values = {name: Value(name, Type(dtype, shape), "input") for name, (dtype, shape) in inputs.items()}  # type: ignore[arg-type]
    graph.inputs = dict(values)
    return graph, Builder(graph, "node"), values


def ids_of(g: Builder, text: Value) -> Value:
    ids: Value = g.LabelEncoder(text, keys_strings=("a", "b"), values_int64s=(0, 1), default_int64=2)
    return ids


def dense(g: Builder, X: Value, units: int = 3) -> Value:
    Y: Value = g.MatMul(X, g.param("kernel", (int(X.shape[-1]), units), Zeros()))
    return Y


def test_a_graph_without_texts_is_not_cut() -> None:
    graph, g, v = graph_of(x=("float32", ("N", 4)))
    assert cut(graph.with_outputs({"y": dense(g, g.Relu(v["x"]))})) is None


def test_many_columns_of_numbers_are_joined_before_the_cut() -> None:
    graph, g, v = graph_of(**{f"x{k}": ("float32", ("N", 1)) for k in range(8)})
    row = g.Concat(*(g.Mul(x, g.constant(0.5, "float32")) for x in v.values()), axis=-1)
    parts = cut(graph.with_outputs({"y": dense(g, row)}))
    assert parts is not None
    assert list(parts.rest.inputs) == [row.name]
    assert list(parts.prelude.inputs) == list(graph.inputs)


def test_numbers_are_spread_before_the_cut() -> None:
    """Pieces of numbers need more bytes than the numbers, but every step would compute them again."""
    graph, g, v = graph_of(x=("float32", ("N", 1)), z=("float32", ("N", 5)))
    pieces = g.Sub(v["x"], g.constant([1.0, 2.0, 3.0]))
    graph = graph.with_outputs({"y": dense(g, g.Concat(g.Relu(pieces), v["z"], axis=-1))})
    parts = cut(graph)
    assert parts is not None
    assert [n.op for n in parts.rest.nodes] == ["MatMul"]
    assert list(parts.rest.inputs) == ["node/Concat"]


@pytest.mark.parametrize("shape", [("N", 9, 9, 1), ("N", 3)])
def test_pictures_and_vectors_of_a_size_are_not_spread(shape: tuple[Any, ...]) -> None:
    graph, g, v = graph_of(x=("float32", shape))
    assert cut(graph.with_outputs({"y": dense(g, g.Sub(v["x"], g.constant([1.0, 2.0, 3.0])))})) is None


def test_inputs_that_are_not_joined_are_no_reason_to_cut() -> None:
    graph, g, v = graph_of(**{f"x{k}": ("float32", ("N", 4)) for k in range(8)})
    outputs = {f"y{k}": g.MatMul(g.Relu(x), g.param(f"w{k}", (4, 1), Zeros())) for k, x in enumerate(v.values())}
    assert cut(graph.with_outputs(outputs)) is None


def test_ids_cross_the_cut_and_not_one_hot_vectors() -> None:
    graph, g, v = graph_of(word=("string", ("N", 1)))
    ids = ids_of(g, v["word"])
    y = dense(g, g.MultiHot(ids, depth=50))
    parts = cut(graph.with_outputs({"y": y}))
    assert parts is not None
    assert list(parts.prelude.outputs) == [ids.name] == list(parts.rest.inputs)
    assert [n.op for n in parts.prelude.nodes] == ["LabelEncoder"]
    assert [n.op for n in parts.rest.nodes] == ["MultiHot", "MatMul"]


def test_a_small_result_crosses_and_not_the_large_values_before_it() -> None:
    graph, g, v = graph_of(word=("string", ("N", 30)))
    flags = g.Cast(ids_of(g, v["word"]), to="float32")
    total = g.ReduceSum(flags, g.constant([1]), keepdims=1)
    parts = cut(graph.with_outputs({"y": dense(g, total)}))
    assert parts is not None
    assert list(parts.prelude.outputs) == [total.name]


def test_numbers_beside_texts_cross_as_late_as_they_can() -> None:
    graph, g, v = graph_of(word=("string", ("N", 1)), age=("float32", ("N", 1)))
    word = g.Cast(ids_of(g, v["word"]), to="float32")
    scaled = g.Mul(v["age"], g.constant(0.5, "float32"))
    both = g.Concat(word, scaled, axis=-1)
    parts = cut(graph.with_outputs({"y": dense(g, both)}))
    assert parts is not None
    assert list(parts.prelude.outputs) == [both.name]
    assert list(parts.prelude.inputs) == ["word", "age"]


def test_inputs_that_only_the_rest_reads_stay_its_inputs() -> None:
    graph, g, v = graph_of(image=("uint8", ("N", 4)), word=("string", ("N", 1)))
    word = dense(g, g.Cast(ids_of(g, v["word"]), to="float32"))
    picture = g.Cast(v["image"], to="float32")
    parts = cut(graph.with_outputs({"y": word, "z": picture}))
    assert parts is not None
    assert next(iter(parts.rest.inputs)) == "image"
    assert "image" not in parts.prelude.inputs


def test_masks_cross_the_cut() -> None:
    graph, g, v = graph_of(word=("string", ("N", 5)))
    ids = ids_of(g, v["word"])
    mask = g.Not(g.Equal(ids, g.constant(0)))
    y = g.MatMul(g.Unsqueeze(g.Cast(ids, to="float32"), g.constant([2])), g.param("kernel", (1, 3), Zeros()))
    parts = cut(graph.with_outputs({"y": y.with_mask(mask)}))
    assert parts is not None
    output = parts.rest.outputs["y"]
    assert output.mask is not None
    names = {n.name for n in parts.rest.nodes} | set(parts.rest.inputs)
    assert output.mask.name in names


def test_ranges_of_ids_are_known_behind_the_cut() -> None:
    graph, g, v = graph_of(word=("string", ("N", 1)))
    ids = ids_of(g, v["word"])
    parts = cut(graph.with_outputs({"y": dense(g, g.MultiHot(ids, depth=50))}))
    assert parts is not None
    assert parts.rest.inputs[ids.name].range == ids.range


def test_what_depends_on_weights_or_random_numbers_cannot_be_computed_by_onnxruntime_alone() -> None:
    graph, g, v = graph_of(x=("float32", ("N", 4)))
    best = g.ArgMax(dense(g, v["x"]), axis=-1)
    late = g.LabelEncoder(best, keys_int64s=(0, 1), values_int64s=(1, 0), default_int64=2)
    assert [n.op for n in not_computable(graph.with_outputs({"y": late}))] == ["LabelEncoder"]
    graph, g, v = graph_of(x=("float32", ("N", 4)))
    best = g.ArgMax(g.Dropout(v["x"], g.constant(np.float32(0.5))), axis=-1)
    late = g.LabelEncoder(best, keys_int64s=(0, 1), values_int64s=(1, 0), default_int64=2)
    assert [n.op for n in not_computable(graph.with_outputs({"y": late}))] == ["LabelEncoder"]


# What mixes the rows of a batch is computed in each step: never before training, for a part of all rows at a time.

WORDS = [["red"], ["green"], ["blue"], ["red"], ["red"]] * 5
NUMBERS = np.random.default_rng(1).normal(size=(25, 9)).astype(np.float32)
TARGETS = NUMBERS[:, :1]
COLUMNS = [f"c{k}" for k in range(9)]


def spec(inputs: dict[str, Any], *layers: dict[str, Any]) -> dict[str, Any]:
    """The nodes `all` are centered in their batch, and go to `y`."""
    return {
        "graphspec": 1,
        "name": "net",
        "inputs": inputs,
        "layers": [
            *layers,
            {"name": "mean", "type": "ops.mean", "axis": 0, "inputs": "all"},
            {"name": "centered", "type": "ops.subtract", "inputs": ["all", "mean"]},
            {"name": "y", "type": "Dense", "units": 1},
        ],
        "outputs": {"y": {"loss": "mse"}},
        "training": {"batch_size": 8, "optimizer": {"type": "sgd", "learning_rate": 0.1}},
    }


def of_columns() -> tuple[dict[str, Any], dict[str, Any]]:
    inputs = {name: {"shape": [1]} for name in COLUMNS}
    join = {"name": "all", "type": "Concatenate", "inputs": COLUMNS}
    return spec(inputs, join), {name: NUMBERS[:, k : k + 1] for k, name in enumerate(COLUMNS)}


def of_words() -> tuple[dict[str, Any], dict[str, Any]]:
    inputs = {"word": {"shape": [1], "dtype": "string"}}
    words = {"type": "StringLookup", "vocabulary": ["red", "green", "blue"], "output_mode": "one_hot"}
    return spec(inputs, words | {"name": "all", "inputs": "word"}), {"word": np.array(WORDS, object)}


@pytest.mark.parametrize("made", [of_columns, of_words], ids=["columns", "words"])
def test_a_mean_over_the_batch(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights after training do not depend on how many rows are prepared at a time."""
    document, rows = made()
    found = []
    for chunk in (3, 25):
        monkeypatch.setattr("graphspec.engine.runtime.prepared_rows.CHUNK_ROWS", chunk)
        model = gs.compile(document)
        model.fit(rows, TARGETS, epochs=2)
        found.append(model.weights)
    assert model.prelude is not None
    assert "ReduceMean" in {node.op for node in model.graph.nodes}
    assert "ReduceMean" not in {node.op for node in model.prelude.graph.nodes}
    for name, array in found[0].items():
        np.testing.assert_array_equal(array, found[1][name])


def test_columns_that_are_mixed_train_as_without_a_prelude(monkeypatch: pytest.MonkeyPatch) -> None:
    document, rows = of_columns()
    found = []
    for _ in range(2):
        model = gs.compile(document)
        model.fit(rows, TARGETS, epochs=2)
        found.append(model.weights)
        monkeypatch.setattr("graphspec.engine.runtime.session.cut", lambda graph: None)
    assert model.prelude is None
    for name, array in found[0].items():
        np.testing.assert_allclose(array, found[1][name], rtol=1e-5, atol=1e-6)


def test_rows_in_another_axis_do_not_leave_the_prelude() -> None:
    """A transposed value has no rows in front: the parts of it could not be joined."""
    document, rows = of_columns()
    turned = [
        {"name": "turned", "type": "ops.transpose", "inputs": "all"},
        {"name": "scaled", "type": "ops.multiply", "inputs": ["turned", 0.5]},
        {"name": "w", "type": "Parameter", "shape": [2, 9]},
        {"name": "product", "type": "ops.matmul", "inputs": ["w", "scaled"]},
        {"name": "back", "type": "ops.transpose", "inputs": "product"},
    ]
    document["layers"][1:3] = turned
    model = gs.compile(document)
    assert model.prelude is not None
    assert all(v.shape[0] == "N" for v in model.prelude.graph.outputs.values())
    model.fit(rows, TARGETS, epochs=1)


def test_what_only_onnxruntime_computes_is_refused_behind_it() -> None:
    ids = {"x": {"shape": [2], "dtype": "int64"}}
    code = {"type": "onnx.LabelEncoder", "keys_int64s": [1, 2], "values_int64s": [2, 1], "default_int64": 0}
    sums = {"name": "sums", "type": "ops.cumsum", "axis": 0, "inputs": "x"}
    document = spec(ids, sums, code | {"name": "code"}, {"name": "all", "type": "onnx.Cast", "to": "float32"})
    (error,) = check(document).errors
    assert error.code == "GS309"
    assert "'code' is computed once, before training, but it depends on several rows of a batch" in error.message


def test_layers_do_not_learn_from_mixed_rows() -> None:
    first, *others = of_columns()[0]["layers"]
    layers = [first, *others[:2], {"type": "Normalization"}, others[2]]
    (error,) = check(of_columns()[0] | {"layers": layers}).errors
    assert error.code == "GS309"
    assert "learns from a part of the training rows at a time, but its input depends on several rows" in error.message


def pictures(
    first: dict[str, Any], *layers: dict[str, Any], shape: tuple[Any, ...] = (None, None, 3), **more: Any
) -> Graph:
    """A network for pictures that begins with these layers."""
    head = {"y": {"loss": "mse"}} | more.pop("outputs", {})
    nodes = [first, *layers, {"type": "GlobalAveragePooling2D"}, {"name": "y", "type": "Dense", "units": 1}]
    inputs = {"x": {"shape": list(shape), "dtype": "uint8"}} | more
    return check({"graphspec": 1, "name": "n", "inputs": inputs, "layers": nodes, "outputs": head}).require()[1].graph


RESIZED = {"type": "Resizing", "name": "r", "height": 4, "width": 5}
SCALED = {"type": "Rescaling", "scale": 0.1}
CONVOLUTION = {"type": "Conv2D", "filters": 2, "kernel_size": 1}


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ([RESIZED, CONVOLUTION], True),
        ([SCALED, RESIZED, CONVOLUTION], True),
        ([SCALED, {"type": "MaxPooling2D"}, {"type": "ZeroPadding2D"}, RESIZED], True),
        ([SCALED], True),  # pooled to one value per channel
        ([CONVOLUTION, RESIZED], False),
        ([CONVOLUTION], False),
        ([{"type": "RandomFlip"}, RESIZED], False),
        ([{"type": "BatchNormalization"}, RESIZED], False),
        ([{"type": "ops.subtract", "inputs": ["x", 3]}, RESIZED], True),
    ],
)
def test_pictures_of_any_size(layers: list[dict[str, Any]], found: bool) -> None:
    graph = pictures(*layers)
    assert list(any_size(graph)) == ["x"] * found
    parts = cut(graph)
    assert (parts is not None) == found
    if parts is not None:
        assert "x" not in parts.rest.inputs
        assert all(isinstance(d, int) for v in parts.rest.inputs.values() for d in v.shape[1:])


def test_pictures_that_do_not_have_any_size() -> None:
    assert not any_size(pictures(RESIZED, shape=(8, 8, 3)))
    assert any_size(pictures(RESIZED, shape=(8, None, 3)))  # one of the two is enough
    again = {"name": "p", "type": "Identity", "inputs": "x"}  # the picture itself is an answer
    assert not any_size(pictures(again, {**RESIZED, "inputs": "x"}, outputs={"p": {}}))
    shared = {"name": "z", "type": "Resizing", "height": 1, "width": 1, "inputs": "other"}
    more = {"other": {"shape": ["h", "w", 3]}, "outputs": {"z": {}}}
    assert not any_size(pictures(shared, {**RESIZED, "inputs": "x"}, shape=("h", "w", 3), **more))
    assert set(any_size(pictures(shared, {**RESIZED, "inputs": "x"}, **more))) == {"x", "other"}
