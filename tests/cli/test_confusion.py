"""Confusion matrices as text, for few and many classes."""

from __future__ import annotations

import numpy as np
import pytest

from graphspec.base.text import display_width
from graphspec.cli.results import matrix_lines
from graphspec.engine.runtime.running_metrics import ResultTable

GARMENTS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
SMALL = ResultTable("confusion_matrix", np.array([[3, 1], [0, 0]]), ["no", "yes"])


def table(labels: list[str], rows: int) -> ResultTable:
    size = len(labels)
    counts = np.random.default_rng(1).integers(0, rows // 20, (size, size)) + np.eye(size, dtype=np.int64) * (rows // 2)
    return ResultTable("confusion_matrix", counts, labels)


def test_the_whole_matrix() -> None:
    assert matrix_lines(SMALL, None) == [
        "confusion_matrix: a row for each true class, a column for each answer",
        "     no  yes  recall  precision",
        "no    3    1   0.750      1.000",
        "yes   0    0       -      0.000",
    ]


def test_a_pipe_gets_every_class() -> None:
    lines = matrix_lines(table([f"class {k}" for k in range(46)], 300), None)
    assert len(lines) == 48


def test_numbered_columns_where_labels_do_not_fit() -> None:
    lines = matrix_lines(table(GARMENTS, 900), 80)
    assert lines[1].split() == [*map(str, range(1, 11)), "recall", "precision"]
    assert lines[2].split()[:2] == ["1", "T-shirt/top"]
    assert len(lines) == 12


def test_few_columns_have_a_legend() -> None:
    lines = matrix_lines(table(GARMENTS, 60), 60)
    assert lines[2].split()[0] == "1"
    assert len(lines) >= 12


def test_a_list_of_the_worst_classes() -> None:
    counts = np.diag([50] * 46)
    counts[7, 3], counts[7, 4], counts[9, 1] = 20, 5, 3
    lines = matrix_lines(ResultTable("confusion_matrix", counts, [f"topic {k}" for k in range(46)]), 80)
    assert lines[0] == "confusion_matrix: 46 classes, 2,300 of 2,328 rows right"
    assert lines[1].split() == ["class", "rows", "wrong", "recall", "precision", "taken", "for"]
    assert lines[2].split() == ["topic", "7", "75", "25", "0.667", "1.000", "20", "topic", "3"]
    assert lines[3].split()[:4] == ["topic", "9", "53", "3"]
    assert lines[-1].startswith("… and 34 classes with fewer wrong answers")
    assert len(lines) <= 24


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("rows", [60, 900, 50000])
@pytest.mark.parametrize(
    "labels", [["a", "b"], GARMENTS, [f"a long name of class {k}" for k in range(46)], ["日本語の分類"] * 12]
)
def test_every_matrix_fits(width: int, rows: int, labels: list[str]) -> None:
    assert all(display_width(line) <= width for line in matrix_lines(table(labels, rows), width))
