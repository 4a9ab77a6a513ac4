"""Activations by parts become one operator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from unfrozen import Trial, model_of, node

PARTS: dict[str, list[Any]] = {
    "Swish": [node("Sigmoid", "a", "s"), node("Mul", "a s", "y")],
    "HardSwish by a gate": [node("HardSigmoid", "a", "s", alpha=1 / 6, beta=0.5), node("Mul", "s a", "y")],
    "HardSwish": [
        node("Add", "a three", "p"),
        node("Clip", "p zero six", "c"),
        node("Mul", "a c", "m"),
        node("Div", "m six", "y"),
    ],
    "Gelu": [
        node("Div", "a root", "d"),
        node("Erf", "d", "e"),
        node("Add", "e one", "p"),
        node("Mul", "a p", "m"),
        node("Mul", "m half", "y"),
    ],
    "Gelu with the half first": [
        node("Mul", "a half", "h"),
        node("Div", "a root", "d"),
        node("Erf", "d", "e"),
        node("Add", "one e", "p"),
        node("Mul", "h p", "y"),
    ],
}
NUMBERS = {"three": 3.0, "zero": 0.0, "six": 6.0, "root": math.sqrt(2), "one": 1.0, "half": 0.5}


def trial(parts: list[Any], **changed: float) -> Trial:
    tensors = {name: np.float32(x) for name, x in (NUMBERS | changed).items()}
    model = model_of(
        [node("MatMul", "x w", "a"), *parts], {"x": ["n", 3]}, ["y"], {**tensors, "w": np.eye(3, dtype="f")}
    )
    return Trial(model, {"x": ("N", 3)})


@pytest.mark.parametrize("name", PARTS)
def test_parts_become_the_whole(name: str) -> None:
    found = trial(PARTS[name])
    if "first" not in name:
        assert found.operators == ["MatMul", name.split()[0]]
    x = np.random.default_rng(0).standard_normal((20, 3)) * 4
    found.check({"x": x.astype(np.float32)})
    found.check_gradient({"x": x})


OTHERS: list[tuple[str, dict[str, float]]] = [
    ("HardSwish", {"six": 5.0}),
    ("HardSwish", {"three": 2.0}),
    ("Gelu", {"half": 0.4}),
    ("Gelu", {"root": 1.4}),
]


@pytest.mark.parametrize(("name", "changed"), OTHERS)
def test_other_numbers_stay_parts(name: str, changed: dict[str, float]) -> None:
    found = trial(PARTS[name], **changed)
    assert len(found.operators) > 3
    found.check({"x": (np.random.default_rng(0).standard_normal((20, 3)) * 4).astype(np.float32)})
