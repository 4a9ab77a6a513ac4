"""Where operators leave the rows of a batch: there is a rule for every operator that does not always mix them."""

from __future__ import annotations

import pytest

from graphspec.graph.builder import Builder
from graphspec.graph.initializers import Zeros
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.ops import OPS
from graphspec.graph.row_axes import RULES, RowAxes

ALWAYS = {
    *(
        "AllRows",
        "BatchSum",
        "EyeLike",
        "PerRow",
        "Range",
        "ReduceLoss",
        "RowShare",
        "RunningMean",
        "ScatterND",
        "SpectralScale",
    ),
}
"""They mix rows, count them, or take none."""
SIZES = {"Shape", "Size"}
LOSSES = {"SoftmaxCrossEntropy", "SparseSoftmaxCrossEntropy", "SquaredError"}
"""They join the graph later."""


def test_every_operator_has_a_rule() -> None:
    rows = {name: OPS[name].rows or (OPS[name].elementwise and "broadcast") for name in OPS}
    assert {rule for rule in rows.values() if rule} == RULES.keys()
    assert {name for name, rule in rows.items() if not rule} == ALWAYS | SIZES | LOSSES


def batch(*shape: int | str, dtype: str = "float32") -> tuple[Builder, Value]:
    graph = Graph("test")
    graph.inputs["x"] = Value("x", Type(dtype, shape), "input")
    return Builder(graph, "node"), graph.inputs["x"]


def axis(g: Builder, Y: Value) -> int | None:
    rows = RowAxes(g.graph.nodes)
    return None if rows.mixing else rows.axis(Y)


def test_the_axis_is_followed() -> None:
    g, X = batch("N", 4, 6)
    T = g.Transpose(X, perm=[1, 2, 0])
    assert axis(g, T) == 2
    assert axis(g, g.Reshape(T, g.constant([24, -1]))) == 1
    assert axis(g, g.Unsqueeze(T, g.constant([0]))) == 3
    assert axis(g, g.ReduceSum(T, g.constant([0]), keepdims=0)) == 1
    assert axis(g, g.Gather(T, g.constant([[0, 1]]), axis=1)) == 3
    assert axis(g, g.MatMul(g.param("w", (5, 6), Zeros()), T)) == 2


def test_the_batch_may_be_a_factor_of_an_axis() -> None:
    """As attention reshapes: (T, N, C) → (T, N·heads, d), and (T, N, heads, d) → (T·N, C); back, the rows are in front."""
    g, X = batch("N", 5, 8)
    T = g.Transpose(X, perm=[1, 0, 2])
    heads = g.Reshape(T, g.constant([5, -1, 4]))
    assert (heads.shape, axis(g, heads)) == ((5, "N*2", 4), 1)
    flat = g.Reshape(heads, g.constant([-1, 8]))
    rows = RowAxes(g.graph.nodes)
    assert (flat.shape, rows.axis(flat), rows.outer[flat.name], rows.in_front(flat)) == (("N*5", 8), 0, 5, False)
    Y = g.Gemm(flat, g.param("w", (8, 3), Zeros()))
    back = g.Transpose(g.Reshape(Y, g.constant([5, -1, 3])), perm=[1, 0, 2])
    rows = RowAxes(g.graph.nodes)
    assert not rows.mixing
    assert (back.shape, rows.axis(back), rows.in_front(back)) == (("N", 5, 3), 0, True)


def test_a_wrong_factor_mixes_rows() -> None:
    g, X = batch("N", 5, 8)
    flat = g.Reshape(g.Transpose(X, perm=[1, 0, 2]), g.constant([-1, 8]))
    g.Reshape(flat, g.constant([-1, 5, 8]))
    g.Add(flat, g.Reshape(X, g.constant([-1, 8])))
    g.GaussianNoise(flat, deviation=0.5, seed=1)  # drawn in the order of the rows
    assert [n.op for n in RowAxes(g.graph.nodes).mixing] == ["Reshape", "Add", "GaussianNoise"]


@pytest.mark.parametrize(("dims", "at"), [(0, 2), (1, None)])
def test_deep_gathers(dims: int, at: int | None) -> None:
    g, X = batch("N", 4, 6)
    T = g.Transpose(X, perm=[1, 2, 0])
    indices = g.constant([[[0], [1]]] if dims == 0 else [[0]] * 4)
    Y = g.GatherND(T, indices, batch_dims=dims)
    assert axis(g, Y) == (3 if at else 1)


def test_recurrent_layers_have_the_rows_behind_time() -> None:
    g, X = batch("N", 4, 6)
    T = g.Transpose(X, perm=[1, 0, 2])
    W, R = g.param("w", (1, 8, 6), Zeros()), g.param("r", (1, 8, 2), Zeros())
    Y, Yh, _ = g.LSTM(T, W, R, hidden_size=2)
    rows = RowAxes(g.graph.nodes)
    assert [rows.axis(Y), rows.axis(Yh)] == [2, 1]
    assert not rows.mixing
    g.LSTM(X, W, R, hidden_size=2)
    assert len(RowAxes(g.graph.nodes).mixing) == 1


def test_sizes_are_no_numbers() -> None:
    g, X = batch("N", 4)
    size = g.Shape(X)
    assert axis(g, g.Reshape(X, size)) == 0
    g.Mul(X, g.Cast(g.Gather(size, g.constant(0), axis=0), to="float32"))
    assert [n.op for n in RowAxes(g.graph.nodes).mixing] == ["Mul"]
