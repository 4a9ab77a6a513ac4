"""Folded statistics, and weights that are stored in eight bits."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from graphspec.export.quantize import _fold_batch_norms, _store_as_int8
from graphspec.graph.onnx_session import session

RANDOM = np.random.default_rng(1)


def model_of(
    nodes: list[object], arrays: dict[str, np.ndarray], x: list[object], kind: int = TensorProto.FLOAT
) -> object:
    entry = helper.make_tensor_value_info("x", kind, x)
    end = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [entry], [end], [numpy_helper.from_array(a, n) for n, a in arrays.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("bias", [True, False])
def test_statistics_are_folded_into_a_convolution(bias: bool) -> None:
    arrays = {"w": RANDOM.normal(size=(4, 3, 3, 3)), "b": RANDOM.normal(size=4)}
    arrays |= {n: RANDOM.normal(size=4) for n in ("gamma", "beta", "mean")} | {"var": RANDOM.uniform(0.5, 2, 4)}
    arrays = {n: a.astype(np.float32) for n, a in arrays.items() if bias or n != "b"}
    nodes = [
        helper.make_node("Conv", ["x", "w", *(["b"] if bias else [])], ["c"], name="c"),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["y"], epsilon=0.01, name="n"),
    ]
    model = model_of(nodes, arrays, ["N", 3, 6, 6])
    x = RANDOM.normal(size=(2, 3, 6, 6)).astype(np.float32)
    (before,) = session(model.SerializeToString(), threads=1).run(None, {"x": x})
    _fold_batch_norms(model.graph)
    (after,) = session(model.SerializeToString(), threads=1).run(None, {"x": x})
    assert [n.op_type for n in model.graph.node] == ["Conv"]
    assert sorted(i.name for i in model.graph.initializer) == ["c/folded_bias", "c/folded_kernel"]
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


def test_statistics_stay_if_others_read_the_convolution() -> None:
    arrays = {n: np.ones(2, np.float32) for n in ("gamma", "beta", "mean", "var")}
    arrays["w"] = np.ones((2, 2, 1, 1), np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="c"),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["n"], name="n"),
        helper.make_node("Add", ["c", "n"], ["y"], name="y"),
    ]
    model = model_of(nodes, arrays, ["N", 2, 3, 3])
    _fold_batch_norms(model.graph)
    assert [n.op_type for n in model.graph.node] == ["Conv", "BatchNormalization", "Add"]


def test_a_table_is_looked_up_in_eight_bits() -> None:
    """A column of zeros, columns of other sizes, and a table that is looked up twice."""
    table = (RANDOM.normal(size=(128, 10)) * 10.0 ** np.arange(-4, 6)).astype(np.float32)
    table[:, 3] = 0
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["a"], name="a"),
        helper.make_node("Gather", ["table", "x"], ["b"], name="b"),
        helper.make_node("Add", ["a", "b"], ["y"], name="y"),
    ]
    model = model_of(nodes, {"table": table}, ["N", 2], TensorProto.INT64)
    assert _store_as_int8(model.graph) == 1280
    (stored, _) = model.graph.initializer
    assert stored.data_type == TensorProto.INT8
    order = {"Gather": 0, "DequantizeLinear": 1, "Add": 2}
    nodes = sorted(model.graph.node, key=lambda node: order[node.op_type])
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    x = RANDOM.integers(0, 128, (5, 2))
    (found,) = session(model.SerializeToString(), threads=1).run(None, {"x": x})
    step = np.abs(table).max(0) / 127
    assert (np.abs(found - 2 * table[x]) <= 1.01 * step).all()


def test_small_and_shared_weights_stay() -> None:
    small = model_of([helper.make_node("Gather", ["t", "x"], ["y"])], {"t": np.ones((4, 4), np.float32)}, ["N"], 7)
    assert _store_as_int8(small.graph) == 0
    nodes = [helper.make_node("Gather", ["t", "x"], ["g"]), helper.make_node("MatMul", ["g", "t"], ["y"])]
    shared = model_of(nodes, {"t": np.ones((32, 32), np.float32)}, ["N"], 7)
    assert _store_as_int8(shared.graph) == 0
    across = [helper.make_node("Gather", ["t", "x"], ["y"], axis=1)]
    assert _store_as_int8(model_of(across, {"t": np.ones((32, 32), np.float32)}, ["N"], 7).graph) == 0
