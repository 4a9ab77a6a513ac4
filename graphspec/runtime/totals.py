"""Losses and metrics summed over an epoch: exact over all its rows, not averages of batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphspec.compiler.ir import Array

if TYPE_CHECKING:
    from graphspec.model import Model


class Totals:
    """The running totals of one pass over some rows.

    Keys are Keras's: ``loss``, then with several heads ``<head>_loss``, then ``accuracy`` or ``<head>_accuracy``.
    """

    def __init__(self, model: Model) -> None:
        trained = [h for h in model.spec.heads.values() if h.loss is not None]
        self.several = len(model.spec.heads) > 1
        self._losses = [h.name for h in trained]
        self._sums = dict.fromkeys(["loss", *(f"{n}_loss" for n in self._losses)], 0.0)
        self._rows = 0
        self._metrics: list[tuple[str, str, Any]] = []
        for head in model.spec.heads.values():
            for metric in head.metrics:
                resolved = metric.resolve(head.loss, model.graph.outputs[head.name])
                key = f"{head.name}_{metric.key}" if self.several else metric.key
                self._metrics.append((key, head.name, resolved.start()))

    def reset(self) -> None:
        self._sums = dict.fromkeys(self._sums, 0.0)
        self._rows = 0
        for _, _, state in self._metrics:
            state.reset()

    def add(self, rows: int, fetches: Mapping[str, Array], targets: Mapping[str, Array]) -> None:
        """Count a batch: its losses (scalars, weighted by its rows) and its heads against their targets."""
        self._rows += rows
        for key in self._sums:
            self._sums[key] += float(fetches[f"loss:{key}"]) * rows
        for _, head, state in self._metrics:
            if head in targets:
                mask = fetches.get(f"mask:{head}")
                lengths = {k: targets[f"{head}_{k}"] for k in ("length", "input_length") if f"{head}_{k}" in targets}
                state.update(targets[head], fetches[head], mask=mask, lengths=lengths or None)

    def logs(self, prefix: str = "") -> dict[str, float]:
        """The figures so far."""
        rows = max(self._rows, 1)
        sums = {k: v / rows for k, v in self._sums.items() if k == "loss" or self.several}
        figures = sums | {key: float(state.result()) for key, _, state in self._metrics}
        return {f"{prefix}{k}": v for k, v in figures.items()}

    def state(self) -> dict[str, Any]:
        """Plain JSON that :meth:`load` takes back; floats come back with the same bits."""
        return {"sums": self._sums, "rows": self._rows, "metrics": [s.state() for _, _, s in self._metrics]}

    def load(self, state: Mapping[str, Any]) -> None:
        self._sums, self._rows = dict(state["sums"]), int(state["rows"])
        for (_, _, metric), saved in zip(self._metrics, state["metrics"], strict=True):
            metric.load(saved)
