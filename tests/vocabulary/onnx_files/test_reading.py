"""ONNX files of any origin are read within bounds, or refused with what is wrong and where."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_files import dense, model, value

from graphspec.base.errors import ProblemError
from graphspec.vocabulary.onnx_files.reading import at_opset, opset_of, read_onnx

Proto = Any


def node(op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Proto:
    return helper.make_node(op, inputs, outputs, name=f"n_{outputs[0]}", **attributes)


def deep(depth: int) -> Proto:
    """A model with branches in branches."""
    graph = helper.make_graph([node("Identity", ["x"], ["o0"])], "g0", [], [value("o0", None)])
    for k in range(1, depth):
        other = helper.make_graph([node("Identity", ["x"], [f"e{k}"])], f"e{k}", [], [value(f"e{k}", None)])
        inner = node("If", ["c"], [f"o{k}"], then_branch=graph, else_branch=other)
        graph = helper.make_graph([inner], f"g{k}", [], [value(f"o{k}", None)])
    condition = numpy_helper.from_array(np.array(True), "c")
    return model([node("If", ["c"], ["y"], then_branch=graph, else_branch=graph)], [condition])


def functions(*bodies: tuple[str, list[str]]) -> Proto:
    """A model of local functions; each calls others, by name."""
    found = model([helper.make_node("f0", ["x"], ["y"], domain="own")], opsets={"": 17, "own": 1})
    for name, calls in bodies:
        nodes = [
            helper.make_node(call, [f"v{k}"], [f"v{k + 1}"], domain="" if call[0].isupper() else "own")
            for k, call in enumerate(calls)
        ]
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        found.functions.append(helper.make_function("own", name, ["v0"], [f"v{len(calls)}"], nodes, imports))
    return found


def changed(change: Callable[[Proto], Any]) -> Proto:
    found = dense()
    change(found)
    return found


def shorten(proto: Proto) -> None:
    proto.graph.initializer[0].raw_data = b"1234"


def many(base: int, depth: int) -> Proto:
    return functions(*((f"f{k}", [f"f{k + 1}"] * base if k + 1 < depth else ["Relu"]) for k in range(depth)))


BROKEN: dict[str, tuple[Proto | bytes, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"graphspec: 1\nname: net\n", "is not an ONNX file"),
    "no graph": (onnx.ModelProto(ir_version=8), "it has no graph"),
    "no opset": (changed(lambda m: m.ClearField("opset_import")), "names no opset"),
    "new opset": (model([node("Relu", ["x"], ["y"])], opsets={"": 999}), "has opset 999, the installed onnx knows"),
    "old opset": (model([node("Relu", ["x"], ["y"])], opsets={"": 6}), "has opset 6, the oldest that is computed is 7"),
    "cycle": (
        model([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["a"], ["y"])]),
        "nodes depend on themselves: Add 'n_a' ← Relu 'n_b' ← Add 'n_a'",
    ),
    "order": (
        model([node("Relu", ["h"], ["y"]), node("Relu", ["x"], ["h"])]),
        "Relu 'n_y' stands before the node that computes 'h'",
    ),
    "lost value": (model([node("Add", ["x", "W"], ["y"])]), "nothing computes 'W', which Add 'n_y' reads"),
    "lost output": (model([node("Relu", ["x"], ["h"])]), "nothing computes its output 'y'"),
    "twice": (
        model([node("Relu", ["x"], ["y"]), node("Relu", ["x"], ["y"])]),
        "Relu 'n_y' computes 'y', which exists already",
    ),
    "two weights": (changed(lambda m: m.graph.initializer.append(m.graph.initializer[0])), "it has two weights 'W'"),
    "short weight": (changed(shorten), "the weight 'W' needs 48 bytes, but has 4"),
    "shape": (changed(lambda m: m.graph.initializer[0].dims.append(-1)), "the weight 'W' has an impossible shape"),
    "deep": (deep(20), "graphs in graphs, more than 16 deep"),
    "own function": (functions(("f0", ["f0"])), "its function 'f0' contains itself"),
    "inlined": (many(10, 7), "it has more than 200,000 nodes"),
    "attribute": (
        model([node("Relu", ["x"], ["y"], alpha="text")]),
        "is not a sound ONNX file: Unrecognized attribute",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_contradicts_itself_is_refused(name: str, tmp_path: Path) -> None:
    content, text = BROKEN[name]
    (tmp_path / "a.onnx").write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    with pytest.raises(ProblemError) as caught:
        read_onnx(tmp_path, "a.onnx")
    assert caught.value.code in ("GS801", "GS802")
    assert text in caught.value.problem.message


def test_every_truncated_or_altered_file_gets_an_answer(tmp_path: Path) -> None:
    whole = dense().SerializeToString()
    random = np.random.default_rng(0)
    for k in range(60):
        content = bytearray(whole[: random.integers(1, len(whole))] if k % 2 else whole)
        for place in random.integers(0, len(content), 3):
            content[place] = random.integers(0, 256)
        path = tmp_path / f"{k}.onnx"
        path.write_bytes(bytes(content))
        codes = []
        try:
            read_onnx(tmp_path, path.name)
        except ProblemError as error:
            codes = [error.code]
        assert {*codes} <= {"GS801", "GS802", "GS501", "GS513"}


def test_a_sound_file(tmp_path: Path) -> None:
    """Declared inputs, chosen values, one hash for one content; functions are inlined."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "net.onnx").write_bytes(content := dense().SerializeToString())
    found = read_onnx(tmp_path, "below/net.onnx")
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert ([*map(str, found.inputs)], found.opset) == (["'x' float32(batch, 4)"], 17)
    assert (found.chosen(None), found.chosen("h"), found.chosen(("h", "y"))) == (("y",), ("h",), ("h", "y"))
    with pytest.raises(ProblemError, match="has no value 'Y'") as caught:
        found.chosen("Y")
    assert caught.value.problem.hint == "did you mean 'y'?"
    assert opset_of(at_opset(found.model, 21)) == 21
    (tmp_path / "own.onnx").write_bytes(functions(("f0", ["f1", "Neg"]), ("f1", ["Relu"])).SerializeToString())
    assert [n.op_type for n in read_onnx(tmp_path, "own.onnx").model.graph.node] == ["Relu", "Neg"]


def outside(folder: Path, location: str, **more: str) -> Path:
    """A file with its weight in another one."""
    proto = dense()
    tensor = proto.graph.initializer[0]
    content = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in ({"location": location} | more).items():
        tensor.external_data.add(key=key, value=text)
    folder.mkdir(exist_ok=True)
    (folder / "w.bin").write_bytes(b"before" + content)
    (folder / "net.onnx").write_bytes(proto.SerializeToString())
    return folder


def test_weights_in_other_files_are_taken_in(tmp_path: Path) -> None:
    outside(tmp_path, "w.bin", offset="6", length="48")
    found = read_onnx(tmp_path, "net.onnx")
    np.testing.assert_array_equal(numpy_helper.to_array(found.model.graph.initializer[0]).ravel(), np.arange(12))
    (tmp_path / "copy.onnx").write_bytes(found.data)
    assert read_onnx(tmp_path, "copy.onnx").sha256 == found.sha256


@pytest.mark.parametrize(
    ("location", "more", "text"),
    [
        ("../w.bin", {}, "is neither beside the spec nor below its folder"),
        ("/etc/hosts", {}, "is neither beside the spec nor below its folder"),
        ("C:\\w.bin", {}, "is neither beside the spec nor below its folder"),
        ("link.bin", {}, "is neither beside the spec nor below its folder"),
        ("none.bin", {}, "does not exist"),
        ("w.bin", {"offset": "10", "length": "48"}, "has 44 bytes for it, 48 are needed"),
        ("w.bin", {"offset": "-6"}, "has no such place"),
        ("w.bin", {"offset": "6", "length": "40"}, "has 48 bytes for it, 48 are needed"),
    ],
)
def test_weights_elsewhere_are_refused(tmp_path: Path, location: str, more: dict[str, str], text: str) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(54))
    folder = outside(tmp_path / "inside", location, **more)
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(ProblemError) as caught:
        read_onnx(folder, "net.onnx")
    assert caught.value.problem.message.startswith(f"has the weight 'W' in '{location}', which {text}")


@pytest.mark.parametrize("name", ["../net.onnx", "none.onnx", "folder", "link.onnx", "a\0b"])
def test_files_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "spec" / "folder").mkdir(parents=True)
    (tmp_path / "net.onnx").write_bytes(dense().SerializeToString())
    (tmp_path / "spec" / "link.onnx").symlink_to(tmp_path / "net.onnx")
    with pytest.raises(ProblemError) as caught:
        read_onnx(tmp_path / "spec", name)
    assert caught.value.code in ("GS501", "GS513")
