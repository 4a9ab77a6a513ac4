"""Hostile ONNX files: right ones, and what is changed in them."""

from __future__ import annotations

import copy
import functools
import json
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

import graphspec as gs
from specs import dense_spec, pairs, two_heads_spec
from trust.mutants import mutant

ROWS = 5


Change = Callable[[ModelProto, random.Random, Path], "bytes | None"]


FLOAT, TEXT = TensorProto.FLOAT, TensorProto.STRING


@functools.cache
def files() -> list[tuple[ModelProto, dict[str, Any]]]:
    """Right files, and rows for their inputs."""
    labelled = dense_spec()
    labelled["outputs"]["kind"]["labels"] = ["red", "green", "blue"]
    plain = dense_spec(name="plain", inputs={"x": {"shape": [4]}}, outputs={"hidden": {}})
    made = []
    for spec in (labelled, plain, two_heads_spec()):
        model = gs.compile(spec)
        rows = pairs(ROWS)[0] if spec["name"] == "pairs" else {"x": np.ones((ROWS, 4), np.float32)}
        with tempfile.TemporaryDirectory() as folder:
            model.export(Path(folder) / "a.onnx")
            made.append((onnx.load(Path(folder) / "a.onnx"), rows))
    return made


# Changes of the metadata.


def _metadata(model: ModelProto, key: str, value: str | None) -> None:
    kept = [p for p in model.metadata_props if p.key != key]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    if value is not None:
        model.metadata_props.add(key=key, value=value)


def _spec_of(model: ModelProto) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(p.value for p in model.metadata_props if p.key == "spec"))
    return found


def odd_spec_text(model: ModelProto, draw: random.Random, _: Path) -> None:
    depth = draw.choice([50, 500, 5_000, 100_000])
    texts = ["", "[]", "null", "7", '"spec"', "{", "{}", "[" * depth, "[" * depth + "]" * depth, "NaN", "\0"]
    texts += [
        '{"a":' * depth + "1" + "}" * depth,
        '{"graphspec": 1}',
        "9" * 5_000,
        '{"graphspec": ' + "9" * 5_000 + "}",
    ]
    _metadata(model, "spec", draw.choice([*texts, None]))


def another_spec(model: ModelProto, draw: random.Random, _: Path) -> None:
    other, _rows = draw.choice(files())
    _metadata(model, "spec", next(p.value for p in other.metadata_props if p.key == "spec"))


def changed_spec(model: ModelProto, draw: random.Random, _: Path) -> None:
    spec = _spec_of(files()[0][0])
    place: Any = spec
    for _step in range(draw.randint(1, 6)):
        key = draw.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if isinstance(place[key], dict | list) and place[key] and draw.random() < 0.8:
            place = place[key]
            continue
        odd = [
            None,
            -1,
            10**12,
            10**30,
            1e400,
            "",
            "x",
            [],
            {},
            True,
            "\ud800",
            "a\0b",
            "\x1b[31m",
            [[[]]],
            {"type": "Dense"},
        ]
        place[key] = draw.choice([*odd, copy.deepcopy(spec)])
        break
    _metadata(model, "spec", json.dumps(spec).replace("\\ud800", "?"))


def odd_data_section(model: ModelProto, draw: random.Random, _: Path) -> None:
    spec = _spec_of(files()[0][0])
    names = draw.choice([["a", "b"], "../../x", "x", "\x1b[31m", "/etc/passwd"])
    file = draw.choice(["/dev/zero", "/etc/passwd", "x.npz", "../x.csv"])
    spec["data"] = {"train": {"file": file, "inputs": {"x": names}}}
    _metadata(model, "spec", json.dumps(spec))


def odd_labels(model: ModelProto, draw: random.Random, _: Path) -> None:
    _metadata(model, "labels", draw.choice(["", "[]", "{", '{"kind": 7}', '{"x": []}', "[" * 100_000, None]))
    for tensor in model.graph.initializer:
        if tensor.data_type == TEXT:
            odd = [b"", b"\x1b[31mred", b"=1+1", b"a\nb,c", b"\xff\xfe", b"a\0", b"x" * draw.choice([100, 10_000])]
            tensor.string_data[draw.randrange(len(tensor.string_data))] = draw.choice(odd)


# Changes of inputs and outputs.


def one_more_input(model: ModelProto, draw: random.Random, _: Path) -> None:
    shape = draw.choice([[], [1], ["N", 4], ["N"]])
    name = draw.choice(["more", "", "\x1b[31m", "x" * 100_000, "x"])
    model.graph.input.append(helper.make_tensor_value_info(name, draw.choice([FLOAT, TEXT, TensorProto.BOOL]), shape))


def without_inputs_or_outputs(model: ModelProto, draw: random.Random, _: Path) -> None:
    del draw.choice([model.graph.input, model.graph.output])[:]


def another_input(model: ModelProto, draw: random.Random, _: Path) -> None:
    found = draw.choice([*model.graph.input, *model.graph.output])
    tensor = found.type.tensor_type
    match draw.randrange(5):
        case 0:
            tensor.shape.dim[0].dim_value = draw.choice([0, 1, 3, ROWS, 2**40, -1])
        case 1:
            tensor.elem_type = draw.choice([TEXT, TensorProto.BFLOAT16, TensorProto.DOUBLE, TensorProto.BOOL, 0, 99])
        case 2:
            tensor.shape.dim.add().dim_value = draw.choice([1, 7])
        case 3:
            del tensor.shape.dim[:]
        case _:
            found.name = draw.choice(["other", "", "\x1b]0;title\7"])


def _replace_output(model: ModelProto, nodes: list[Any], kind: Any) -> None:
    """``nodes`` compute the first output from ``before``, which the graph computed as that."""
    name = model.graph.output[0].name
    for node in model.graph.node:
        for names in (node.output, node.input):
            for k, other in enumerate(names):
                if other == name:
                    names[k] = "before"
    model.graph.node.extend(nodes)
    for node in nodes:
        node.output[0] = node.output[0].replace("OUT", name)
    if kind is not None:
        model.graph.output[0].type.CopyFrom(kind)


def _constant(model: ModelProto, name: str, array: Any) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return name


def another_output(model: ModelProto, draw: random.Random, _: Path) -> None:
    name = model.graph.output[0].name
    keep = model.graph.output[0].type if draw.random() < 0.5 else None
    free = helper.make_tensor_type_proto(FLOAT, None)
    match draw.randrange(9):
        case 0:
            nodes = [helper.make_node("ReduceSum", ["before"], ["OUT"], keepdims=0)]
        case 1:
            nodes, free = (
                [helper.make_node("SequenceConstruct", ["before"], ["OUT"])],
                helper.make_sequence_type_proto(free),
            )
        case 2:
            nodes = [helper.make_node("Cast", ["before"], ["OUT"], to=TensorProto.BFLOAT16)]
            free = helper.make_tensor_type_proto(TensorProto.BFLOAT16, None)
        case 3:
            nodes = [helper.make_node("Concat", ["before", "before"], ["OUT"], axis=draw.choice([0, 1]))]
        case 4:
            sizes = [draw.choice([1, 0, 2]), draw.choice([10**6, 10**12, 2**62, 3])]
            shape = _constant(model, "sizes", np.array(sizes, np.int64))
            nodes = [helper.make_node("ConstantOfShape", [shape], ["OUT"])]
        case 5:
            shape = _constant(model, "sizes", np.array([7, 13], np.int64))
            nodes = [helper.make_node("Reshape", ["before", shape], ["OUT"])]
        case 6:
            index = _constant(model, "index", np.array([10**6], np.int64))
            nodes = [helper.make_node("Gather", ["before", index], ["OUT"])]
        case 7:
            nodes = [
                helper.make_node("Reshape", ["before", _constant(model, "sizes", np.array([-1], np.int64))], ["OUT"])
            ]
        case _:
            shape = _constant(model, "sizes", np.array([10**6, 10**6, 1], np.int64))
            nodes = [helper.make_node("Expand", ["before", shape], ["OUT"])]
    _replace_output(model, nodes, keep or free)
    if draw.random() < 0.2:
        model.graph.output.append(helper.make_tensor_value_info(name, FLOAT, ["N"]))


# Changes of the graph.


def odd_nodes(model: ModelProto, draw: random.Random, folder: Path) -> None:
    name = draw.choice(["x", *(i.name for i in model.graph.input)])
    node = draw.choice(model.graph.node)
    match draw.randrange(10):
        case 0:
            node.domain, node.op_type = draw.choice(["evil", "com.microsoft", "\x1b[31m"]), "Custom\x1b[31m"
        case 1:
            node.op_type = draw.choice(["Nothing", "", "Loop", "\x1b[2J", "Gemm" * 10_000])
        case 2:
            node.input[0] = draw.choice([node.output[0], "nowhere", "", "\x1b[31m"])
        case 3:
            del node.output[:]
        case 4:
            node.attribute.append(helper.make_attribute("body", onnx.GraphProto()))
        case 5:
            inner = helper.make_graph([helper.make_node("Identity", ["k"], ["go"])], "g", [], [])
            inner.input.extend([helper.make_tensor_value_info("k", TensorProto.INT64, [])])
            inner.input.extend([helper.make_tensor_value_info("c", TensorProto.BOOL, [])])
            inner.output.extend([helper.make_tensor_value_info("c", TensorProto.BOOL, [])])
            most = _constant(model, "most", np.array(2**62))
            model.graph.node.append(helper.make_node("Loop", [most, ""], [], name="endless", body=inner))
        case 6:
            imports = [helper.make_opsetid("", 17)]
            function = helper.make_function(
                "evil", "F", ["a"], ["b"], [helper.make_node("F", ["a"], ["b"], domain="evil")], imports
            )
            model.functions.append(function)
            model.opset_import.append(helper.make_opsetid("evil", 1))
            model.graph.node.append(helper.make_node("F", [name], ["f"], domain="evil"))
        case 7:
            model.graph.node.append(copy.deepcopy(node))
        case 8:
            model.graph.node.extend([helper.make_node("Identity", [name], [f"i{k}"]) for k in range(2_000)])
        case _:
            nodes = draw.sample(list(model.graph.node), len(model.graph.node))
            del model.graph.node[:]
            model.graph.node.extend(nodes)


def odd_weights(model: ModelProto, draw: random.Random, folder: Path) -> None:
    tensor = draw.choice(model.graph.initializer)
    match draw.randrange(7):
        case 0:
            tensor.dims[:] = draw.choice([[10**12], [2**62, 2**62], [-1], [0], [], [2**31, 2**31, 4]])
        case 1:
            tensor.raw_data = draw.choice([b"", b"\0" * 3, b"\xff" * 4096])
        case 2:
            tensor.data_type = draw.choice([0, 1, 7, 8, 16, 17, 23, 99])
        case 3:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            place = draw.choice(["/etc/passwd", "../../../../etc/passwd", "none.bin", "/dev/zero", "pipe", "", "a\0b"])
            if place == "pipe" and hasattr(os, "mkfifo"):
                os.mkfifo(folder / "pipe")
            tensor.external_data.add(key="location", value=place)
            tensor.external_data.add(key="length", value=draw.choice(["64", "-1", "x", str(2**62)]))
        case 4:
            tensor.name = draw.choice(["", "x", "other"])
        case 5:
            sparse = helper.make_sparse_tensor(
                helper.make_tensor("s", FLOAT, [1], [1.0]), helper.make_tensor("i", 7, [1], [0]), [2**40]
            )
            model.graph.sparse_initializer.append(sparse)
        case _:
            array = np.full(tuple(tensor.dims), draw.choice([np.nan, np.inf, 3e38]), np.float32)
            if tensor.data_type == FLOAT:
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def odd_versions(model: ModelProto, draw: random.Random, _: Path) -> None:
    match draw.randrange(4):
        case 0:
            model.ir_version = draw.choice([0, 1, 99, 2**62])
        case 1:
            model.opset_import[0].version = draw.choice([0, 1, 5, 99, 2**62])
        case 2:
            del model.opset_import[:]
        case _:
            model.opset_import[0].domain = "evil"


def a_mutant(model: ModelProto, draw: random.Random, _: Path) -> None:
    model.CopyFrom(mutant(model, draw)[0])


# Changes of the bytes.


def other_bytes(model: ModelProto, draw: random.Random, _: Path) -> bytes:
    data = bytearray(model.SerializeToString())
    match draw.randrange(7):
        case 0:
            return bytes(data[: draw.randrange(len(data))])
        case 1:
            for _k in range(draw.choice([1, 3, 30])):
                data[draw.randrange(len(data))] = draw.randrange(256)
        case 2:
            place = draw.randrange(len(data))
            data[place:place] = draw.randbytes(draw.choice([1, 8, 100]))
        case 3:
            return draw.randbytes(draw.choice([1, 100, 10_000]))
        case 4:
            return bytes(data) + bytes(data)
        case 5:
            inner = b""
            for _k in range(draw.choice([100, 3_000])):  # messages in messages
                size, number = len(inner), bytearray()
                while size > 127:
                    number.append(size & 127 | 128)
                    size >>= 7
                inner = draw.choice([b"\x32", b"\x3a"]) + bytes([*number, size]) + inner
            return bytes(data) + inner
        case _:
            return draw.choice(
                [b"", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x3a\x80" * 50, b"PK\3\4", b"\0" * 4096]
            )
    return bytes(data)


CHANGES: list[Change] = [
    odd_spec_text, another_spec, changed_spec, odd_data_section, odd_labels, one_more_input, without_inputs_or_outputs,
    another_input, another_output, odd_nodes, odd_weights, odd_versions, a_mutant, other_bytes,
]  # fmt: skip
