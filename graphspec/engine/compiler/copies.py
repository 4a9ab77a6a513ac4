"""A network of copies: everything that has weights, or depends on them, once per copy; the heads are the copies' means.

What is before all weights, such as the lookups and scales of a record's columns, is there once. Probabilities are averaged,
and numbers; for a head of logits, the mean of logits is the answer (a geometric mean of probabilities).
"""

from __future__ import annotations

from dataclasses import replace

from graphspec.base.errors import SpecError
from graphspec.engine.compiler.lower import link, lower, reads
from graphspec.engine.compiler.lowered_network import owner_of
from graphspec.graph.ir.graph import Graph
from graphspec.language.declarations import HeadDecl, NodeDecl, Ref, Spec
from graphspec.vocabulary.layers.merging import Average


def prefixes_of(spec: Spec) -> list[str]:
    """Return what begins the names of each copy's nodes and weights: ``copy_1/``, …; nothing for a single network."""
    word, blocks = "copy", {node.name.partition("/")[0] for node in spec.nodes}
    numbers = range(1, spec.training.copies + 1)
    while not blocks.isdisjoint(f"{word}_{k}" for k in numbers):
        word += "_"
    return [f"{word}_{k}/" for k in numbers] if len(numbers) > 1 else [""]


def combined(spec: Spec, graph: Graph) -> tuple[Spec, Graph]:
    """Return the spec and the graph of all copies of a network, from those of one."""
    prefixes = prefixes_of(spec)
    if prefixes == [""]:
        return spec, graph
    nodes = {node.name: node for node in spec.nodes}
    weighted = {owner_of(name, nodes) for name in graph.params}
    own = set[str]()  # the names of the nodes that every copy has
    for node in link(spec)[0]:
        if {node.name, node.share} & weighted or any(ref.name in own for ref in reads(node)):
            own.add(node.name)
    means = dict[str, NodeDecl]()

    def mean_of(ref: Ref | None) -> Ref | None:
        if ref is None or ref.name not in own:
            return ref
        name, node = ref.name if ref.output == 0 else f"{ref.name}/{ref.output}", nodes[ref.name]
        inputs: list[Ref | None] = [replace(ref, name=prefix + ref.name) for prefix in prefixes]
        mean = replace(node, name=name, type="Average", layer=Average(), inputs=inputs, share=None, call={}, options={})
        means[name] = replace(mean, written={})
        return Ref(name, 0, ref.mark, ref.path)

    def head(of: HeadDecl) -> HeadDecl:
        first, *others = map(mean_of, of.layers)
        return replace(of, layer=first, others=tuple(others), target=mean_of(of.target), window=mean_of(of.window))

    copies = [_copy(node, prefix, own) for prefix in prefixes for node in spec.nodes if node.name in own]
    shared = [_copy(node, prefixes[0], own) for node in spec.nodes if node.name not in own]
    heads, terms = ({name: head(of) for name, of in each.items()} for each in (spec.heads, spec.terms))
    whole = replace(spec, nodes=[*shared, *copies, *means.values()], heads=heads, terms=terms, weights=[])
    lowered = lower(whole, link(whole)[0])
    if any(d.is_error for d in lowered.diagnostics):
        raise SpecError(lowered.diagnostics)
    return whole, lowered.graph


def _copy(node: NodeDecl, prefix: str, own: set[str]) -> NodeDecl:
    """Return a node as one copy has it; one that all copies share only shares the layer of a copy."""

    def named(name: str | None) -> str | None:
        return f"{prefix}{name}" if name in own else name

    def renamed(refs: list[Ref | None]) -> list[Ref | None]:
        return [None if ref is None else replace(ref, name=str(named(ref.name))) for ref in refs]

    call = {key: renamed(refs) for key, refs in node.call.items()}
    name, share = str(named(node.name)), named(node.share)
    return replace(node, name=name, inputs=renamed(node.inputs), share=share, call=call)
