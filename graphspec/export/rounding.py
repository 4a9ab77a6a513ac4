"""Measure the effect of rounding to float32 on a network's outputs: run once in float64 and often in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.calls import settings
from graphspec.base.arrays.random import generator
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.export.rows import is_whole
from graphspec.graph.ir.graph import Array
from graphspec.graph.target import Target

if TYPE_CHECKING:
    from graphspec.engine.runtime.session import Session

RUNS, MAX_RUNS = 8, 64  # float32 runs: at first, and before a difference counts as more than rounding
FACTOR = 4.0  # ratio of the errors of another float32 program and of the runtime: it sums in another order
_LAST_BIT = np.float32(2**-23)


class Rounding:
    """The outputs for some rows in float64, and the distance of float32 from them.

    The error of float32 is measured, not derived: the runtime runs in float32 with a random change of the last bit of
    each weight and each input. Every intermediate result is then rounded differently, and the outputs of a network that
    is ill-conditioned on these rows scatter. Whole numbers in the inputs stay, since they may be ids or mask values.

    Only what NumPy computes is rounded otherwise. The prelude is the same in the runtime and in the file: onnxruntime
    computes both.
    """

    def __init__(self, model: Session, feeds: Mapping[str, Array]) -> None:
        feeds = model.through_prelude(feeds)
        self._model, self._feeds = model, feeds
        weights = Parameters(model.graph, np.float64)
        _fill(weights, model.parameters, lambda vector: vector)
        self.exact = _Runner(model, weights, feeds)(feeds)
        self._runner: _Runner | None = None
        self._runs = 0
        self._errors = {head: np.zeros(len(r)) for head, r in self.exact.items()}
        self.overflows = {head: np.zeros(r.shape, bool) for head, r in self.exact.items()}
        """The elements that were not finite in at least one float32 run."""

    def bound(self, head: str, runs: int) -> Array:
        """Return, per row, the largest difference from float64 that rounding explains, measured in ``runs`` runs."""
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
            feeds[name] = np.where(is_whole(array), array, _changed(array, random)) if is_float else array
        for head, b in self._runner(feeds).items():
            with np.errstate(all="ignore"):
                error = np.abs(b - self.exact[head])
            finite = np.isfinite(error)
            self.overflows[head] |= ~np.isfinite(b.astype(np.float64))
            self._errors[head] = np.maximum(self._errors[head], max_per_row(np.where(finite, error, 0.0)))
        self._runs += 1


class _Runner:
    """The graph in inference mode, bound in the precision of ``parameters``."""

    def __init__(self, model: Session, parameters: Parameters, feeds: Mapping[str, Array]) -> None:
        self.parameters = parameters
        shapes = {name: feeds[name].shape for name in model.answering.inputs}
        self._program = build_program(model.answering, parameters, Target(shapes), seed=model.seed)

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
    """Return each element one last bit lower, higher, or unchanged."""
    steps = random.integers(-1, 2, array.shape, np.int8)
    changed: Array = array * (1 + steps * _LAST_BIT)
    return changed


def max_per_row(difference: Array) -> Any:
    """Return the largest element of every row."""
    return difference.reshape(len(difference), -1).max(1, initial=0.0)
