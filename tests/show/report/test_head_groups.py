"""A head that places rows near their group."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from findings import html_from
from judged import dense, judge, network, numbers, plain, values

from graphspec.show.report import heads as head_groups
from graphspec.show.report.heads import groups_head

LAYERS = [*dense(2), {"name": "u", "type": "UnitNormalization"}]


def shown(points: list[list[float]], groups: list[int]) -> str:
    _, judged, _ = judge(network(LAYERS, {"loss": "circle"}), numbers(len(points), 5), np.array(groups))
    return html_from(groups_head(replace(judged.heads["u"], answers=np.array(points, "f4"))))


def test_nearest_rows_of_the_group() -> None:
    html = shown([[1, 0], [0.99, 0.1], [0, 1], [0.1, 0.99], [0.9, 0.43], [-1, 0]], [0, 0, 1, 1, 1, 2])
    found = values(html)
    assert found["Nearest row is of the group"] == "0.800"  # not the fifth row; the last one is alone
    assert found["One of the 5 nearest is"] == "1.000"
    assert "1 row is the only one of its group" in plain(html)


def test_separate_groups_have_an_area_of_one() -> None:
    assert values(shown([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], [0, 0, 1, 1]))["ROC AUC of pairs"] == "1.000"


def test_rows_at_the_origin_and_without_numbers() -> None:
    html = shown([[1, 0], [0, 0], [float("nan"), 1], [0, 1]], [0, 0, 1, 1])
    assert "1 row with answers that are no finite numbers" in plain(html)
    assert values(html)["Rows"] == "3"


def test_of_many_rows_some_are_compared(monkeypatch: object) -> None:
    monkeypatch.setattr(head_groups, "MOST_ROWS", 10)  # type: ignore[attr-defined]
    points = numbers(50, 2).tolist()
    assert values(shown(points, [k % 3 for k in range(50)]))["Rows"] == "10"
