"""The passes that a graph goes through, in their order: before it is bound, and before it is written to a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphspec.compiler.ir import Graph
from graphspec.compiler.passes.cancel_transposes import cancel_transposes
from graphspec.compiler.passes.crop_unread import crop_unread
from graphspec.compiler.passes.divide_products import divide_products
from graphspec.compiler.passes.drop_neutral import drop_neutral
from graphspec.compiler.passes.drop_training import drop_training
from graphspec.compiler.passes.fold_constants import fold_constants
from graphspec.compiler.passes.gather_rows import gather_rows
from graphspec.compiler.passes.legalize import legalize
from graphspec.compiler.passes.mark_inputs import mark_inputs
from graphspec.compiler.passes.merge_equal_nodes import merge_equal_nodes
from graphspec.compiler.passes.pool_first import pool_first
from graphspec.compiler.passes.pool_taps import pool_taps
from graphspec.compiler.target import Target

Pass = Callable[[Graph, Target], Graph]

FOR_PRODUCTS: tuple[Pass, ...] = (mark_inputs, gather_rows)
"""Which products there are, and of what: all that the memory estimate and the division among workers look at."""
FOR_PROGRAM: tuple[Pass, ...] = (*FOR_PRODUCTS, pool_first, crop_unread, pool_taps, divide_products)
FOR_OPSET: tuple[Pass, ...] = (drop_training, legalize)
"""Which operators there are in a file."""
FOR_EXPORT: tuple[Pass, ...] = (*FOR_OPSET, fold_constants, drop_neutral, merge_equal_nodes, cancel_transposes)


def prepare(graph: Graph, passes: Sequence[Pass], target: Target) -> Graph:
    """The graph behind all ``passes``."""
    for rewrite in passes:
        graph = rewrite(graph, target)
    return graph
