"""Nodes → a directed graph: cycles, dead ends, and an order in which every node follows what it reads."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from graphspec.codes import Code
from graphspec.errors import Diagnostic, NodeRef
from graphspec.language.tree import circle

if TYPE_CHECKING:
    from graphspec.language.declarations import NodeDecl, Ref, Spec
    from graphspec.language.tree import Tree


Edges = dict[str, list[str]]

_SHOWN = 12
"""Nodes of a cycle that are named."""


def reads(node: NodeDecl) -> list[Ref]:
    """The references of a node that resolve: its inputs, then its call arguments."""
    refs = list(node.inputs)
    for value in node.call.values():
        refs += value
    return [r for r in refs if r is not None]


def link(spec: Spec) -> tuple[list[NodeDecl], list[Diagnostic]]:
    """The nodes in topological order (file order where that is free), without those on or behind a cycle.

    Diagnostics: one GS202 for each group of nodes that form cycles, with a path; GS204 for nodes that reach no head.
    """
    declared = {node.name: node for node in spec.nodes}
    position = {name: k for k, name in enumerate(declared)}
    before = {
        node.name: [r for r in dict.fromkeys(ref.name for ref in reads(node)) if r in declared] for node in spec.nodes
    }
    after: Edges = {name: [] for name in declared}
    for name, sources in before.items():
        for source in sources:
            after[source].append(name)
    order = _sort(before, after, position)
    knots = _knots(after, set(declared).difference(order)) if len(order) < len(declared) else []
    diagnostics = []
    for knot in sorted(knots, key=lambda c: min(position[n] for n in c)):
        diagnostics.append(_cycle(knot, after, declared, position))
    diagnostics += _dead_ends(spec, before, after, declared, set().union(*knots))
    return [declared[n] for n in order], diagnostics


def _sort(before: Edges, after: Edges, position: dict[str, int]) -> list[str]:
    """The names that are on no cycle nor behind one, each after what it reads, otherwise by position."""
    names, order = list(position), list[str]()
    waiting = {name: len(sources) for name, sources in before.items()}
    ready = [k for name, k in position.items() if not waiting[name]]
    while ready:
        name = names[heappop(ready)]
        order.append(name)
        for reader in after[name]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heappush(ready, position[reader])
    return order


def _knots(after: Edges, names: set[str]) -> list[set[str]]:
    """The groups of ``names`` that reach each other."""
    import networkx as nx  # takes longer to import than a spec to check

    graph = nx.DiGraph((name, reader) for name in names for reader in after[name])
    found = nx.strongly_connected_components(graph)
    return [knot for knot in found if len(knot) > 1 or knot <= set(after[next(iter(knot))])]


def _cycle(knot: set[str], edges: Edges, declared: dict[str, NodeDecl], position: dict[str, int]) -> Diagnostic:
    """The shortest cycle through the first node of a group whose nodes all reach each other."""
    start = min(knot, key=position.__getitem__)
    before: dict[str, str] = {}
    queue = deque([start])
    while start not in before:
        name = queue.popleft()
        for reader in edges[name]:
            if reader in knot and reader not in before:
                before[reader] = name
                queue.append(reader)
    path = [before[start]]
    while path[-1] != start:
        path.append(before[path[-1]])
    path.reverse()
    first = declared[start]
    return Diagnostic.at(
        first.mark,
        Code.CYCLE,
        f"'{start}' depends on itself: {circle(path)}",
        path=first.tree.path,
        hint=f"let '{start}' take another input than '{path[-1]}'",
        nodes=tuple(NodeRef(n, declared[n].type or "node", line=declared[n].mark.line) for n in path[:_SHOWN]),
    )


def _uncertain(node: NodeDecl) -> bool:
    """Whether what a node reads, or who is meant by its name, is not known because of an error."""
    unread = None in node.inputs or any(None in refs for refs in node.call.values())
    return unread or "#" in node.name


def _dead_ends(
    spec: Spec, before: Edges, after: Edges, declared: dict[str, NodeDecl], tangled: set[str]
) -> list[Diagnostic]:
    if not spec.heads or any(head.layer is None for head in spec.heads.values()) or any(map(_uncertain, spec.nodes)):
        return []  # a reference that is wrong has been reported; where it was meant to lead, nobody knows
    heads = [h.layer.name for h in spec.heads.values() if h.layer is not None and h.layer.name in declared]
    alive: set[str] = set()
    stack = list(heads)
    while stack:
        name = stack.pop()
        if name not in alive:
            alive.add(name)
            stack.extend(before[name])
    shared = {node.share for node in spec.nodes if node.share is not None and node.name in alive}
    used = {node.name.partition("/")[0] for node in spec.nodes if node.name in alive or node.name in shared}
    found: dict[str, Diagnostic] = {}
    for node in spec.nodes:
        if node.name in alive or node.name in tangled or node.name in shared or after[node.name]:
            continue  # of a chain that leads nowhere its end is named
        instance = node.instance
        if instance is not None and node.within is not None and instance.name not in used:
            found[instance.name] = _dead_end(instance, node.within, f"instance '{instance.name}' of {instance.type}")
        elif node.type is not None:
            ref = NodeRef(node.name, node.type, line=node.mark.line)
            found[node.name] = _dead_end(ref, node.tree, f"{node.type} '{node.name}'")
    return list(found.values())


def _dead_end(ref: NodeRef, tree: Tree, what: str) -> Diagnostic:
    text = f"{what} reaches no head: it is neither trained nor exported"
    inside = "in the block's `outputs`" if "/" in ref.name else "in `outputs`"
    hint = f"name it in the `inputs` of a layer or {inside}, or remove '{ref.name.rpartition('/')[2]}'"
    return Diagnostic.at(tree.first_key, Code.UNUSED_NODE, text, path=tree.path, hint=hint, nodes=(ref,)).as_warning()
