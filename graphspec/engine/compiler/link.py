"""Link: order the nodes topologically, and find cycles and unused nodes."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, NodeRef
from graphspec.language.tree import format_cycle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphspec.language.declarations import NodeDecl, Ref, Spec
    from graphspec.language.tree import Tree


Edges = dict[str, list[str]]

_MAX_LISTED = 12
"""At most this many nodes of a cycle are listed in a diagnostic."""


def reads(node: NodeDecl) -> list[Ref]:
    """Return the resolved references of a node: its inputs, then its call arguments."""
    refs = list(node.inputs)
    for value in node.call.values():
        refs += value
    return [r for r in refs if r is not None]


def link(spec: Spec) -> tuple[list[NodeDecl], list[Diagnostic]]:
    """Return the nodes in topological order, without nodes that depend on a cycle, and the diagnostics.

    The order of the file decides between independent nodes. Each group of nodes that form cycles gets one GS202 with a
    path; nodes on which no head depends get GS204.
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
    groups = _cyclic_groups(after, set(declared).difference(order)) if len(order) < len(declared) else []
    diagnostics = []
    for group in sorted(groups, key=lambda names: min(position[n] for n in names)):
        diagnostics.append(_cycle(group, after, declared, position))
    diagnostics += _unused_nodes(spec, before, after, declared, set().union(*groups)) + _skipped(spec.nodes)
    return [declared[n] for n in order], diagnostics


def _skipped(nodes: Sequence[NodeDecl]) -> list[Diagnostic]:
    """Return GS203, as a warning, for nodes without `inputs` below a Parameter or Constant, which they do not read."""
    found = []
    for above, node in pairwise(nodes):
        ref = node.inputs[0] if node.inputs and node.tree.get("inputs") is None else None
        alone = above.layer is not None and above.layer.arity == (0, 0) and above.within is node.within
        if ref is None or not alone or ref.name == above.name:
            continue
        (of, _, name), (source, _, read) = node.name.rpartition("/"), ref.name.rpartition("/")
        skipped = above.name.rpartition("/")[2]
        given = f"'{read}'" if of == source else "an input of its block"
        text = f"'{name}' reads {given}, not the {above.type} '{skipped}' above it"
        hint = f"write `inputs: {skipped}`, or `inputs: {read if of == source else '…'}` if that is meant"
        found.append(Diagnostic.at(node.mark, Code.WRONG_INPUT_COUNT, text, path=node.tree.path, hint=hint))
    return [diagnostic.as_warning() for diagnostic in found]


def _sort(before: Edges, after: Edges, position: dict[str, int]) -> list[str]:
    """Return the names that do not depend on a cycle, in topological order. Independent names are sorted by position."""
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


def _cyclic_groups(after: Edges, names: set[str]) -> list[set[str]]:
    """Return the strongly connected components of ``names`` that contain a cycle."""
    import networkx as nx  # slow to import, and needed for wrong specs only

    graph = nx.DiGraph((name, reader) for name in names for reader in after[name])
    found = nx.strongly_connected_components(graph)
    return [group for group in found if len(group) > 1 or group <= set(after[next(iter(group))])]


def _cycle(group: set[str], edges: Edges, declared: dict[str, NodeDecl], position: dict[str, int]) -> Diagnostic:
    """Return GS202 with the shortest cycle through the first node of a strongly connected ``group``."""
    start = min(group, key=position.__getitem__)
    before: dict[str, str] = {}
    queue = deque([start])
    while start not in before:
        name = queue.popleft()
        for reader in edges[name]:
            if reader in group and reader not in before:
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
        f"'{start}' depends on itself: {format_cycle(path)}",
        path=first.tree.path,
        hint=f"give '{start}' another input than '{path[-1]}'",
        nodes=tuple(NodeRef(n, declared[n].type or "node", line=declared[n].mark.line) for n in path[:_MAX_LISTED]),
    )


def _uncertain(node: NodeDecl) -> bool:
    """Return whether an error leaves the inputs of a node, or the meaning of its name, unknown."""
    unread = None in node.inputs or any(None in refs for refs in node.call.values())
    return unread or "#" in node.name


def _unused_nodes(
    spec: Spec, before: Edges, after: Edges, declared: dict[str, NodeDecl], cyclic: set[str]
) -> list[Diagnostic]:
    """Return GS204 for nodes on which no head depends: for the last node of a chain, or for the instance of a block."""
    every = spec.all_heads.values()
    if not every or any(None in head.layers for head in every) or any(map(_uncertain, spec.nodes)):
        return []  # a wrong reference, already reported, may be meant for any node
    heads = [ref.name for h in every for ref in (*h.layers, h.target) if ref is not None and ref.name in declared]
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
        if node.name in alive or node.name in cyclic or node.name in shared or after[node.name]:
            continue  # only the last node of an unused chain is reported
        instance = node.instance
        if instance is not None and node.within is not None and instance.name not in used:
            found[instance.name] = _unused(instance, node.within, f"instance '{instance.name}' of {instance.type}")
        elif node.type is not None:
            ref = NodeRef(node.name, node.type, line=node.mark.line)
            found[node.name] = _unused(ref, node.tree, f"{node.type} '{node.name}'")
    return list(found.values())


def _unused(ref: NodeRef, tree: Tree, subject: str) -> Diagnostic:
    text = f"{subject} reaches no head: it is neither trained nor exported"
    inside = "in the block's `outputs`" if "/" in ref.name else "in `outputs`"
    hint = f"name it in the `inputs` of a layer or {inside}, or remove '{ref.name.rpartition('/')[2]}'"
    return Diagnostic.at(tree.first_key, Code.UNUSED_NODE, text, path=tree.path, hint=hint, nodes=(ref,)).as_warning()
