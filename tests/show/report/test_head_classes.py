"""A head of classes: its mistakes in words, its classes, its probabilities."""

from __future__ import annotations

import numpy as np
from findings import html_from
from judged import plain, rows, values

from graphspec.show.report.class_heads import classes_head
from graphspec.show.report.kinds import Flat

TRUE = np.array([0] * 6 + [1] * 3 + [2])
CALLED = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 2])


def flat(called: np.ndarray = CALLED, classes: int = 3, *, probabilities: bool = True) -> Flat:
    scores = np.full((len(called), classes), 0.1)
    scores[np.arange(len(called)), called] = 1 - 0.1 * (classes - 1)
    return Flat("classes", TRUE, scores, probabilities, ["ape", "bee", "cat", "dog"][:classes], "row")


def test_the_pairs_that_are_confused_are_said() -> None:
    html = html_from(classes_head(flat(), "h"))
    said = plain(html)
    assert "3 of 10 rows are wrong." in said
    assert "'ape' predicted as 'bee' (2 of 6, 33 %); 'bee' predicted as 'ape' (1 of 3, 33 %)" in said
    assert "33\u00a0%" in html  # no line break before the sign


def test_values_of_the_head_and_of_each_class() -> None:
    html = html_from(classes_head(flat(), "h"))
    found = values(html)
    assert (found["Accuracy"], found["Always 'ape'"]) == ("0.7000", "0.6000")
    assert rows(html, "Each class")[0][:6] == ["ape", "6", "5", "0.800", "0.667", "0.727"]


def test_a_class_that_never_occurs_has_no_recall_and_no_curve() -> None:
    html = html_from(classes_head(flat(classes=4), "h"))
    assert "This class does not occur in these rows, so its recall is not known: 'dog'." in plain(html)
    assert rows(html, "Each class")[3] == ["dog", "0", "0", "–", "–", "–", "–", "–"]
    assert "dog, AUC" not in html


def test_no_better_than_the_largest_class_is_said() -> None:
    assert "no fewer than with the answer 'ape' for all" in plain(html_from(classes_head(flat(np.zeros(10, int)), "h")))
    assert "no fewer" not in plain(html_from(classes_head(flat(), "h")))


def test_scores_that_are_no_probabilities_have_no_reliability() -> None:
    assert "Reliability" in html_from(classes_head(flat(), "h"))
    assert "Reliability" not in html_from(classes_head(flat(probabilities=False), "h"))


def test_all_right() -> None:
    assert "Every row is predicted right." in plain(html_from(classes_head(flat(TRUE), "h")))
