"""The parameters of a model: three flat vectors, with a view for each weight."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from copy import copy
from typing import Any, Literal

import numpy as np

from graphspec.base.arrays.blas import computing
from graphspec.base.arrays.layout import CACHE_LINE, aligned
from graphspec.base.arrays.random import generator
from graphspec.graph.ir.graph import Array, Graph, Param, Segment

ParamGroup = Literal["trainable", "frozen", "state"]
"""The name of a vector of parameters."""
ALIGNMENT = CACHE_LINE // 4  # elements: every float32 weight starts on a cache line


class Parameters:
    """All parameters of a graph in three vectors: ``trainable``, ``frozen`` and ``state`` (moving statistics).

    Within its vector, a weight has the layout of its ``Param.view``, and is padded with zeros to a full cache line. Methods
    that pass weights by name use Keras's layout.

    Attributes:
        changes: how often weights were written other than by steps; copies of the weights elsewhere are then out of date.
    """

    def __init__(self, graph: Graph, dtype: Any = np.float32) -> None:
        self.params = dict(graph.params)
        self.dtype = np.dtype(dtype)
        self.changes = 0
        self.segments: dict[ParamGroup, list[Segment]] = {"trainable": [], "frozen": [], "state": []}
        sizes: dict[ParamGroup, int] = {"trainable": 0, "frozen": 0, "state": 0}
        self._locations: dict[str, tuple[ParamGroup, Segment]] = {}
        for param in self.params.values():
            group = group_of(param)
            segment = Segment(param, sizes[group], sizes[group] + param.size)
            self.segments[group].append(segment)
            self._locations[param.name] = (group, segment)
            sizes[group] += param.size + (-param.size % ALIGNMENT)
        self.vectors: dict[ParamGroup, Array] = {}
        for group, size in sizes.items():
            vector = aligned(size * self.dtype.itemsize).view(self.dtype)
            vector[:] = 0
            self.vectors[group] = vector

    def copy(self) -> Parameters:
        """Return a copy of the parameters with memory of its own."""
        twin = copy(self)
        twin.vectors = {}
        for group, vector in self.vectors.items():
            twin.vectors[group] = aligned(vector.nbytes).view(self.dtype)
            twin.vectors[group][...] = vector
        return twin

    def view(self, name: str, vector: Array | None = None) -> Array:
        """Return a weight as the graph uses it: a view of its vector, or of ``vector``, which has the same layout."""
        group, segment = self._locations[name]
        flat = self.vectors[group] if vector is None else vector
        return segment.param.view(flat[segment.start : segment.stop])

    @computing()
    def initialize(self, seed: int, given: Container[str] = ()) -> None:
        """Initialize every weight but those that are ``given``; its random numbers depend only on the seed and its name."""
        for name, param in self.params.items():
            if name in given:
                continue
            values = param.initializer(param.shape, generator(seed, "initial", name))
            self.view(name)[...] = param.layout.pack(values)

    def get(self, vector: Array | None = None, group: ParamGroup | None = None) -> dict[str, Array]:
        """Return copies of the weights by name, in Keras's layout.

        Args:
            vector: copy from this vector instead, which has the layout of ``group``.
            group: return only the weights of this group.
        """
        names = self._locations if group is None else [s.param.name for s in self.segments[group]]
        return {n: self._copy_out(n, vector) for n in names}

    def _copy_out(self, name: str, vector: Array | None) -> Array:
        param = self.params[name]
        return np.array(param.layout.unpack(self.view(name, vector), param.shape), order="C")

    def not_finite(self) -> str | None:
        """Return the name of the first weight that is not finite, or None. Reads memory twice, and allocates nothing."""
        for group, vector in self.vectors.items():
            if vector.size and not _bounded(vector):
                return next(s.param.name for s in self.segments[group] if not _bounded(vector[s.start : s.stop]))
        return None

    def set(self, values: Mapping[str, Array], vector: Array | None = None) -> None:
        """Write weights, passed by name in Keras's layout.

        Raises:
            KeyError: no weight has this name.
            ValueError: a wrong shape, or values that the parameters' dtype cannot represent; nothing is written then.
        """
        arrays = {name: _numbers(name, value, self.dtype) for name, value in values.items()}
        for name, array in arrays.items():
            if array.shape != (shape := self.params[name].shape):
                raise ValueError(f"weight '{name}' has shape {shape}, got {array.shape}")
        for name, array in arrays.items():
            self.view(name, vector)[...] = self.params[name].layout.pack(array)
        self.changes += 1


def _bounded(vector: Array) -> bool:
    return math.isfinite(float(vector.min())) and math.isfinite(float(vector.max()))


def _numbers(name: str, value: Any, dtype: np.dtype[Any]) -> Array:
    """Return ``value`` as an array of ``dtype``; ValueError if that would change it by more than rounding."""
    array = np.asarray(value)
    if np.ma.is_masked(value):
        raise ValueError(f"weight '{name}' has masked values")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"weight '{name}' must be an array of numbers, got dtype {array.dtype}")
    with np.errstate(over="ignore"):
        result: Array = array.astype(dtype, copy=False)
    if array.dtype.itemsize > dtype.itemsize and not np.array_equal(np.isfinite(result), np.isfinite(array)):
        raise ValueError(f"weight '{name}' has values that {dtype} cannot represent")
    return result


def group_of(param: Param) -> ParamGroup:
    """Return the vector that a parameter belongs to."""
    return "state" if param.state else "trainable" if param.trainable else "frozen"
