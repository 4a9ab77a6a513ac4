"""Runs golden cases on graphspec in float64, and their exported graphs under onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from golden_cases import Case
from graphs import run_poisoned

from graphspec.engine.compiler.check import check
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.program import Program
from graphspec.export.onnx import to_model
from graphspec.graph.builder import Builder, Target
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.kernels.context import Shard
from graphspec.graph.onnx_session import session
from graphspec.language.declarations import Spec

Array = np.ndarray[Any, Any]
Dataset = dict[str, Array]


def compiled(case: Case) -> tuple[Spec, Graph]:
    """The spec and its graph; fails where checking finds an error."""
    checked = check(adapted(case.spec))
    assert not checked.errors, [d.message for d in checked.errors]
    spec, lowered = checked.require()
    return spec, lowered.graph


def adapted(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec where Keras's ways differ from the language's.

    Varying axes of several inputs are called `time`: to Keras any two may be the same, here a word says so.
    """
    inputs = spec["inputs"]
    if sum(None in item["shape"] for item in inputs.values()) > 1:
        word = {name: ["time" if d is None else d for d in item["shape"]] for name, item in inputs.items()}
        inputs = {name: {**item, "shape": word[name]} for name, item in inputs.items()}
    return {**spec, "inputs": inputs}


def fitting(y_true: Array, kind: Type) -> Array:
    """Targets with a last axis of 1 added or removed, as the data loader does it."""
    if y_true.ndim == len(kind.shape):
        return y_true
    return y_true[..., 0] if y_true.ndim > len(kind.shape) else y_true[..., None]


def store_of(graph: Graph, weights: Dataset, dtype: Any = np.float64) -> Parameters:
    """A store with the given weights, whose names and shapes must be those of the graph."""
    parameters = Parameters(graph, dtype)
    assert {n: p.shape for n, p in graph.params.items()} == {n: a.shape for n, a in weights.items()}
    parameters.set(weights)
    return parameters


def cotangent_loss(graph: Graph) -> Value | None:
    """``Σ output · cotangent`` over the heads of floats; the cotangents are targets ``<head>/cotangent``."""
    g = Builder(graph, "loss")
    terms = []
    for name, value in graph.outputs.items():
        if not value.type.is_float:
            continue
        cotangent = Value(f"{name}/cotangent", Type("float32", value.shape), "target")
        graph.targets[cotangent.name] = cotangent
        terms.append(g.ReduceSum(g.Mul(value, cotangent), keepdims=0))
    return g.Sum(*terms) if len(terms) > 1 else terms[0] if terms else None


def run(
    graph: Graph,
    parameters: Parameters,
    arrays: Dataset,
    fetches: Mapping[str, Value],
    *,
    loss: Value | None = None,
    training: bool = False,
    input_grads: Sequence[str] = (),
    shard: Shard | None = None,
) -> tuple[Dataset, Dataset, Dataset]:
    """Fetches, gradients of weights (in Keras's layout) and gradients of inputs, after one run.

    A second run on the same buffers, from the same statistics, must give the same bits, also where all that backward may
    not read is filled with NaN before it. The rows of a shard, which have the same calls, are not run again.
    """
    gradient = np.full_like(parameters.vectors["trainable"], np.nan)
    program = build_program(
        graph.with_outputs(fetches, loss),
        parameters,
        Target({name: a.shape for name, a in arrays.items()}, input_grads=input_grads, shard=shard),
        gradient=gradient,
        training=training,
    )
    before_run = {group: vector.copy() for group, vector in parameters.vectors.items()}
    first = _results(program, lambda p: p.run(), parameters, arrays, gradient)
    if shard is not None:
        return first
    for group, vector in before_run.items():  # spectral normalization writes kernels too
        parameters.vectors[group][...] = vector
    for before, after in zip(first, _results(program, run_poisoned, parameters, arrays, gradient), strict=True):
        for name, array in after.items():
            np.testing.assert_array_equal(array, before[name], err_msg=f"{name} changed on the second run")
    return first


def _results(
    program: Program, step: Callable[[Program], None], parameters: Parameters, arrays: Dataset, gradient: Array
) -> tuple[Dataset, Dataset, Dataset]:
    for name, feed in program.feeds.items():
        feed[...] = arrays[name]
    step(program)
    return (
        {name: a.copy() for name, a in program.fetches.items()},
        parameters.get(gradient, "trainable"),
        {name: a.copy() for name, a in program.grads.items()},
    )


def onnx_outputs(graph: Graph, weights: Dataset, inputs: Dataset) -> Dataset:
    """What the exported graph gives under onnxruntime."""
    model = to_model(graph, store_of(graph, weights, np.float32), labels={}, metadata={})
    heads = list(graph.outputs)
    return dict(zip(heads, session(model.SerializeToString(), threads=1).run(heads, inputs), strict=True))


def assert_close(actual: Dataset, expected: Dataset, *, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """The same names, shapes and, within the precision of float32, values."""
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].shape == array.shape, f"{name}: {actual[name].shape}, expected {array.shape}"
        np.testing.assert_allclose(actual[name], array, rtol=rtol, atol=atol, err_msg=name)


def assert_golden(
    case: Case, dtype: Any, graph: Graph, loss: Value | None, slack: Mapping[str, Array] | None = None
) -> None:
    """Outputs, masks, gradients and statistics of a layer are those of Keras; gradients of inputs within ``slack`` too."""
    parameters = store_of(graph, case["weights"], dtype)
    masks = {name: v.mask for name, v in graph.outputs.items() if v.mask is not None}
    arrays = case["inputs"] | {f"{name}/cotangent": a for name, a in case["cotangents"].items()}
    found, gradients, input_gradients = run(
        graph,
        parameters,
        arrays,
        graph.outputs | {f"{name}/mask": v for name, v in masks.items()},
        loss=loss,
        training=case.args["training"],
        input_grads=list(case["input_gradients"]),
    )
    assert_close({name: found[name] for name in graph.outputs}, case["outputs"])
    hidden = {name: mask for name, mask in case["masks"].items() if name in masks or not mask.all()}
    assert_close({name: found[f"{name}/mask"] for name in masks}, hidden)  # no mask may say that nothing is masked
    assert_close(gradients, case["gradients"])
    if slack is not None:  # of the numbers that are allowed, the nearest ones
        wanted = case["input_gradients"]
        input_gradients = {k: np.clip(wanted[k], a - slack[k], a + slack[k]) for k, a in input_gradients.items()}
    assert_close(input_gradients, case["input_gradients"])
    if case.args["training"]:
        assert_close(parameters.get(group="state"), case["state"])
