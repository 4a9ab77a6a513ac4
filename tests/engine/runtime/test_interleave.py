"""Tests of the order of calls: interleaved calls compute the same bits, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from graphs import Array

from graphspec.base.arrays.calls import Calls
from graphspec.engine.runtime import bind as binding
from graphspec.engine.runtime import bind as interleave
from graphspec.engine.runtime.bind import Label, NodeCalls, build_program, interleave_blocks
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.initializers import INITIALIZERS
from graphspec.graph.ir.graph import Graph, Type, Value

GLOROT = INITIALIZERS.parse("glorot_uniform")


def run(parts: Sequence[tuple[Label, Calls]]) -> None:
    for _, calls in parts:
        for f, *operands in calls:
            f(*operands)


def in_sequence(parts: Sequence[NodeCalls]) -> Iterator[tuple[Label, Calls]]:
    """Replace ``interleave_blocks``: yield one part after the other."""
    yield from ((part.label, part.calls) for part in parts)


def test_work_on_a_block_follows_what_wrote_it() -> None:
    x, y, zeros = np.ones((3, 1 << 15), np.float32), np.empty((3, 1 << 15), np.float32), np.zeros(1 << 15, np.float32)
    first = NodeCalls(("forward", "first"), [(np.multiply, a, a, b) for a, b in zip(x, y, strict=True)], True)
    second = NodeCalls(("forward", "second"), [(partial(np.maximum, out=b), b, zeros) for b in y], True)
    third = NodeCalls(("forward", "third"), [(y.fill, 2.0)], True)
    assert [name for (_, name), _ in interleave_blocks([first, second, third])] == ["first", "second"] * 3 + ["third"]


def test_nothing_moves_before_an_unknown_function_or_a_call_that_stays() -> None:
    x = np.ones((2, 1 << 15), np.float32)
    doubled = NodeCalls(("forward", "doubled"), [(np.add, row, row, row) for row in x], True)
    for calls, blockwise in (([(lambda: None,)], True), ([(np.add, x[0], x[0], x[0])], False)):
        parts = [doubled, NodeCalls(("forward", "between"), calls, blockwise), doubled]
        assert [len(calls) for _, calls in interleave_blocks(parts)] == [2, 1, 2]


@pytest.mark.parametrize("seed", range(40))
def test_random_calls_see_the_same_operands(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interleave, "_LARGE", 1)
    monkeypatch.setattr(interleave, "_MAX_USES", 40)
    random = np.random.default_rng(seed)
    memory = np.zeros(48)

    def piece() -> Array:
        size, step = int(random.integers(1, 4)), int(random.choice([1, 2, -1]))
        start = int(random.integers(8, 32))
        return memory[start : start + 4 * step : step][:size]

    def call() -> Any:
        a, b = piece(), piece()
        b = b[: len(a)] if len(b) >= len(a) else np.float64(random.integers(9))
        return [
            (np.multiply, a, b, a),
            (partial(np.add, out=a), a, b),
            (np.copyto, a, b),
            (a.fill, float(random.integers(9))),
            (a.clip, np.float64(1.0), np.float64(5.0), memory[random.integers(8, 32) :][: len(a)]),
            (np.dot, memory[:3], memory[3:6], memory[random.integers(8, 32) :][:1].reshape(())),
            (np.add.reduce, memory[:6].reshape(2, 3), 0, None, memory[random.integers(8, 32) :][:3]),
            (lambda: np.add(a, 1, a),),
        ][random.choice(8, p=[0.2, 0.2, 0.15, 0.15, 0.1, 0.1, 0.05, 0.05])]

    parts = [
        NodeCalls(("forward", str(k)), [call() for _ in range(random.integers(1, 12))], bool(random.random() < 0.9))
        for k in range(8)
    ]
    start = random.integers(1, 5, len(memory)).astype(float)
    with np.errstate(all="ignore"):
        memory[:] = start
        run(list(in_sequence(parts)))
        expected = memory.copy()
        memory[:] = start
        run(list(interleave_blocks(parts)))
    np.testing.assert_array_equal(memory, expected)


def residual(g: Builder, x: Value) -> Value:
    """Return the loss of convolutions with BatchNormalization and a residual sum, whose gradient has two paths."""

    def normalized(name: str, h: Value) -> Value:
        h = g.Conv(h, g.param(f"{name}/kernel", (8, 8, 3, 3), GLOROT), None, pads=(1, 1, 1, 1))
        ones = [g.param(f"{name}/{k}", (8,), INITIALIZERS.parse("ones")) for k in ("scale", "offset")]
        state = [g.param(f"{name}/{k}", (8,), INITIALIZERS.parse("ones"), state=True) for k in ("mean", "var")]
        result: Value = g.BatchNormalization(h, *ones, *state, training_mode=1)
        return result

    first = g.Relu(normalized("a", x))
    h = g.Relu(normalized("b", first))
    total = g.Relu(g.Add(normalized("c", h), first))
    return g.ReduceMean(g.Mul(total, g.Tanh(total)), axes=None, keepdims=0)


@pytest.mark.usefixtures("calls_of_numpy")  # a kernel of two operators is in the span of the first one
def test_an_interleaved_network_has_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal((8, 8, 48, 48)).astype(np.float32)
    results, orders = [], []
    for order in (interleave_blocks, in_sequence):
        monkeypatch.setattr(binding, "interleave_blocks", order)
        graph = Graph("test")
        graph.inputs["x"] = Value("x", Type("float32", ("N", 8, 48, 48)), "input")
        loss = residual(Builder(graph, "node"), graph.inputs["x"])
        parameters = Parameters(graph)
        parameters.initialize(1)
        gradient = np.zeros_like(parameters.vectors["trainable"])
        program = build_program(
            graph.with_outputs({}, loss), parameters, Target({"x": x.shape}), gradient=gradient, training=True
        )
        program.feeds["x"][...] = x
        program.run()
        results.append(gradient)
        orders.append([name for _, name, start, stop in program.spans if stop > start])
    assert len(orders[0]) > 2 * len(orders[1])
    assert np.any(results[0])
    np.testing.assert_array_equal(*results)
