"""What random inputs and attributes are drawn from: by hypothesis, or by a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

Array = np.ndarray[Any, Any]


class Draw:
    """Shapes and attributes drawn by hypothesis, numbers from a seed that it draws."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self.random = np.random.default_rng(self.integer(0, 10_000))

    def integer(self, low: int, high: int) -> int:
        return self._data.draw(st.integers(low, high))

    def choice(self, options: Sequence[Any]) -> Any:
        return self._data.draw(st.sampled_from(options))

    def flag(self) -> int:
        return self.integer(0, 1)

    def shape(self, low: int = 0, high: int = 4, longest: int = 5) -> tuple[int, ...]:
        return tuple(self.integer(1, longest) for _ in range(self.integer(low, high)))

    def axis(self, X: Array) -> int:
        return self.integer(-X.ndim, X.ndim - 1)

    def axes(self, X: Array) -> tuple[int, ...]:
        """Some axes, at least one, perhaps counted from the end."""
        chosen = [k for k in range(X.ndim) if self.flag()] or [0]
        return tuple(k - X.ndim * self.flag() for k in chosen)

    def normal(self, *shape: int, scale: float = 1.0) -> Array:
        return np.asarray(self.random.standard_normal(shape) * scale, np.float32)

    def floats(self, low: int = 0, high: int = 4, scale: float = 2.0) -> Array:
        return self.normal(*self.shape(low, high), scale=scale)

    def coarse(self, low: int = 1, high: int = 4) -> Array:
        """Few distinct values: many ties."""
        return np.round(self.floats(low, high))

    def ints(self, shape: tuple[int, ...], low: int, high: int, dtype: str = "int64") -> Array:
        return np.asarray(self.random.integers(low, high, shape), dtype)

    def bools(self, shape: tuple[int, ...]) -> Array:
        return np.asarray(self.random.random(shape) < 0.5)

    def partner(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts with this one."""
        kept = shape[self.integer(0, len(shape)) :]
        return tuple(1 if self.integer(0, 3) == 0 else n for n in kept)

    def pair(self, make: Callable[[tuple[int, ...]], Array]) -> list[Array]:
        shape = self.shape()
        both = [make(shape), make(self.partner(shape))]
        return both[::-1] if self.flag() else both


class Seeded(Draw):
    """The same from a seed alone, where hypothesis does not run."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high + 1))

    def choice(self, options: Sequence[Any]) -> Any:
        return options[self.integer(0, len(options) - 1)]
