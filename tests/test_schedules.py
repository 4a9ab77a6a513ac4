"""Schedules against Keras's golden values."""

from __future__ import annotations

import pytest
from golden_cases import Case, load
from pydantic_core import PydanticCustomError

from graphspec.schedules import SCHEDULES

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
