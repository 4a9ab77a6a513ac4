"""Losses: against Keras's values and gradients, and their gradients against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load
from graphs import check_gradients, feed, run

from graphspec.compiler.build import Builder
from graphspec.compiler.ir import Graph, Type, Value
from graphspec.losses import LOSSES, Loss, reduce
from graphspec.runtime.bind import Program, bind
from graphspec.runtime.store import Store

Array = np.ndarray[Any, Any]
GOLDEN = load("losses")


def build(
    loss: Loss, y_pred: Array, y_true: Array, weight: Array | None = None, mask: Array | None = None, through: str = ""
) -> tuple[Graph, Value]:
    """The loss of an input ``x``, or of ``through(x)``, with its targets, weights and mask as inputs."""
    graph = Graph("loss")
    g = Builder(graph, "head.loss")

    def given(name: str, array: Array | None, dtype: str) -> Value | None:
        if array is None:
            return None
        value = graph.inputs[name] = Value(name, Type(dtype, array.shape), "input")
        return value

    x = given("x", y_pred, "float32")
    assert x is not None
    head: Value = getattr(g, through)(x) if through else x
    masked = given("mask", mask, "bool")
    head = head.with_mask(masked)
    target = given("y", y_true, loss.target(head).dtype)
    assert target is not None
    values = loss.lower(g, target, head)
    hidden = masked if loss.uses_mask else None
    scalar = reduce(g, values, weight=given("weight", weight, "float32"), mask=hidden, reduction=loss.reduction)
    return graph, scalar


def program_of(graph: Graph, scalar: Value, arrays: dict[str, Array], dtype: Any, **more: Any) -> Program:
    shapes = {n: arrays[n].shape for n in graph.inputs}
    p = bind(
        graph, Store(graph, dtype), fetches={"loss": scalar}, shapes=shapes, loss=scalar, input_grads=["x"], **more
    )
    feed(graph, p, arrays)
    return p


def arrays_of(case: Case) -> dict[str, Array]:
    named = {"x": "y_pred", "y": "y_true", "weight": "sample_weight", "mask": "mask"}
    arrays = {k: case[v] for k, v in named.items() if v in case}
    if arrays["y"].ndim == arrays["x"].ndim and "Sparse" in case.id and arrays["y"].shape[-1] == 1:
        arrays["y"] = arrays["y"][..., 0]
    if "unequal" in case.id:  # the data layer gives targets the head's rank
        arrays["y"] = arrays["y"][:, None]
    return arrays


@pytest.mark.parametrize("case", [c for c in GOLDEN if c.args["loss"].get("reduction") != "none"], ids=lambda c: c.id)
def test_loss_keras(case: Case) -> None:
    arrays = arrays_of(case)
    loss = LOSSES.parse(case.args["loss"])
    graph, scalar = build(loss, *(arrays.get(k) for k in ("x", "y", "weight", "mask")))  # type: ignore[arg-type]
    p = program_of(graph, scalar, arrays, np.float32)
    for _ in range(2):
        p.run()
        np.testing.assert_allclose(p.fetches["loss"], case["loss"], rtol=2e-6, atol=1e-6)
        np.testing.assert_allclose(p.grads["x"], case["gradient"], rtol=2e-5, atol=1e-6)
