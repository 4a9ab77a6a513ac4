"""The networks that are timed: specs in ``specs/``, with made-up rows of their shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Rows = tuple[Array, Array]

SPECS = Path(__file__).parent / "specs"


def ids(rows: int, time: int) -> Array:
    """Word ids from a log-uniform distribution over 10,000."""
    return np.exp(np.random.default_rng(0).random((rows, time)) * np.log(10000)).astype(np.int64)


def normal(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def classes(rows: int, count: int = 10) -> Array:
    return np.random.default_rng(1).integers(0, count, rows)


def multi_hot(rows: int) -> Array:
    hot = np.zeros((rows, 10000), bool)
    hot[np.arange(rows)[:, None], ids(rows, 230)] = True
    return hot


ROWS: dict[str, Callable[[int], Rows]] = {
    "W1": lambda n: (normal(n, 784), classes(n)),
    "W2": lambda n: (normal(n, 784), classes(n)),
    "W3": lambda n: (multi_hot(n), classes(n, 2)),
    "W3ids": lambda n: (ids(n, 230), classes(n, 2)),
    "W4": lambda n: (normal(n, 13), np.random.default_rng(1).standard_normal((n, 1), dtype=np.float32)),
    "W5": lambda n: (normal(n, 28, 28, 1), classes(n)),
    "W6": lambda n: (ids(n, 200), classes(n, 2)),
    "W7": lambda n: (normal(n, 50, 64), classes(n)),
    "W8": lambda n: (normal(n, 32, 32, 3), classes(n)),
    "W9": lambda n: (normal(n, 32, 32, 3), classes(n)),
}


def spec(name: str) -> Path:
    return SPECS / f"{name.lower()}.yaml"
