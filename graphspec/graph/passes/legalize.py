"""Replace operators that are missing in the target's opset by operators of that opset.

A graph uses each operator in its newest form, such as Gelu from opset 20. A file for an older opset contains the
decomposition from ``graphspec/graph/decompositions/`` instead. Operators that are in no opset, or have no kernel in
onnxruntime, are always decomposed.

It is for files.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from graphspec.graph import decompositions
from graphspec.graph.decompositions import DECOMPOSITIONS
from graphspec.graph.ir.graph import Graph, Node, Value
from graphspec.graph.ops import OPS, operator
from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target

for _module in iter_modules(decompositions.__path__):
    import_module(f"{decompositions.__name__}.{_module.name}")

BASE = 17
"""The opset whose form of an operator is used, if the operator exists in it."""


@cache
def since(op: str) -> int | None:
    """Return the first opset with the operator in the form that is used here; None for operators that are not exported.

    Operators of other domains do not depend on the opset: it is 1 for them.
    """
    from onnx import defs

    if not OPS[op].exported:
        return None
    if OPS[op].domain:
        return 1
    if (changed := OPS[op].since_opset) is not None:
        return changed
    newest = defs.onnx_opset_version()
    first = next((k for k in range(BASE, newest + 1) if defs.has(op, max_inclusive_version=k)), None)
    return first if first is None else min(first, int(defs.get_schema(op, first).since_version))


def is_newer(node: Node, opset: int) -> bool:
    """Return whether ``opset`` lacks the node's operator, or onnxruntime has no kernel for it."""
    first = since(node.op)
    return first is None or first > opset or not OPS[node.op].in_onnxruntime


def legalize(graph: Graph, target: Target) -> Graph:
    """Decompose every operator that is missing in the target's opset; an operator without a decomposition stays.

    >>> g, x = sketch({"x": ("N", 4)})
    >>> graph = g.graph.with_outputs({"y": g.Mish(x)})
    >>> print_graph(graph)
    y = Mish(x)
    >>> print_graph(legalize(graph, Target(opset=17)))
    %1 = Softplus(x)
    %2 = Tanh(%1)
    y = Mul(x, %2)
    """

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.op not in DECOMPOSITIONS or not is_newer(node, target.opset):
            return None
        with state.builder(node) as g:
            result = DECOMPOSITIONS[node.op](g, operator(node), *inputs)
        return result if isinstance(result, tuple) else (result,)

    return rebuild(graph, visit)
