"""Unfreeze a model made in a test, and run it beside onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from graphs import feed, scalar_loss
from onnx import TensorProto, helper, numpy_helper

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.onnx_session import session
from graphspec.vocabulary.onnx_files.unfreeze import Unfrozen, unfreeze

Array = np.ndarray[Any, Any]


def model_of(
    nodes: Sequence[Any],
    inputs: dict[str, Sequence[int | str | None]],
    outputs: Sequence[str],
    tensors: dict[str, Any] | None = None,
    *,
    opset: int = 17,
    dtypes: dict[str, int] | None = None,
) -> Any:
    """A model of these nodes; ``tensors`` are its initializers, and ``inputs`` the shapes of its float inputs."""
    kinds = dtypes or {}
    given = [helper.make_tensor_value_info(n, kinds.get(n, TensorProto.FLOAT), s) for n, s in inputs.items()]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    stored = [numpy_helper.from_array(np.asarray(a), name) for name, a in (tensors or {}).items()]
    graph = helper.make_graph(list(nodes), "test", given, results, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """A node with the name of its first output; names are separated by spaces, ``_`` stands for an absent input."""
    names = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), name=f"the_{outputs.split()[0]}", **attributes)


class Trial:
    """An unfrozen model: a graph whose inputs have the batch N, and a program of it."""

    def __init__(
        self,
        model: Any,
        shapes: dict[str, Sequence[int | str]],
        patterns: Sequence[str] | None = None,
        *,
        fixed: dict[str, Any] | None = None,
        dtypes: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        self.model, self.fixed = model, fixed or {}
        self.graph = Graph("test")
        values: dict[str, Value] = {}
        for name, shape in shapes.items():
            dtype = (dtypes or {}).get(name, "float32")
            values[name] = self.graph.inputs[name] = Value(name, Type(dtype, tuple(shape)), "input")
        for name, data in self.fixed.items():
            array = np.asarray(data)
            values[name] = Value(f"fixed_{name}", Type(array.dtype.name, array.shape), "constant", data=array)
        self.names = [v.name for v in model.graph.output]
        self.found: Unfrozen = unfreeze(Builder(self.graph, "net"), model, values, self.names, patterns, **more)
        self.graph = self.graph.with_outputs(dict(zip(self.names, self.found.outputs, strict=True)))

    @property
    def trained(self) -> list[str]:
        """The weights that train."""
        return [name for name, p in self.graph.params.items() if p.trainable]

    @property
    def operators(self) -> list[str]:
        """The operators of the graph."""
        return [n.op for n in self.graph.needed(self.graph.outputs.values())]

    def parameters(self, dtype: Any = np.float32) -> Parameters:
        """The parameters with the file's values."""
        found = Parameters(self.graph, dtype)
        found.initialize(0)
        return found

    def run(self, feeds: dict[str, Array], dtype: Any = np.float32) -> list[Array]:
        """The outputs of our program."""
        shapes = {n: a.shape for n, a in feeds.items()} or {"none": (1,)}
        program = build_program(self.graph, self.parameters(dtype), Target(shapes))
        feed(self.graph, program, feeds)
        program.run()
        return [program.fetches[name].copy() for name in self.names]

    def check(self, feeds: dict[str, Array], rtol: float = 1e-5) -> list[Array]:
        """Compare with onnxruntime, which takes the rows one by one if the file fixes the batch; return our outputs."""
        ours = self.run(feeds)
        given = feeds | {n: np.asarray(a) for n, a in self.fixed.items()}
        reference = session(self.model.SerializeToString())
        for mine, theirs in zip(ours, reference.run(self.names, given), strict=True):
            assert mine.shape == theirs.shape
            np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=rtol * float(np.abs(theirs).max(initial=0)))
        return ours

    def check_gradient(self, feeds: dict[str, Array], step: float = 1e-6) -> None:
        """Compare the gradient of all weights with a difference along a random direction, in float64."""
        random = np.random.default_rng(0)
        cotangents = {
            name: random.standard_normal([1 if d == "N" else int(d) for d in value.shape])
            for name, value in self.graph.outputs.items()
        }
        loss = scalar_loss(self.graph, cotangents)
        graph = self.graph.with_outputs({"loss": loss}, loss)
        parameters = self.parameters(np.float64)
        weights = parameters.vectors["trainable"]
        gradient, start = np.zeros_like(weights), weights.copy()
        shapes = {n: a.shape for n, a in feeds.items()}
        program = build_program(graph, parameters, Target(shapes), gradient=gradient, training=True)
        feed(graph, program, feeds)

        def value(at: Array) -> float:
            weights[:] = at
            program.run()
            return float(program.fetches["loss"])

        value(start)
        exact = gradient.copy()
        direction = random.standard_normal(start.size) * (start != 0)
        numeric = (value(start + step * direction) - value(start - step * direction)) / (2 * step)
        assert np.count_nonzero(exact), "no weight has a gradient"
        assert abs(numeric - exact @ direction) <= 1e-5 * max(abs(numeric), 1e-3)

    def step(self, feeds: dict[str, Array], cotangent: Array, rate: float) -> Array:
        """The first output after a step of SGD of all weights on ``mean(output · cotangent)``."""
        Y, feeds = self.found.outputs[0], feeds | {"cotangent": cotangent / cotangent.size}
        self.graph.inputs["cotangent"] = Value("cotangent", Y.type, "input")
        g = Builder(self.graph, "loss")
        loss = g.ReduceSum(g.Mul(Y, self.graph.inputs["cotangent"]), keepdims=0)
        graph = self.graph.with_outputs({"loss": loss, "y": Y}, loss)
        parameters = self.parameters()
        weights = parameters.vectors["trainable"]
        gradient, target = np.zeros_like(weights), Target({n: a.shape for n, a in feeds.items()})
        program = build_program(graph, parameters, target, gradient=gradient, training=True)
        feed(graph, program, feeds)
        program.run()
        weights -= rate * gradient
        program.run()
        return program.fetches["y"].copy()
