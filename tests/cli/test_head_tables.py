"""The tables of heads: classes and numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphspec.base.terminal import lines_of
from graphspec.base.text import display_width
from graphspec.cli.results import class_table
from graphspec.cli.results import head_tables as heads
from graphspec.engine.runtime.running_metrics import ClassCounts, NumberErrors

PAIRS = np.array([[8, 2, 0], [0, 5, 0], [0, 0, 0]])


def class_lines(found: ClassCounts, width: int | None) -> list[str]:
    return list(lines_of(class_table(found, whole=width is None), width))


def head_tables(found: list[ClassCounts | NumberErrors], width: int | None) -> list[list[str]]:
    return [list(lines_of(blocks, width)) for blocks in heads(found, width)]


def counted(pairs: np.ndarray, labels: list[str], head: str = "species") -> ClassCounts:
    return ClassCounts(head, labels, pairs.diagonal(), pairs.sum(0), pairs.sum(1), pairs)


def test_a_line_for_each_class() -> None:
    assert class_lines(counted(PAIRS, ["Adelie", "Gentoo", "none"]), 80) == [
        "species          rows  precision  recall     F1  taken for",
        "Adelie             10      1.000   0.800  0.889  2 Gentoo",
        "Gentoo              5      0.714   1.000  0.833",
        "none                0          -       -      -",
        "mean of classes            0.857   0.900  0.861",
    ]


def test_labels_of_which_several_apply() -> None:
    counts = (np.array(values) for values in ([3, 0], [4, 0], [3, 2]))
    lines = class_lines(ClassCounts("tags", ["a", "b"], *counts), None)
    assert [line.split() for line in lines[:3]] == [
        ["tags", "rows", "precision", "recall", "F1"],
        ["a", "3", "0.750", "1.000", "0.857"],
        ["b", "2", "-", "0.000", "0.000"],
    ]


def test_of_many_classes_the_worst() -> None:
    pairs = np.diag([50] * 46)
    pairs[7, 3], pairs[9, 1] = 60, 20
    found = counted(pairs, [f"topic {k}" for k in range(46)])
    lines = class_lines(found, 80)
    assert [line.split()[:2] for line in lines[1:5]] == [["topic", k] for k in ("7", "3", "9", "1")]
    assert lines[-1] == "… and 34 classes with a higher F1; a file or a pipe gets all"
    assert lines[-2].startswith("mean of classes")
    assert len(lines) == 15
    assert len(class_lines(found, None)) == 48


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize(
    "labels", [["a", "b"], [f"a long name of class {k}" for k in range(46)], ["日本語の分類の名前です"] * 12]
)
def test_every_table_fits(width: int, labels: list[str]) -> None:
    pairs = np.random.default_rng(0).integers(0, 10**7, (len(labels), len(labels)))
    lines = class_lines(counted(pairs, labels, "a_head_with_a_name_that_is_very_long"), width)
    assert all(display_width(line) <= width for line in lines)


def test_heads_of_numbers_have_one_table() -> None:
    errors = [NumberErrors("price", 2.02641, 2.66743, 0.91834), NumberErrors("years", 1e12, float("nan"), -3.0)]
    tables = head_tables([errors[0], counted(PAIRS, ["a", "b", "c"]), errors[1]], 80)
    assert len(tables) == 2
    assert tables[1] == [
        "           MAE     RMSE       R2",
        "price  2.02641  2.66743   0.9183",
        "years    1e+12      nan  -3.0000",
    ]
    assert head_tables([], 80) == []


def test_what_the_spec_asks_for_is_not_repeated() -> None:
    price = NumberErrors("price", 2.02641, 2.66743, 0.91834, known=frozenset(["mae"]))
    assert head_tables([price], 80) == [["          RMSE      R2", "price  2.66743  0.9183"]]
    assert "MAE" in head_tables([price, NumberErrors("years", 1.0, 1.0, 1.0)], 80)[0][0]
    assert head_tables([replace(price, known=frozenset(["mae", "rmse", "r2"]))], 80) == []
