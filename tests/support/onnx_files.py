"""ONNX files of other programs, sound and broken, for tests that read files of any origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def value(name: str, shape: list[int | str | None] | None, kind: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes: list[Any], weights: list[Any] | None = None, **more: Any) -> Any:
    """A model that is not checked: it reads ``x`` and returns ``y``."""
    graph = helper.make_graph(
        nodes,
        more.get("name", "g"),
        more.get("inputs", [value("x", ["batch", 4])]),
        more.get("outputs", [value("y", ["batch", 3])]),
        weights or [],
    )
    opsets = more.get("opsets", {"": 17})
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid(d, v) for d, v in opsets.items()])
    found.ir_version = more.get("ir_version", 8)
    found.producer_name, found.producer_version = "another", "2.1"
    return found


def dense() -> Any:
    """A sound model with a weight of 4 × 3."""
    weight = numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(4, 3), "W")
    return model([helper.make_node("MatMul", ["x", "W"], ["h"]), helper.make_node("Relu", ["h"], ["y"])], [weight])


def write(path: Path, found: Any) -> Path:
    path.write_bytes(found if isinstance(found, bytes) else found.SerializeToString())
    return path


def outside(location: str, *, length: int | None = 48) -> Any:
    """A model with its weight in another file."""
    found = dense()
    weight = found.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entries = {"location": location, "offset": 0, **({} if length is None else {"length": length})}
    for key, text in entries.items():
        weight.external_data.add(key=key, value=str(text))
    return found


def hostile() -> dict[str, tuple[Any, str]]:
    """Broken files, each with words of the answer."""
    huge = dense()
    huge.graph.initializer[0].dims[:] = [2**62, 2**62]
    short = dense()
    short.graph.initializer[0].raw_data = b"1234"
    kind = dense()
    kind.graph.initializer[0].data_type = 99
    strange = dense()
    strange.graph.input[0].type.tensor_type.elem_type = 77
    negative = dense()
    negative.graph.initializer[0].dims[:] = [-4, -3]
    typed = dense()
    typed.graph.initializer[0].ClearField("raw_data")
    nodes = helper.make_node
    deep = nodes("Identity", ["x"], ["y"])
    for _ in range(20):
        deep = nodes("If", ["x"], ["y"], then_branch=helper.make_graph([deep], "t", [], [value("y", None)]))
    whole = dense().SerializeToString()
    return {
        "empty": (b"", "is empty"),
        "text": (b"hello, this is a text\n" * 20, "is not a sound ONNX file"),
        "zeros": (bytes(1000), "is not a sound ONNX file"),
        "truncated": (whole[:-20], "truncated or damaged"),
        "huge": (huge, "needs"),
        "short": (short, "needs 48 bytes, but has 4"),
        "no_bytes": (typed, "needs 48 bytes, but has 0"),
        "kind": (kind, "the element type 99"),
        "strange": (strange, "the element type 77"),
        "negative": (negative, "an impossible shape"),
        "cycle": (
            model([nodes("Add", ["x", "b"], ["a"]), nodes("Relu", ["a"], ["b"]), nodes("Relu", ["b"], ["y"])]),
            "depend on themselves",
        ),
        "self": (model([nodes("Add", ["x", "y"], ["y"])]), "depend on themselves"),
        "disorder": (model([nodes("Relu", ["h"], ["y"]), nodes("Relu", ["x"], ["h"])]), "stands before the node"),
        "lost": (model([nodes("Add", ["x", "nowhere"], ["y"])]), "nothing computes 'nowhere'"),
        "no_output": (model([nodes("Relu", ["x"], ["z"])]), "nothing computes its output 'y'"),
        "twice": (
            model([nodes("Relu", ["x"], ["y"]), nodes("Tanh", ["x"], ["y"])]),
            "'y', which exists already",
        ),
        "no_operator": (model([nodes("", ["x"], ["y"])]), "no operator"),
        "no_opset": (model([nodes("Relu", ["x"], ["y"])], opsets={}), "names no opset"),
        "deep": (model([deep]), "graphs in graphs"),
        "long_name": (model([nodes("Relu", ["x" * 10_000], ["y"])]), "a name of 10,000 bytes"),
        "parent": (outside("../secret.bin"), "'../secret.bin', which is outside its folder"),
        "absolute": (outside("/etc/passwd"), "'/etc/passwd', which is outside its folder"),
        "drive": (outside("C:\\secret.bin"), "which is outside its folder"),
        "nested": (outside("a/../../b.bin"), "which is outside its folder"),
        "nowhere": (outside(""), "a wrong place in another file"),
        "offset": (outside("w.bin", length=-3), "a wrong place in another file"),
        "less": (outside("w.bin", length=3), "has 3 bytes for the weight 'W', which needs 48"),
    }


def check(path: Path) -> None:
    """Raise unless ONNX itself finds a file valid."""
    onnx.checker.check_model(str(path))
