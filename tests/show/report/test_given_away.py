"""Fields that give away the target."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import graphspec as gs
from graphspec.base.arrays.strings import Strings
from graphspec.data.batches import Dataset
from graphspec.show.report.verdicts import given_away

N = 400
RNG = np.random.default_rng(0)
CHURN = RNG.random(N) < 0.4


def model() -> gs.Model:
    columns: dict[str, Any] = {"end": {"type": "date", "format": "%d.%m.%Y"}, "price": "number", "age": "number"}
    return gs.compile(
        {
            "graphspec": 1,
            "name": "churn",
            "inputs": {"row": {"columns": columns}},
            "layers": [{"name": "churn", "type": "Dense", "units": 1, "activation": "sigmoid"}],
            "outputs": {"churn": {"loss": "binary_crossentropy", "metrics": ["accuracy"]}},
            "training": {"seed": 1},
        }
    )


def rows(ends: list[str]) -> Dataset:
    numbers = {name: RNG.normal(size=(N, 1)).astype("f4") for name in ("price", "age")}
    texts: Any = Strings.of([[end] for end in ends])
    return Dataset({"end": texts, **numbers}, {"churn": CHURN[:, None].astype("f4")})


def test_gaps_that_give_away_the_target() -> None:
    dates = [f"{1 + k % 28:02d}.{1 + k % 12:02d}.{2000 + k // 12}" for k in range(N)]
    leak = [date if yes else "" for date, yes in zip(dates, CHURN, strict=True)]
    assert given_away(model(), rows(leak)) == {
        "end": "gives away the target by its gaps: it has a value only where the target is '1'"
    }
    some = [date if RNG.random() < 0.5 else "" for date in dates]
    assert given_away(model(), rows(some)) == {}
    assert given_away(model(), replace(rows(leak), chosen=np.arange(20))) == {}, "few rows prove nothing"
