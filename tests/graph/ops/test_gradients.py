"""Every operator's gradients against finite differences in float64.

Each case is run plainly; with operands whose memory has another axis order; behind an operator, so that operands may be
overwritten; and with every value used twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import graphs
import numpy as np
import pytest
from graph.ops.cases import CASES, Example
from graphs import Array, check_gradients, dtype_name, feed, scalar_loss

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.ir.graph import Graph, Type, Value

GRADIENTS: dict[str, list[Example]] = {
    op: entry.gradient for op, entry in CASES.items() if isinstance(entry.gradient, list)
}


@contextmanager
def built(operand: Callable[[Builder, int, Value], Value], times: int = 1) -> Iterator[None]:
    """In this context, ``operand`` transforms inputs that are not constants, and the operator runs ``times`` times."""

    def build(
        op: str, inputs: list[Array | None], constants: set[int] = frozenset(), **attrs: Any
    ) -> tuple[Graph, Any]:  # type: ignore[assignment]
        graph = Graph("test")
        g = Builder(graph, "node")
        values: list[Value | None] = []
        for k, array in enumerate(inputs):
            if array is None or k in constants:
                values.append(None if array is None else g.constant(array, dtype_name(array)))
                continue
            value = Value(f"x{k}", Type(dtype_name(array), array.shape), "input")
            graph.inputs[value.name] = value
            values.append(operand(g, k, value))
        out: Any = None
        for n in range(times):
            out = getattr(g, op)(*values, **attrs)
            for k, y in enumerate(out if isinstance(out, tuple) else (out,)):
                graph.outputs[f"y{n}_{k}"] = y
        return graph, out

    with patch.object(graphs, "build", build):
        yield


def moves(k: int, a: Array | None, case: Example) -> bool:
    return a is not None and a.ndim > 1 and k not in case.constants


def check(op: str, case: Example, inputs: list[Array | None] | None = None) -> None:
    check_gradients(
        op, case.inputs if inputs is None else inputs, case.wrt, case.constants, training=case.training, **case.attrs
    )


@pytest.mark.parametrize("op", GRADIENTS)
def test_plain(op: str) -> None:
    for case in GRADIENTS[op]:
        check(op, case)


@pytest.mark.parametrize("op", GRADIENTS)
def test_other_memory_order(op: str) -> None:
    def restore(g: Builder, k: int, X: Value) -> Value:
        return g.Transpose(X) if X.rank > 1 else X

    for case in GRADIENTS[op]:
        moved = [
            np.ascontiguousarray(a.T) if moves(k, a, case) and a is not None else a for k, a in enumerate(case.inputs)
        ]
        with built(restore):
            check(op, case, moved)


@pytest.mark.parametrize("op", GRADIENTS)
def test_overwritten_operands(op: str) -> None:
    def opposite(g: Builder, k: int, X: Value) -> Value:
        return g.Not(X) if X.dtype == "bool" else g.Neg(X)

    for case in GRADIENTS[op]:
        others: list[Array | None] = [
            a if a is None or k in case.constants else ~a if a.dtype == bool else -a for k, a in enumerate(case.inputs)
        ]
        with built(opposite):
            check(op, case, others)


@pytest.mark.parametrize("op", GRADIENTS)
def test_values_used_twice(op: str) -> None:
    for case in GRADIENTS[op]:
        with built(lambda g, k, X: g.Identity(X), times=2):
            check(op, case)


@pytest.mark.parametrize("op", [op for op in GRADIENTS if any(len(case.wrt) > 1 for case in GRADIENTS[op])])
def test_same_value_for_all_operands(op: str) -> None:
    for case in GRADIENTS[op]:
        floats = [case.inputs[k] for k in case.wrt]
        if len(floats) < 2 or len({a.shape for a in floats if a is not None}) > 1:
            continue
        seen: list[Value] = []

        def first(g: Builder, k: int, X: Value, seen: list[Value] = seen) -> Value:
            if not X.type.is_float:
                return X
            seen.append(g.Neg(X))
            return seen[0]

        with built(first):
            graph, _ = graphs.build(op, case.inputs, case.constants, **case.attrs)
            assert len({v.name for v in graph.nodes[-1].inputs if v is not None and v.type.is_float}) == 1
            seen.clear()
            inputs = [-floats[0] if k in case.wrt and floats[0] is not None else a for k, a in enumerate(case.inputs)]
            check_gradients(op, inputs, case.wrt[:1], case.constants, **case.attrs)


def test_concat_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.graph.ops.shape.BLOCK_ELEMENTS", 7)
    test_plain("Concat")
    test_other_memory_order("Concat")


@pytest.mark.parametrize("op", [op for op, e in CASES.items() if isinstance(e.gradient, str) and e.draw])
def test_where_there_is_no_gradient_it_is_0(op: str) -> None:
    for case in CASES[op].basis():
        graph, _ = graphs.build(op, case.inputs, case.constants, **case.attrs)
        floats = [name for name, value in graph.inputs.items() if value.type.is_float]
        outputs = {name: np.ones(v.shape) for name, v in graph.outputs.items() if v.type.is_float}
        if not floats or not outputs:
            continue
        loss = scalar_loss(graph, outputs)
        shapes = {name: value.shape for name, value in graph.inputs.items()}
        program = build_program(graph.with_outputs({}, loss), Parameters(graph), Target(shapes, input_grads=floats))
        feed(graph, program, {f"x{k}": a for k, a in enumerate(case.inputs) if a is not None})
        program.run()
        assert not any(program.grads[name].any() for name in floats)
