"""Build one operator's graph, run it, and check its gradients: what the operator tests share."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any

import numpy as np
import pytest

from graphspec.base.errors import ShapeError
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.program import Program
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.passes import FOR_PROGRAM, Pass
from graphspec.graph.target import Target

Array = np.ndarray[Any, Any]


def dtype_name(array: Array) -> str:
    return "float32" if array.dtype.kind == "f" else array.dtype.name


def build(op: str, inputs: list[Array | None], constants: set[int] = frozenset(), **attrs: Any) -> tuple[Graph, Any]:
    """A graph with one node; inputs are called ``x0``, ``x1``, …, those in ``constants`` are constants."""
    graph = Graph("test")
    g = Builder(graph, "node")
    values: list[Value | None] = []
    for k, array in enumerate(inputs):
        if array is None:
            values.append(None)
        elif k in constants:
            values.append(g.constant(array, dtype_name(array)))
        else:
            value = Value(f"x{k}", Type(dtype_name(array), array.shape), "input")
            graph.inputs[value.name] = value
            values.append(value)
    out = getattr(g, op)(*values, **attrs)
    for k, value in enumerate(out if isinstance(out, tuple) else (out,)):
        graph.outputs[f"y{k}"] = value
    return graph, out


def check_refusal(op: str, shapes: list[tuple[int, ...]], attrs: dict[str, Any], code: str, text: str) -> None:
    """Inputs of these shapes are refused with the code and the text."""
    with pytest.raises(ShapeError, match=re.escape(text)) as caught:
        build(op, [np.zeros(shape, np.float32) for shape in shapes], **attrs)
    assert caught.value.code == code


def feed(graph: Graph, program: Program, arrays: dict[str, Array]) -> None:
    for name in graph.inputs:
        if name in program.feeds:
            program.feeds[name][...] = arrays[name]


def run(
    op: str,
    inputs: list[Array | None],
    constants: set[int] = frozenset(),
    dtype: Any = np.float32,
    /,
    *,
    training: bool = False,
    **attrs: Any,
) -> list[Array]:
    """The outputs of one operator on arrays."""
    graph, _ = build(op, inputs, constants, **attrs)
    arrays = {f"x{k}": a for k, a in enumerate(inputs) if a is not None}
    shapes = {n: arrays[n].shape for n in graph.inputs} or {"none": (1,)}
    program = build_program(graph, Parameters(graph, dtype), Target(shapes), training=training)
    feed(graph, program, arrays)
    program.run()
    return [a.copy() for a in program.fetches.values()]


def scalar_loss(graph: Graph, cotangents: dict[str, Array]) -> Value:
    """``Σ output · cotangent`` over the given outputs, from the graph's own operators."""
    g = Builder(graph, "loss")
    terms = []
    for name, cotangent in cotangents.items():
        product = g.Mul(graph.outputs[name], g.constant(cotangent, "float32"))
        terms.append(g.ReduceSum(product, keepdims=0))
    return terms[0] if len(terms) == 1 else g.Sum(*terms)


def run_poisoned(program: Program) -> None:
    """Run forward, fill all that backward may not read with NaN, run backward."""
    for f, *a in program.calls[: program.backward_start]:
        f(*a)
    for array in program.dead_after_forward():
        array[...] = np.nan if array.dtype.kind == "f" else np.iinfo(array.dtype).min if array.dtype.kind == "i" else 0
    for f, *a in program.calls[program.backward_start :]:
        f(*a)


def check_gradients(
    op: str,
    inputs: list[Array | None],
    wrt: list[int],
    constants: set[int] = frozenset(),
    *,
    outputs: list[int] | None = None,
    training: bool = False,
    seed: int = 0,
    rtol: float = 1e-6,
    **attrs: Any,
) -> None:
    """Compare every gradient with a central difference along a random direction, in float64.

    Everything that the operator does not declare as kept is filled with NaN between forward and backward.
    """
    random = np.random.default_rng(seed)
    graph, _ = build(op, inputs, constants, **attrs)
    names = list(graph.outputs)
    chosen = (
        [names[k] for k in outputs] if outputs is not None else [n for n in names if graph.outputs[n].type.is_float]
    )
    arrays = {
        f"x{k}": np.asarray(a, np.float64 if a.dtype.kind == "f" else a.dtype)
        for k, a in enumerate(inputs)
        if a is not None
    }
    shapes = {n: arrays[n].shape for n in graph.inputs}
    cotangents = {n: random.standard_normal(graph.outputs[n].shape) for n in chosen}
    loss = scalar_loss(graph, cotangents)
    asked = [f"x{k}" for k in wrt]

    def program(asking: Graph, **more: Any) -> Program:
        return build_program(asking, Parameters(graph, np.float64), Target(shapes, **more), training=training)

    forward = program(graph.with_outputs({"loss": loss}))

    def value(at: dict[str, Array]) -> float:
        feed(graph, forward, at)
        forward.run()
        return float(forward.fetches["loss"])

    p = program(graph.with_outputs({"loss": loss}, loss), input_grads=asked)
    feed(graph, p, arrays)
    run_poisoned(p)
    grads = {n: p.grads[n].copy() for n in asked}
    p.run()  # a second step on the same buffers must give the same
    for name in asked:
        np.testing.assert_array_equal(p.grads[name], grads[name], err_msg=f"{op}: gradient changed on the second run")
        direction = random.standard_normal(arrays[name].shape)
        step = 1e-6
        up = value(arrays | {name: arrays[name] + step * direction})
        down = value(arrays | {name: arrays[name] - step * direction})
        numeric, exact = (up - down) / (2 * step), float(np.sum(grads[name] * direction))
        scale = max(abs(numeric), abs(exact), float(np.abs(grads[name] * direction).sum()) * 1e-2, 1e-3)
        assert abs(numeric - exact) <= rtol * 10 * scale + 1e-8, f"{op}: d{name} is {exact}, numerically {numeric}"


def allocated(program: Program) -> int:
    """The most bytes that a step allocates for a moment, after a first one."""
    program.run()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        program.run()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def without(skipped: Pass) -> tuple[Pass, ...]:
    """The passes for programs but one."""
    return tuple(rewrite for rewrite in FOR_PROGRAM if rewrite is not skipped)
