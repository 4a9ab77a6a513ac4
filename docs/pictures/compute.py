"""The values in the pictures: graphspec's own layers on small arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import graphspec as gs
from graphspec.base.arrays.random import Clock
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.vocabulary.layers import LAYERS

Array = np.ndarray[Any, Any]
Config = Mapping[str, Any]


def network(inputs: Mapping[str, Config], layers: Sequence[Config], heads: Mapping[str, Any]) -> Any:
    """A compiled model."""
    return gs.compile(
        {
            "graphspec": 1,
            "name": "picture",
            "inputs": dict(inputs),
            "layers": [dict(v) for v in layers],
            "outputs": heads,
        }
    )


def run(layer: Config, *arrays: Any, weights: Mapping[str, Any] | None = None) -> Array:
    """The output of one layer ``y`` on batches, in inference.

    Args:
        arrays: floats, ids (int64) or texts.
        weights: by their names in the layer, such as ``kernel``.
    """
    batches = {f"x{k}": prepared(np.asarray(a)) for k, a in enumerate(arrays)}
    names = {"f": "float32", "i": "int64", "O": "string", "U": "string"}
    given = {n: {"shape": list(a.shape[1:]), "dtype": names[a.dtype.kind]} for n, a in batches.items()}
    sources = list(batches) if len(batches) > 1 else "x0"
    model = network(given, [{"name": "y", "inputs": sources, **layer}], {"y": {}})
    if weights:
        model.set_weights({f"y/{name}": np.asarray(array, np.float32) for name, array in weights.items()})
    found: Array = model.run(batches)["y"]
    return found


def prepared(array: Array) -> Array:
    """Floats as float32, ids as int64, texts as they are."""
    return array.astype({"f": np.float32, "i": np.int64}.get(array.dtype.kind, array.dtype))


def train(layer: Config, batch: Array, seed: int = 0, step: int = 0) -> Array:
    """The output of one layer on a batch in a training step."""
    batch = np.asarray(batch, np.float32)
    graph = Graph("picture")
    graph.inputs["x"] = Value("x", Type("float32", ("N", *batch.shape[1:])), "input")
    lowered = LAYERS.parse(dict(layer)).lower(Builder(graph, "y"), graph.inputs["x"])
    graph.outputs["y"] = lowered
    target = Target({"x": batch.shape})
    parameters = Parameters(graph)
    parameters.initialize(0)
    program = build_program(graph, parameters, target, training=True, seed=seed, clock=Clock(step))
    program.feeds["x"][...] = batch
    program.run()
    found: Array = program.fetches["y"].copy()
    return found
