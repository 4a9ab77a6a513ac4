"""GS602: whether training fits into memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from graphspec.arrays.system_memory import available, human
from graphspec.errors import Diagnostic
from graphspec.ir.dims import Shape, show
from graphspec.ir.graph import Graph
from graphspec.language.declarations import Ref

if TYPE_CHECKING:
    from graphspec.compiler.lowered import Lowered
    from graphspec.language.declarations import Spec
from graphspec.graph.memory_estimate import activations, assumed_shapes, estimate, needs_memory
from graphspec.ops import operator


def check_memory(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """GS602 as a warning where training cannot fit; ``train`` makes it a refusal."""
    graph = lowered.graph
    shapes = assumed_shapes(graph, spec.training.batch_size)
    need = estimate(graph, shapes, len(spec.training.optimizer.slots()))
    have = available()
    if need <= have:
        return []
    text = f"training needs about {human(need)} of memory, there is {human(have)}"
    values = activations(graph, shapes) * 2
    batch = f"a smaller `batch_size` (now {spec.training.batch_size})"
    if need - values > values:
        weight = max(graph.params.values(), key=lambda p: p.size)
        owner = _owner(weight.name, lowered)
        hint = f"its weight '{weight.name}' {show(weight.shape)} alone takes {human(weight.size * 4)}: make it smaller"
    else:
        owner = _largest(graph, shapes)
        hint = f"use {batch}, or make the output of '{owner}' smaller" if owner else f"use {batch} or smaller layers"
    decl = lowered.declared.get(owner)
    mark, path = (spec.tree.first_key, "") if decl is None else (decl.mark, decl.tree.path)
    nodes = () if decl is None else (lowered.node_ref(Ref(owner, 0, decl.mark)),)
    return [Diagnostic.at(mark, "GS602", text, path=path, hint=hint, nodes=nodes).as_warning()]


def _owner(weight: str, lowered: Lowered) -> str:
    """The node that a weight belongs to: its name may have slashes, and so may the weight's role."""
    while weight not in lowered.declared and "/" in weight:
        weight = weight.rpartition("/")[0]
    return weight


def _largest(graph: Graph, shapes: Mapping[str, Shape]) -> str:
    """The node whose values take most memory."""
    from graphspec.graph.shapes import infer_shapes

    nodes = graph.needed(graph.outputs.values())
    types = infer_shapes(graph, nodes, shapes)
    sizes = {n: sum(types[v.name].type.nbytes for v in n.outputs) for n in nodes if needs_memory(operator(n))}
    return max(sizes, key=sizes.__getitem__).owner if sizes else ""
