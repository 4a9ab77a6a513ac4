"""Rows that are answered too well: by one field alone, or without a mistake."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from judged import dense, judge, network, numbers

from graphspec.show.report.findings import Findings
from graphspec.show.report.importance import Change, Importance, Importances, too_good

N = 400
COLUMNS = {name: {"shape": [1]} for name in ("end", "price", "age")}


def judged(share: float, importances: list[float]) -> Findings:
    """A network with three columns, with made-up results; a linear model is nearly as good, since it reads them, too."""
    spec = network(
        [{"name": "row", "type": "Concatenate", "inputs": list(COLUMNS)}, *dense(1, "sigmoid")],
        {"loss": "binary_crossentropy"},
        COLUMNS,
    )
    x = {name: numbers(N, 1, seed=k) for k, name in enumerate(COLUMNS)}
    found, _, _ = judge(spec, x, np.arange(N)[:, None] % 5 < 2)
    each = [Importance(name, Change(v, v, v), None) for name, v in zip(COLUMNS, importances, strict=True)]
    found.kept["importance"] = Importances(N, 0.1, None, each)
    return replace(
        found, verdicts=[replace(found.verdicts[0], metric="accuracy", score=share, other=0.99, blind=(0.6, "always"))]
    )


def test_one_field_that_carries_the_whole_answer() -> None:
    said = list(too_good(judged(0.98, [3.3, 0.01, 0.0])))
    assert said == [
        "'end' carries the whole answer, 100 % of the importance of all inputs: would you know it when you ask?"
    ]
    assert list(too_good(judged(0.98, [3.3, 1.0, 0.0]))) == []
    assert list(too_good(judged(0.75, [3.3, 0.01, 0.0]))) == [], "one field may matter most"


def test_many_rows_without_a_mistake() -> None:
    found = judged(1.0, [2.0, 1.0, 0.5])
    [said] = too_good(found)
    assert said.startswith("the 400 test rows are answered nearly without an error, which is rare: is there a column")
    assert list(too_good(replace(found, verdicts=[]))) == []
