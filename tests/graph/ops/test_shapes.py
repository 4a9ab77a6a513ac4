"""Shape inference: symbolic sizes are propagated, and invalid inputs are refused with a code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphspec.base.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.ir.dims import Dim
from graphspec.graph.ir.graph import Graph, Type, Value

Shape = tuple[Dim, ...]


def tensor(*shape: Dim, dtype: str = "float32", name: str = "x") -> Value:
    return Value(name, Type(dtype, shape), "input")


@pytest.fixture
def g() -> Builder:
    return Builder(Graph("test"), "node")


@pytest.mark.parametrize(
    ("shape", "sizes", "expected"),
    [
        (("N", "time", 8), (0, -1), ("N", "time*8")),
        (("N", "time", 8), (-1, 8), ("N*time", 8)),
        (("N", "time", 8), (0, 0, 2, 4), ("N", "time", 2, 4)),
        (("N", 4, 6), (0, -1), ("N", 24)),
        (("N", 24), (-1, 3, 8), ("N", 3, 8)),
        (("N", "time-2", 8), (0, -1, 2), ("N", "(time-2)*4", 2)),
        ((0, 6), (0, -1), (0, 6)),
    ],
)
def test_reshape_keeps_symbolic_sizes(g: Builder, shape: Shape, sizes: tuple[int, ...], expected: Shape) -> None:
    assert g.Reshape(tensor(*shape), g.constant(sizes)).shape == expected


def test_sizes_computed_from_shapes(g: Builder) -> None:
    x = tensor("N", "time", 8)
    batch, time = g.size(x, 0), g.size(x, 1)
    assert g.reshape(x, [batch, time, 2, 4]).shape == ("N", "time", 2, 4)
    rows = g.Mul(batch, time)
    merged = g.reshape(x, [rows, 8])
    assert merged.shape == ("N*time", 8)
    assert g.reshape(merged, [batch, -1, 8]).shape == ("N", "time", 8)
    assert g.Expand(tensor(1, 8), g.ints([time, 8])).shape == ("time", 8)
    scalar = g.Squeeze(time)
    assert g.Range(g.constant(0), scalar, g.constant(1)).shape == ("time",)
    assert g.Slice(x, g.constant([1]), time, g.constant([1])).shape == ("N", "time-1", 8)
    double = g.Concat(x, x, axis=1)
    assert g.Div(g.size(double, 1), g.constant([2])).known() is not None
    assert g.Expand(g.constant(5), g.constant(np.zeros(0, np.int64))).known() == (5,)


@pytest.mark.parametrize(
    ("start", "end", "step", "expected"),
    [
        (0, 2**63 - 1, 1, "time"),
        (1, 2**63 - 1, 1, "time-1"),
        (0, -1, 1, "time-1"),
        (2, -1, 1, "time-3"),
        (-1, 2**63 - 1, 1, 1),
        (-3, -1, 1, 2),
        (0, 4, 1, 4),
        (-1, -(2**63), -1, "time"),
        (0, 2**63 - 1, 2, "(time+1)//2"),
    ],
)
def test_slices_of_a_symbolic_axis(g: Builder, start: int, end: int, step: int, expected: Dim) -> None:
    y = g.Slice(tensor("N", "time"), *(g.constant([v]) for v in (start, end, 1, step)))
    assert y.shape == ("N", expected)


def test_other_symbolic_shapes(g: Builder) -> None:
    x = tensor("N", "time", 8)
    assert g.Flatten(x, axis=2).shape == ("N*time", 8)
    assert g.Transpose(x, perm=(1, 0, 2)).shape == ("time", "N", 8)
    assert g.Concat(x, x, axis=-1).shape == ("N", "time", 16)
    assert g.Pad(x, g.constant([0, 2, 0, 0, 1, 0])).shape == ("N", "time+3", 8)
    assert g.Tile(x, g.constant([1, 2, 1])).shape == ("N", "time*2", 8)
    assert g.Gather(tensor(100, 16, name="w"), tensor("N", "time", dtype="int64")).shape == ("N", "time", 16)
    assert g.MatMul(x, tensor("N", 8, "time", name="k")).shape == ("N", "time", "time")
    assert g.Add(x, tensor(8, name="b")).shape == ("N", "time", 8)
    assert g.ReduceMean(x, axes=(1,), keepdims=0).shape == ("N", 8)
    assert g.TopK(x, g.constant([3]))[1].type == Type("int64", ("N", "time", 3))


def refused(code: str, function: Any, *inputs: Value, **attrs: Any) -> str:
    with pytest.raises(ShapeError) as raised:
        function(*inputs, **attrs)
    assert raised.value.code == code, raised.value.problem.message
    return raised.value.problem.message


def test_what_cannot_work_is_refused(g: Builder) -> None:
    x, y = tensor("N", 28, 64), tensor("N", 26, 64, name="y")
    ids = tensor("N", dtype="int64", name="ids")
    assert refused("GS302", g.Concat, x, y, axis=-1) == "joins shapes that differ outside axis -1"
    refused("GS301", g.Concat, x, ids, axis=0)
    refused("GS302", g.Add, x, y)
    refused("GS302", g.Where, tensor("N", 27, 1, dtype="bool"), x, x)
    refused("GS306", g.Add, x, tensor("N", 28, 64, dtype="int64"))
    refused("GS306", g.Relu, tensor("N", dtype="bool"))
    refused("GS306", g.Softmax, ids)
    refused("GS306", g.Gather, x, x)
    refused("GS306", g.Where, x, x, x)
    refused("GS301", g.Softmax, x, axis=3)
    refused("GS301", g.ReduceMean, x, axes=(3,))
    refused("GS301", g.Transpose, x, perm=(0, 1))
    refused("GS301", g.Pad, x, g.constant([1, 1]))
    refused("GS303", g.Pad, x, g.constant([0, 28, 0, 0, 0, 0]), mode="reflect")
    refused("GS303", g.Pad, x, g.constant([0, -15, 0, 0, -14, 0]))
    refused("GS303", g.Pad, tensor("N", 0), g.constant([0, 1, 0, 0]), mode="edge")
    refused("GS105", g.LpNormalization, x, p=3)
    refused("GS304", g.Gemm, tensor("N", 3), tensor(4, 5))
    refused("GS304", g.MatMul, x, tensor(63, 5))
    refused("GS304", g.Reshape, x, g.constant([0, -1, 5]))
    refused("GS304", g.Reshape, x, g.constant([0, 28, 63]))
    refused("GS304", g.Reshape, x, g.constant([0, -1, -1]))
    refused("GS304", g.Split, x, g.constant([14, 13]), axis=1)
    refused("GS105", g.Split, x, g.constant(np.zeros(0, np.int64)))
    refused("GS304", g.Squeeze, x, g.constant([1]))
    refused("GS304", g.TopK, x, g.constant([65]))
    refused("GS304", g.Gather, tensor(5, 2), g.constant([5]))
    refused("GS305", g.Reshape, x, tensor(2, dtype="int64"))
    refused("GS305", g.OneHot, ids, tensor(dtype="int64"), g.constant([0.0, 1.0]))
    refused("GS105", g.LeakyRelu, x, alpha=-1.0)
    refused("GS105", g.Pad, x, g.constant([0] * 6), mode="wrap")
    refused("GS301", g.MatMul, tensor(), y)
    refused("GS301", g.MatMul, x, tensor())
    refused("GS306", g.CheckIds, x, size=5)
    refused("GS306", g.PerRow, ids)
    picture, corner = tensor("N", 6, 8, 7), tensor(1, 2, name="corner")
    refused("GS105", g.Resize, picture, None, g.constant([1.0, 1.0, 0.0, 2.0]))
    refused("GS303", g.RandomCrop, picture, corner, g.constant(np.ones((9, 8))), g.constant(np.ones((7, 7))))
    refused("GS303", g.RandomCrop, picture, corner, g.constant(np.ones((8, 8))), g.constant(np.ones((7, 8))))
    refused("GS304", g.DepthToSpace, picture, blocksize=2)
    refused("GS304", g.SpaceToDepth, picture, blocksize=2)
    assert refused("GS301", g.Resize, picture, None, None, g.constant([1, 2, 3])) == "needs 4 constant sizes"
    rows, columns = tensor(5, 2, name="rows"), tensor(3, 2, name="columns")
    refused("GS105", g.ScatterND, rows, tensor(3, 1, dtype="int64", name="ids"), columns, reduction="mul")
    refused("GS301", g.RNN, tensor("N", 2), rows, rows, hidden_size=2)
    refused("GS301", g.BatchSum, tensor())
    with pytest.raises(TypeError, match="storage"):
        g.Relu(x, storage=1)


def test_indices_out_of_range_neither_crash_nor_write_elsewhere() -> None:
    from graphs import run

    table = np.arange(6, dtype=np.float32).reshape(3, 2)
    for wrong in (3, 10**12, -4, -(10**12)):
        (rows,) = run("Gather", [table, np.array([0, wrong])])
        assert rows[0].tolist() == [0, 1]
        assert rows[1].tolist() in table.tolist()
