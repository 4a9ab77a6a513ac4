"""Graphs as text."""

from __future__ import annotations

import numpy as np
import pytest
from sketching import print_graph, sketch

from graphspec.graph.ir.graph import Type


def test_operands_attributes_and_results(capsys: pytest.CaptureFixture[str]) -> None:
    g, x, ids, W = sketch({"x": ("N", 6), "ids": Type("int64", ("N",))}, {"W": (6, 2)})
    h = g.Clip(g.MatMul(x, W), None, g.constant(6.0))
    best, where = g.TopK(h, g.constant([1]))
    wide = g.Mul(g.Gather(W, ids, axis=0), g.constant(np.arange(2.0)))
    added = g.Add(wide, g.constant(np.zeros((3, 1, 2))))
    print_graph(
        g.graph.with_outputs({"best": best, "again": best, "same": x, "wide": added}, g.ReduceMean(h, keepdims=0))
    )
    assert capsys.readouterr().out.splitlines() == [
        "%1 = MatMul(x, W)",
        "%2 = Clip(%1, None, 6.0)",
        "best, %3 = TopK(%2, [1])",
        "%4 = Gather(W, ids)",
        "%5 = Mul(%4, [0.0, 1.0])",
        "wide = Add(%5, [[[0.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]])",
        "loss = ReduceMean(%2, keepdims=0)",
        "again = best",
        "same = x",
    ]
    assert where.name != best.name


def test_shapes_large_constants_and_unread_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    g, x = sketch({"x": ("N", 3, 4)})
    g.Relu(x)
    print_graph(g.graph.with_outputs({"y": g.MatMul(x, g.constant(np.zeros((4, 5))))}), shapes=True)
    assert capsys.readouterr().out == "y = MatMul(x, float32(4, 5))  # (N, 3, 5)\n"
