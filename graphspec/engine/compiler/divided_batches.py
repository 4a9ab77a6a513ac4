"""Refuse workers and shards, which have a part of each batch, for a network whose nodes mix the rows of a batch (GS105)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, Problem
from graphspec.engine.compiler.lowered import visible
from graphspec.graph.row_axes import mixing_node
from graphspec.language.declarations import Ref

if TYPE_CHECKING:
    from graphspec.engine.compiler.lowered import Lowered
    from graphspec.graph.ir.graph import Graph, Node
    from graphspec.language.declarations import Spec
    from graphspec.vocabulary.layers.base import Layer

WHOLE = (
    "train with `workers: 1` and without `shards`; the losses info_nce, clip and circle compare the rows of all workers"
)
"""The hint for workers, which have a part of the rows each."""


def check_workers(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """Return GS105 for several workers, or shards, of a network that mixes the rows of a batch."""
    training = spec.training
    key = "shards" if training.shards is not None else "workers"
    several = training.shards is not None or (isinstance(training.workers, int) and training.workers > 1)
    if not several or (node := mixing(spec, lowered.graph)) is None:
        return []
    at = spec.tree.find(("training", key))[0] or spec.tree
    text = f"is not possible: {describe(node)}, but each process has a part of them"
    decl = lowered.declared.get(node.owner)
    nodes = () if decl is None else (lowered.node_ref(Ref(decl.name, 0, decl.mark)),)
    problem = Problem(Code.VALUE_NOT_ALLOWED, text, WHOLE)
    return [Diagnostic.of(f"`{key}`", problem, at.mark, path=at.path, nodes=nodes)]


def mixing(spec: Spec, graph: Graph) -> Node | None:
    """Return the first operator that mixes the rows of a batch, or may do so; None if there is none.

    Batch normalization is none of them: workers share its statistics.
    """
    layers = {node.name: node.layer for node in spec.nodes}
    owners = {node.name: layers[node.name if node.share is None else node.share] for node in spec.nodes}
    return mixing_node(graph, {name for name, layer in owners.items() if _gathers_steps(layer)})


def describe(node: Node) -> str:
    """Return what an operator does that mixes rows, or may do so."""
    return f"'{visible(node.owner)}' mixes the rows of a batch ({node.op})"


def _gathers_steps(layer: Layer | None) -> bool:
    """Return whether a layer, or the one that it wraps, gathers steps of many rows at once."""
    while layer is not None and not layer.gathers_steps:
        layer = getattr(layer, "layer", None)
    return layer is not None
