"""The parameters of a model: flat vectors with a view for each weight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from typing import Any, Literal

import numpy as np

from graphspec.arrays.layout import CACHE_LINE, aligned
from graphspec.arrays.random import generator
from graphspec.ir.graph import Array, Graph, Param, Segment

Group = Literal["trainable", "frozen", "state"]
LINE = CACHE_LINE // 4
"""Elements: every float32 weight starts on a cache line."""


class Parameters:
    """All parameters of a graph in three vectors: ``trainable``, ``frozen`` and ``state`` (moving statistics).

    Each weight lies as its ``Param.view`` says, with zeros between them; what goes in and out by name is in Keras's layout.
    """

    def __init__(self, graph: Graph, dtype: Any = np.float32) -> None:
        self.params = dict(graph.params)
        self.dtype = np.dtype(dtype)
        self.segments: dict[Group, list[Segment]] = {"trainable": [], "frozen": [], "state": []}
        sizes: dict[Group, int] = {"trainable": 0, "frozen": 0, "state": 0}
        self._where: dict[str, tuple[Group, Segment]] = {}
        for param in self.params.values():
            group = group_of(param)
            segment = Segment(param, sizes[group], sizes[group] + param.size)
            self.segments[group].append(segment)
            self._where[param.name] = (group, segment)
            sizes[group] += param.size + (-param.size % LINE)
        self.vectors: dict[Group, Array] = {}
        for group, size in sizes.items():
            vector = aligned(size * self.dtype.itemsize).view(self.dtype)
            vector[:] = 0
            self.vectors[group] = vector

    def copy(self) -> Parameters:
        """The same parameters with the same values in memory of their own."""
        twin = copy(self)
        twin.vectors = {}
        for group, vector in self.vectors.items():
            twin.vectors[group] = aligned(vector.nbytes).view(self.dtype)
            twin.vectors[group][...] = vector
        return twin

    def view(self, name: str, vector: Array | None = None) -> Array:
        """The weight as the graph sees it, a view into its vector (or into ``vector``, laid out alike)."""
        group, segment = self._where[name]
        flat = self.vectors[group] if vector is None else vector
        return segment.param.view(flat[segment.start : segment.stop])

    def initialize(self, seed: int) -> None:
        """Draw every weight anew: keyed by the seed and the weight's name, in Keras's layout."""
        for name, param in self.params.items():
            values = param.initializer(param.shape, generator(seed, "initial", name))
            self.view(name)[...] = param.layout.pack(values)

    def get(self, vector: Array | None = None, group: Group | None = None) -> dict[str, Array]:
        """Copies in Keras's layout by name; of another vector laid out as ``group`` if one is given."""
        names = self._where if group is None else [s.param.name for s in self.segments[group]]
        return {n: self._copy_out(n, vector) for n in names}

    def _copy_out(self, name: str, vector: Array | None) -> Array:
        param = self.params[name]
        return np.array(param.layout.unpack(self.view(name, vector), param.shape), order="C")

    def not_finite(self) -> str | None:
        """The name of a weight that is not finite, None where all are. Two passes over memory, nothing is allocated."""
        for group, vector in self.vectors.items():
            if vector.size and not _bounded(vector):
                return next(s.param.name for s in self.segments[group] if not _bounded(vector[s.start : s.stop]))
        return None

    def set(self, values: Mapping[str, Array], vector: Array | None = None) -> None:
        """Write weights given by name in Keras's layout.

        Raises:
            KeyError: a name that is no weight.
            ValueError: a wrong shape, or what are no numbers of the parameters' dtype; nothing is written then.
        """
        arrays = {name: _numbers(name, value, self.dtype) for name, value in values.items()}
        for name, array in arrays.items():
            if array.shape != (shape := self.params[name].shape):
                raise ValueError(f"weight '{name}' has shape {shape}, got {array.shape}")
        for name, array in arrays.items():
            self.view(name, vector)[...] = self.params[name].layout.pack(array)


def _bounded(vector: Array) -> bool:
    return math.isfinite(float(vector.min())) and math.isfinite(float(vector.max()))


def _numbers(name: str, value: Any, dtype: np.dtype[Any]) -> Array:
    """``value`` as an array of ``dtype``; ValueError where that would change it beyond rounding."""
    array = np.asarray(value)
    if np.ma.is_masked(value):
        raise ValueError(f"weight '{name}' has masked values")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"weight '{name}' must be an array of numbers, got dtype {array.dtype}")
    with np.errstate(over="ignore"):
        made: Array = array.astype(dtype, copy=False)
    if array.dtype.itemsize > dtype.itemsize and not np.array_equal(np.isfinite(made), np.isfinite(array)):
        raise ValueError(f"weight '{name}' has numbers that {dtype} cannot hold")
    return made


def group_of(param: Param) -> Group:
    return "state" if param.state else "trainable" if param.trainable else "frozen"
