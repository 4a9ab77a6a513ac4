"""What layers learn from the training rows: exact statistics of a stream of batches, in memory of a fixed size.

Vocabularies are the exception: they need memory for every different value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from graphspec.base.errors import Code, ShapeError
from graphspec.graph.ir.graph import MISSING_INTEGER, Array

_BLOCK = 1 << 18  # numbers that are summed together
_RESOLUTION = 2.0**-24  # of float32: a smaller deviation is one of rounding
_COUNTERS = 1 << 20  # counters of a pass, or numbers to sort: 8 MiB for each of perhaps a hundred columns
_DIGITS = 16  # bits of a key that one pass may resolve
_KEY = 32  # bits of a key
_FEW = 8  # groups of a column that are looked at one by one


class Learner(Protocol):
    """Learns the arguments of one layer from all training rows, in one pass over them or in several."""

    def add(self, batch: Array) -> None:
        """Take in some rows, ``(rows, …)``, which stay as they are; texts come as arrays of ``object``."""

    def end_pass(self) -> bool:
        """Finish a pass over all rows; return True if no other pass is needed."""

    def state(self) -> dict[str, Any]:
        """Return what was learnt: arguments of the layer, of numbers, texts and lists (it is stored as JSON).

        Raises:
            ShapeError: the layer cannot learn from these rows: GS505 for a column without a number, or for infinite ones.
        """


def as_numbers(batch: Array) -> Array:
    """Return numbers as float32, as the graph casts them, with NaN where an int64 is missing; float32 is not copied."""
    numbers: Array = batch.astype(np.float32, copy=False)
    if batch.dtype == np.int64:
        numbers[batch == MISSING_INTEGER] = np.nan
    return numbers


def _need_finite(finite: Any) -> None:
    """Raise :class:`ShapeError` (GS505) unless all are true."""
    if not np.all(finite):
        raise ShapeError(Code.MISSING_VALUE, "has infinite numbers to learn from", "clip or remove them")


def _need_numbers(counts: Array) -> None:
    """Raise :class:`ShapeError` (GS505) unless each column has a number; ``counts`` has the shape of the columns."""
    without = np.argwhere(counts == 0)
    if len(without):
        index = ", ".join(map(str, without[0]))
        where = "" if counts.size == 1 else f" at index {index} of the axes that it learns for"
        text = f"has no number to learn from{where}"
        raise ShapeError(Code.MISSING_VALUE, text, "leave the column out, or set the layer's arguments in the spec")


class Moments:
    """Learns means and population variances, in float64, one for each index of some axes.

    Numbers are summed in blocks of a fixed number of rows, which begin at the first row, and blocks are merged in order
    (Chan, Golub and LeVeque). So the result depends on the rows and their order alone, to the last bit: it does not
    matter how the rows are cut into batches.
    """

    def __init__(
        self,
        axes: Sequence[int],  # with statistics of their own, ascending, without the batch
        sizes: Sequence[int],  # of these axes
        *,
        mean: str = "mean",  # the layer's argument for the mean
        variance: str | None = "variance",  # that for the variance; None if the layer has none
        skip_missing: bool = False,  # leave out NaN, which otherwise is an error
        constant: float = 0.0,  # the variance of numbers that are all equal, as far as float32 tells
    ) -> None:
        self._axes, self._sizes, self._arguments = tuple(axes), tuple(sizes), (mean, variance)
        self._skip_missing, self._constant = skip_missing, constant
        self._missing = self._infinite = False
        columns = math.prod(sizes)
        self._block = max(_BLOCK // columns, 1)
        self._waiting: list[Array] = []
        self._waiting_rows = 0
        self._counts: Array = np.zeros(columns, np.int64)
        self._means: Array = np.zeros(columns)
        self._squares: Array = np.zeros(columns)

    def add(self, batch: Array) -> None:
        others = [axis for axis in range(batch.ndim) if axis not in self._axes]
        numbers = as_numbers(batch).transpose(*others, *self._axes).reshape(-1, len(self._counts))
        if not np.isfinite(numbers).all():
            self._infinite |= bool(np.isinf(numbers).any())
            self._missing |= bool(np.isnan(numbers).any())
        self._waiting.append(numbers)
        self._waiting_rows += len(numbers)
        if self._waiting_rows >= self._block:
            rows = np.concatenate(self._waiting)
            whole = len(rows) - len(rows) % self._block
            for start in range(0, whole, self._block):
                self._merge(rows[start : start + self._block])
            self._waiting, self._waiting_rows = [rows[whole:].copy()], len(rows) - whole

    def _merge(self, rows: Array) -> None:
        present = np.isfinite(rows)
        numbers = rows.astype(np.float64)
        absent = None if present.all() else ~present
        if absent is not None:
            np.copyto(numbers, 0.0, where=absent)
        counts = present.sum(0)
        means = numbers.sum(0) / np.maximum(counts, 1)
        distances = np.subtract(numbers, means, out=numbers)
        if absent is not None:
            np.copyto(distances, 0.0, where=absent)
        total = np.maximum(self._counts + counts, 1)
        shift = means - self._means
        squares = np.multiply(distances, distances, out=distances).sum(0)
        self._squares += squares + shift * shift * (self._counts * (counts / total))
        self._means += shift * (counts / total)
        self._counts += counts

    def end_pass(self) -> bool:
        if self._waiting_rows:
            self._merge(np.concatenate(self._waiting))
        self._waiting, self._waiting_rows = [], 0
        return True

    def state(self) -> dict[str, Any]:
        """Return the means and variances, nested lists with a level for each axis; numbers without axes."""
        _need_finite(not self._infinite)
        if self._missing and not self._skip_missing:
            raise ShapeError(Code.MISSING_VALUE, "has NaN among the numbers to learn from", "put Impute before it")
        _need_numbers(self._counts.reshape(self._sizes))
        mean, variance = self._arguments
        learnt = {mean: self._means.reshape(self._sizes).tolist()}
        if variance is not None:
            variances = self._squares / self._counts
            variances[variances <= (_RESOLUTION * self._means) ** 2] = self._constant
            learnt[variance] = variances.reshape(self._sizes).tolist()
        return learnt


class Whitened(Moments):
    """Learns the filters of Whitening from the mean of second moments, (rows, size, size)."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__((1, 2), (size, size), mean="filters", variance=None)
        self._epsilon = epsilon

    def state(self) -> dict[str, Any]:
        values, vectors = np.linalg.eigh(np.asarray(super().state()["filters"]))
        return {"filters": (vectors / np.sqrt(np.maximum(values, 0) + self._epsilon)).T[::-1].tolist()}


class Extremes:
    """Learns the least and the largest number of each index of the last axis; NaN is skipped.

    Args:
        columns: the size of the last axis; None for one result of all numbers.
        minimum, maximum: the layer's arguments for both.
    """

    def __init__(self, columns: int | None, *, minimum: str = "minimum", maximum: str = "maximum") -> None:
        self._shape, self._names = () if columns is None else (columns,), (minimum, maximum)
        self._low: Array = np.full(math.prod(self._shape), np.nan, np.float32)
        self._high = self._low.copy()

    def add(self, batch: Array) -> None:
        rows = as_numbers(batch).reshape(-1, len(self._low)) + np.float32(0.0)  # no -0.0
        if len(rows):
            self._low = np.fmin(self._low, np.fmin.reduce(rows, 0))
            self._high = np.fmax(self._high, np.fmax.reduce(rows, 0))

    def end_pass(self) -> bool:
        return True

    def state(self) -> dict[str, Any]:
        """Return lists with a number for each column; numbers without columns."""
        _need_numbers(~np.isnan(self._low).reshape(self._shape))
        _need_finite(np.isfinite([self._low, self._high]))
        learnt = zip(self._names, (self._low, self._high), strict=True)
        return {name: _shortest(numbers, self._shape) for name, numbers in learnt}


class Quantiles:
    """Learns exact quantiles of each index of the last axis; NaN is skipped.

    Between two numbers quantiles are interpolated linearly, as by ``numpy.quantile`` and SQL's ``quantile_cont``. The
    memory is fixed: a number becomes a key of 32 bits, whose order is that of the numbers. A pass counts the numbers by the
    next bits of their keys, among those that begin like the key of a number that is looked for. Two passes of 16 bits
    suffice unless there are many columns or quantiles. A million numbers and less are kept and sorted, in one pass.

    Args:
        probabilities: which quantiles, from 0 to 1: a number, or several.
        argument: the layer's argument for them.
        columns: the size of the last axis; None for quantiles of all numbers.
    """

    def __init__(self, probabilities: float | Sequence[float], argument: str, *, columns: int | None = None) -> None:
        self._argument, self._columns = argument, 1 if columns is None else columns
        self._probabilities = np.atleast_1d(np.asarray(probabilities, np.float64))
        self._shape = (*(() if columns is None else (columns,)), *np.shape(probabilities))
        self._depth = 0  # bits of the keys that are known
        self._numbers: Array = np.zeros(self._columns, np.int64)
        self._fractions: Array = np.zeros((self._columns, 0))
        self._ranks: Array = np.zeros(0, np.int64)
        self._keys: Array = np.zeros(0, np.int64)
        self._kept: list[Array] | None = [np.zeros((0, self._columns), np.float32)]  # None when there are too many
        self._begin(np.arange(self._columns))

    def _begin(self, groups: Array) -> None:
        """Begin a pass: numbers are counted in ``groups``, each a column followed by the known bits of keys."""
        self._groups = groups
        fitting = max((_COUNTERS // len(groups)).bit_length() - 1, 1)
        self._bits = min(fitting, _DIGITS, _KEY - self._depth)
        self._counts: Array = np.zeros((len(groups), 1 << self._bits), np.int64)

    def add(self, batch: Array) -> None:
        rows = as_numbers(batch).reshape(-1, self._columns)
        if self._kept is not None:
            self._kept.append(rows)
            if sum(kept.size for kept in self._kept) <= _COUNTERS:
                return
            early, self._kept = self._kept[:-1], None
            for kept in early:
                self.add(kept)
        if self._columns == 1 and len(self._groups) <= _FEW:
            self._add_column(rows.reshape(-1))
            return
        rows = rows + np.float32(0.0)  # no -0.0
        present = ~np.isnan(rows)
        keys = _keys_of(rows[present]).astype(np.int64)
        columns = np.broadcast_to(np.arange(self._columns), rows.shape)[present]
        groups = columns << self._depth | keys >> (_KEY - self._depth)
        place = np.minimum(np.searchsorted(self._groups, groups), len(self._groups) - 1)
        wanted = self._groups[place] == groups
        digits = keys >> (_KEY - self._depth - self._bits) & ((1 << self._bits) - 1)
        np.add.at(self._counts.reshape(-1), (place << self._bits | digits)[wanted], 1)

    def _add_column(self, numbers: Array) -> None:
        """Count the numbers of the only column, as :meth:`add` does, by operations on few of them."""
        rest = np.uint32(_KEY - self._depth - self._bits)
        for place, group in enumerate(self._groups):
            if self._depth == 0:
                missing = np.isnan(numbers)
                keys = _keys_of(numbers[~missing] if missing.any() else numbers)
            else:
                first, last = _range_of(int(group), _KEY - self._depth)
                keys = _keys_of(numbers[(numbers >= first) & (numbers <= last)])
                keys = keys[keys >> np.uint32(_KEY - self._depth) == group]  # 0 and -0 have one key and two places
            digits = keys >> rest & np.uint32((1 << self._bits) - 1)
            if len(digits) * 8 > len(self._counts[place]):
                self._counts[place] += np.bincount(digits, minlength=1 << self._bits)
            else:
                np.add.at(self._counts[place], digits, 1)

    def end_pass(self) -> bool:
        """Finish a pass. The first is the last one if a column has no number, or if all numbers were kept."""
        if self._kept is not None:
            rows = np.sort(np.concatenate(self._kept), axis=0)  # NaN is last
            self._numbers = (~np.isnan(rows)).sum(0)
            if self._numbers.all():
                self._choose_ranks(self._numbers)
                self._keys = _keys_of(rows[self._ranks, self._keys]).astype(np.int64)
            self._kept = None
            return True
        sums = np.cumsum(self._counts, axis=1, out=self._counts)
        if self._depth == 0:
            self._numbers = sums[:, -1].copy()
            if not self._numbers.all():
                return True
            self._choose_ranks(self._numbers)
        place = np.searchsorted(self._groups, self._keys)
        for k, group in enumerate(place):
            digit = np.searchsorted(sums[group], self._ranks[k], side="right")
            self._ranks[k] -= sums[group, digit - 1] if digit else 0
            self._keys[k] = self._keys[k] << self._bits | digit
        self._depth += self._bits
        if self._depth < _KEY:
            self._begin(np.unique(self._keys))
            return False
        self._counts = self._counts[:0]
        return True

    def _choose_ranks(self, counts: Array) -> None:
        """Choose the two numbers around each quantile, by their places in order."""
        places = self._probabilities * (counts[:, None] - 1)
        lower = np.floor(places).astype(np.int64)
        self._fractions = places - lower
        ranks = np.stack([lower, np.minimum(lower + 1, counts[:, None] - 1)])
        self._ranks = ranks.reshape(-1)
        self._keys = np.broadcast_to(np.arange(self._columns)[:, None], ranks.shape).reshape(-1).copy()

    def state(self) -> dict[str, Any]:
        """Return the quantiles, with the axes of columns and probabilities, if there are any."""
        _need_numbers(self._numbers)
        low, high = _numbers_of(self._keys & 0xFFFFFFFF).reshape(2, *self._fractions.shape).astype(np.float64)
        _need_finite(np.isfinite([low, high]))
        gap, t = high - low, self._fractions
        numbers = np.where(t < 0.5, low + gap * t, high - gap * (1 - t))
        return {self._argument: _shortest(numbers.astype(np.float32), self._shape)}


def _keys_of(numbers: Array) -> Array:
    """Return uint32 keys in the order of the float32 ``numbers``; 0 and -0 have the same."""
    bits = (numbers + np.float32(0.0)).view(np.uint32)
    flipped = (bits.view(np.int32) >> np.int32(31)).view(np.uint32)  # all bits of a negative number, none of others
    flipped |= np.uint32(0x80000000)
    bits ^= flipped
    return bits


def _range_of(group: int, free: int) -> tuple[np.float32, np.float32]:
    """Return the least and the largest number whose keys begin with the bits of ``group``, before ``free`` others."""
    first, last = _numbers_of(np.array([group << free, (group + 1 << free) - 1], np.int64))
    return (-np.float32(np.inf) if np.isnan(first) else first), (np.float32(np.inf) if np.isnan(last) else last)


def _numbers_of(keys: Array) -> Array:
    return np.where(keys >> 31, keys ^ 0x80000000, keys ^ 0xFFFFFFFF).astype(np.uint32).view(np.float32)


def _shortest(numbers: Array, shape: tuple[int, ...]) -> Any:
    """Return float32 numbers as floats with few digits that are rounded to the same float32, in lists."""
    return np.array([float(str(x)) for x in numbers.reshape(-1)], np.float64).reshape(shape).tolist()
