"""Optimizers against Keras's golden values, and what the flat vectors promise; schedules against Keras's formulas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pydantic_core import PydanticCustomError
from safetensors.numpy import load_file

from graphspec.compiler.ir import Param
from graphspec.initializers import Initializer
from graphspec.optimizers import OPTIMIZERS, Optimizer
from graphspec.runtime.random import Clock
from graphspec.runtime.store import Segment
from graphspec.schedules import SCHEDULES

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "optimizers.json").read_text())
ARRAYS = load_file(GOLDEN / "optimizers.safetensors")


class Bound:
    """An optimizer bound to vectors with padding between two weights."""

    def __init__(self, optimizer: Optimizer, start: dict[str, np.ndarray], dtype: Any) -> None:
        size = 0
        self.segments = []
        for name, a in start.items():
            self.segments.append(Segment(Param(name, a.shape, Initializer()), size, size + a.size))
            size += a.size + (-a.size % 16)
        self.P, self.G = np.zeros(size, dtype), np.zeros(size, dtype)
        self.slots = {name: np.zeros(size, dtype) for name in optimizer.slots()}
        self.clock, self.rate = Clock(), optimizer.rate()
        self.write(self.P, start)
        self.calls = optimizer.bind(self.P, self.G, self.slots, self.segments, self.clock, self.rate)

    def write(self, vector: np.ndarray, values: dict[str, np.ndarray]) -> None:
        for s in self.segments:
            vector[s.start : s.stop] = values[s.param.name].reshape(-1)

    def step(self, gradients: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.write(self.G, gradients)
        for f, *a in self.calls:
            f(*a)
        self.clock.step += 1
        return {s.param.name: self.P[s.start : s.stop].reshape(s.param.shape) for s in self.segments}

    @property
    def padding(self) -> np.ndarray:
        inside = np.zeros(self.P.size, bool)
        for s in self.segments:
            inside[s.start : s.stop] = True
        return np.concatenate([v[~inside] for v in (self.P, *self.slots.values())])


def golden(case: str, part: str) -> dict[str, np.ndarray]:
    return {n: ARRAYS[f"{case}/{part}/{n}"] for n in ("kernel", "bias")}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_ten_steps_are_those_of_keras(case: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.optimizers._BLOCK", 5)  # a block's end within a weight and within padding
    bound = Bound(OPTIMIZERS.parse(CASES[case]["optimizer"]), golden(case, "weights"), dtype)
    gradients, after = golden(case, "gradients"), golden(case, "after")
    for step in range(10):
        weights = bound.step({n: g[step] for n, g in gradients.items()})
        for name, expected in after.items():
            np.testing.assert_allclose(weights[name], expected[step], rtol=2e-5, atol=2e-6, err_msg=f"{name} {step}")
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


@pytest.mark.parametrize("kind", ["clipnorm", "global_clipnorm"])
def test_a_zero_gradient_is_not_scaled(kind: str) -> None:
    bound = Bound(OPTIMIZERS.parse({"type": "SGD", kind: 1.0}), {"w": np.ones(3)}, np.float32)
    assert (bound.step({"w": np.zeros(3)})["w"] == 1).all()


def test_global_clipnorm_of_an_infinite_gradient_is_nan() -> None:
    bound = Bound(OPTIMIZERS.parse({"type": "SGD", "global_clipnorm": 1.0}), {"w": np.ones(3)}, np.float32)
    with np.errstate(all="ignore"):
        assert np.isnan(bound.step({"w": np.array([1, np.inf, 1])})["w"]).all()


def test_steps_do_not_allocate() -> None:
    import tracemalloc

    bound = Bound(OPTIMIZERS.parse({"type": "Adam", "clipnorm": 1.0}), {"w": np.ones(200_000)}, np.float32)
    gradient = {"w": np.ones(200_000, np.float32)}
    bound.step(gradient)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(50):
        bound.step(gradient)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 4096
    assert peak - before < 128 * 1024


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
    ],
)
def test_wrong_arguments(value: dict[str, Any], code: str) -> None:
    with pytest.raises((PydanticCustomError, ValidationError)) as caught:
        OPTIMIZERS.parse(value)
    errors = caught.value.context["errors"]  # type: ignore[union-attr]
    assert code in [e["type"] for e in errors]


# What Keras 3.15's schedules give at some steps, in float32.
RATES: list[tuple[dict[str, Any], dict[int, float]]] = [
    (
        {"type": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
        {0: 0.1, 3: 0.08122524, 5: 0.07071068, 10: 0.05, 12: 0.04352752, 25: 0.01767767},
    ),
    (
        {
            "type": "ExponentialDecay",
            "initial_learning_rate": 0.1,
            "decay_steps": 10,
            "decay_rate": 0.5,
            "staircase": True,
        },
        {0: 0.1, 3: 0.1, 5: 0.1, 10: 0.05, 12: 0.05, 25: 0.025},
    ),
    (
        {"type": "InverseTimeDecay", "initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
        {0: 0.1, 3: 0.08695652, 5: 0.08, 10: 0.06666667, 12: 0.0625, 25: 0.04444445},
    ),
    (
        {
            "type": "InverseTimeDecay",
            "initial_learning_rate": 0.1,
            "decay_steps": 10,
            "decay_rate": 0.5,
            "staircase": True,
        },
        {0: 0.1, 3: 0.1, 5: 0.1, 10: 0.06666667, 12: 0.06666667, 25: 0.05},
    ),
    (
        {
            "type": "PolynomialDecay",
            "initial_learning_rate": 0.1,
            "decay_steps": 10,
            "end_learning_rate": 0.01,
            "power": 0.5,
        },
        {0: 0.1, 3: 0.0852994, 5: 0.07363961, 10: 0.01, 12: 0.01, 25: 0.01},
    ),
    (
        {"type": "PolynomialDecay", "initial_learning_rate": 0.1, "decay_steps": 10, "cycle": True},
        {0: 0.1, 3: 0.07003, 5: 0.05005, 10: 0.0001, 12: 0.04006, 25: 0.01675},
    ),
    (
        {"type": "PiecewiseConstantDecay", "boundaries": [3, 10], "values": [1.0, 0.5, 0.1]},
        {0: 1.0, 3: 1.0, 5: 0.5, 10: 0.5, 12: 0.1, 25: 0.1},
    ),
    (
        {"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 10, "alpha": 0.1},
        {0: 0.1, 3: 0.08145034, 5: 0.055, 10: 0.01, 12: 0.01, 25: 0.01},
    ),
    (
        {
            "type": "CosineDecay",
            "initial_learning_rate": 0.1,
            "decay_steps": 10,
            "warmup_target": 0.4,
            "warmup_steps": 5,
        },
        {0: 0.1, 3: 0.28, 5: 0.40000001, 10: 0.19999999, 12: 0.08244296, 25: 0.0},
    ),
    (
        {
            "type": "CosineDecayRestarts",
            "initial_learning_rate": 0.1,
            "first_decay_steps": 7,
            "m_mul": 0.5,
            "alpha": 0.1,
        },
        {0: 0.1, 3: 0.06501344, 5: 0.02694295, 10: 0.05009121, 12: 0.04226238, 25: 0.0313859},
    ),
    (
        {"type": "CosineDecayRestarts", "initial_learning_rate": 0.1, "first_decay_steps": 7, "t_mul": 1.0},
        {0: 0.1, 3: 0.06112604, 5: 0.0188255, 10: 0.06112603, 12: 0.0188255, 25: 0.03887396},
    ),
]


@pytest.mark.parametrize(("schedule", "rates"), RATES, ids=[f"{s['type']}-{k}" for k, (s, _) in enumerate(RATES)])
def test_schedules_are_those_of_keras(schedule: dict[str, Any], rates: dict[int, float]) -> None:
    made = SCHEDULES.parse(schedule)
    assert [made(step) for step in rates] == pytest.approx(list(rates.values()), rel=1e-6, abs=3e-8)


@pytest.mark.parametrize(("boundaries", "values"), [([1], [1, 2, 3]), ([2, 2], [1, 2, 3])])
def test_a_piecewise_schedule_must_be_whole(boundaries: list[int], values: list[int]) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        SCHEDULES.parse({"type": "PiecewiseConstantDecay", "boundaries": boundaries, "values": values})
    assert caught.value.context is not None
    assert [e["type"] for e in caught.value.context["errors"]] == ["GS105"]
