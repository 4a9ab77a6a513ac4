"""The weights of a run whose gradients are kept by rows: those that a step only looks up by ids."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from graphspec.engine.runtime.context import ints
from graphspec.graph.analysis import lookups
from graphspec.graph.kernels.compiled import use_fast_kernel
from graphspec.graph.kernels.touched_rows import TouchedRows
from graphspec.graph.optimizers.vectors import Lookup

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Node, Segment, Value
    from graphspec.graph.optimizers import Optimizer

MIN_ELEMENTS = 1 << 19
"""Elements of a weight: the passes over a smaller one take little time."""
ROWS_PER_ID = 4
"""Rows of a weight per id of a batch: with fewer, most rows are written."""


def looked_up(optimizer: Optimizer, segments: Sequence[Segment]) -> Iterator[Segment]:
    """Yield the weights whose gradients are kept by rows, as far as that does not depend on the batch."""
    skips = optimizer.skips_rows()
    for segment in segments:
        param = segment.param
        if param.sparse or (param.looked_up and skips and use_fast_kernel(param.size >= MIN_ELEMENTS)):
            yield segment


def lookups_of(optimizer: Optimizer, segments: Sequence[Segment]) -> list[Lookup]:
    """Return these weights for one gradient vector: the programs that write to it, and the updates, share the result."""
    found = []
    for s in looked_up(optimizer, segments):
        rows, width = s.param.shape
        touched = TouchedRows(s.param.name, rows, width, sparse=s.param.sparse, kept=not optimizer.clips())
        found.append(Lookup(touched, s.start, s.stop))
    return found


def kept_by_rows(
    touched: Mapping[str, TouchedRows], nodes: Sequence[Node], types: Mapping[str, Value]
) -> dict[str, TouchedRows]:
    """Return those of the weights that a program of these nodes keeps by rows, and make room for their ids.

    Several lookups of one weight would add up in another order than whole gradients do.
    """
    kept = {}
    for name, readers in lookups(nodes, touched).items():
        rows, count = touched[name], sum(_ids(node, types) for node in readers)
        if rows.sparse or (len(readers) <= 1 and use_fast_kernel(rows.rows >= ROWS_PER_ID * count)):
            rows.reserve(count)
            kept[name] = rows
    return kept


def _ids(node: Node, types: Mapping[str, Value]) -> int:
    ids = node.inputs[1]
    assert ids is not None
    return math.prod(ints(types.get(ids.name, ids).shape))
