"""The parameters of a model: three flat vectors, with a view for each weight."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from graphspec.base.arrays.blas import computing
from graphspec.base.arrays.layout import CACHE_LINE, aligned, shard_slice
from graphspec.base.arrays.random import Clock, generator
from graphspec.base.errors import Code, RunError
from graphspec.engine.runtime.buffers import looked_up, lookups_of
from graphspec.graph.ir.graph import Array, Graph, Param, Segment
from graphspec.graph.kernels.context import Calls, ShardedKernel
from graphspec.graph.kernels.one_call import runner
from graphspec.graph.optimizers import Optimizer, Rate, Vectors

ParamGroup = Literal["trainable", "frozen", "state"]  # the name of a vector of parameters
ALIGNMENT = CACHE_LINE // 4  # elements: every float32 weight starts on a cache line


class Parameters:
    """All parameters of a graph in three vectors: ``trainable``, ``frozen`` and ``state`` (moving statistics).

    Within its vector, a weight has the layout of its ``Param.view``, and is padded with zeros to a full cache line. Methods
    that pass weights by name use Keras's layout. ``changes`` counts how often weights were written other than by steps: then
    copies of the weights elsewhere are out of date.
    """

    def __init__(self, graph: Graph, dtype: Any = np.float32) -> None:
        self.params, self.dtype, self.changes = dict(graph.params), np.dtype(dtype), 0
        self.segments: dict[ParamGroup, list[Segment]] = {"trainable": [], "frozen": [], "state": []}
        sizes: dict[ParamGroup, int] = dict.fromkeys(self.segments, 0)
        self._locations: dict[str, tuple[ParamGroup, Segment]] = {}
        for param in self.params.values():
            group = group_of(param)
            segment = Segment(param, sizes[group], sizes[group] + param.size)
            self.segments[group].append(segment)
            self._locations[param.name] = (group, segment)
            sizes[group] += param.size + (-param.size % ALIGNMENT)
        self.vectors = {group: _filled(size, self.dtype, 0) for group, size in sizes.items()}

    def copy(self) -> Parameters:
        twin = copy(self)
        twin.vectors = {group: _filled(v.size, self.dtype, v) for group, v in self.vectors.items()}
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
            if name not in given:
                values = param.initializer(param.shape, generator(seed, "initial", name))
                self.view(name)[...] = param.layout.pack(values)
        self.follow(given)

    def follow(self, given: Container[str] = ()) -> None:
        """Let running means begin with the values of their weights, but for those that are ``given``."""
        for name, param in self.params.items():
            if param.mean_of is not None and name not in given:
                self.view(name)[...] = self.view(param.mean_of)

    def get(self, vector: Array | None = None, group: ParamGroup | None = None) -> dict[str, Array]:
        """Copy the weights, or those of a group, by name, in Keras's layout; from ``vector``, laid out as the group."""
        params = self.params.values() if group is None else [s.param for s in self.segments[group]]
        return {p.name: np.array(p.layout.unpack(self.view(p.name, vector), p.shape), order="C") for p in params}

    def not_finite(self) -> str | None:
        """Return the name of the first weight that is not finite, or None. Reads memory twice, and allocates nothing."""
        for group, vector in self.vectors.items():
            if vector.size and not _bounded(vector):
                return next(s.param.name for s in self.segments[group] if not _bounded(vector[s.start : s.stop]))
        return None

    def set(self, values: Mapping[str, Array], vector: Array | None = None) -> None:
        """Write weights by name, in Keras's layout, or none: KeyError, an unknown name; ValueError, a wrong array."""
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


class OptimizerState:
    """The gradient, the optimizer's slots, the step counter, the learning rate, and the calls of one update.

    A slot is a vector with the layout of the trainable weights, or an array for one weight: with its layout, or with some
    of its axes. In checkpoints, slots have Keras's layout and the weights' names.
    """

    def __init__(self, optimizer: Optimizer, parameters: Parameters) -> None:
        self.optimizer, self.parameters = optimizer, parameters
        weights, self.segments = parameters.vectors["trainable"], parameters.segments["trainable"]
        self.gradient = _filled(weights.size, weights.dtype, 0)
        self.swapped = False  # whether the weights and their moving averages are exchanged (``use_ema``)
        self.slots = initial_slots(optimizer, weights, self.segments)
        self.clock, self.rate = Clock(), Rate(optimizer.learning_rate)
        self.lookups = lookups_of(optimizer, self.segments)  # of the gradient of a process that trains alone
        self.calls = self._bind()
        self.run = runner(self.calls)
        self.collect: Callable[[], object] = bool  # before slots are read; here it has none to fetch from elsewhere

    def move(
        self,
        gradient: Array,
        slots: Mapping[str, Array],
        bind: Callable[[], Calls],  # returns the calls that then update the weights
        collect: Callable[[], None] | None = None,  # fetches the slots that these calls update elsewhere
    ) -> None:
        """Move to other memory: the parameters' current vectors, a gradient, and slots to copy into."""
        for name, values in self.slots.items():
            slots[name][...] = values
        self.gradient, self.slots, self.collect = gradient, dict(slots), collect or bool
        self.calls = bind()
        self.run = runner(self.calls)

    def move_back(self, gradient: Array, slots: Mapping[str, Array]) -> None:
        """Move to the memory of a process that trains alone."""
        for lookup in self.lookups:
            lookup.touched.touch_all()
        self.move(gradient, slots, self._bind)

    def _bind(self) -> Calls:
        """Return the calls that update the weights in a process that trains alone."""
        weights = self.parameters.vectors["trainable"]
        vectors = Vectors(weights, self.gradient, self.slots, self.segments, lookups=self.lookups)
        return self.optimizer.bind(vectors, self.clock, self.rate)

    def swap(self) -> None:
        self.collect()
        self.parameters.changes += 1
        weights, averages = self.parameters.vectors["trainable"], self.slots["average"]
        weights[...], averages[...] = averages.copy(), weights.copy()
        self.swapped = not self.swapped

    def finish(self) -> None:
        """Let the optimizer finish a training (with ``use_ema``, the averages become the weights)."""
        if self.swapped:
            self.slots["average"][...] = self.parameters.vectors["trainable"]
            self.swapped = False
        if self.clock.step:
            self.optimizer.finalize(self.parameters.vectors["trainable"], self.slots)

    def copy(self, parameters: Parameters) -> OptimizerState:
        """Return a copy of this state for ``parameters``, a copy of the weights."""
        twin = OptimizerState(self.optimizer, parameters)
        for name, values in self.slots.items():
            twin.slots[name][...] = values
        twin.load_counters(self.counters())
        return twin

    def counters(self) -> dict[str, Any]:
        """Return the state outside arrays: the step, the rate, and whether weights and averages are exchanged."""
        return {"step": self.clock.step, "learning_rate": self.rate.value, "swapped": self.swapped}

    def load_counters(self, counters: Mapping[str, Any]) -> None:
        self.clock.step, self.rate.value = counters["step"], counters["learning_rate"]
        self.swapped = counters["swapped"]

    def arrays(self) -> dict[str, Array]:
        """Return copies of all slots by name, ``slot/<slot>/<weight>``, in Keras's layout."""
        self.collect()
        arrays: dict[str, Array] = {}
        for slot in self.optimizer.slots():
            weights = self.parameters.get(self.slots[slot], "trainable")
            arrays |= {f"slot/{slot}/{name}": array for name, array in weights.items()}
        for own in own_slots(self.optimizer, self.segments):
            values, layout = self.slots[own.name], own.segment.param.layout
            if own.whole:
                values = layout.unpack(own.segment.param.view(values), own.shape)
            elif own.has_last_axis:
                values = layout.ordered(values, np.argsort(layout.gates))
            arrays[f"slot/{own.name}"] = np.array(values, order="C")
        return arrays

    def shapes(self) -> dict[str, tuple[int, ...]]:
        params, slots = [segment.param for segment in self.segments], self.optimizer.slots()
        shapes = {f"slot/{slot}/{param.name}": param.shape for param in params for slot in slots}
        return shapes | {f"slot/{own.name}": own.shape for own in own_slots(self.optimizer, self.segments)}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Restore the slots from the result of :meth:`arrays`. GS603 (RunError): one is missing or has another shape."""
        for name, shape in self.shapes().items():
            _, slot, weight = name.split("/", 2)
            wrong = None
            if name not in arrays:
                wrong = f"the checkpoint lacks the optimizer's '{slot}' for the weight '{weight}'"
            elif arrays[name].shape != shape:
                wrong = f"the checkpoint's '{name}' has shape {arrays[name].shape}, not {shape}"
            if wrong:
                raise RunError(Code.DAMAGED_RUN, wrong, "start again with --overwrite")
        for slot in self.optimizer.slots():
            values = {s.param.name: arrays[f"slot/{slot}/{s.param.name}"] for s in self.segments}
            self.parameters.set(values, self.slots[slot])
        for own in own_slots(self.optimizer, self.segments):
            value, target, param = arrays[f"slot/{own.name}"], self.slots[own.name], own.segment.param
            if own.whole:
                value, target = param.layout.pack(value), param.view(target)
            elif own.has_last_axis:
                value = param.layout.ordered(value)
            target[...] = value
        # The calls know which rows of the old slots were not 0.
        self.calls = self._bind()
        self.run = runner(self.calls)


class OwnSlot(NamedTuple):
    """A slot of one weight, with some of its axes, in Keras's order; with all of them, it is flat and has its layout."""

    name: str  # <slot>/<weight>
    segment: Segment
    shape: tuple[int, ...]  # in checkpoints
    stored_shape: tuple[int, ...]
    whole: bool  # whether it has all axes of its weight
    has_last_axis: bool


def own_slots(optimizer: Optimizer, segments: Sequence[Segment]) -> Iterator[OwnSlot]:
    """Yield the slots of single weights."""
    for segment in segments:
        param, rank = segment.param, len(segment.param.shape)
        for slot, axes in optimizer.own_slots(param).items():
            shape, whole = tuple(param.shape[axis] for axis in axes), len(axes) == rank
            stored = (param.size,) if whole else shape
            yield OwnSlot(f"{slot}/{param.name}", segment, shape, stored, whole, axes[-1:] == (rank - 1,))


def initial_slots(optimizer: Optimizer, weights: Array, segments: Sequence[Segment]) -> dict[str, Array]:
    """Return the slots before the first step: vectors by name, and those of single weights."""
    slots = {name: _filled(weights.size, weights.dtype, 0) for name in optimizer.slots()}
    slots |= {own.name: np.zeros(own.stored_shape, weights.dtype) for own in own_slots(optimizer, segments)}
    optimizer.start(weights, slots)
    return slots


def _filled(size: int, dtype: np.dtype[Any], values: Array | int) -> Array:
    vector = aligned(size * dtype.itemsize).view(dtype)
    vector[...] = values
    return vector


# The partition of updates and wide kernels over the workers, and the memory that they share for it.
#
# Each worker updates its part of the weight vector from the sum of all workers' gradients. A wide kernel is sharded as well
# (see :mod:`graphspec.graph.ops.sharded`): each worker computes the gradient of exactly the rows that it updates, so nothing
# needs to be summed.
@dataclass(frozen=True)
class Partition:
    """Assigns the elements of the weight vector to the workers that update them."""

    parts: Sequence[slice]  # by rank, the worker's slice of the weight vector
    matrices: Mapping[str, Segment] = field(default_factory=dict)
    batch: int = 0  # the number of rows of the largest batch

    def layout(self, dtype: Any) -> dict[str, tuple[Any, Any]]:
        arrays: dict[str, tuple[Any, Any]] = {}
        for name, segment in self.matrices.items():
            widths = zip(_SHARED, segment.param.stored_shape * 2, strict=True)
            arrays |= {f"{role}/{name}": ((self.batch, width), dtype) for role, width in widths}
        return arrays

    def views(self, arrays: Mapping[str, Array], rank: int) -> dict[str, ShardedKernel]:
        """Return worker ``rank``'s views of the sharded kernels; all workers write their gradients to rank 0's vector."""
        kernels, vector = {}, arrays["gradients"][0]
        for name, segment in self.matrices.items():
            gradient = vector[segment.start : segment.stop].reshape(segment.param.stored_shape)
            shared = {role: arrays[f"{role}/{name}"] for role in _SHARED}
            ends, columns = (self.parts[rank].start, self.parts[rank].stop), segment.param.stored_shape[1]
            own = slice(*((min(max(at, segment.start), segment.stop) - segment.start) // columns for at in ends))
            kernels[name] = ShardedKernel(**shared, gradient=gradient, own=own)
        return kernels

    def summed(self, rank: int) -> Iterator[slice]:
        """Yield the ranges between sharded kernels in the part of ``rank``, relative to its start."""
        part = self.parts[rank]
        at = part.start
        for segment in sorted(self.matrices.values(), key=lambda s: s.start):
            if at < (stop := min(segment.start, part.stop)):
                yield slice(at - part.start, stop - part.start)
            at = max(at, segment.stop)
        if at < part.stop:
            yield slice(at - part.start, part.stop - part.start)


_SHARED = ("inputs", "outputs", "input_gradients", "output_gradients")


def divide(
    optimizer: Optimizer,
    segments: Sequence[Segment],
    size: int,
    workers: int,
    matrices: Mapping[str, Segment] | None = None,
    batch: int = 0,
) -> Partition:
    """Partition ``size`` weights into equal parts.

    A boundary is on a cache line or, in a sharded kernel or a weight that is kept by rows, between two rows. If the
    optimizer needs entire weights, it is between two weights.
    """
    cuts = [shard_slice(size // ALIGNMENT, k, workers).start * ALIGNMENT for k in range(workers)]
    matrices = matrices or {}
    if not cut_anywhere(optimizer, segments):
        starts = [*(s.start for s in segments), size]
        cuts = [min(starts, key=lambda start: abs(start - cut)) for cut in cuts]
    for segment in (*matrices.values(), *looked_up(optimizer, segments)):
        columns = segment.param.stored_shape[1]
        for k, cut in enumerate(cuts):
            if segment.start < cut < segment.stop:
                cuts[k] = segment.start + round((cut - segment.start) / columns) * columns
    return Partition([slice(*pair) for pair in zip(cuts, [*cuts[1:], size], strict=True)], matrices, batch)


def cut_anywhere(optimizer: Optimizer, segments: Sequence[Segment]) -> bool:
    """Return whether several workers can update parts of one weight: the update is elementwise."""
    return optimizer.elementwise() and all(s.param.constraint is None for s in segments)
