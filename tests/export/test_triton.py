"""Models of a Triton repository, checked with Triton's own definition of ``config.pbtxt``."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shop
from commands import graphspec, project
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, text_format
from quantizing import Case, attention, convolution, dense, recurrent, text

import graphspec as gs
from graphspec.export.folders import config, model_name, write_triton
from graphspec.graph.onnx_session import session

DEFINITION = Path(__file__).with_name("triton_model_config.json")


@cache
def message() -> Any:
    """The class of ``ModelConfig``; the file says where its definition is from."""
    found = json.loads(DEFINITION.read_text(encoding="utf-8"))["descriptor"]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(json_format.ParseDict(found, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


def parsed(folder: Path) -> Any:
    return text_format.Parse((folder / "config.pbtxt").read_text(encoding="utf-8"), message()())


def kind_of(tensor: Any) -> str:
    name: str = tensor.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[tensor.data_type].name
    return name


def exported(make: Any, folder: Path, **more: Any) -> Path:
    spec, x, y = make()
    model = gs.compile(spec)
    model.fit(x, y, epochs=1, verbose=0)
    if more:
        more = {"validation_data": (x, y), "max_loss": 9, **more}
    model.export(folder / "a.onnx", rows=x, **more)
    return write_triton(folder / "models", folder / "a.onnx")


@pytest.mark.slow
def test_a_table(tmp_path: Path) -> None:
    assert graphspec("train", shop.project(tmp_path), "--out", tmp_path / "run").exit_code == 0
    result = graphspec("export", tmp_path / "run", "--triton", tmp_path / "models")
    assert result.exit_code == 0, result.stderr
    folder = tmp_path / "models" / "shop"
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == {
        "1/model.onnx",
        "config.pbtxt",
        "mood_labels.txt",
    }
    found = parsed(folder)
    assert (found.name, found.backend, found.max_batch_size) == ("shop", "onnxruntime", 64)
    assert [(i.name, kind_of(i), [*i.dims]) for i in found.input] == [
        ("town", "TYPE_STRING", [1]),
        ("spent", "TYPE_FP32", [1]),
        ("day", "TYPE_STRING", [1]),
        ("remark", "TYPE_STRING", [1]),
    ]
    mood, label = found.output
    assert (mood.name, kind_of(mood), [*mood.dims], mood.label_filename) == (
        "mood",
        "TYPE_FP32",
        [3],
        "mood_labels.txt",
    )
    assert (label.name, kind_of(label), [*label.dims]) == ("mood_label", "TYPE_STRING", [1])
    assert label.HasField("reshape")  # the file has no axis besides the batch
    assert [*label.reshape.shape] == []
    assert not mood.HasField("reshape")
    assert found.HasField("dynamic_batching")
    assert (folder / "mood_labels.txt").read_text().splitlines() == gs.load(tmp_path / "run").labels["mood"]


@pytest.mark.parametrize("make", [dense, convolution, recurrent, text, attention], ids=lambda make: make.__name__)
def test_shapes_are_those_of_the_file_without_the_batch(make: Any, tmp_path: Path) -> None:
    folder = exported(make, tmp_path)
    found = parsed(folder)
    runner = session(folder / "1" / "model.onnx", threads=1)
    for tensors, values in ((found.input, runner.get_inputs()), (found.output, runner.get_outputs())):
        by_name = {value.name: value for value in values}
        assert {t.name for t in tensors} == by_name.keys()
        for tensor in tensors:
            value = by_name[tensor.name]
            shape = [*tensor.reshape.shape] if tensor.HasField("reshape") else [*tensor.dims]
            assert shape == [d if isinstance(d, int) else -1 for d in value.shape[1:]]
            types = {"TYPE_STRING": "string", "TYPE_FP32": "float", "TYPE_INT64": "int64"}
            assert value.type == f"tensor({types[kind_of(tensor)]})"


def ragged() -> Case:
    random = np.random.default_rng(1)
    x = {"x": random.normal(size=(32, 5, 3)).astype(np.float32), "photo": random.integers(0, 255, (32, 2), np.uint8)}
    layers = [
        {"name": "mean", "type": "GlobalAveragePooling1D", "inputs": "x"},
        {"name": "scaled", "type": "Rescaling", "scale": 0.01, "inputs": "photo"},
        {"name": "all", "type": "Concatenate", "inputs": ["mean", "scaled"]},
        {"name": "y", "type": "Dense", "units": 2, "activation": "softmax"},
    ]
    outputs = {"y": {"loss": "sparse_categorical_crossentropy", "labels": ["two\nlines", 'a "b"']}}
    inputs = {"x": {"shape": [None, 3]}, "photo": {"shape": [2], "dtype": "uint8"}}
    spec = {"graphspec": 1, "name": "odd", "inputs": inputs, "layers": layers, "outputs": outputs}
    return spec, x, {"y": random.integers(0, 2, 32)}


def test_free_axes_and_labels_that_are_no_lines(tmp_path: Path) -> None:
    found = parsed(folder := exported(ragged, tmp_path))
    assert [([*i.dims], kind_of(i)) for i in found.input] == [([-1, 3], "TYPE_FP32"), ([2], "TYPE_UINT8")]
    assert [o.label_filename for o in found.output] == ["", ""]
    assert sorted(p.name for p in folder.iterdir()) == ["1", "config.pbtxt"]


def test_rows_of_other_requests_do_not_change_an_answer(tmp_path: Path) -> None:
    """Activations of a dynamically quantized network have the range of the whole batch."""
    for make, kind, batches in ((dense, "int8", False), (convolution, "int8", True), (dense, "float16", True)):
        assert parsed(exported(make, tmp_path, quantize=kind)).HasField("dynamic_batching") is batches


def test_names_are_names_of_folders_and_texts_are_quoted() -> None:
    assert model_name("my net/2") == "my_net_2"
    assert model_name("..") == "model"
    entry = {"name": 'a"\\\n', "dtype": "float32", "shape": ["N", 2]}
    text = config({"name": "n", "inputs": [entry], "outputs": [entry]}, {})
    found = text_format.Parse(text, message()())
    assert found.input[0].name == 'a"\\\n'


def test_other_models_stay_and_foreign_ones_are_not_replaced(tmp_path: Path) -> None:
    assert graphspec("train", project(tmp_path), "--out", tmp_path / "run").exit_code == 0
    models = tmp_path / "models"
    (models / "other").mkdir(parents=True)
    (models / "other" / "config.pbtxt").write_text("mine")
    assert graphspec("export", tmp_path / "run", "--triton", models).exit_code == 0
    before = (models / "tiny" / "config.pbtxt").read_bytes()
    assert graphspec("export", tmp_path / "run", "--triton", models).exit_code == 0
    assert (models / "tiny" / "config.pbtxt").read_bytes() == before
    assert (models / "other" / "config.pbtxt").read_text() == "mine"
    (models / "tiny" / "2").mkdir()
    (models / "tiny" / "2" / "model.onnx").write_bytes(b"theirs")
    result = graphspec("export", tmp_path / "run", "--triton", models)
    assert result.exit_code == 2
    assert "it has 2/model.onnx" in " ".join(result.stderr.split())
