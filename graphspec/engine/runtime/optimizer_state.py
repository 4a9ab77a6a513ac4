"""The optimizer's state in a run: the gradient vector, the slots, and the calls of one update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.calls import runner
from graphspec.base.arrays.layout import aligned
from graphspec.base.arrays.random import Clock
from graphspec.base.codes import Code
from graphspec.base.errors import RunError
from graphspec.engine.runtime.lookups import lookups_of
from graphspec.graph.ir.graph import Array, Segment
from graphspec.graph.optimizers import Rate, Vectors

if TYPE_CHECKING:
    from graphspec.base.arrays.calls import Calls
    from graphspec.engine.runtime.parameters import Parameters
    from graphspec.graph.optimizers import Optimizer


class OptimizerState:
    """The gradient, the optimizer's slots, the step counter and the learning rate.

    A slot is a vector with the layout of the trainable weights, or an array for one weight: with its layout, or with some
    of its axes. In checkpoints, slots have Keras's layout and the weights' names.

    Attributes:
        lookups: the weights whose gradients are kept by rows, in the gradient of a process that trains alone.
        swapped: whether the weights and their moving averages are exchanged (``use_ema``).
        collect: called before all slots are read; it fetches those that other machines have updated.
    """

    def __init__(self, optimizer: Optimizer, parameters: Parameters) -> None:
        self.optimizer, self.parameters = optimizer, parameters
        weights, self.segments = parameters.vectors["trainable"], parameters.segments["trainable"]
        self.gradient = _zeros_like(weights)
        self.slots = initial_slots(optimizer, weights, self.segments)
        self.clock = Clock()
        self.rate = Rate(optimizer.learning_rate)
        self.lookups = lookups_of(optimizer, self.segments)
        self.calls = self._bind()
        self.run = runner(self.calls)
        self.swapped = False
        self.collect: Callable[[], None] = _nothing

    def move(
        self,
        gradient: Array,
        slots: Mapping[str, Array],
        bind: Callable[[], Calls],
        collect: Callable[[], None] | None = None,
    ) -> None:
        """Move to other memory: the parameters' current vectors, a gradient, and slots to copy into.

        Args:
            bind: returns the calls that then update the weights.
            collect: fetches the slots that these calls update elsewhere.
        """
        for name, values in self.slots.items():
            slots[name][...] = values
        self.gradient, self.slots, self.collect = gradient, dict(slots), collect or _nothing
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
        """Exchange the weights and their moving averages."""
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
        """Restore the result of :meth:`counters`."""
        self.clock.step, self.rate.value = counters["step"], counters["learning_rate"]
        self.swapped = counters["swapped"]

    def arrays(self) -> dict[str, Array]:
        """Return copies of all slots by name, ``slot/<slot>/<weight>``, in Keras's layout."""
        self.collect()
        arrays = {
            f"slot/{slot}/{name}": array
            for slot in self.optimizer.slots()
            for name, array in self.parameters.get(self.slots[slot], "trainable").items()
        }
        for segment in self.segments:
            param = segment.param
            for slot, axes in self.optimizer.own_slots(param).items():
                values = self.slots[f"{slot}/{param.name}"]
                if len(axes) == len(param.shape):
                    values = param.layout.unpack(param.view(values), param.shape)
                elif axes[-1] == len(param.shape) - 1:
                    values = param.layout.ordered(values, np.argsort(param.layout.gates))
                arrays[f"slot/{slot}/{param.name}"] = np.array(values, order="C")
        return arrays

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of :meth:`arrays`."""
        shapes: dict[str, tuple[int, ...]] = {}
        for param in (segment.param for segment in self.segments):
            shapes |= {f"slot/{slot}/{param.name}": param.shape for slot in self.optimizer.slots()}
            for slot, axes in self.optimizer.own_slots(param).items():
                shapes[f"slot/{slot}/{param.name}"] = tuple(param.shape[axis] for axis in axes)
        return shapes

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Restore the slots from the result of :meth:`arrays`.

        Raises:
            RunError: GS603 if one is missing or has another shape.
        """
        for name, shape in self.shapes().items():
            if name not in arrays:
                _, slot, weight = name.split("/", 2)
                text = f"the checkpoint lacks the optimizer's '{slot}' for the weight '{weight}'"
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
                value, target = arrays[f"slot/{slot}/{param.name}"], self.slots[f"{slot}/{param.name}"]
                if len(axes) == len(param.shape):
                    value, target = param.layout.pack(value), param.view(target)
                elif axes[-1] == len(param.shape) - 1:
                    value = param.layout.ordered(value)
                target[...] = value
        # The calls know which rows of the old slots were not 0.
        self.calls = self._bind()
        self.run = runner(self.calls)


def initial_slots(optimizer: Optimizer, weights: Array, segments: Sequence[Segment]) -> dict[str, Array]:
    """Return the slots before the first step: vectors by name, and slots of one weight as ``<slot>/<weight>``.

    A slot with all axes of its weight is flat and has the weight's layout; others have some of its axes, in Keras's order.
    """
    slots = {name: _zeros_like(weights) for name in optimizer.slots()}
    for s in segments:
        for slot, axes in optimizer.own_slots(s.param).items():
            all_axes = len(axes) == len(s.param.shape)
            shape = (s.param.size,) if all_axes else tuple(s.param.shape[axis] for axis in axes)
            slots[f"{slot}/{s.param.name}"] = np.zeros(shape, weights.dtype)
    optimizer.start(weights, slots)
    return slots


def _nothing() -> None:
    """Fetch nothing: all slots are in this process's memory."""


def _zeros_like(vector: Array) -> Array:
    zeros = aligned(vector.nbytes).view(vector.dtype)
    zeros[...] = 0
    return zeros
