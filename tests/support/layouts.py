"""Operators on inputs that lie in memory in several axis orders, compared with onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import graphs
import numpy as np
from graphs import check_gradients, dtype_name, run
from hypothesis import HealthCheck, settings
from oracles import ort_run

from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value

Array = np.ndarray[Any, Any]
SETTINGS = settings(max_examples=30, suppress_health_check=list(HealthCheck))


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def same(op: str, inputs: list[Array | None], constants: set[int] = frozenset(), **attrs: Any) -> None:
    """One operator of ours and onnxruntime's give the same."""
    ours = run(op, inputs, constants, **attrs)
    theirs = ort_run(op, inputs, attrs, constants=constants, outputs=len(ours))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@contextmanager
def lying(perm: tuple[int, ...]) -> Iterator[None]:
    """Inside, the first input of every operator goes through a Transpose first: its memory has another axis order."""

    def build_transposed(op: str, inputs: list[Array | None], constants: set[int] = frozenset(), **attrs: Any) -> Any:
        graph = Graph("test")
        g = Builder(graph, "node")
        values: list[Any] = []
        for k, array in enumerate(inputs):
            if array is None or k in constants:
                values.append(None if array is None else g.constant(array, dtype_name(array)))
                continue
            value = Value(f"x{k}", Type(dtype_name(array), array.shape), "input")
            graph.inputs[value.name] = value
            values.append(g.Transpose(value, perm=perm) if k == 0 else value)
        out = getattr(g, op)(*values, **attrs)
        for k, value in enumerate(out if isinstance(out, tuple) else (out,)):
            graph.outputs[f"y{k}"] = value
        return graph, out

    with patch.object(graphs, "build", build_transposed):
        yield


def both_layouts(
    op: str, inputs: list[Array | None], wrt: list[int], constants: set[int] = frozenset(), **attrs: Any
) -> None:
    """Values and gradients do not depend on the order of the first input's axes in memory."""
    X = inputs[0]
    assert X is not None
    expected = run(op, inputs, constants, **attrs)
    check_gradients(op, inputs, wrt, constants, outputs=[0], **attrs)
    channels_last = (0, *range(2, X.ndim), 1)
    for order in (channels_last, tuple(np.random.default_rng(X.size).permutation(X.ndim))):
        moved = [np.ascontiguousarray(X.transpose(order)), *inputs[1:]]
        with lying(tuple(int(i) for i in np.argsort(order))):
            for a, b in zip(run(op, moved, constants, **attrs), expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
            check_gradients(op, moved, wrt, constants, outputs=[0], **attrs)
