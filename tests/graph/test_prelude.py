"""The cut between the prelude, which runs once per row, and the part that is trained."""

from __future__ import annotations

import numpy as np

from graphspec.graph.builder import Builder
from graphspec.graph.prelude import cut, not_computable
from graphspec.initializers import Zeros
from graphspec.ir.graph import Graph, Type, Value


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
