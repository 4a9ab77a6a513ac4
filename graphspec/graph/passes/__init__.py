"""The two pipelines: the passes that run before a graph is bound, and those that run before it is written to a file.

A pass is a function ``(Graph, Target) → Graph`` that returns a new graph, or the same graph unchanged. The docstring
of each has an example of a graph before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphspec.graph.builder import Target
from graphspec.graph.ir.graph import Graph
from graphspec.graph.passes.for_export import (
    cancel_transposes,
    drop_training,
    fold_constants,
    legalize,
    merge_equal_nodes,
    remove_identity_arithmetic,
)
from graphspec.graph.passes.for_program import (
    crop_unread,
    drop_inference,
    fuse_conv_max_pool,
    multi_hot_matmul_to_gather_sum,
    shard_products,
    sink_bias_relu_below_pool,
    sparsify_bool_inputs,
)

Pass = Callable[[Graph, Target], Graph]  # rewrites a graph for a target

FOR_PRODUCTS: tuple[Pass, ...] = (drop_inference, sparsify_bool_inputs, multi_hot_matmul_to_gather_sum)
"""The passes that determine the matmuls of a graph; the memory estimate and the choice of sharded kernels need no others."""
FOR_PROGRAM: tuple[Pass, ...] = (  # before binding: they may use operators that ONNX lacks
    *FOR_PRODUCTS,
    sink_bias_relu_below_pool,
    crop_unread,
    fuse_conv_max_pool,
    shard_products,
)
FOR_OPSET: tuple[Pass, ...] = (drop_training, legalize)  # they determine the operators of a file
FOR_EXPORT: tuple[Pass, ...] = (  # before a file is written: they replace operators that the target's opset lacks
    *FOR_OPSET,
    fold_constants,
    remove_identity_arithmetic,
    merge_equal_nodes,
    cancel_transposes,
)


def prepare(graph: Graph, passes: Sequence[Pass], target: Target) -> Graph:
    """Run ``passes`` over the graph, in their order."""
    for rewrite in passes:
        graph = rewrite(graph, target)
    return graph
