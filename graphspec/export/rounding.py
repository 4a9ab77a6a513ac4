"""What rounding to float32 does to a network's answers, measured: the runtime in float64 and many times in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.arrays.calls import settings
from graphspec.arrays.random import generator
from graphspec.export.rows import whole
from graphspec.graph.target import Target
from graphspec.ir.graph import Array
from graphspec.runtime.build import build_program
from graphspec.runtime.parameters import Parameters

if TYPE_CHECKING:
    from graphspec.runtime.session import Session

RUNS, MOST_RUNS = 8, 64
"""How often the runtime is run in float32: at first, and before a difference counts as more than rounding."""
FACTOR = 4.0
"""How many times the runtime's largest error another float32 program may have: it sums in another order."""
_LAST_BIT = np.float32(2**-23)


class Rounding:
    """The answers to some rows in float64, and how far float32 is from them.

    The error of float32 is measured, not derived: the runtime runs in float32 with each weight and each input changed in
    its last bit, at random. Every intermediate result is then rounded in another way, and a network that is
    ill-conditioned on these rows shows it: its answers scatter. Whole numbers among the inputs stay, since they may be
    ids or values that mask.
    """

    def __init__(self, model: Session, feeds: Mapping[str, Array]) -> None:
        self._model, self._feeds = model, feeds
        weights = Parameters(model.graph, np.float64)
        _fill(weights, model.parameters, lambda vector: vector)
        self.exact = _Runner(model, weights, feeds)(feeds)
        self._runner: _Runner | None = None
        self._runs = 0
        self._errors = {head: np.zeros(len(r)) for head, r in self.exact.items()}
        self.overflows = {head: np.zeros(r.shape, bool) for head, r in self.exact.items()}
        """Where float32 had no finite number at least once."""

    def bound(self, head: str, runs: int) -> Array:
        """For each row the largest difference from float64 that rounding explains, as known after so many runs."""
        while self._runs < runs:
            self._draw()
        return FACTOR * self._errors[head]

    def _draw(self) -> None:
        if self._runner is None:
            self._runner = _Runner(self._model, Parameters(self._model.graph), self._feeds)
        random = generator(0, "rounding", str(self._runs))
        _fill(self._runner.parameters, self._model.parameters, lambda vector: _changed(vector, random))
        feeds = {}
        for name, array in self._feeds.items():
            is_float = array.dtype == np.float32
            feeds[name] = np.where(whole(array), array, _changed(array, random)) if is_float else array
        for head, b in self._runner(feeds).items():
            with np.errstate(all="ignore"):
                error = np.abs(b - self.exact[head])
            finite = np.isfinite(error)
            self.overflows[head] |= ~np.isfinite(b.astype(np.float64))
            self._errors[head] = np.maximum(self._errors[head], by_row(np.where(finite, error, 0.0)))
        self._runs += 1


class _Runner:
    """The graph in inference mode, bound in the precision of ``store``."""

    def __init__(self, model: Session, parameters: Parameters, feeds: Mapping[str, Array]) -> None:
        self.parameters = parameters
        shapes = {name: feeds[name].shape for name in model.graph.inputs}
        self._program = build_program(model.graph, parameters, Target(shapes), seed=model.seed)

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        for name, buffer in self._program.feeds.items():
            buffer[...] = feeds[name]
        with settings():
            self._program.run()
        return {head: array.copy() for head, array in self._program.fetches.items()}


def _fill(parameters: Parameters, source: Parameters, change: Callable[[Array], Array]) -> None:
    for group, vector in source.vectors.items():
        parameters.vectors[group][...] = change(vector)


def _changed(array: Array, random: np.random.Generator) -> Array:
    """Each number one last bit lower, higher, or as it is."""
    steps = random.integers(-1, 2, array.shape, np.int8)
    changed: Array = array * (1 + steps * _LAST_BIT)
    return changed


def by_row(difference: Array) -> Any:
    """The largest number of every row."""
    return difference.reshape(len(difference), -1).max(1, initial=0.0)
