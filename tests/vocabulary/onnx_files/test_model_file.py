"""Reading of ONNX files of any origin: what they declare, and what is refused."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_files import dense, hostile, model, value, write
from paths import TESTS

from graphspec.base.errors import SpecError
from graphspec.export.inspection import inspect_file
from graphspec.vocabulary.onnx_files.model_file import ELEMENTS, Declared, read_model_file

FIXTURES = sorted((TESTS / "consumers" / "fixtures").glob("*/model.onnx"))
HOSTILE = hostile()


def test_a_file_of_another_program(tmp_path: Path) -> None:
    found = read_model_file(write(tmp_path / "a.onnx", dense()))
    assert (found.producer, found.producer_version, found.ir_version, found.opsets) == ("another", "2.1", 8, {"": 17})
    assert found.inputs == [Declared("x", "tensor", "float32", ("batch", 4))]
    assert found.outputs == [Declared("y", "tensor", "float32", ("batch", 3))]
    assert found.operators == {("", "MatMul"): 1, ("", "Relu"): 1}
    (weight,) = found.weights
    assert (weight.name, weight.dtype, weight.shape, weight.nbytes) == ("W", "float32", (4, 3), 48)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.parent.name)
def test_files_agree_with_what_onnx_reads(path: Path) -> None:
    found, proto = read_model_file(path), onnx.load(path)
    assert [i.name for i in found.inputs] == [i.name for i in proto.graph.input]
    assert [o.doc for o in found.outputs] == [o.doc_string for o in proto.graph.output]
    assert sum(found.operators.values()) == len(proto.graph.node)
    assert found.metadata == {p.key: p.value for p in proto.metadata_props}
    assert found.opsets == {o.domain: o.version for o in proto.opset_import}
    arrays = [numpy_helper.to_array(w) for w in proto.graph.initializer]
    weights = {w.name: w for w in found.weights}
    for proto_weight, array in zip(proto.graph.initializer, arrays, strict=True):
        weight = weights[proto_weight.name]
        assert weight.shape == array.shape
        assert weight.elements == array.size
        if array.dtype != object:
            assert weight.nbytes == array.nbytes


def test_every_element_type_of_onnx_is_known() -> None:
    for number in set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED, TensorProto.STRING}:
        dtype, (name, bits) = np.dtype(helper.tensor_dtype_to_np_dtype(number)), ELEMENTS[number]
        assert dtype.itemsize * 8 == max(-(-bits // 8) * 8, 8), name


@pytest.mark.parametrize("kind", ["float_data", "int32_data", "int64_data", "string_data"])
def test_weights_that_are_stored_as_numbers(kind: str, tmp_path: Path) -> None:
    types = {"float_data": 1, "int32_data": TensorProto.INT8, "int64_data": 7, "string_data": 8}
    values: Any = [b"a", b"bc"] if kind == "string_data" else [1, 2]
    weight = helper.make_tensor("W", types[kind], [2], values)
    path = write(tmp_path / "a.onnx", model([helper.make_node("Relu", ["x"], ["y"])], [weight]))
    (found,) = read_model_file(path).weights
    assert (found.elements, found.nbytes) == (
        2,
        {"float_data": 8, "int32_data": 2, "int64_data": 16, "string_data": 3}[kind],
    )


def test_graphs_inside_nodes_and_local_functions_are_counted(tmp_path: Path) -> None:
    branch = helper.make_graph([helper.make_node("Neg", ["x"], ["n"])], "b", [], [value("n", None)])
    node = helper.make_node("If", ["c"], ["h"], then_branch=branch, else_branch=branch)
    called = helper.make_node("Twice", ["h"], ["y"], domain="mine")
    found = model(
        [node, called], inputs=[value("x", [4]), value("c", [], TensorProto.BOOL)], opsets={"": 17, "mine": 1}
    )
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    found.functions.append(helper.make_function("mine", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    read = read_model_file(write(tmp_path / "a.onnx", found))
    assert read.operators == {("", "If"): 1, ("", "Neg"): 2, ("mine", "Twice"): 1, ("", "Add"): 1}
    assert (read.subgraphs, read.functions) == (2, ["mine.Twice"])


def test_values_that_are_no_tensors(tmp_path: Path) -> None:
    sequence = helper.make_tensor_sequence_value_info("s", 1, None)
    found = model(
        [helper.make_node("SequenceAt", ["s", "x"], ["y"])], inputs=[sequence, value("x", [], TensorProto.INT64)]
    )
    first, second = read_model_file(write(tmp_path / "a.onnx", found)).inputs
    assert (first.kind, second.shape) == ("sequence", ())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_bounded_memory(name: str, tmp_path: Path) -> None:
    found, words = HOSTILE[name]
    path = write(tmp_path / "a.onnx", found)
    tracemalloc.start()
    with pytest.raises(SpecError) as caught:
        inspect_file(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "GS703"
    assert words in diagnostic.message
    assert diagnostic.hint
    assert peak < 20_000_000


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    from onnx_files import outside

    (tmp_path / "secret.bin").write_bytes(bytes(48))
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "w.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(SpecError, match="outside its folder"):
        inspect_file(write(inside / "a.onnx", outside("w.bin")))


@pytest.mark.slow
def test_any_damaged_byte_gets_an_answer(tmp_path: Path) -> None:
    """A file with a wrong byte is read or refused; there is no other error, and no long search."""
    whole = bytearray((TESTS / "consumers" / "fixtures" / "image" / "model.onnx").read_bytes())
    random = np.random.default_rng(0)
    codes = []
    for place in random.integers(0, len(whole), 150):
        damaged = bytearray(whole)
        damaged[place] = int(random.integers(0, 256))
        try:
            inspect_file(write(tmp_path / "a.onnx", bytes(damaged)))
        except SpecError as error:
            codes += [d.code for d in error.diagnostics]
    assert set(codes) == {"GS703"}
    assert len(codes) > 5
