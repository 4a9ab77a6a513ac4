"""Deep networks: checking, compiling, a step and the export take work and memory in proportion to the layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from counting import assert_linear

import graphspec as gs
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.lowered_network import cost
from graphspec.engine.training.prepare import FitData, prepare_fit
from graphspec.engine.training.reporting import Silent
from graphspec.engine.training.trainer import Trainer
from graphspec.export.onnx import prepare

pytestmark = pytest.mark.slow

DENSE = {"type": "Dense", "units": 4, "kernel_initializer": "zeros"}
X = np.ones((3, 4), np.float32)


def chain(n: int) -> list[dict[str, Any]]:
    return [dict(DENSE) if k % 2 == 0 else {"type": "ReLU"} for k in range(n - 1)]


def branches(n: int) -> list[dict[str, Any]]:
    layers: list[dict[str, Any]] = [DENSE | {"name": "add0", "kernel_regularizer": "L2"}]
    for k in range(1, n // 3):
        before = f"add{k - 1}"
        layers += [DENSE | {"name": f"{side}{k}", "inputs": before} for side in "ab"]
        layers.append({"name": f"add{k}", "type": "Add", "inputs": [f"a{k}", f"b{k}", before]})
    return layers


def repeated(n: int) -> list[dict[str, Any]]:
    return [{"name": "part", "block": "residual", "repeat": n // 3}]


def spec(layers: list[dict[str, Any]]) -> dict[str, Any]:
    inner = [
        DENSE | {"name": "a", "inputs": "x"},
        {"name": "drop", "type": "Dropout", "rate": 0.5},
        {"name": "sum", "type": "Add", "inputs": ["drop", "x"]},
    ]
    return {
        "graphspec": 1,
        "name": "deep",
        "inputs": {"x": {"shape": [4]}},
        "blocks": {"residual": {"inputs": ["x"], "layers": inner, "outputs": ["sum"]}},
        "layers": [*layers, DENSE | {"name": "y"}],
        "outputs": {"y": {"loss": "mean_squared_error", "metrics": ["mae"]}},
        "training": {"optimizer": "adam", "workers": 1},
    }


def step(document: dict[str, Any]) -> Trainer:
    trainer = prepare_fit(gs.compile(document), FitData(X, X), observer=Silent())
    trainer.loader.start(0)
    trainer.step()
    return trainer


KINDS = [chain, branches, repeated]


@pytest.mark.parametrize("kind", KINDS)
def test_work_and_memory_are_in_proportion_to_the_layers(kind: Callable[[int], list[dict[str, Any]]]) -> None:
    few, many = 60, 480

    def everything(n: int) -> Callable[[], None]:
        document = spec(kind(n))

        def run() -> None:
            trainer = step(document)
            model = trainer.model
            model.predict(X)
            prepare(model.graph, model.parameters)
            cost(*check(document).require(), 32)

        return run

    assert_linear(everything, few, many)
    sizes = [next(iter(step(spec(kind(n))).steps.programs.values())).nbytes for n in (few, many)]
    assert sizes[1] < 1.1 * sizes[0] * many / few


@pytest.mark.parametrize("kind", KINDS)
def test_more_layers_than_python_may_recurse(kind: Callable[[int], list[dict[str, Any]]]) -> None:
    trainer = step(spec(kind(3000)))
    assert len(trainer.model.spec.nodes) >= 2900
    prepare(trainer.model.graph, trainer.model.parameters)
