"""Sparse bool inputs are stored as the column indices of their ones; a matmul then becomes a sum of weight rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.arrays.memory import describe_map
from graphspec.graph.kernels.compiled import use_fast_kernel
from graphspec.graph.passes.for_program import MIN_WIDTH_PER_ID, only_multiplied

if TYPE_CHECKING:
    from graphspec.data.batches import Dataset
    from graphspec.graph.ir.graph import Array, Graph

_SEARCH_BYTES = 1 << 24  # bytes searched at a time


def as_indices(graph: Graph, arrays: Dataset) -> Dataset:
    """Replace bool inputs that only matmuls read by the indices of their ones, if they are sparse enough.

    Memory-mapped files stay as they are.
    """
    found = {}
    for name in only_multiplied(graph) if use_fast_kernel(True) else ():
        array = arrays.inputs.get(name)
        if array is not None and array.dtype == np.bool_ and describe_map(array) is None:
            indices = indices_of_ones(array)
            if indices is not None:
                found[name] = indices
    return replace(arrays, inputs=arrays.inputs | found) if found else arrays


def indices_of_ones(rows: Array) -> Array | None:
    """Return the column indices of the ones in bool rows (n, width): an array (n, k), padded with ``width``.

    k is the largest number of ones in a row. Return None if k is 0, or above ``width // MIN_WIDTH_PER_ID``, where a matmul
    is faster.
    """
    n, width = rows.shape
    limit = width // MIN_WIDTH_PER_ID
    step = max(_SEARCH_BYTES // max(width, 1), 1)
    chunks = [rows[start : start + step] for start in range(0, n, step)]
    counts = []
    for chunk in chunks:
        counts.append(np.count_nonzero(chunk, axis=1))
        if counts[-1].max() > limit:
            return None
    longest = max((int(c.max()) for c in counts), default=0)
    if longest == 0:
        return None
    indices = np.full((n, longest), width, np.int32)
    for start, chunk, count in zip(range(0, n, step), chunks, counts, strict=True):
        row, column = chunk.nonzero()
        before = np.cumsum(count) - count
        indices[start + row, np.arange(len(row)) - before[row]] = column
    return indices
