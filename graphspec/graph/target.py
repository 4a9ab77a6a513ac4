"""What a graph is prepared for: a program with given shapes, on one worker or several, or a file of some opset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphspec.ir.dims import Shape
    from graphspec.ir.graph import Array, Graph
    from graphspec.kernels.group import Shard


def _cannot(graph: Graph) -> dict[str, Array]:
    raise RuntimeError("this target computes nothing")


@dataclass(frozen=True)
class Target:
    """What the passes and the binder know of the program or the file that a graph is prepared for.

    Attributes:
        shapes: of a program: the actual shape of every input and target that it reads.
        input_grads: of a program: the inputs whose gradients are computed as well (``Program.grads``).
        shard: of a program: one worker's part of the batch; None for the whole batch.
        opset: of a file.
        compute: for a file: evaluates the outputs of a graph that reads weights and constants alone.
    """

    shapes: Mapping[str, Shape] = field(default_factory=dict)
    input_grads: Sequence[str] = ()
    shard: Shard | None = None
    opset: int = 17
    compute: Callable[[Graph], dict[str, Array]] = _cannot
