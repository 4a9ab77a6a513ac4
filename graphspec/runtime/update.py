"""The optimizer's side of a run: the gradient vector, the slots, and the calls of one update."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.compiler.ir import Array
from graphspec.optimizers import Rate
from graphspec.runtime.buffers import aligned
from graphspec.runtime.random import Clock

if TYPE_CHECKING:
    from graphspec.optimizers import Optimizer
    from graphspec.runtime.store import Store


class Update:
    """Everything that a step changes besides the moving statistics.

    Slots are laid out as the store's trainable vector; in checkpoints they have Keras's layout and the weights' names.
    """

    def __init__(self, optimizer: Optimizer, store: Store) -> None:
        self.optimizer, self.store = optimizer, store
        weights = store.vectors["trainable"]
        self.gradient = _like(weights)
        self.slots = {name: _like(weights) for name in optimizer.slots()}
        self.clock = Clock()
        self.rate = Rate(optimizer.learning_rate)
        self.calls = optimizer.bind(
            weights, self.gradient, self.slots, store.segments["trainable"], self.clock, self.rate
        )

    def finish(self) -> None:
        """The end of a training: what the optimizer does last (``use_ema`` puts the averages in place)."""
        if self.clock.step:
            self.optimizer.finalize(self.store.vectors["trainable"], self.slots)

    def arrays(self) -> dict[str, Array]:
        """``slot/<slot>/<weight>`` copies."""
        return {
            f"slot/{slot}/{name}": array
            for slot, vector in self.slots.items()
            for name, array in self.store.get(vector, "trainable").items()
        }

    def load(self, arrays: dict[str, Array]) -> None:
        for slot, vector in self.slots.items():
            prefix = f"slot/{slot}/"
            self.store.set({n[len(prefix) :]: a for n, a in arrays.items() if n.startswith(prefix)}, vector)


def _like(vector: Array) -> Array:
    copy = aligned(vector.nbytes).view(vector.dtype)
    copy[...] = 0
    return copy
