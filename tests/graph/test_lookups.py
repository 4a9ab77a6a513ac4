"""Tests of which weights a graph only looks up."""

from __future__ import annotations

from typing import Any

import pytest

from graphspec.graph.analysis import lookups
from graphspec.graph.builder import Builder
from graphspec.graph.initializers import Initializer
from graphspec.graph.ir.graph import Graph, Type, Value


@pytest.mark.parametrize(
    ("uses", "found"),
    [
        (lambda g, W, ids: [g.Gather(W, ids)], 1),
        (lambda g, W, ids: [g.Gather(W, ids), g.Gather(W, ids)], 2),
        (lambda g, W, ids: [], 0),
        (lambda g, W, ids: [g.Gather(W, ids, axis=1)], None),
        (lambda g, W, ids: [g.Gather(W, g.constant(2))], None),
        (lambda g, W, ids: [g.Gather(W, ids), g.Relu(W)], None),
        (lambda g, W, ids: [g.GatherElements(W, ids)], None),
    ],
)
def test_lookups(uses: Any, found: int | None) -> None:
    g = Builder(Graph("t"), "t")
    ids = g.graph.inputs["ids"] = Value("ids", Type("int64", ("N", 2)), "input")
    W = g.param("embeddings", (5, 2), Initializer())
    uses(g, W, ids)
    readers = lookups(g.graph.nodes, [W.name])
    assert (None if W.name not in readers else len(readers[W.name])) == found
