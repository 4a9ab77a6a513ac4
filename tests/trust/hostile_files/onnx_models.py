# ruff: noqa: E501 (a case is one line)
"""Hostile ONNX files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx_files import dense, model, outside, value

from trust.hostile_files.case import Table

ONNX = Table("net.onnx", "GS703", "GS801")
"""Files that contradict themselves: `inspect` and `validate` refuse them."""
RUNS = Table("net.onnx", "GS801", "GS802")
"""Files that only their nodes make hostile: `inspect` shows them, and `validate` refuses them."""
node = helper.make_node
Proto = Any


def constant(name: str, array: Any) -> Proto:
    return numpy_helper.from_array(np.asarray(array), name)


def changed(change: Callable[[Proto], None]) -> bytes:
    """The dense model with a change."""
    found = dense()
    change(found)
    data: bytes = found.SerializeToString()
    return data


def graph(*nodes: Proto, weights: list[Proto] | None = None, **more: Any) -> bytes:
    data: bytes = model(list(nodes), weights, **more).SerializeToString()
    return data


def weight(**fields: Any) -> bytes:
    """The dense model with other fields of its weight; None clears one."""

    def change(found: Proto) -> None:
        tensor = found.graph.initializer[0]
        for name, given in fields.items():
            tensor.ClearField(name)
            if isinstance(given, list):
                getattr(tensor, name).extend(given)
            elif given is not None:
                setattr(tensor, name, given)

    return changed(change)


def _bytes() -> None:
    add, whole = ONNX.add, dense().SerializeToString()
    add("empty", b"", "is empty")
    add("zeros", bytes(1000), "ONNX")
    add("a text", b"hello, this is a text\n" * 20, "ONNX")
    add("an archive", b"PK\3\4" + bytes(100), "ONNX")
    for k in (1, 5, 30, len(whole) // 2, len(whole) - 1):
        add(f"cut at {k}", whole[:k], "")
    add("a graph of an exabyte", b"\x3a\xff\xff\xff\xff\xff\xff\xff\x7f" + whole, "ONNX")
    add("a number without an end", b"\x08" + b"\xff" * 60, "ONNX")
    add("twice", whole + whole, "")
    add("no graph", b"\x08\x08\x42\x04\x0a\x00\x10\x11", "graph")
    inner = b""
    for _ in range(3_000):
        size, number = len(inner), bytearray()
        while size > 127:
            number.append(size & 127 | 128)
            size >>= 7
        inner = b"\x3a" + bytes([*number, size]) + inner
    add("3,000 messages in each other", whole + inner, "")
    ONNX.folder("a folder", lambda folder: (folder / "net.onnx").mkdir(), "", "usage", "GS501")
    if hasattr(os, "mkfifo"):
        ONNX.folder("a pipe", lambda folder: os.mkfifo(folder / "net.onnx"), "regular file", "GS703", "GS501")


def _graphs() -> None:
    add = ONNX.add
    add(
        "a cycle",
        graph(node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])),
        "depend on themselves",
    )
    add("a node that reads itself", graph(node("Add", ["x", "y"], ["y"])), "depend on themselves")
    add("another order", graph(node("Relu", ["h"], ["y"]), node("Relu", ["x"], ["h"])), "h")
    add("a value from nowhere", graph(node("Add", ["x", "nowhere"], ["y"])), "nothing computes 'nowhere'")
    add("an output from nowhere", graph(node("Relu", ["x"], ["z"])), "nothing computes its output 'y'")
    add("a value twice", graph(node("Relu", ["x"], ["y"]), node("Tanh", ["x"], ["y"])), "'y'")
    add("a node without an operator", graph(node("", ["x"], ["y"])), "no operator")
    add("no opset", graph(node("Relu", ["x"], ["y"]), opsets={}), "names no opset")
    add("no IR version", changed(lambda m: m.ClearField("ir_version")), "IR version")
    add("a name of 10,000 bytes", graph(node("Relu", ["x" * 10_000], ["y"])), "a name of 10,000 bytes")
    deep = node("Identity", ["x"], ["y"])
    for _ in range(20):
        deep = node("If", ["x"], ["y"], then_branch=helper.make_graph([deep], "t", [], [value("y", None)]))
    add("20 graphs in each other", graph(deep), "graphs in graphs")


def _weights() -> None:
    add = ONNX.add
    add("a shape of 2^124", weight(dims=[2**62, 2**62]), "needs")
    add("a negative shape", weight(dims=[-4, -3]), "impossible shape")
    add("100 axes", weight(dims=[1] * 98 + [4, 3]), "impossible shape")
    add("fewer bytes", weight(raw_data=b"1234"), "needs 48 bytes, but has 4")
    add("more bytes", weight(raw_data=bytes(4000)), "needs 48 bytes, but has 4,000")
    add("no bytes", weight(raw_data=None), "needs 48 bytes, but has 0")
    add("a type that is unknown", weight(data_type=99), "element type 99")
    add("a type of 0", weight(data_type=0), "element type 0")
    add("a type of twice the bytes", weight(data_type=TensorProto.DOUBLE), "needs 96 bytes")
    for name, place in {
        "above": "../secret.bin",
        "at the root": "/etc/passwd",
        "of a drive": "C:\\secret.bin",
        "above, the long way": "a/../../b.bin",
        "above, by backslashes": "..\\secret.bin",
        "of a share": "\\\\server\\share\\w.bin",
        "with NUL": "w.bin\0.txt",
    }.items():
        add(f"weights {name}", outside(place).SerializeToString(), "outside its folder")
    for name, more in {"a negative length": -3, "fewer bytes than it needs": 3}.items():
        add(f"weights in another file, {name}", outside("w.bin", length=more).SerializeToString(), "W")
    add("weights nowhere", outside("").SerializeToString(), "wrong place")

    def link(folder: Path) -> None:
        (folder / "net.onnx").write_bytes(outside("w.bin").SerializeToString())
        (folder / "w.bin").symlink_to(Path(__file__))

    if os.name == "posix":
        ONNX.folder("weights by a link that leads out", link, "outside its folder")


def _types() -> None:
    add = ONNX.add
    add(
        "an input of an unknown type",
        changed(lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 77)),
        "element type 77",
    )

    def negative(found: Proto) -> None:
        found.graph.input[0].type.tensor_type.shape.dim[1].dim_value = -4

    RUNS.add("an input of a negative size", changed(negative), "", sound=True)


def _operators() -> None:
    """Files that fit together, with nodes that cannot be."""
    add = RUNS.add
    add("a name that is no text", dense().SerializeToString().replace(b"MatMul", b"Mat\xff\xfel"), "")
    add("an input that is computed", graph(node("Relu", ["x"], ["x"]), node("Relu", ["x"], ["y"])), "'x'")
    add("an operator that is unknown", graph(node("Evil", ["x"], ["y"])), "Evil")
    add("an operator of somebody", graph(node("Evil", ["x"], ["y"], domain="evil"), opsets={"": 17, "evil": 1}), "Evil")
    add("a domain without an opset", graph(node("Evil", ["x"], ["y"], domain="evil")), "")
    add("opset 9,999", graph(node("Relu", ["x"], ["y"]), opsets={"": 9999}), "9999")
    add("opset 1", graph(node("Relu", ["x"], ["y"]), opsets={"": 1}), "opset 1")
    add("opset -5", graph(node("Relu", ["x"], ["y"]), opsets={"": -5}), "")
    add("IR version 99", graph(node("Relu", ["x"], ["y"]), ir_version=99), "")
    add("an attribute of another type", graph(node("Softmax", ["x"], ["y"], axis="evil")), "")
    add("an attribute that is unknown", graph(node("Relu", ["x"], ["y"], evil=1)), "")
    add("an axis beyond", graph(node("Softmax", ["x"], ["y"], axis=99)), "")
    add("no inputs", graph(node("Add", [], ["y"])), "")
    add("too many inputs", graph(node("Relu", ["x", "x", "x"], ["y"])), "")
    add("too many outputs", graph(node("Relu", ["x"], ["y", "z", "a"])), "")
    add(
        "products that do not fit",
        graph(node("MatMul", ["x", "W"], ["y"]), weights=[constant("W", np.ones((5, 3), np.float32))]),
        "",
    )
    add(
        "numbers and texts",
        graph(node("Add", ["x", "t"], ["y"]), weights=[constant("t", np.array([b"a"], object))]),
        "",
    )
    add("a division of whole numbers by zero", graph(
        node("Cast", ["x"], ["i"], to=7), node("Div", ["i", "zero"], ["j"]), node("Cast", ["j"], ["y"], to=1),
        weights=[constant("zero", np.zeros(1, np.int64))]), "")  # fmt: skip
    add("places beyond the end", graph(
        node("Gather", ["x", "at"], ["y"], axis=1), weights=[constant("at", np.array([10**9]))]), "")  # fmt: skip
    add("an endless loop", _loop(), "is not computed within")
    add("an endless loop of constants", _loop(constants=True), "is not computed within")
    add("a function that calls itself", _functions(1), "contains itself")
    add("functions in a circle", _functions(3), "contains itself")
    add("functions that grow by 10^12", _functions(12, width=10), "nodes")
    huge = constant("size", np.array([2**50], np.int64))
    add("a petabyte of zeros", graph(
        node("ConstantOfShape", ["size"], ["z"]), node("ReduceSum", ["z"], ["s"]), node("Add", ["x", "s"], ["y"]), weights=[huge]), "")  # fmt: skip
    add("a terabyte of repeats", graph(
        node("Tile", ["x", "n"], ["z"]), node("ReduceSum", ["z"], ["s"]), node("Add", ["x", "s"], ["y"]),
        weights=[constant("n", np.array([1, 2**40], np.int64))]), "")  # fmt: skip
    add("rows that mix", graph(node("ReduceSum", ["x", "axis"], ["s"]), node("Add", ["x", "s"], ["y"]),
        weights=[constant("axis", np.array([0]))]), "rows")  # fmt: skip
    add("no batch", graph(node("Reshape", ["x", "to"], ["y"]), weights=[constant("to", np.array([4]))]), "rows")
    add("a sequence", graph(node("SequenceConstruct", ["x"], ["y"]),
        outputs=[helper.make_tensor_sequence_value_info("y", 1, None)]), "")  # fmt: skip
    add(
        "an output that is a weight",
        graph(node("Relu", ["x"], ["z"]), weights=[constant("y", np.ones((1, 3), np.float32))]),
        "",
    )
    add("no outputs", graph(node("Relu", ["x"], ["y"]), outputs=[]), "")
    add("another rank", graph(node("Relu", ["x"], ["y"]), inputs=[value("x", ["batch", 4, 4, 4])]), "")
    add("another size", graph(node("Relu", ["x"], ["y"]), inputs=[value("x", ["batch", 10**12])]), "")
    add(
        "texts",
        graph(node("Identity", ["x"], ["y"]), inputs=[value("x", ["batch", 4], 8)], outputs=[value("y", None, 8)]),
        "",
    )
    sparse = helper.make_sparse_tensor(constant("W", np.ones(1, np.float32)), constant("Wi", np.array([10**9])), [4, 3])
    found = model([node("MatMul", ["x", "W"], ["y"])])
    found.graph.sparse_initializer.append(sparse)
    add("a sparse weight beyond its shape", found.SerializeToString(), "")


def _loop(*, constants: bool = False) -> bytes:
    """A loop whose condition stays true; of constants alone it would run while the file is loaded."""
    body = helper.make_graph(
        [node("Identity", ["c"], ["c2"]), node("Add", ["h", "h"], ["h2"])], "body",
        [value("i", [], 7), value("c", [], 9), value("h", None)], [value("c2", [], 9), value("h2", None)],
    )  # fmt: skip
    start = "one" if constants else "x"
    weights = [constant("true", np.array(True)), constant("one", np.ones((1, 3), np.float32))]
    nodes = [node("Loop", ["", "true", start], ["z"], body=body), node("Add", ["x", "z"], ["y"])]
    return graph(*nodes, weights=weights)


def _functions(count: int, width: int = 1) -> bytes:
    """Local functions that call each other in a circle; with a width, each calls the next one so many times, and ends."""
    found = model([node("F0", ["x"], ["y"], domain="f")], opsets={"": 17, "f": 1})
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    for k in range(count):
        ends = width > 1 and k == count - 1
        calls = [
            node("Relu" if ends else f"F{(k + 1) % count}", [f"v{i}"], [f"v{i + 1}"], domain="" if ends else "f")
            for i in range(width)
        ]
        found.functions.append(helper.make_function("f", f"F{k}", ["v0"], [f"v{width}"], calls, opsets))
    data: bytes = found.SerializeToString()
    return data


_bytes()
_graphs()
_weights()
_types()
_operators()
