"""Shard matmuls with wide kernels by columns among the workers (tensor parallelism).

Normally every worker computes the gradient of each complete kernel from its rows of the batch, and the gradients are summed
after the step. For a wide kernel this sum needs more memory traffic than the batch's activations. So each worker computes
some columns of the product for the batch of all workers, and the workers exchange activations instead of gradients.

It is for programs of several workers, and applies to the kernels that ``wide_kernels`` chooses. The module also determines
the buffers that the workers share.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from graphspec.base.arrays.layout import CACHE_LINE, shard_slice
from graphspec.graph.ir.graph import Array, Graph, Node, Type, Value
from graphspec.graph.kernels.compiled import use_fast_kernel
from graphspec.graph.ops import OPS
from graphspec.graph.ops.formulas import Unary
from graphspec.graph.passes.multi_hot_matmul_to_gather_sum import multiplies
from graphspec.graph.rebuild import Rebuild, readers, rebuild
from graphspec.graph.target import Target

if TYPE_CHECKING:
    from graphspec.graph.kernels.context import Shard

_MIN_KERNEL = 1 << 18
"""Elements of a kernel. For smaller kernels a barrier takes longer than the memory traffic that sharding saves."""
_MIN_RATIO = 1.5
"""Elements of a kernel, divided by the elements of the batch's inputs and outputs."""
_LINE_ELEMENTS = CACHE_LINE // 4
"""Elements of float32 in a cache line."""


def wide_kernels(graph: Graph, batch: int, workers: int) -> set[str]:
    """Return the trainable kernels that are large enough for sharding and that only one product of the batch reads."""
    reads, found = readers(graph), set()
    for node in filter(multiplies, graph.needed(graph.roots())):
        A, B, C = (*node.inputs, None)[:3]
        assert A is not None
        assert B is not None
        only_reader = reads[B.name] == 1 and A.shape[:-1] == ("N",) and (C is None or C.rank == 1)
        if B.param is None or not B.param.trainable or not only_reader:
            continue
        k, n = B.param.stored_shape
        pays = n % (workers * _LINE_ELEMENTS) == 0 and k * n >= max(_MIN_KERNEL, _MIN_RATIO * batch * (k + n))
        if min(k, n) >= workers and use_fast_kernel(pays):
            found.add(B.name)
    return found


def shard_products(graph: Graph, target: Target) -> Graph:
    """Replace products with sharded kernels by ShardedGemm, one worker's part of the product.

    If there are only elementwise functions between two sharded products, the values between them are sharded by columns,
    too. In the example, ``shard`` is the first of two workers, with 32 of 64 rows.

    >>> g, x, A, B = sketch({"x": ("N", 512)}, {"A": (512, 1024), "B": (1024, 512)})
    >>> graph = g.graph.with_outputs({"y": g.MatMul(g.Relu(g.MatMul(x, A)), B)})
    >>> print_graph(graph)
    %1 = MatMul(x, A)
    %2 = Relu(%1)
    y = MatMul(%2, B)
    >>> shard = Shard(SimpleNamespace(rank=0, size=2), slice(0, 32), 64, {"A": ..., "B": ...})
    >>> print_graph(shard_products(graph, Target(shard=shard)))
    %1 = ShardedGemm(x, A, input_partition=rows, output_partition=columns, shape=(64, 512))
    %2 = Relu(%1)
    y = ShardedGemm(%2, B, input_partition=columns, output_partition=rows, shape=(32, 512))
    """
    shard = target.shard
    if shard is None or not shard.matrices:
        return graph
    group, kernels, total = shard.group, shard.matrices, shard.total
    rows = shard.rows.stop - shard.rows.start
    nodes = graph.needed(graph.roots())
    sharded = {node.name: node for node in nodes if multiplies(node) and _kernel(node) in kernels}
    operands, reads = {node.inputs[0].name for node in sharded.values() if node.inputs[0]}, readers(graph)
    joined = {v: name for v, name in _ends(nodes, sharded, reads).items() if v in operands and reads[v] == 1}

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.name not in sharded:
            return None
        (X, *_), (old,) = inputs, node.outputs
        assert X is not None
        source = "columns" if X.name in joined else "rows"
        result = "columns" if node.name in joined.values() else "rows"
        columns = shard_slice(old.features, group.rank, group.size)
        shape = (rows, old.features) if result == "rows" else (total, columns.stop - columns.start)
        attrs = {"input_partition": source, "output_partition": result, "shape": shape}
        return state.node(node.name, "ShardedGemm", inputs, attrs, node.owner, [Type(old.dtype, shape)], [old.name])

    return rebuild(graph, visit)


def shared_buffers(graph: Graph, shard: Shard) -> dict[str, Array]:
    """Return the shared memory for inputs and gradients of values, by their names.

    They are written directly to it, and the other workers read them there, without a copy.
    """
    matrices, rows = shard.matrices, shard.rows
    nodes, found = graph.needed(graph.roots()), dict[str, Array]()
    sharded = {node.name: matrices[_kernel(node)] for node in nodes if node.op == "ShardedGemm"}
    for node in nodes:
        X = node.inputs[0] if node.name in sharded else None
        if X is not None and X.kind == "input":
            found[X.name] = sharded[node.name].inputs[rows]
    broadcast_rows = [node.name for node in nodes if node.name in sharded and node.attrs["output_partition"] == "rows"]
    for value, name in _ends(nodes, broadcast_rows, readers(graph)).items():
        found[value] = sharded[name].output_gradients[rows]
    return found


def _kernel(node: Node) -> str:
    return "" if node.inputs[1] is None else node.inputs[1].name


def _ends(nodes: Iterable[Node], begin: Collection[str], reads: Mapping[str, int]) -> dict[str, str]:
    """Follow chains of elementwise functions, each the only reader of its input, from the outputs of the ``begin`` nodes.

    Return ``last value → first node`` of each chain, by name.
    """
    ends: dict[str, str] = {}
    for node in nodes:
        X, Y = node.inputs[0] if node.inputs else None, node.outputs[0]
        if node.name in begin:
            ends[Y.name] = node.name
        elif X is not None and X.name in ends and reads[X.name] == 1 and issubclass(OPS[node.op], Unary):
            ends[Y.name] = ends.pop(X.name)
    return ends
