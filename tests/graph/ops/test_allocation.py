"""A step allocates nothing that grows with the batch: programs of every operator, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
from graph.ops.cases import Example, examples
from graphs import allocated, build, feed, scalar_loss

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Target

_LIMIT = 128 * 1024  # what NumPy itself buffers; the arrays of the examples take 480 kB


@pytest.mark.parametrize(("op", "example"), examples("allocates"))
def test_a_step_allocates_nothing(op: str, example: Example) -> None:
    inputs = example.arrays()
    graph, _ = build(op, inputs, example.constants, **example.attrs)
    floats = {n: v for n, v in graph.outputs.items() if v.type.is_float}
    random = np.random.default_rng(3)
    loss = scalar_loss(graph, {n: random.standard_normal(v.shape) for n, v in floats.items()}) if floats else None
    program = build_program(
        graph.with_outputs(graph.outputs if loss is None else {"loss": loss}, loss),
        Parameters(graph),
        Target(
            {n: v.shape for n, v in graph.inputs.items()}, input_grads=[f"x{k}" for k in example.wrt] if floats else []
        ),
        training=example.training,
    )
    feed(graph, program, {f"x{k}": a for k, a in enumerate(inputs) if a is not None})
    with np.errstate(all="ignore"):
        peak = allocated(program)
    assert peak < _LIMIT, f"{op} allocates {peak} bytes"
