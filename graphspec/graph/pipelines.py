"""The passes that a graph goes through, in their order: before it is bound, and before it is written to a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphspec.graph.passes.cancel_transposes import cancel_transposes
from graphspec.graph.passes.crop_unread import crop_unread
from graphspec.graph.passes.divide_products import divide_products
from graphspec.graph.passes.drop_training import drop_training
from graphspec.graph.passes.fold_constants import fold_constants
from graphspec.graph.passes.fuse_conv_max_pool import fuse_conv_max_pool
from graphspec.graph.passes.legalize import legalize
from graphspec.graph.passes.merge_equal_nodes import merge_equal_nodes
from graphspec.graph.passes.multi_hot_matmul_to_gather_sum import multi_hot_matmul_to_gather_sum
from graphspec.graph.passes.remove_identity_arithmetic import remove_identity_arithmetic
from graphspec.graph.passes.sink_bias_relu_below_pool import sink_bias_relu_below_pool
from graphspec.graph.passes.sparsify_bool_inputs import sparsify_bool_inputs
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph

Pass = Callable[[Graph, Target], Graph]

FOR_PRODUCTS: tuple[Pass, ...] = (sparsify_bool_inputs, multi_hot_matmul_to_gather_sum)
"""Which products there are, and of what: all that the memory estimate and the division among workers look at."""
FOR_PROGRAM: tuple[Pass, ...] = (
    *FOR_PRODUCTS,
    sink_bias_relu_below_pool,
    crop_unread,
    fuse_conv_max_pool,
    divide_products,
)
FOR_OPSET: tuple[Pass, ...] = (drop_training, legalize)
"""Which operators there are in a file."""
FOR_EXPORT: tuple[Pass, ...] = (
    *FOR_OPSET,
    fold_constants,
    remove_identity_arithmetic,
    merge_equal_nodes,
    cancel_transposes,
)


def prepare(graph: Graph, passes: Sequence[Pass], target: Target) -> Graph:
    """The graph behind all ``passes``."""
    for rewrite in passes:
        graph = rewrite(graph, target)
    return graph
