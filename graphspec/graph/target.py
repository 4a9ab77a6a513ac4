"""What a graph is prepared for: a program on some shapes, maybe a worker's part of it, or a file of some opset."""

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
    """What passes may ask for.

    Attributes:
        shapes: the actual shape of every input and target of a program.
        input_grads: inputs whose gradients are asked for as well.
        shard: the part of one worker; None for all of the batch.
        opset: that of a file.
        compute: the outputs of a graph of weights and constants alone.
    """

    shapes: Mapping[str, Shape] = field(default_factory=dict)
    input_grads: Sequence[str] = ()
    shard: Shard | None = None
    opset: int = 17
    compute: Callable[[Graph], dict[str, Array]] = _cannot
