"""The prelude runs in onnxruntime, batch by batch."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from graphspec.base.errors import RunError
from graphspec.engine.runtime.prepared_rows import Prelude
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value


def prelude_of(text: str = "N") -> Prelude:
    graph = Graph("test")
    X = graph.inputs["text"] = Value("text", Type("string", (text,)), "input")
    g = Builder(graph, "node")
    tokens = g.Tokenizer(X, tokenexp="[0-9]+", mark=0, mincharnum=1, pad_value="-1")
    return Prelude(graph.with_outputs({"numbers": g.Cast(tokens, to="int64")}))


def texts(*values: str) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.object_]]]:
    return {"text": np.array(values, object)}


def test_values() -> None:
    found = prelude_of().run(texts("1 and 22", "", "3"))
    assert found["numbers"].tolist() == [[1, 22], [-1, -1], [3, -1]]


def test_a_batch_without_rows() -> None:
    found = prelude_of().run({"text": np.empty(0, object)})
    assert found["numbers"].shape == (0, 0)
    assert found["numbers"].dtype == np.int64


def test_padding_is_found() -> None:
    graph = prelude_of()
    assert set(graph.padding) == {"numbers"}
    assert graph.padding["numbers"] == -1


def test_equal_graphs_have_equal_files() -> None:
    assert prelude_of().serialized == prelude_of().serialized


def test_a_copy_runs() -> None:
    again = pickle.loads(pickle.dumps(prelude_of()))
    assert again.run(texts("7"))["numbers"].tolist() == [[7]]


def test_what_onnxruntime_refuses() -> None:
    with pytest.raises(RunError, match="onnxruntime fails to prepare rows: ") as caught:
        prelude_of().run(texts("9" * 30))
    assert caught.value.code == "GS605"


def test_whole_numbers_are_given_to_a_prelude_of_numbers() -> None:
    graph = Graph("test")
    x = graph.inputs["x"] = Value("x", Type("float32", ("N", 1)), "input")
    g = Builder(graph, "node")
    found = Prelude(graph.with_outputs({"y": g.Mul(x, x)})).run({"x": np.array([[2], [3]])})
    assert found["y"].dtype == np.float32
    assert found["y"].tolist() == [[4], [9]]
