"""Profiles of the arrays of an ``.npz`` archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphspec.data.source import DataError

if TYPE_CHECKING:
    from graphspec.data.archives import Npz
    from graphspec.graph.ir.graph import Array

_VALUES = 1000  # at most this many different values are counted
_ELEMENTS = 1 << 20  # elements that are looked at together


@dataclass(frozen=True)
class ArrayProfile:
    """What an array holds.

    Attributes:
        shape: with the rows.
        missing, infinite: the number of NaN, and of infinite values.
        low, high: the range of its finite numbers.
        frequent: the values of an array with one number or text for each row, the most frequent first, if they are few.
        problem: why it cannot be read; then nothing else is known.
    """

    name: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    missing: int = 0
    infinite: int = 0
    low: float | None = None
    high: float | None = None
    frequent: tuple[tuple[str, int], ...] = ()
    problem: str | None = None


def profile_arrays(archive: Npz, names: Sequence[str]) -> dict[str, ArrayProfile]:
    """Look at arrays of an archive, block by block.

    Raises:
        DataError: GS501 if the archive was changed, GS602 if there is too little memory.
    """
    found = archive.read(names)
    return {
        name: ArrayProfile(name, problem=str(array)) if isinstance(array, DataError) else _profile(name, array)
        for name, array in found.items()
    }


def _profile(name: str, array: Array) -> ArrayProfile:
    dtype, rows = str(array.dtype), len(array) if array.ndim else 0
    missing = infinite = 0
    low = high = None
    if array.dtype.kind in "fiu":
        step = max(_ELEMENTS // max(array[:1].size, 1), 1) if array.ndim else 1
        for start in range(0, rows, step):
            block = np.asarray(array[start : start + step])
            finite = block[np.isfinite(block)]
            missing += int(np.isnan(block).sum())
            infinite += block.size - finite.size
            if finite.size:
                low = min(float(finite.min()), np.inf if low is None else low)
                high = max(float(finite.max()), -np.inf if high is None else high)
        infinite -= missing
    frequent: tuple[tuple[str, int], ...] = ()
    if rows and array.size == rows and array.dtype.kind in "iubUS":
        values, counts = np.unique(array, return_counts=True)
        if len(values) <= _VALUES:
            order = np.argsort(-counts, kind="stable")
            frequent = tuple((str(values[k]), int(counts[k])) for k in order)
    return ArrayProfile(name, array.shape, dtype, missing, infinite, low, high, frequent)
