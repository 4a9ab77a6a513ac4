"""The target of a graph's preparation: a program with concrete shapes, on one worker or several, or a file of an opset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array, Graph, Shape
    from graphspec.graph.kernels.context import Shard


def _cannot_compute(graph: Graph) -> dict[str, Array]:
    raise RuntimeError("this target cannot compute values")


@dataclass(frozen=True)
class Target:
    """The facts about a program or a file that passes and the binder use."""

    # For a program: the shape of every input and target that it reads, the inputs whose gradients are also computed
    # (`Program.grads`), and one worker's part of the batch; None for the whole batch.
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    input_grads: Sequence[str] = ()
    shard: Shard | None = None
    training: bool = False  # whether the program trains: its operators then have their form of training
    # For a file: the version of its operators, and what computes a graph that depends only on weights and constants.
    opset: int = 17
    compute: Callable[[Graph], dict[str, Array]] = _cannot_compute
