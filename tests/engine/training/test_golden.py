"""Tests of complete models against Keras 3 (golden values from `golden/make_keras.py`): losses, penalties, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load
from golden_run import assert_close, compiled, fitting, run, store_of

from graphspec.data.check import row_weights
from graphspec.engine.compiler.objective import Objective, add_losses, penalties
from graphspec.graph.builder import Builder
from graphspec.graph.kernels.context import LocalGroup, Shard

CASES = load("models")


def trained(case: Case) -> tuple[Objective, dict[str, Any]]:
    """Return the model with its losses, and the arrays that it reads."""
    spec, graph = compiled(case)
    weights: dict[str, Any] = dict(case["sample_weights"])
    for head, target in case["targets"].items():
        decl = spec.heads[head]
        if decl.class_weight is not None:
            classes = max(graph.outputs[head].fixed(-1), 2)
            weights[head] = row_weights(decl.class_weight, target, classes, decl.labels)
    objective = add_losses(graph, spec, weighted={head: array.ndim for head, array in weights.items()})
    targets = {head: fitting(a, objective.graph.targets[head].type) for head, a in case["targets"].items()}
    return objective, case["inputs"] | targets | {f"{head}_sample_weight": a for head, a in weights.items()}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_losses_gradients_and_statistics_are_those_of_keras(case: Case, dtype: Any) -> None:
    objective, arrays = trained(case)
    graph = objective.graph
    fetches = {f"losses/{head}": value for head, value in objective.losses.items()} | {"loss": objective.total}
    if terms := penalties(graph):
        fetches["regularization"] = Builder(graph, "regularization").Sum(*terms)
    parameters = store_of(graph, case["weights"], dtype)
    found, gradients, input_gradients = run(
        graph,
        parameters,
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
    assert_close(parameters.get(group="state"), case["state"])


INDEPENDENT = [case for case in CASES if not case.id.startswith("mask-") and "BatchNormalization" not in str(case.spec)]


@pytest.mark.parametrize("case", INDEPENDENT, ids=lambda case: case.id)
def test_shares_of_workers_add_up(case: Case) -> None:
    """If workers do not communicate within a step, their losses and gradients sum to those of one, also for penalties."""
    objective, arrays = trained(case)
    parameters = store_of(objective.graph, case["weights"])
    total = len(next(iter(arrays.values())))
    loss, sums = 0.0, {name: np.zeros(a.shape) for name, a in case["gradients"].items()}
    for rows in (slice(0, 1), slice(1, total), slice(total, total)):
        part, shard = {name: a[rows] for name, a in arrays.items()}, Shard(LocalGroup(), rows, total)
        fetches, loss_value = {"loss": objective.total}, objective.total
        found, gradients, _ = run(
            objective.graph, parameters, part, fetches, loss=loss_value, training=True, shard=shard
        )
        loss += found["loss"]
        sums = {name: sums[name] + gradients[name] for name in sums}
    assert_close({"loss": np.asarray(loss)}, {"loss": case["loss"]})
    assert_close(sums, case["gradients"])
