"""Schedules against Keras's golden values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from golden_cases import GOLDEN, Case, load
from pydantic_core import PydanticCustomError

from graphspec.graph.schedules import SCHEDULES

CASES = load("schedules")


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_schedules_match_keras(case: Case) -> None:
    schedule, rates = SCHEDULES.parse(case.args["schedule"]), case.args["rates"]
    assert [schedule(int(step)) for step in rates] == pytest.approx(list(rates.values()), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(("boundaries", "values"), [([1], [1, 2, 3]), ([2, 2], [1, 2, 3])])
def test_a_piecewise_schedule_must_be_complete(boundaries: list[int], values: list[int]) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        SCHEDULES.parse({"type": "PiecewiseConstantDecay", "boundaries": boundaries, "values": values})
    assert caught.value.context is not None
    assert [e["type"] for e in caught.value.context["errors"]] == ["GS105"]


TORCH = json.loads((GOLDEN / "torch_schedules.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", TORCH)
def test_schedules_match_pytorch(case: str) -> None:
    """Also "LinearWarmup", "Sequential", "Noam" and "OneCycle", which Keras does not have."""
    schedule, rates = SCHEDULES.parse(TORCH[case]["schedule"]), TORCH[case]["rates"]
    assert [schedule(step) for step in range(len(rates))] == pytest.approx(rates, rel=1e-7, abs=1e-12)


def test_the_end_of_a_cycle_stays() -> None:
    schedule = SCHEDULES.parse({"type": "OneCycle", "max_learning_rate": 0.5, "total_steps": 10})
    assert schedule(9) == schedule(10) == schedule(1000) == pytest.approx(0.5 / 25 / 1e4)


THREE = {"three_phase": True}


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"type": "Sequential", "schedules": [0.1, 0.2], "boundaries": []}, ("boundaries",)),
        ({"type": "Sequential", "schedules": [0.1, 0.2, 0.3], "boundaries": [4, 4]}, ("boundaries",)),
        ({"type": "Sequential", "schedules": [0.1, {"type": "Noam"}], "boundaries": [4]}, ("schedules", 1)),
        ({"type": "Sequential", "schedules": ["0.1"], "boundaries": []}, ("schedules", 0)),
        ({"type": "LinearWarmup", "learning_rate": True, "warmup_steps": 4}, ("learning_rate",)),
        ({"type": "OneCycle", "max_learning_rate": 0.1, "total_steps": 3}, ("pct_start",)),
        ({"type": "OneCycle", "max_learning_rate": 0.1, "total_steps": 9, "pct_start": 0.6, **THREE}, ("pct_start",)),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], key: tuple[str | int, ...]) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        SCHEDULES.parse(arguments)
    assert caught.value.context is not None
    (error,) = caught.value.context["errors"]
    inner = error.get("ctx", {}).get("problem")
    assert (*error["loc"], *([inner.key] if inner is not None and inner.key else [])) == key
