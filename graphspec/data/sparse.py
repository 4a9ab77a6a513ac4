"""Rows of few ones: kept as the places of the ones, of which products are sums of rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from graphspec.arrays.memory_maps import mapped
from graphspec.graph.passes.multi_hot_matmul_to_gather_sum import WORTH
from graphspec.graph.passes.sparsify_bool_inputs import only_multiplied
from graphspec.kernels.fast import faster

if TYPE_CHECKING:
    from graphspec.data.batches import Arrays
    from graphspec.ir.graph import Array, Graph

_CHUNK = 1 << 24  # bytes that are looked through at a time


def with_places(graph: Graph, arrays: Arrays) -> Arrays:
    """The arrays with the places of ones for each bool input of which only products are made and that has few of them.

    Memory maps of files stay what they are.
    """
    found = {}
    for name in only_multiplied(graph) if faster(True) else ():
        array = arrays.inputs.get(name)
        if array is not None and array.dtype == np.bool_ and mapped(array) is None:
            places = places_of_ones(array)
            if places is not None:
                found[name] = places
    return replace(arrays, inputs=arrays.inputs | found) if found else arrays


def places_of_ones(rows: Array) -> Array | None:
    """Where the ones of bool rows (n, width) are, (n, k) for at most k ones a row, filled up with the width.

    None where it is not worth it: a row of ids takes as long as ``WORTH`` times its numbers.
    """
    n, width = rows.shape
    most = width // WORTH
    step = max(_CHUNK // max(width, 1), 1)
    chunks = [rows[start : start + step] for start in range(0, n, step)]
    counts = []
    for chunk in chunks:
        counts.append(np.count_nonzero(chunk, axis=1))
        if counts[-1].max() > most:
            return None
    longest = max((int(c.max()) for c in counts), default=0)
    if longest == 0:
        return None
    places = np.full((n, longest), width, np.int32)
    for start, chunk, count in zip(range(0, n, step), chunks, counts, strict=True):
        row, column = chunk.nonzero()
        before = np.cumsum(count) - count
        places[start + row, np.arange(len(row)) - before[row]] = column
    return places
