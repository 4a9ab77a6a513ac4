"""Run graphs without weights immediately, such as the formulas of metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.arrays.blas import computing
from graphspec.engine.runtime.build import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.program_cache import ProgramCache
from graphspec.graph.target import Target

if TYPE_CHECKING:
    from graphspec.engine.runtime.program import Program
    from graphspec.graph.ir.graph import Array, Graph

_MAX_IDLE_BYTES = 1 << 24  # bytes of bound programs in the cache; the most recent one is always kept


class Compute:
    """Computes the outputs of a graph without weights in float64; binds it once for all arrays of the same shapes."""

    def __init__(self) -> None:
        self._programs = ProgramCache(_MAX_IDLE_BYTES)

    def __call__(self, make: Callable[[], Graph], feeds: Mapping[str, Array]) -> dict[str, Array]:
        shapes = {name: array.shape for name, array in feeds.items()}

        def bound() -> Program:
            graph = make()
            return build_program(graph, Parameters(graph, np.float64), Target(shapes))

        with self._programs.borrow((*shapes.items(),), bound) as program:
            for name, array in feeds.items():
                program.feeds[name][...] = array
            with computing():
                program.run()
            return {name: array.copy() for name, array in program.fetches.items()}
