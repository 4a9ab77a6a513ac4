"""Graphs are written as they are: texts, other domains, constants and parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from sketching import sketch

from graphspec.graph.builder import Builder, Target
from graphspec.graph.ir.graph import Type, Value
from graphspec.graph.onnx_model import CONTRIB, ML, OPSET, assemble, content_of, model_of
from graphspec.graph.onnx_session import session
from graphspec.graph.passes.for_export import constant_values, is_newer, merge_equal_nodes

TEXT = Type("string", ("N", 1))


WORDS = {"mark": 0, "mincharnum": 1, "pad_value": ""}


def ids(g: Builder, x: Value) -> Value:
    tokens = g.Tokenizer(x, tokenexp=r"[\pL\pN']+", **WORDS)
    found: Value = g.emit(
        "LabelEncoder", (tokens,), {"keys_strings": ("", "é"), "values_int64s": (0, 2), "default_int64": 1}
    )
    return found


def domains(model: Any) -> dict[str, int]:
    return {d.domain: d.version for d in model.opset_import}


def test_texts_become_ids_in_onnxruntime() -> None:
    g, x = sketch({"x": TEXT})
    content = content_of(g.graph.with_outputs({"ids": ids(g, x)}), {}, OPSET)
    model = assemble("texts", content, OPSET, {"note": "é"})
    assert (model.ir_version, domains(model)) == (8, {"": 17, ML: 2, CONTRIB: 1})
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.STRING
    assert {p.key: p.value for p in model.metadata_props} == {"note": "é"}
    (found,) = session(model.SerializeToString(), threads=1).run(None, {"x": np.array([["é b"], [""]], object)})
    np.testing.assert_array_equal(found, [[[2, 1]], [[0, 0]]])


def test_types_of_contrib_outputs_are_written_so_that_onnx_can_infer_the_others() -> None:
    g, x = sketch({"x": TEXT})
    tokens = g.Tokenizer(x, separators=(" ",), **WORDS)
    model = model_of(g.graph.with_outputs({"ids": ids(g, x), "tokens": tokens}))
    infos = {v.name: v.type.tensor_type for v in model.graph.value_info}
    assert list(infos) == ["sketch/Tokenizer_2"]  # the other one is an output
    assert infos["sketch/Tokenizer_2"].elem_type == TensorProto.STRING
    assert [d.dim_param or d.dim_value for d in infos["sketch/Tokenizer_2"].shape.dim][:2] == ["N", 1]
    onnx.shape_inference.infer_shapes(model)  # without the types it ends the process


def test_attributes_of_contrib_operators_are_written_without_empty_lists() -> None:
    g, x = sketch({"x": TEXT})
    model = model_of(g.graph.with_outputs({"t": g.Tokenizer(x, separators=("",), **WORDS), "i": ids(g, x)}))
    written = [{a.name: onnx.helper.get_attribute_value(a) for a in n.attribute} for n in model.graph.node]
    assert written[0] == {"mark": 0, "mincharnum": 1, "pad_value": b"", "separators": [b""]}
    assert written[1] == {"mark": 0, "mincharnum": 1, "pad_value": b"", "tokenexp": rb"[\pL\pN']+"}


def test_only_the_domains_that_are_used_are_imported() -> None:
    g, x = sketch({"x": ("N", 4)})
    assert domains(model_of(g.graph.with_outputs({"y": g.Relu(x)}), opset=20)) == {"": 20}
    g, x = sketch({"x": TEXT})
    encoded = g.LabelEncoder(x, keys_strings=("a",), values_int64s=(1,))
    assert domains(model_of(g.graph.with_outputs({"y": encoded}))) == {"": 17, ML: 2}


def test_constants_of_texts_and_parameters() -> None:
    g, k, W = sketch({"k": Type("int64", ("N",))}, {"W": (2, 3)})
    names = g.constant(["rot", "grün"])
    assert names.type == Type("string", (2,))
    graph = g.graph.with_outputs({"name": g.Gather(names, k), "row": g.Gather(W, k), "k": k})
    weights = np.arange(6, dtype=np.float64).reshape(2, 3)
    model = model_of(graph, {"W": weights})
    stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    assert stored["W"].dtype == np.float32
    name, row = session(model.SerializeToString(), threads=1).run(["name", "row"], {"k": np.array([1, 0, 1])})
    assert list(name) == ["grün", "rot", "grün"]
    np.testing.assert_array_equal(row, weights[[1, 0, 1]])


def test_a_parameter_without_an_array_is_an_error() -> None:
    g, x, W = sketch({"x": ("N", 4)}, {"W": (4, 2)})
    with pytest.raises(KeyError, match="W"):
        model_of(g.graph.with_outputs({"y": g.MatMul(x, W)}))


def test_passes_leave_texts_to_onnxruntime() -> None:
    g, x = sketch({"x": TEXT})
    number = g.LabelEncoder(g.constant(["b"]), keys_strings=("b",), values_int64s=(7,))
    graph = g.graph.with_outputs({"y": ids(g, x), "number": number, "two": g.Identity(g.constant(["b"]))})
    assert constant_values(graph) == set()
    assert not any(is_newer(node, 13) for node in graph.nodes if node.op != "Identity")


def test_equal_text_nodes_are_merged_by_the_texts_of_their_constants() -> None:
    g, x = sketch({"x": Type("int64", ("N",))})
    lists = (["a", "b"], ["a", "b"], ["a", "c"])
    values = [g.Gather(g.constant(texts), x) for texts in lists]
    hashes = [g.MurmurHash3(v, seed=3) for v in values]
    merged = merge_equal_nodes(g.graph.with_outputs(dict(zip("abc", hashes, strict=True))), Target())
    assert [node.op for node in merged.nodes] == ["Gather", "Gather", "MurmurHash3", "MurmurHash3"]
    assert merged.outputs["a"].name == merged.outputs["b"].name != merged.outputs["c"].name
