"""Products with wide matrices are divided by columns among workers: which, what they become, and where values then lie."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from graphspec.arrays.split import share
from graphspec.graph.passes.multi_hot_matmul_to_gather_sum import multiplies
from graphspec.graph.rebuild import Rebuild, readers, rebuild
from graphspec.graph.target import Target
from graphspec.ir.graph import Array, Graph, Node, Type, Value
from graphspec.kernels.fast import faster
from graphspec.ops import OPS
from graphspec.ops.unary import Unary

if TYPE_CHECKING:
    from graphspec.kernels.group import Shard

_WIDE = 1 << 18
"""Numbers in a matrix from which the memory saved takes longer than the workers take to meet."""
_PAYS = 1.5
"""How many times as many numbers as the rows of a batch, before and after it, a matrix must have."""
_LINE = 16  # numbers


def wide_kernels(graph: Graph, batch: int, workers: int) -> set[str]:
    """The trainable matrices that one product of the batch's rows alone reads, and that pay to be divided."""
    times, found = readers(graph), set()
    for node in filter(multiplies, graph.needed(graph.roots())):
        A, B, C = (*node.inputs, None)[:3]
        assert A is not None
        assert B is not None
        alone = times[B.name] == 1 and A.shape[:-1] == ("N",) and (C is None or C.rank == 1)
        if B.param is None or not B.param.trainable or not alone:
            continue
        k, n = B.param.stored_shape
        pays = n % (workers * _LINE) == 0 and k * n >= max(_WIDE, _PAYS * batch * (k + n))
        if min(k, n) >= workers and faster(pays):
            found.add(B.name)
    return found


def divide_products(graph: Graph, target: Target) -> Graph:
    """The graph as one worker computes it, with DividedGemm for products with the kernels that the workers divide.

    Between two of them of which the second reads what elementwise functions make of the first, values are divided by
    columns, too.
    """
    shard = target.shard
    if shard is None or not shard.matrices:
        return graph
    group, kernels, total = shard.group, shard.matrices, shard.total
    rows = shard.rows.stop - shard.rows.start
    nodes = graph.needed(graph.roots())
    divided = {node.name: node for node in nodes if multiplies(node) and _kernel(node) in kernels}
    taken, times = {node.inputs[0].name for node in divided.values() if node.inputs[0]}, readers(graph)
    joined = {v: name for v, name in _ends(nodes, divided, times).items() if v in taken and times[v] == 1}

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.name not in divided:
            return None
        (X, *_), (old,) = inputs, node.outputs
        assert X is not None
        takes = "columns" if X.name in joined else "rows"
        gives = "columns" if node.name in joined.values() else "rows"
        columns = share(old.features, group.rank, group.size)
        shape = (rows, old.features) if gives == "rows" else (total, columns.stop - columns.start)
        attrs = {"takes": takes, "gives": gives, "shape": shape}
        return state.node(node.name, "DividedGemm", inputs, attrs, node.owner, [Type(old.dtype, shape)], [old.name])

    return rebuild(graph, visit)


def places(graph: Graph, shard: Shard) -> dict[str, Array]:
    """Where rows of inputs, and gradients of values, are best written, by their names: where the other workers read them."""
    matrices, rows = shard.matrices, shard.rows
    nodes, found = graph.needed(graph.roots()), dict[str, Array]()
    divided = {node.name: matrices[_kernel(node)] for node in nodes if node.op == "DividedGemm"}
    for node in nodes:
        X = node.inputs[0] if node.name in divided else None
        if X is not None and X.kind == "input":
            found[X.name] = divided[node.name].inputs[rows]
    by_rows = [node.name for node in nodes if node.name in divided and node.attrs["gives"] == "rows"]
    for value, name in _ends(nodes, by_rows, readers(graph)).items():
        found[value] = divided[name].output_gradients[rows]
    return found


def _kernel(node: Node) -> str:
    return "" if node.inputs[1] is None else node.inputs[1].name


def _ends(nodes: Iterable[Node], begin: Collection[str], times: Mapping[str, int]) -> dict[str, str]:
    """What elementwise functions, each the one reader of what is before it, make of the results of some nodes.

    The last values by their names, with the names of the nodes that they began with.
    """
    ends: dict[str, str] = {}
    for node in nodes:
        X, Y = node.inputs[0] if node.inputs else None, node.outputs[0]
        if node.name in begin:
            ends[Y.name] = node.name
        elif X is not None and X.name in ends and times[X.name] == 1 and issubclass(OPS[node.op], Unary):
            ends[Y.name] = ends.pop(X.name)
    return ends
