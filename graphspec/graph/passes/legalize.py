"""Replace operators that the target's opset lacks by operators that it has.

A graph uses each operator in its newest form, such as Gelu from opset 20. A file for an older opset gets the decomposition
in ``graphspec/graph/decompositions/`` instead. Operators that no opset has, and those without a kernel in onnxruntime, are
always decomposed.

It is for files.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from graphspec.graph import decompositions
from graphspec.graph.decompositions import DECOMPOSITIONS
from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Node, Value
from graphspec.ops import OPS

for _module in iter_modules(decompositions.__path__):
    import_module(f"{decompositions.__name__}.{_module.name}")

BASE = 17
"""The opset whose form operators have, if they exist in it."""


@cache
def since(op: str) -> int | None:
    """The first opset that has the operator in the form that is used here; None for operators of training."""
    from onnx import defs

    if not OPS[op].exported:
        return None
    if (changed := OPS[op].since_opset) is not None:
        return changed
    newest = defs.onnx_opset_version()
    first = next((k for k in range(BASE, newest + 1) if defs.has(op, max_inclusive_version=k)), None)
    return first if first is None else min(first, int(defs.get_schema(op, first).since_version))


def is_newer(node: Node, opset: int) -> bool:
    """Whether ``opset`` lacks the node's operator, or onnxruntime has no kernel for it."""
    first = since(node.op)
    return first is None or first > opset or not OPS[node.op].in_onnxruntime


def legalize(graph: Graph, target: Target) -> Graph:
    """Decompose every operator that the target's opset lacks. An operator without a decomposition stays.

    >>> g, x = sketch({"x": ("N", 4)})
    >>> graph = g.graph.asking({"y": g.Mish(x)})
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
        made = DECOMPOSITIONS[node.op](state.builder(node), *inputs, **node.attrs)
        return made if isinstance(made, tuple) else (made,)

    return rebuild(graph, visit)
