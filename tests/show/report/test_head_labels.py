"""A head of several labels."""

from __future__ import annotations

import numpy as np
from findings import html_from
from judged import plain, rows, values

from graphspec.show.report.class_heads import labels_head
from graphspec.show.report.kinds import Flat

TRUE = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], bool)
SCORES = np.array([[0.9, 0.1, 0.2], [0.8, 0.4, 0.6], [0.3, 0.7, 0.1], [0.6, 0.2, 0.2]])


def test_each_label_and_all_of_them() -> None:
    html = html_from(labels_head(Flat("labels", TRUE, SCORES, True, ["red", "new", "rare"], "row")))
    found = values(html)
    assert (found["Accuracy of all values"], found["Rows entirely right"]) == ("0.7500", "0.5000")
    assert found["Micro F1"] == f"{2 * 3 / (5 + 4):.4f}"
    assert rows(html, "Each label")[:2] == [
        ["red", "2", "3", "0.667", "1.000", "0.800", "1.000", "1.000"],
        ["new", "2", "1", "1.000", "0.500", "0.667", "1.000", "1.000"],
    ]
    assert rows(html, "Each label")[2][6:] == ["–", "–"]
    assert "1 of 3 labels never occur here" in plain(html)


def test_scores_that_are_no_probabilities_are_compared_with_zero() -> None:
    html = html_from(labels_head(Flat("labels", TRUE, SCORES - 0.5, False, ["red", "new", "rare"], "row")))
    assert "score is above 0." in plain(html)
    assert values(html)["Accuracy of all values"] == "0.7500"
    assert "Reliability" not in html
