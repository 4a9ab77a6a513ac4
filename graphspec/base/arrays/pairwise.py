"""Sums of arrays in a fixed order: each array and its neighbour first, then each sum and its neighbour, as in a binary tree.

The sums of 2, 4, 8, … neighbours, from the first array on, are inner nodes of the tree. So a worker may add its own arrays
before all workers add theirs, and the bits are those of one worker that adds all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from graphspec.base.arrays.calls import Calls

Array = np.ndarray[Any, Any]


def until_two(parts: Sequence[Array], *, overwrite: bool = False) -> tuple[Calls, Sequence[Array]]:
    """Return the calls that add neighbours until at most two arrays are left, and these.

    Sums are stored in new arrays, or with ``overwrite`` in ``parts``.
    """
    calls: Calls = []
    while len(parts) > 2:
        sums = [(a if overwrite else np.empty_like(a)) for a in parts[: len(parts) // 2 * 2 : 2]]
        calls += [(np.add, a, b, total) for a, b, total in zip(parts[::2], parts[1::2], sums, strict=False)]
        parts = [*sums, *parts[len(sums) * 2 :]]
        overwrite = True  # the last part of an odd number is never the first of two
    return calls, parts


def sum_into_first(parts: Sequence[Array]) -> Calls:
    """Return the calls that add all arrays; the sum is stored in the first, and sums of neighbours in others."""
    calls, rest = until_two(parts, overwrite=True)
    return [*calls, *((np.add, rest[0], other, rest[0]) for other in rest[1:])]
