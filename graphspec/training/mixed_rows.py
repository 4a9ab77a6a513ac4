"""Operations that mix the rows of a batch: such a batch cannot be divided among workers, nor computed row by row before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.errors import UsageError
from graphspec.graph.row_axes import mixing_node

if TYPE_CHECKING:
    from graphspec.ir.graph import Graph, Node
    from graphspec.language.declarations import Spec
    from graphspec.runtime.session import Session


def mixing(spec: Spec, graph: Graph) -> tuple[str, Node] | None:
    """Return the type of the first operation of a spec that mixes rows, and its operator; None if there is none."""
    layers = {node.name: node for node in spec.nodes}
    types = {node.name: str((node if node.share is None else layers[node.share]).type) for node in spec.nodes}
    operations = {name for name, kind in types.items() if "." in kind}
    node = mixing_node(graph, operations) if operations else None
    return None if node is None else (types.get(node.owner, node.op), node)


def refuse_mixed_rows(model: Session, why: str) -> None:
    """Raise UsageError if an operation mixes rows.

    Args:
        why: what divides the batches, such as ``workers: 2``.
    """
    found = mixing(model.spec, model.full)
    if found is not None:
        kind, node = found
        text = f"`{why}` divides each batch, but {kind} '{node.owner}' may mix its rows ({node.op})"
        raise UsageError(f"{text}: train with `workers: 1` and without `shards`, or work along other axes than 0")
