"""Keras's ``fit``, on the backend that ``KERAS_BACKEND`` names."""

# mypy: ignore-errors, because Keras need not be installed

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from benchmarks.contenders.base import Contender

if TYPE_CHECKING:
    from benchmarks.workload import Workload

LOSSES = {
    "sparse": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "binary": keras.losses.BinaryCrossentropy(from_logits=True),
    "squared": keras.losses.MeanSquaredError(),
}
BLOCK = 8
"""Steps that Keras runs in one go (``steps_per_execution``), which is what is fastest."""


class Watch(keras.callbacks.Callback):
    """Notes when each execution ends."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.ends.append(time.perf_counter())


class Fit(Contender):
    """``fit`` over the batches in their order; an execution lasts from the end of the one before to its own."""

    def __init__(self, workload: Workload) -> None:
        self.workload, self.version = workload, f"{keras.__version__}, {keras.backend.backend()}"
        self.x = workload.x.astype(np.float32) if workload.x.dtype == bool else workload.x
        self.y = workload.y
        first = keras.Input(workload.x.shape[1:], dtype=self.x.dtype.name, batch_size=workload.batch)
        values = {"x": first}
        self.layers = {}
        for node in workload.nodes:
            layer = getattr(keras.layers, node.type)(**node.arguments, name=node.name.replace("/", "."))
            inputs = [values[i] for i in node.inputs]
            values[node.name] = layer(inputs if len(inputs) > 1 else inputs[0])
            self.layers[node.name] = layer
        self.model = keras.Model(first, values[workload.nodes[-1].name])
        self.restore()
        self._compile(1)

    def _compile(self, block: int) -> None:
        about = {k: v for k, v in self.workload.optimizer.items() if k != "type" and v is not None}
        optimizer = getattr(keras.optimizers, self.workload.optimizer["type"])(**about)
        self.model.compile(optimizer, LOSSES[self.workload.loss], steps_per_execution=block)
        self.block = block

    def restore(self) -> None:
        for node in self.workload.nodes:
            for variable in self.layers[node.name].weights:
                if variable.name in (weights := self.workload.of(node)):
                    variable.assign(weights[variable.name])

    def losses(self, count: int) -> list[float]:
        found = []
        for k in range(count):
            rows = self.workload.rows(k)
            self.model.reset_metrics()
            found.append(float(self.model.train_on_batch(self.x[rows], self.y[rows])))
        return found

    def steps(self, warm: int, count: int) -> list[float]:
        if self.block != BLOCK:
            self._compile(BLOCK)
        before = -(-warm // BLOCK)
        wanted, size = before + -(-count // BLOCK), self.workload.batch
        rows = slice(min(self.workload.batches, (wanted + 1) * BLOCK) * size)
        times: list[float] = []
        while len(times) < wanted:
            watch = Watch()
            self.model.fit(self.x[rows], self.y[rows], batch_size=size, shuffle=False, verbose=0, callbacks=[watch])
            times += [(b - a) / BLOCK for a, b in zip(watch.ends, watch.ends[1:], strict=False)]
        return times[before:]


def start(workload: Workload) -> Fit:
    return Fit(workload)
