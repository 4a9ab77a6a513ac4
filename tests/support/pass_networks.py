"""Networks that passes rewrite, and whether a rewritten graph computes what its model does."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

import graphspec as gs
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Target
from graphspec.graph.ir.graph import Graph

CONV = {"type": "Conv2D", "filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"}


def model_of(layers: list[dict[str, Any]], shape: list[int | None], head: str = "y") -> gs.Model:
    spec = {
        "graphspec": 1,
        "name": "net",
        "inputs": {"x": {"shape": shape}},
        "layers": layers,
        "outputs": {head: {}},
        "training": {"seed": 5},
    }
    return gs.compile(spec)


def ops(graph: Graph) -> Counter[str]:
    return Counter(node.op for node in graph.nodes)


def values(graph: Graph, parameters: Parameters, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    program = build_program(graph, parameters, Target({"x": x.shape}))
    program.feeds["x"][...] = x
    program.run()
    return next(iter(program.fetches.values())).copy()


def same(model: gs.Model, graph: Graph, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_allclose(values(graph, model.parameters, x), model.run({"x": x})["y"], rtol=1e-5, atol=1e-6)
