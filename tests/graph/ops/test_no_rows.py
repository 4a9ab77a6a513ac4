"""A worker may have no rows of a batch: every operator runs, and weights get a gradient of zeros."""

from __future__ import annotations

import numpy as np
import pytest
from graph.ops.cases import Example, examples
from graphs import build, feed, scalar_loss

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Target
from graphspec.graph.kernels.context import LocalGroup, Shard


@pytest.mark.parametrize(("op", "example"), examples("no_rows"))
def test_no_rows(op: str, example: Example) -> None:
    graph, _ = build(op, example.inputs, example.constants, **example.attrs)
    floats = {n: v for n, v in graph.outputs.items() if v.type.is_float}
    asked = [f"x{k}" for k in example.wrt] if floats else []
    loss = scalar_loss(graph, {n: np.ones(v.shape) for n, v in floats.items()}) if floats else None
    shapes = {n: v.shape for n, v in graph.inputs.items()}
    for total in example.totals:
        program = build_program(
            graph.with_outputs(graph.outputs, loss),
            Parameters(graph),
            Target(shapes, input_grads=asked, shard=Shard(LocalGroup(), slice(total, total), total)),
            training=example.training or total > 0,
        )
        feed(graph, program, {f"x{k}": a for k, a in enumerate(example.inputs) if a is not None})
        program.run()
        for name in asked:
            assert program.grads[name].shape == shapes[name]
            assert not program.grads[name].any()
