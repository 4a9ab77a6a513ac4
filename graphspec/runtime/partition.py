"""How workers divide an update and wide matrices: who updates what, and what they lay open to each other for it.

Each worker has a part of the vector of weights, which it updates from the sum of all gradients. A wide kernel is divided
besides: see :mod:`graphspec.ops.sharded`. Of its gradient every worker makes what it updates, so that nothing is added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphspec.arrays.split import shard_slice
from graphspec.kernels.group import ShardedKernel
from graphspec.runtime.parameters import LINE

if TYPE_CHECKING:
    from graphspec.ir.graph import Array, Segment
    from graphspec.optimizers import Optimizer


@dataclass(frozen=True)
class Partition:
    """Who updates what.

    Attributes:
        parts: of the vector of weights, by rank.
        matrices: the divided kernels, by name; a part ends between two of their rows.
        batch: rows of the largest batch.
    """

    parts: Sequence[slice]
    matrices: Mapping[str, Segment] = field(default_factory=dict)
    batch: int = 0

    def layout(self, dtype: Any) -> dict[str, tuple[Any, Any]]:
        """Shapes and dtypes of what the workers share because of it."""
        wanted = {}
        for name, segment in self.matrices.items():
            for what, width in zip(_SHARED, segment.param.stored_shape * 2, strict=True):
                wanted[f"{what}/{name}"] = (self.batch, width), dtype
        return wanted

    def views(self, arrays: Mapping[str, Array], rank: int) -> dict[str, ShardedKernel]:
        """The divided kernels as ``rank`` sees them: all gradients of theirs lie in the vector of rank 0."""
        found, gradient = {}, arrays["gradients"][0]
        for name, segment in self.matrices.items():
            whole = gradient[segment.start : segment.stop].reshape(segment.param.stored_shape)
            shared = {what: arrays[f"{what}/{name}"] for what in _SHARED}
            found[name] = ShardedKernel(**shared, gradient=whole, own=self._rows(segment, self.parts[rank]))
        return found

    def _rows(self, segment: Segment, part: slice) -> slice:
        """The rows of a matrix that lie in a part."""
        columns = segment.param.stored_shape[1]
        start, stop = (min(max(at, segment.start), segment.stop) - segment.start for at in (part.start, part.stop))
        return slice(start // columns, stop // columns)

    def summed(self, rank: int) -> Iterator[slice]:
        """What lies between the divided kernels in the part of ``rank``, counted from its start."""
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
    """The division of ``size`` weights: cut anywhere on a line of the cache or between rows, or else between two weights."""
    cuts, matrices = [shard_slice(size // LINE, k, workers).start * LINE for k in range(workers)], matrices or {}
    if not cut_anywhere(optimizer, segments):
        starts = [*(s.start for s in segments), size]
        cuts = [min(starts, key=lambda start: abs(start - cut)) for cut in cuts]
    for segment in matrices.values():
        columns = segment.param.stored_shape[1]
        for k, cut in enumerate(cuts):
            if segment.start < cut < segment.stop:
                cuts[k] = segment.start + round((cut - segment.start) / columns) * columns
    return Partition([slice(*pair) for pair in zip(cuts, [*cuts[1:], size], strict=True)], matrices, batch)


def cut_anywhere(optimizer: Optimizer, segments: Sequence[Segment]) -> bool:
    """Whether the update of a weight can be cut: it goes element by element."""
    return optimizer.elementwise() and all(s.param.constraint is None for s in segments)
