"""The scalars of an optimizer's step, as nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.derivatives.updates import scalars
from graphspec.graph.ir.graph import Graph, Type, Value


@pytest.mark.parametrize(
    ("of_step", "last"),
    [
        (lambda step: (0.5 * step + 1.0, step**2), 9),
        (lambda step: (float(min(int(step), 4)), [3.0, 1.0, 2.0][int(step) % 3]), 5),
    ],
    ids=["formula", "table"],
)
def test_scalars_of_a_step(of_step: Callable[[Any], Any], last: int) -> None:
    """A table has the steps of the horizon; its last row holds afterwards."""
    graph = Graph("test", {"step": Value("step", Type("int64", ()), "input")})
    found = scalars(Builder(graph, "node"), graph.inputs["step"], of_step, 6)
    for table, row in (node.sources for node in graph.nodes if node.op == "Gather"):
        assert row.node is not None
        last_row = row.node.sources[1].data
        assert last_row is not None
        assert last_row < len(np.asarray(table.data))  # NumPy's runtime limits an index as well, others refuse it
    graph.outputs.update(zip("ab", found, strict=True))
    program = build_program(graph, Parameters(graph), Target({"step": ()}))
    for step in range(9):
        program.feeds["step"][...] = step
        program.run()
        np.testing.assert_allclose([program.fetches[n] for n in "ab"], of_step(min(step, last)))
