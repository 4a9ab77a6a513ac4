"""The rows of a weight's gradient that a step writes, if the weight is only looked up by ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array
    from graphspec.graph.kernels.context import Calls, Group


class TouchedRows:
    """The rows of one weight's gradient that are not 0: those of the ids that the last step has looked up.

    The gradient keeps its layout, a part of the gradient vector, but a step writes only these rows. The next step sets
    them to 0 again.

    Args:
        rows, width: the weight's shape.
        sparse: whether the optimizer updates only these rows, and leaves all others and their slots as they are.
        kept: whether nothing but the programs writes to the gradient; otherwise each step clears all of it.
    """

    def __init__(self, name: str, rows: int, width: int, *, sparse: bool = False, kept: bool = True) -> None:
        self.name, self.rows, self.width, self.sparse, self.kept = name, rows, width, sparse, kept
        self.count: int | None = None  # of the ids of the last step, also repeated ones; None: any row may be written
        self.ids: Array | None = None  # of all workers, ascending, each once (:meth:`share`); None for all rows
        self._noted = np.empty(0, np.int64)

    def reserve(self, count: int) -> None:
        """Make room for ``count`` ids of one step."""
        self._noted = np.pad(self._noted, (0, max(0, count - self._noted.size)))

    def begin(self, gradient: Array) -> None:
        """Begin a step: set the rows of the last one to 0 in ``gradient``, (rows, width)."""
        if self.count is None or not self.kept:
            gradient.fill(0)
        else:
            gradient[self._noted[: self.count]] = 0
        self.count = 0

    def add(self, ids: Array) -> None:
        """Note ids, int64 in 0 … rows − 1, before their rows are written."""
        assert self.count is not None, "no step has begun"
        stop = self.count + ids.size
        self._noted[self.count : stop] = ids
        self.count = stop

    def touch_all(self) -> None:
        self.count = None

    def share(self, group: Group | None) -> Calls:
        """Return calls that set ``ids`` to the ids of all shards of the batch."""
        if group is None or group.size == 1:
            return [(self._share_alone,)]
        # By row how many shards have looked it up; last, whether any row may be written.
        marks = np.zeros(self.rows + 1, np.uint16)
        return [(self._mark, marks), (group.all_reduce, marks), (self._read, marks)]

    def _share_alone(self) -> None:
        self.ids = None if self.count is None else unique(self._noted[: self.count])

    def _mark(self, marks: Array) -> None:
        marks.fill(0)
        marks[-1 if self.count is None else self._noted[: self.count]] = 1

    def _read(self, marks: Array) -> None:
        if marks[-1]:
            self.count = self.ids = None
        else:
            self.ids = np.flatnonzero(marks[:-1])


def unique(ids: Array) -> Array:
    """Return the ids in ascending order, each once."""
    ordered = np.sort(ids)
    first = np.ones(ordered.size, bool)
    np.not_equal(ordered[1:], ordered[:-1], first[1:])
    return np.asarray(ordered[first])
