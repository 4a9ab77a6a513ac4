"""What all contenders are given, in a folder that needs no graphspec to read: a network, its first weights, its batches."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Node:
    """A layer in Keras's terms: arguments that are given, and the nodes or inputs that it takes."""

    name: str
    type: str
    inputs: list[str]
    arguments: dict[str, Any]
    share: str | None = None  # the node whose weights it has


@dataclass(frozen=True)
class Workload:
    """A network with whole batches.

    Attributes:
        spec: the spec's file, or the spec.
        loss: ``sparse``, ``masked`` (steps whose target is 0 do not count), ``binary``, ``ctc`` (all from logits; 0 is
            the blank and pads labels) or ``squared``.
        optimizer: ``type`` and Keras's arguments.
        weights: ``<node>/<role>`` in Keras's layout.
    """

    name: str
    spec: str | dict[str, Any]
    nodes: list[Node]
    loss: str
    optimizer: dict[str, Any]
    batch: int
    inputs: dict[str, Array]
    y: Array
    weights: dict[str, Array]

    @property
    def x(self) -> Array:
        """The only input."""
        (x,) = self.inputs.values()
        return x

    @property
    def batches(self) -> int:
        return len(self.y) // self.batch

    def rows(self, k: int) -> slice:
        """Where batch ``k`` lies; after the last comes the first."""
        start = k % self.batches * self.batch
        return slice(start, start + self.batch)

    def of(self, node: Node) -> dict[str, Array]:
        """The weights of one node, by role."""
        prefix = f"{node.share or node.name}/"
        return {name[len(prefix) :]: a for name, a in self.weights.items() if name.startswith(prefix)}

    @property
    def random(self) -> bool:
        """Whether steps draw numbers: then their losses differ, and those of an evaluation are compared."""
        return any(node.type == "Dropout" for node in self.nodes)

    @property
    def chain(self) -> bool:
        """Whether each node takes the one above it."""
        above = [*self.inputs, *(node.name for node in self.nodes)]
        single = len(self.inputs) == 1
        return single and all(node.inputs == [name] for node, name in zip(self.nodes, above, strict=False))


def write(workload: Workload, folder: Path) -> None:
    about = {k: v for k, v in asdict(workload).items() if k not in ("inputs", "y", "weights")}
    (folder / "network.json").write_text(json.dumps(about), encoding="utf-8")
    np.savez(folder / "inputs.npz", **workload.inputs)  # type: ignore[arg-type]
    np.save(folder / "y.npy", workload.y)
    np.savez(folder / "weights.npz", **workload.weights)  # type: ignore[arg-type]


def read(folder: Path) -> Workload:
    about = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    about["nodes"] = [Node(**node) for node in about["nodes"]]
    return Workload(
        **about,
        inputs=arrays(folder / "inputs.npz"),
        y=np.load(folder / "y.npy"),
        weights=arrays(folder / "weights.npz"),
    )


def arrays(path: Path) -> dict[str, Array]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}
