"""Elementwise functions of large arrays run in blocks and give the same bits as in one piece."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Array

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.initializers import INITIALIZERS
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.kernels import common as blocks
from graphspec.graph.ops import OPS
from graphspec.graph.ops.formulas import Unary

NAMES = sorted(name for name, cls in OPS.items() if issubclass(cls, Unary) and name != "Not")


def value_and_gradient(op: str, x: Array) -> tuple[Array, Array]:
    graph = Graph("test")
    graph.inputs["x"] = Value("x", Type("float32", ("N", *x.shape[1:])), "input")
    g = Builder(graph, "node")
    y = getattr(g, op)(g.Mul(graph.inputs["x"], g.param("scale", x.shape[1:], INITIALIZERS.parse("ones"))))
    loss = g.ReduceMean(g.Mul(y, y), axes=None, keepdims=0) if y.type.is_float else None
    parameters = Parameters(graph)
    parameters.initialize(1)
    gradient = np.zeros_like(parameters.vectors["trainable"])
    program = build_program(
        graph.with_outputs({"y": y}, loss), parameters, Target({"x": x.shape}), gradient=gradient, training=True
    )
    program.feeds["x"][...] = x
    program.run()
    return program.fetches["y"].copy(), gradient


@pytest.mark.parametrize("op", NAMES)
def test_elementwise_functions_in_blocks_give_the_same_bits(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).uniform(0.1, 0.9, (5, 8, 32)).astype(np.float32)
    x *= np.where(np.arange(32) % 3, 1, -1) if op not in ("Log", "Sqrt", "Acosh") else 1
    x = 1 / x if op == "Acosh" else x  # it needs numbers from 1 on
    unblocked = value_and_gradient(op, x)
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", 512)
    for blocked, expected in zip(value_and_gradient(op, x), unblocked, strict=True):
        np.testing.assert_array_equal(blocked, expected)
