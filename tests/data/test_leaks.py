"""Columns that give away the target are found, and others are not."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphspec.data.files import open_table
from graphspec.data.odd_values import leaks
from graphspec.data.profile import profile


def found(folder: Path, target: str, classes: bool, **columns: Any) -> dict[str, str]:
    path = folder / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    table = open_table(path)
    return leaks(table, profile(table), target, classes=classes)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_classes(tmp_path: Path, rng: np.random.Generator) -> None:
    y = rng.integers(0, 3, 200)
    answer = found(
        tmp_path,
        "y",
        True,
        y=[("red", "green", "blue")[k] for k in y],
        copy=[f"k{k}" for k in y],
        finer=[f"k{k}{j}" for k, j in zip(y, rng.integers(0, 4, 200), strict=True)],
        apart=y + rng.uniform(0, 0.9, 200),
        related=y + rng.normal(size=200),
        city=rng.choice(["Rome", "Oslo"], 200),
        id=range(200),
        gaps=[k if j else "" for k, j in zip(y, rng.integers(0, 2, 200), strict=True)],
    )
    assert answer == {
        "copy": "is the target in other words",
        "finer": "determines the target: each value occurs with one only",
        "apart": "determines the target: the numbers of each class are a range of their own",
        "gaps": "is the target in other words",
    }


def test_few_rows_prove_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, "y", True, y=["a", "b"] * 5, x=[1, 2] * 5, z=["k", "l"] * 5) == {}


def test_a_rare_class_proves_little(tmp_path: Path) -> None:
    y = ["no"] * 998 + ["yes"] * 2
    assert found(tmp_path, "y", True, y=y, x=["k"] * 999 + ["l"], z=[*range(998), 2000, 2001]) == {}


def test_numbers(tmp_path: Path, rng: np.random.Generator) -> None:
    a, b, c = rng.integers(0, 50, (3, 300))
    answer = found(tmp_path, "total", False, total=a + 2 * b, a=a, b=b, c=c, near=a + 2 * b + rng.normal(size=300))
    assert answer == dict.fromkeys("ab", "is a part of the target: a and b add up to it")
    other = found(tmp_path, "y", False, y=a / 2.54 + 1, x=a + rng.uniform(0, 1e-6, 300), z=c)
    assert other == {"x": "is the target in another unit"}


def test_numbers_that_only_relate(tmp_path: Path, rng: np.random.Generator) -> None:
    x = rng.normal(size=(300, 3))
    y = x @ [1, 2, 3] + rng.normal(size=300) / 10
    assert found(tmp_path, "y", False, y=y, a=x[:, 0], b=x[:, 1], c=x[:, 2]) == {}
    assert found(tmp_path, "y", False, y=y[:12], a=x[:12, 0], b=x[:12, 1]) == {}


def test_a_price_for_each_product(tmp_path: Path) -> None:
    answer = found(tmp_path, "price", False, price=[1.5, 2.5, 9.5, 4.5] * 20, product=["a", "b", "c", "d"] * 20)
    assert list(answer) == ["product"]
