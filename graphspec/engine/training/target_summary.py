"""What the targets of some rows are: how often each class occurs, or the mean and the range of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.strings import Strings

if TYPE_CHECKING:
    from graphspec.data.batches import Dataset
    from graphspec.graph.ir.graph import Array, Value
    from graphspec.language.declarations import HeadDecl

_VALUES = 1 << 20  # values of a target that are read; of larger ones, blocks of rows spread over all
_BLOCKS = 64


@dataclass(frozen=True)
class ClassShares:
    """How often each class occurs.

    Attributes:
        labels: the names of the classes, or their ids.
        counts: by class, ``(classes,)``.
        exact: False if only some of the rows were read.
        positions: the classes of a row, such as one per time step.
        several: whether several classes may apply to a row; ``counts`` are then those of the rows in ``rows``.
        rows: the rows, or positions, that were read.
    """

    labels: Sequence[str]
    counts: Array
    exact: bool
    positions: int = 1
    several: bool = False
    rows: int = 0

    def share(self, k: int) -> float:
        """Return the share of class ``k``."""
        return float(self.counts[k] / max(self.rows if self.several else self.counts.sum(), 1))

    def missing_in(self, other: ClassShares) -> list[str]:
        """Return the labels of classes that occur in ``other`` but not here."""
        if len(self.counts) != len(other.counts) or not (self.exact and other.exact):
            return []
        return [self.labels[int(k)] for k in np.flatnonzero((other.counts > 0) & (self.counts == 0))]


@dataclass(frozen=True)
class Numbers:
    """The mean, the deviation and the range of a target; ``values`` is their number per row."""

    mean: float
    deviation: float
    low: float
    high: float
    exact: bool
    values: int = 1


@dataclass(frozen=True)
class LabelSequences:
    """Sequences of at most ``longest`` labels out of ``classes``."""

    longest: int
    classes: int


Summary = ClassShares | Numbers | LabelSequences


def summarize(head: HeadDecl, value: Value, data: Dataset) -> Summary | None:
    """Summarize the targets of a head for the rows of a dataset; None if they are of no such kind.

    At most about a million values are read.

    Args:
        value: the head's values in the graph.
    """
    target: Any = data.targets.get(head.name)
    if target is None or head.loss is None or isinstance(target, Strings) or not len(data):
        return None
    form = head.loss.targets
    units = value.shape[-1] if value.rank > 1 else 1
    if not isinstance(units, int) or form == "groups":
        return None
    if form == "labels":
        return LabelSequences(int(np.prod(target.shape[1:], dtype=np.int64)), units - 1)
    rows, exact = _some(target, data)
    if form == "ids":
        return _shares(head, rows.reshape(-1).astype(np.int64), units, exact, rows[0].size)
    if form == "one_hot" and rows.ndim > 1 and rows.shape[-1] == units > 1:
        chosen = rows.argmax(-1)
        return _shares(head, chosen.reshape(-1), units, exact, chosen[0].size)
    if head.loss.fits != "numbers":
        shares = _binary(head, rows, units, exact)
        if shares is not None or head.loss.fits == "classes":
            return shares
    numbers = rows.reshape(-1).astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return None
    low, high = float(numbers.min()), float(numbers.max())
    return Numbers(float(numbers.mean()), float(numbers.std()), low, high, exact, rows[0].size)


def _some(target: Array, data: Dataset) -> tuple[Array, bool]:
    """Return the targets of all rows, or of blocks of rows, and whether they are all."""
    limit = max(_VALUES // max(target[:1].size, 1), _BLOCKS)
    if len(data) <= limit:
        return np.asarray(target[:] if data.chosen is None else target[data.chosen]), True
    return np.concatenate(list(_blocks(target, data, limit // _BLOCKS))), False


def _blocks(target: Array, data: Dataset, size: int) -> Iterator[Array]:
    for start in np.linspace(0, len(data) - size, _BLOCKS).astype(np.int64).tolist():
        rows = slice(start, start + size)
        yield np.asarray(target[rows] if data.chosen is None else target[data.chosen[rows]])


def _labels(head: HeadDecl, classes: int) -> list[str]:
    return head.labels if head.labels is not None and len(head.labels) == classes else list(map(str, range(classes)))


def _shares(head: HeadDecl, ids: Array, classes: int, exact: bool, positions: int) -> ClassShares:
    classes = max(classes, 2)
    inside = ids[(ids >= 0) & (ids < classes)]
    counts = np.bincount(inside, minlength=classes)
    return ClassShares(_labels(head, classes), counts, exact, positions, rows=len(inside))


def _binary(head: HeadDecl, rows: Array, units: int, exact: bool) -> ClassShares | None:
    """Return the shares of targets 0 and 1 (or -1 and 1); None if there are values between."""
    values = np.unique(rows)
    if not len(values) or len(values) > 2 or values[-1] != 1 or values[0] not in (-1, 0, 1):
        return None
    ones = rows == 1
    if units == 1:
        return _shares(head, ones.reshape(-1).astype(np.int64), 2, exact, ones[0].size)
    counts = ones.reshape(-1, units).sum(0)
    size = ones.size // units
    return ClassShares(_labels(head, units), counts, exact, ones[0].size // units, several=True, rows=size)
