"""Regularizers against Keras's golden values, whatever the layout of the weight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load
from golden_run import run, store_of

from graphspec.base.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.initializers import Zeros
from graphspec.graph.ir.graph import Graph, Layout, Type, Value
from graphspec.graph.regularizers import REGULARIZERS

CASES = load("regularizers")
LAYOUTS = {1: Layout(shape=(1, 4)), 2: Layout(gates=(1, 0), perm=(1, 0)), 4: Layout(perm=(3, 2, 0, 1))}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_values_and_gradients_match_keras(case: Case, packed: bool) -> None:
    weight, graph = case["weight"], Graph("test")
    graph.inputs["x"] = Value("x", Type("float32", ("N",)), "input")
    g = Builder(graph, "node")
    layout = LAYOUTS[weight.ndim] if packed else Layout()
    if layout.gates:
        layout = Layout(layout.gates, layout.perm, (1, weight.shape[1], weight.shape[0]))
    with g:
        value = REGULARIZERS.parse(case.args["regularizer"]).lower(
            g, g.param("w", weight.shape, Zeros(), layout=layout)
        )
    parameters = store_of(graph, {"node/w": weight})
    found, gradients, _ = run(graph, parameters, {"x": np.zeros(1)}, {"value": value}, loss=value)
    np.testing.assert_allclose(found["value"], case["value"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(gradients["node/w"], case["gradient"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "shape"), [({}, (2, 2, 3, 4)), ({}, (4,)), ({}, (1, 3)), ({"mode": "columns"}, (3, 1))]
)
def test_shapes_without_orthogonal_vectors(arguments: dict[str, Any], shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"needs a matrix|needs two (rows|columns)"):
        REGULARIZERS.parse({"type": "OrthogonalRegularizer", **arguments}).check(shape)
