"""Initial values of weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphspec.config import Config, Registry


class Initializer(Config):
    """Draws the initial value of a weight in Keras's layout."""

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray[Any, Any]:
        """A float32 array of ``shape``; ``random`` is keyed by the seed and the weight's name."""
        raise NotImplementedError


INITIALIZERS: Registry[Initializer] = Registry("initializer")
