"""Fields that give away the target, and rows that are answered too well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import graphspec as gs
from graphspec.arrays.strings import Strings
from graphspec.data.batches import Dataset
from graphspec.report.findings import Findings, judge, of_model
from graphspec.report.given_away import given_away, too_good
from graphspec.report.importance import Change, Importance, Importances
from graphspec.training.timing import Fitted

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


def judged(share: float, importances: list[float]) -> Findings:
    net = model()
    net.fit(dict(rows(["01.01.2020"] * N).inputs), CHURN.astype("f4"), epochs=1, verbose=0)
    found = judge(of_model(net, Fitted({}, None, None)), rows(["01.01.2020"] * N), "test")
    verdict = replace(found.verdicts[0], metric="accuracy", score=share, other=0.6)
    found = replace(found, verdicts=[verdict])
    each = [
        Importance(name, Change(v, v, v), None) for name, v in zip(("end", "price", "age"), importances, strict=True)
    ]
    found.__dict__["importances"] = Importances(N, 0.1, None, each)
    return found


def test_one_field_that_carries_the_whole_answer() -> None:
    said = list(too_good(judged(0.98, [3.3, 0.01, 0.0])))
    assert said == [
        "'end' carries the whole answer, 100 % of the importance of all inputs: would you know it when you ask?"
    ]
    assert list(too_good(judged(0.98, [3.3, 1.0, 0.0]))) == []
    assert list(too_good(judged(0.75, [3.3, 0.01, 0.0]))) == [], "one field may matter most"


def test_many_rows_without_a_mistake() -> None:
    found = judged(1.0, [2.0, 1.0, 0.5])
    assert list(too_good(found)) == [
        "the 400 test rows are answered nearly without an error, which is rare: would you know it when you ask?"
    ]
    assert list(too_good(replace(found, verdicts=[]))) == []
