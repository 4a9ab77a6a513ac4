"""Whole models against Keras 3 (golden values made by `golden/make_keras.py`): losses, penalties, weights, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load
from golden_run import assert_close, compiled, fitting, run, store_of

from graphspec.compiler.build import Builder
from graphspec.compiler.heads import add_losses, penalties
from graphspec.runtime.data import row_weights


@pytest.mark.parametrize("case", load("models"), ids=lambda case: case.id)
def test_losses_gradients_and_statistics_are_those_of_keras(case: Case) -> None:
    spec, graph = compiled(case)
    weights: dict[str, Any] = dict(case["sample_weights"])
    for head, target in case["targets"].items():
        decl = spec.heads[head]
        if decl.class_weight is not None:
            classes = max(graph.outputs[head].fixed(-1), 2)
            weights[head] = row_weights(decl.class_weight, target, classes, decl.labels)
    objective = add_losses(graph, spec, weighted={head: array.ndim for head, array in weights.items()})
    graph = objective.graph
    fetches = {f"losses/{head}": value for head, value in objective.losses.items()} | {"loss": objective.total}
    if terms := penalties(graph):
        fetches["regularization"] = Builder(graph, "regularization").Sum(*terms)
    arrays = dict(case["inputs"])
    arrays |= {head: fitting(target, graph.targets[head].type) for head, target in case["targets"].items()}
    arrays |= {f"{head}_sample_weight": array for head, array in weights.items()}
    store = store_of(graph, case["weights"])
    found, gradients, input_gradients = run(
        graph,
        store,
        arrays,
        fetches,
        loss=objective.total,
        training=True,
        input_grads=list(case["input_gradients"]),
    )
    expected = {f"losses/{head}": array for head, array in case["losses"].items()} | {"loss": case["loss"]}
    expected["regularization"] = case["regularization"]
    assert_close({"regularization": np.zeros(())} | found, expected)
    assert_close(gradients, case["gradients"])
    assert_close(input_gradients, case["input_gradients"])
    assert_close(store.get(group="state"), case["state"])
