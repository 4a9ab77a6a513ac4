"""The partition of updates and wide kernels over the workers, and the memory that they share for it.

Each worker updates its part of the weight vector from the sum of all workers' gradients. A wide kernel is sharded as well
(see :mod:`graphspec.graph.ops.linalg`): each worker computes the gradient of exactly the rows that it updates, so nothing
needs to be summed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphspec.base.arrays.layout import shard_slice
from graphspec.engine.runtime.lookups import looked_up
from graphspec.engine.runtime.parameters import ALIGNMENT
from graphspec.graph.kernels.context import ShardedKernel

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array, Segment
    from graphspec.graph.optimizers import Optimizer


@dataclass(frozen=True)
class Partition:
    """Assigns the elements of the weight vector to the workers that update them.

    Attributes:
        parts: by rank, the worker's slice of the weight vector.
        matrices: the sharded kernels, by name; a boundary between parts is also a boundary between their rows.
        batch: the number of rows of the largest batch.
    """

    parts: Sequence[slice]
    matrices: Mapping[str, Segment] = field(default_factory=dict)
    batch: int = 0

    def layout(self, dtype: Any) -> dict[str, tuple[Any, Any]]:
        """Return the shapes and dtypes of the arrays that the workers share for sharded kernels."""
        arrays = {}
        for name, segment in self.matrices.items():
            for role, width in zip(_SHARED, segment.param.stored_shape * 2, strict=True):
                arrays[f"{role}/{name}"] = (self.batch, width), dtype
        return arrays

    def views(self, arrays: Mapping[str, Array], rank: int) -> dict[str, ShardedKernel]:
        """Return worker ``rank``'s views of the sharded kernels; all workers write their gradients to rank 0's vector."""
        kernels, vector = {}, arrays["gradients"][0]
        for name, segment in self.matrices.items():
            gradient = vector[segment.start : segment.stop].reshape(segment.param.stored_shape)
            shared = {role: arrays[f"{role}/{name}"] for role in _SHARED}
            kernels[name] = ShardedKernel(**shared, gradient=gradient, own=self._rows(segment, self.parts[rank]))
        return kernels

    def _rows(self, segment: Segment, part: slice) -> slice:
        """Return the rows of a matrix that belong to a part."""
        columns = segment.param.stored_shape[1]
        start, stop = (min(max(at, segment.start), segment.stop) - segment.start for at in (part.start, part.stop))
        return slice(start // columns, stop // columns)

    def summed(self, rank: int) -> Iterator[slice]:
        """Yield the ranges between sharded kernels in the part of ``rank``, relative to its start."""
        part = self.parts[rank]
        at = part.start
        for segment in sorted(self.matrices.values(), key=lambda s: s.start):
            if at < (stop := min(segment.start, part.stop)):
                yield slice(at - part.start, stop - part.start)
            at = max(at, segment.stop)
        if at < part.stop:
            yield slice(at - part.start, part.stop - part.start)


_SHARED = ("inputs", "outputs", "input_gradients", "output_gradients")


def divide(
    optimizer: Optimizer,
    segments: Sequence[Segment],
    size: int,
    workers: int,
    matrices: Mapping[str, Segment] | None = None,
    batch: int = 0,
) -> Partition:
    """Partition ``size`` weights into equal parts.

    A boundary is on a cache line or, in a sharded kernel or a weight that is kept by rows, between two rows. If the
    optimizer needs entire weights, it is between two weights.
    """
    cuts = [shard_slice(size // ALIGNMENT, k, workers).start * ALIGNMENT for k in range(workers)]
    matrices = matrices or {}
    if not cut_anywhere(optimizer, segments):
        starts = [*(s.start for s in segments), size]
        cuts = [min(starts, key=lambda start: abs(start - cut)) for cut in cuts]
    for segment in (*matrices.values(), *looked_up(optimizer, segments)):
        columns = segment.param.stored_shape[1]
        for k, cut in enumerate(cuts):
            if segment.start < cut < segment.stop:
                cuts[k] = segment.start + round((cut - segment.start) / columns) * columns
    return Partition([slice(*pair) for pair in zip(cuts, [*cuts[1:], size], strict=True)], matrices, batch)


def cut_anywhere(optimizer: Optimizer, segments: Sequence[Segment]) -> bool:
    """Return whether several workers can update parts of one weight: the update is elementwise."""
    return optimizer.elementwise() and all(s.param.constraint is None for s in segments)
