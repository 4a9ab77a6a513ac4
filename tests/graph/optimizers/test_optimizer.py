"""Optimizers against Keras's golden values; properties of the flat vectors."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from optimizer_layouts import LAYOUTS
from paths import TESTS
from pydantic import ValidationError
from pydantic_core import PydanticCustomError
from safetensors.numpy import load_file

from graphspec.base.arrays.random import Clock
from graphspec.engine.runtime.parameters import initial_slots
from graphspec.graph.constraints import CONSTRAINTS, Constraint
from graphspec.graph.initializers import Initializer
from graphspec.graph.ir.graph import Layout, Param, Segment
from graphspec.graph.optimizers import OPTIMIZERS, Optimizer, Vectors

GOLDEN = TESTS / "golden"
CASES = json.loads((GOLDEN / "optimizers.json").read_text())
ARRAYS = load_file(GOLDEN / "optimizers.safetensors")


class Bound:
    """An optimizer, bound to vectors with padding between the weights."""

    def __init__(
        self,
        optimizer: Optimizer,
        start: dict[str, np.ndarray],
        dtype: Any,
        packed: bool = False,
        constraints: dict[str, Constraint] = MappingProxyType({}),  # type: ignore[assignment]
    ) -> None:
        size = 0
        self.segments = []
        for name, a in start.items():
            layout = LAYOUTS.get(name, Layout()) if packed else Layout()
            param = Param(name, a.shape, Initializer(), layout, constraint=constraints.get(name))
            self.segments.append(Segment(param, size, size + a.size))
            size += a.size + (-a.size % 16)
        self.P, self.G = np.zeros(size, dtype), np.zeros(size, dtype)
        self.write(self.P, start)
        self.slots = initial_slots(optimizer, self.P, self.segments)
        self.clock, self.rate = Clock(), optimizer.rate()
        self.calls = optimizer.bind(Vectors(self.P, self.G, self.slots, self.segments), self.clock, self.rate)

    def write(self, vector: np.ndarray, values: dict[str, np.ndarray]) -> None:
        for s in self.segments:
            s.param.view(vector[s.start : s.stop])[...] = s.param.layout.pack(values[s.param.name])

    def read(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        weights = {}
        for s in self.segments:
            stored = s.param.view(vector[s.start : s.stop])
            weights[s.param.name] = s.param.layout.unpack(stored, s.param.shape)
        return weights

    def step(self, gradients: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.write(self.G, gradients)
        self.run()
        return self.read(self.P)

    def run(self) -> None:
        for f, *a in self.calls:
            f(*a)
        self.clock.step += 1

    @property
    def padding(self) -> np.ndarray:
        inside = np.zeros(self.P.size, bool)
        for s in self.segments:
            inside[s.start : s.stop] = True
        return np.concatenate([self.P[~inside], self.G[~inside]])


def golden(case: str, part: str) -> dict[str, np.ndarray]:
    prefix = f"{case}/{part}/"
    return {key.removeprefix(prefix): a for key, a in ARRAYS.items() if key.startswith(prefix)}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", [case for case in CASES if case != "shared"])
def test_ten_steps_are_those_of_keras(case: str, dtype: Any, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("vectors", "optimizer", "by_weight"):
        monkeypatch.setattr(
            f"graphspec.graph.optimizers.{module}.BLOCK", 5
        )  # blocks end within weights and within padding
    bound = Bound(OPTIMIZERS.parse(CASES[case]["optimizer"]), golden("shared", "weights"), dtype, packed)
    gradients, after, averages = golden("shared", "gradients"), golden(case, "after"), golden(case, "average")
    for step in range(10):
        weights = bound.step({n: g[step] for n, g in gradients.items()})
        for name, expected in after.items():
            np.testing.assert_allclose(weights[name], expected[step], rtol=2e-5, atol=2e-6, err_msg=f"{name} {step}")
        for name, average in bound.read(bound.slots["average"]).items() if averages else ():
            np.testing.assert_allclose(average, averages[name][step], rtol=2e-5, atol=2e-6, err_msg=f"{name} {step}")
    assert not bound.padding.any()


def test_ema_ends_with_the_average() -> None:
    optimizer = OPTIMIZERS.parse({"type": "SGD", "learning_rate": 1.0, "use_ema": True, "ema_momentum": 0.5})
    bound = Bound(optimizer, {"w": np.zeros(1)}, np.float64)
    for _ in range(3):
        bound.step({"w": np.ones(1)})
    assert bound.P[0] == -3
    optimizer.finalize(bound.P, bound.slots)
    assert bound.P[0] == -(0.25 * 1 + 0.25 * 2 + 0.5 * 3)


def test_a_rate_can_be_set_and_a_schedule_advances() -> None:
    bound = Bound(OPTIMIZERS.parse({"type": "SGD", "learning_rate": 1}), {"w": np.zeros(1)}, np.float32)
    bound.step({"w": np.ones(1)})
    bound.rate.value = 0.5
    bound.step({"w": np.ones(1)})
    assert bound.P[0] == -1.5
    schedule = {"type": "PiecewiseConstantDecay", "boundaries": [0, 1], "values": [4, 2, 1]}
    bound = Bound(OPTIMIZERS.parse({"type": "SGD", "learning_rate": schedule}), {"w": np.zeros(1)}, np.float32)
    for total in (-4, -6, -7, -8):
        assert bound.step({"w": np.ones(1)})["w"] == total


def test_the_first_step_of_lamb_where_a_weight_is_0() -> None:
    g = np.array([3.0, -0.5, 0.1])
    moved = Bound(OPTIMIZERS.parse("lamb"), {"w": np.zeros(3)}, np.float64).step({"w": g})["w"]
    np.testing.assert_allclose(moved, -0.001 * g / (np.abs(g) + 1e-7), rtol=1e-12)


@pytest.mark.parametrize("kind", ["clipnorm", "global_clipnorm"])
def test_a_zero_gradient_is_not_scaled(kind: str) -> None:
    bound = Bound(OPTIMIZERS.parse({"type": "SGD", kind: 1.0}), {"w": np.ones(3)}, np.float32)
    assert (bound.step({"w": np.zeros(3)})["w"] == 1).all()


def test_global_clipnorm_of_an_infinite_gradient_is_nan() -> None:
    bound = Bound(OPTIMIZERS.parse({"type": "SGD", "global_clipnorm": 1.0}), {"w": np.ones(3)}, np.float32)
    with np.errstate(all="ignore"):
        assert np.isnan(bound.step({"w": np.array([1, np.inf, 1])})["w"]).all()


CONSTRAINED = {
    "kernel": {"type": "MaxNorm"},
    "bias": "non_neg",
    "filters": {"type": "MinMaxNorm", "axis": [0, 1, 2], "rate": 0.5},
}


@pytest.mark.parametrize("name", OPTIMIZERS.primary())
def test_steps_do_not_allocate(name: str) -> None:
    import tracemalloc

    shared = {"clipnorm": 1.0, "weight_decay": 0.01, "use_ema": True, "ema_overwrite_frequency": 3}
    start = {"kernel": np.ones((300, 400)), "bias": np.ones(70_000), "filters": np.ones((3, 3, 40, 50))}
    constraints = {weight: CONSTRAINTS.parse(value) for weight, value in CONSTRAINED.items()}
    bound = Bound(OPTIMIZERS.parse({"type": name, **shared}), start, np.float32, constraints=constraints)
    gradients = {n: np.full(a.shape, 0.5, np.float32) for n, a in start.items()}
    bound.step(gradients)
    for _ in range(20):  # fill Python's free lists of small objects
        bound.run()
    bound.write(bound.G, gradients)
    kept, peaks = [], []
    for _ in range(3):  # what other threads of the run allocate meanwhile is not a step's: it does not come three times
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(5):
            bound.run()
        after, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        kept.append(after - before)
        peaks.append(peak - before)
    assert min(kept) < 4096
    assert min(peaks) < 128 * 1024
    weights = bound.read(bound.P)
    assert np.linalg.norm(weights["kernel"], axis=0).max() < 2 + 1e-4
    assert weights["bias"].min() >= 0


@pytest.mark.parametrize(
    "arguments",
    [{"jit_compile": value} for value in (None, True, False)]
    + [{"name": "mine"}, {"is_legacy_optimizer": False}, {"decay": 0}],
)
def test_arguments_of_keras_that_change_nothing(arguments: dict[str, Any]) -> None:
    assert OPTIMIZERS.parse({"type": "Adam", **arguments}) == OPTIMIZERS.parse("Adam")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"type": "Adam", "clipnorm": 1.0, "clipvalue": 1.0}, "GS105"),
        ({"type": "AdamW", "weight_decay": None}, "GS105"),
        ({"type": "Adam", "beta_1": 1.0}, "less_than"),
        ({"type": "Adam", "epsilon": 0}, "greater_than_equal"),
        ({"type": "Adam", "learning_rate": True}, "GS104"),
        ({"type": "Adam", "learning_rate": "fast"}, "GS111"),
        ({"type": "Adam", "learning_rate": {"type": "CosineDecay"}}, "nested"),
        ({"type": "Ftrl", "learning_rate_power": 0.5}, "less_than_equal"),
        ({"type": "Lion", "beta_1": 0}, "greater_than"),
        ({"type": "Adafactor", "beta_2_decay": 0.1}, "less_than_equal"),
        ({"type": "Muon", "exclude_layers": ["("]}, "GS105"),
    ],
)
def test_wrong_arguments(value: dict[str, Any], code: str) -> None:
    with pytest.raises((PydanticCustomError, ValidationError)) as caught:
        OPTIMIZERS.parse(value)
    errors = caught.value.context["errors"]  # type: ignore[union-attr]
    assert code in [e["type"] for e in errors]
