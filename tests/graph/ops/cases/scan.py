"""The entry of the operator in ``graphspec/graph/ops/scan.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.case import Elsewhere, Example, OpCase, batch, normal

from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value


def body(swap: bool = False) -> Graph:
    """A step ``h, c ← tanh(h w + x), c + h``, with ``h c`` as an output; the states change places if ``swap``."""
    graph = Graph("body")
    shapes = {"h": ("N", 3), "c": ("N", 3), "x": ("N", 3), "w": (3, 3)}
    graph.inputs = {name: Value(name, Type("float32", shape), "input") for name, shape in shapes.items()}
    h, c, x, w = graph.inputs.values()
    with Builder(graph, "step") as g:
        after = [c, h] if swap else [g.Tanh(h @ w + x), c + h]
        graph.outputs = {f"out{k}": v for k, v in enumerate([*after, *after, h * c])}
    return graph


def example(reverse: int = 0, swap: bool = False) -> Example:
    arrays = [normal(2, 3), normal(2, 3), normal(4, 2, 3), normal(3, 3)]
    return Example(arrays, {"body": body(swap), "states": 2, "sequences": 1, "reverse": reverse}, outputs=5)


CASES = {
    "Scan": OpCase(
        Elsewhere("graph/ops/test_scan.py"),
        [example(), example(1), example(swap=True)],
        allocates=[
            Example(
                [np.zeros((9_000, 3)), np.zeros((9_000, 3)), np.zeros((5, 9_000, 3)), np.eye(3)],
                {"body": body(), "states": 2, "sequences": 1},
            )
        ],
        batched=batch(0, 1, x2=1),
    )
}
