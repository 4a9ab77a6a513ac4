"""The optimizer's side of a run: the gradient vector, the slots, and the calls of one update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.arrays.calls import runner
from graphspec.arrays.layout import aligned
from graphspec.arrays.random import Clock
from graphspec.codes import Code
from graphspec.errors import RunError
from graphspec.ir.graph import Array, Segment
from graphspec.optimizers import Rate, Vectors

if TYPE_CHECKING:
    from graphspec.arrays.calls import Calls
    from graphspec.kernels.group import Group
    from graphspec.optimizers import Optimizer
    from graphspec.runtime.parameters import Parameters
    from graphspec.runtime.partition import Partition


class OptimizerState:
    """Everything that a step changes besides the moving statistics.

    Slots are laid out as the trainable vector, those of one weight as that weight or along some of its axes;
    in checkpoints they have Keras's layout and the weights' names.
    """

    def __init__(self, optimizer: Optimizer, parameters: Parameters) -> None:
        self.optimizer, self.parameters = optimizer, parameters
        weights, self.segments = parameters.vectors["trainable"], parameters.segments["trainable"]
        self.gradient = _like(weights)
        self.slots = slots_of(optimizer, weights, self.segments)
        self.clock = Clock()
        self.rate = Rate(optimizer.learning_rate)
        vectors = Vectors(weights, self.gradient, self.slots, self.segments)
        self.calls = optimizer.bind(vectors, self.clock, self.rate)
        self.run = runner(self.calls)
        self.swapped = False
        """Whether the weights and their moving averages have changed places."""

    def move(self, gradients: Sequence[Array], slots: Mapping[str, Array], group: Group, partition: Partition) -> None:
        """Go on with other memory: the parameters' vectors of now, one gradient a worker, and slots to copy into."""
        for name, values in self.slots.items():
            slots[name][...] = values
        self.gradient, self.slots = gradients[group.rank], dict(slots)
        weights = self.parameters.vectors["trainable"]
        vectors = Vectors.of_workers(weights, gradients, self.slots, self.segments)
        self.calls = bind_shard_update(self.optimizer, vectors, self.clock, self.rate, group, partition)
        self.run = runner(self.calls)

    def swap(self) -> None:
        """Exchange the weights and their moving averages."""
        weights, averages = self.parameters.vectors["trainable"], self.slots["average"]
        weights[...], averages[...] = averages.copy(), weights.copy()
        self.swapped = not self.swapped

    def finish(self) -> None:
        """The end of a training: what the optimizer does last (``use_ema`` puts the averages in place)."""
        if self.swapped:
            self.slots["average"][...] = self.parameters.vectors["trainable"]
            self.swapped = False
        if self.clock.step:
            self.optimizer.finalize(self.parameters.vectors["trainable"], self.slots)

    def copy(self, parameters: Parameters) -> OptimizerState:
        """The same state for a copy of the weights."""
        twin = OptimizerState(self.optimizer, parameters)
        for name, values in self.slots.items():
            twin.slots[name][...] = values
        twin.count(self.counters())
        return twin

    def counters(self) -> dict[str, Any]:
        """What is no array: the step, the rate, and whether weights and averages have changed places."""
        return {"step": self.clock.step, "learning_rate": self.rate.value, "swapped": self.swapped}

    def count(self, counters: Mapping[str, Any]) -> None:
        """Take up :meth:`counters`."""
        self.clock.step, self.rate.value = counters["step"], counters["learning_rate"]
        self.swapped = counters["swapped"]

    def arrays(self) -> dict[str, Array]:
        """``slot/<slot>/<weight>`` copies."""
        found = {
            f"slot/{slot}/{name}": array
            for slot in self.optimizer.slots()
            for name, array in self.parameters.get(self.slots[slot], "trainable").items()
        }
        for segment in self.segments:
            param = segment.param
            for slot, axes in self.optimizer.own_slots(param).items():
                kept = self.slots[f"{slot}/{param.name}"]
                if len(axes) == len(param.shape):
                    kept = param.layout.unpack(param.view(kept), param.shape)
                elif axes[-1] == len(param.shape) - 1:
                    kept = param.layout.ordered(kept, np.argsort(param.layout.gates))
                found[f"slot/{slot}/{param.name}"] = np.array(kept, order="C")
        return found

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of :meth:`arrays`."""
        shapes: dict[str, tuple[int, ...]] = {}
        for param in (segment.param for segment in self.segments):
            shapes |= {f"slot/{slot}/{param.name}": param.shape for slot in self.optimizer.slots()}
            for slot, axes in self.optimizer.own_slots(param).items():
                shapes[f"slot/{slot}/{param.name}"] = tuple(param.shape[axis] for axis in axes)
        return shapes

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take up the slots of :meth:`arrays`.

        Raises:
            RunError: GS603 if one is missing or has another shape.
        """
        for name, shape in self.shapes().items():
            if name not in arrays:
                _, slot, weight = name.split("/", 2)
                text = f"the checkpoint lacks the optimizer's '{slot}' of the weight '{weight}'"
                raise RunError(Code.DAMAGED_RUN, text, "start again with --overwrite")
            if arrays[name].shape != shape:
                text = f"the checkpoint's '{name}' has shape {arrays[name].shape}, not {shape}"
                raise RunError(Code.DAMAGED_RUN, text, "start again with --overwrite")
        for slot in self.optimizer.slots():
            values = {s.param.name: arrays[f"slot/{slot}/{s.param.name}"] for s in self.segments}
            self.parameters.set(values, self.slots[slot])
        for segment in self.segments:
            param = segment.param
            for slot, axes in self.optimizer.own_slots(param).items():
                value, kept = arrays[f"slot/{slot}/{param.name}"], self.slots[f"{slot}/{param.name}"]
                if len(axes) == len(param.shape):
                    value, kept = param.layout.pack(value), param.view(kept)
                elif axes[-1] == len(param.shape) - 1:
                    value = param.layout.ordered(value)
                kept[...] = value


def bind_shard_update(
    optimizer: Optimizer, vectors: Vectors, clock: Clock, rate: Rate, group: Group, partition: Partition
) -> Calls:
    """What one worker does of an update of all ``vectors``: that of its part of the weights."""
    part = vectors.part(partition.parts[group.rank], list(partition.summed(group.rank)))
    return optimizer.bind(part, clock, rate, group)


def slots_of(optimizer: Optimizer, weights: Array, segments: Sequence[Segment]) -> dict[str, Array]:
    """The slots before the first step: vectors by name, and ``<slot>/<weight>`` the slots of one weight.

    Those with all axes of the weight are flat and lie as the weight does; others have these axes in Keras's order.
    """
    slots = {name: _like(weights) for name in optimizer.slots()}
    for s in segments:
        for slot, axes in optimizer.own_slots(s.param).items():
            whole = len(axes) == len(s.param.shape)
            shape = (s.param.size,) if whole else tuple(s.param.shape[axis] for axis in axes)
            slots[f"{slot}/{s.param.name}"] = np.zeros(shape, weights.dtype)
    optimizer.start(weights, slots)
    return slots


def _like(vector: Array) -> Array:
    copy = aligned(vector.nbytes).view(vector.dtype)
    copy[...] = 0
    return copy
