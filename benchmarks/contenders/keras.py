"""Keras's ``fit``, on the backend that ``KERAS_BACKEND`` names."""

# mypy: ignore-errors, because Keras need not be installed

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from benchmarks.contenders.base import Contender

if TYPE_CHECKING:
    from benchmarks.workload import Node, Workload

LOSSES = {
    "sparse": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "masked": keras.losses.SparseCategoricalCrossentropy(from_logits=True),  # by the mask of the ids
    "binary": keras.losses.BinaryCrossentropy(from_logits=True),
    "squared": keras.losses.MeanSquaredError(),
    "ctc": keras.losses.CTC(),
}
CAUSAL = "use_causal_mask"  # an argument of the call
BLOCK = 8
"""Steps that Keras runs in one go (``steps_per_execution``), which is what is fastest."""


def layer_of(node: Node) -> keras.Layer:
    arguments = {k: v for k, v in node.arguments.items() if k != CAUSAL}
    if node.type == "Bidirectional":
        inner = dict(arguments["layer"])
        arguments["layer"] = getattr(keras.layers, inner.pop("type"))(**inner)
    return getattr(keras.layers, node.type)(**arguments, name=node.name.replace("/", "."))


def role(path: str) -> str:
    """``forward/kernel`` of ``first/forward_lstm/lstm_cell/kernel``."""
    parts = [part.partition("_")[0] if part.startswith(("forward_", "backward_")) else part for part in path.split("/")]
    return "/".join(part for part in parts[1:] if not part.endswith("_cell"))


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
        self.x = {k: a.astype(np.float32) if a.dtype == bool else a for k, a in workload.inputs.items()}
        self.y = workload.y
        inputs = {
            name: keras.Input(a.shape[1:], dtype=a.dtype.name, batch_size=workload.batch, name=name)
            for name, a in self.x.items()
        }
        values, self.layers = dict(inputs), {}
        for node in workload.nodes:
            layer = self.layers[node.name] = self.layers[node.share] if node.share else layer_of(node)
            given = [values[i] for i in node.inputs]
            apart = len(given) == 1 or node.type == "MultiHeadAttention"
            call = {k: v for k, v in node.arguments.items() if k == CAUSAL}
            values[node.name] = layer(*given, **call) if apart else layer(given)
        self.model = keras.Model(inputs, values[workload.nodes[-1].name])
        self.restore()
        self._compile(1)

    def _compile(self, block: int) -> None:
        about = {k: v for k, v in self.workload.optimizer.items() if k != "type" and v is not None}
        optimizer = getattr(keras.optimizers, self.workload.optimizer["type"])(**about)
        self.model.compile(optimizer, LOSSES[self.workload.loss], steps_per_execution=block)
        self.block = block

    def restore(self) -> None:
        for node in self.workload.nodes:
            weights = self.workload.of(node)
            for variable in self.layers[node.name].weights:
                if (name := role(variable.path)) in weights:
                    variable.assign(weights.pop(name))
            if weights:
                raise ValueError(f"{node.name} has no {', '.join(weights)}")

    def _rows(self, rows: slice) -> dict[str, Any]:
        return {name: a[rows] for name, a in self.x.items()}

    def evaluated(self) -> float:
        rows = self.workload.rows(0)
        return float(self.model.test_on_batch(self._rows(rows), self.y[rows]))

    def trained(self, count: int) -> list[float]:
        found = []
        for k in range(count):
            rows = self.workload.rows(k)
            self.model.reset_metrics()
            found.append(float(self.model.train_on_batch(self._rows(rows), self.y[rows])))
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
            self.model.fit(self._rows(rows), self.y[rows], batch_size=size, shuffle=False, verbose=0, callbacks=[watch])
            times += [(b - a) / BLOCK for a, b in zip(watch.ends, watch.ends[1:], strict=False)]
        return times[before:]


def start(workload: Workload) -> Fit:
    return Fit(workload)
