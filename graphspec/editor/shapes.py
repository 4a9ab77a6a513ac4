"""The output shapes of the nodes that an entry of a spec stands for: hints after its line, texts under the mouse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from graphspec.editor.analysis import Analysis
from graphspec.editor.names import Scope, instantiated, scope_of
from graphspec.editor.nodes import Entry, Node
from graphspec.graph.ir.dims import LearntSize, Shape, show
from graphspec.graph.ir.graph import Value

_SHOWN = 3
"""The most shapes that a hint shows."""
_DEPTH = 40
"""The deepest nesting of blocks whose outputs are followed."""


class Hint(NamedTuple):
    """A text after a line: where it stands, the text, and what it means."""

    offset: int
    text: str
    meaning: str


class Result(NamedTuple):
    """The outputs of one concrete node, or of a block instance; None if they are unknown because of an error."""

    name: str
    values: tuple[Value, ...] | None


def shape_text(shape: Shape) -> str:
    """Return a shape as text: ``(N, 28, 28, 64)``. Sizes that come from the training rows are ``learnt``."""
    return show(tuple("learnt" if isinstance(size, LearntSize) else size for size in shape))


def results(analysis: Analysis, node: Node) -> list[Result]:
    """Return the outputs of all nodes that an entry of ``layers`` stands for: its copies, and those in instances."""
    lowered = analysis.lowered
    if lowered is None:
        return []
    if own := analysis.nodes.get(node.path):
        return [Result(decl.name, lowered.outputs.get(decl.name)) for decl in own]
    name, scope = node.scalar("name"), scope_of(analysis, node)
    if name is None or not scope.is_top or (block := instantiated(analysis, scope, node)) is None:
        return []
    repeat = node.scalar("repeat")
    full = f"{name}_{repeat}" if repeat is not None and repeat.isdecimal() else name
    values = _outputs_of_block(analysis, block, full, 0)
    return [Result(full, tuple(values) if values else None)]


def _outputs_of_block(analysis: Analysis, block: Scope, instance: str, depth: int) -> list[Value]:
    """Return the outputs of an instance of a block, which may be those of instances in it."""
    assert block.container is not None
    assert analysis.lowered is not None
    outputs = block.container.get("outputs")
    names = [] if outputs is None else [outputs, *(entry.node for entry in outputs.entries)]
    found: list[Value] = []
    for scalar in names:
        if scalar.kind != "scalar" or depth > _DEPTH:
            continue
        name, _, index = scalar.text.partition(":")
        k = int(index) if index.isdecimal() else 0
        values = list(analysis.lowered.outputs.get(f"{instance}/{name}") or ())
        symbol = block.nodes.get(name)
        if not values and symbol is not None and (inner := instantiated(analysis, block, symbol.node)) is not None:
            values = _outputs_of_block(analysis, inner, f"{instance}/{name}", depth + 1)
        if k < len(values):
            found.append(values[k])
    return found


def layer_entries(analysis: Analysis) -> Iterator[Entry]:
    """Yield the entries of ``layers``, of the document and of its blocks."""
    blocks = analysis.root.get("blocks")
    holders = [analysis.root, *(entry.node for entry in (blocks.entries if blocks is not None else ()))]
    for holder in holders:
        if (layers := holder.get("layers")) is not None and layers.kind == "list":
            yield from layers.entries


def shape_hints(analysis: Analysis, start: int, end: int) -> list[Hint]:
    """Return the output shape after the line of each node between two offsets."""
    hints: list[Hint] = []
    for entry in layer_entries(analysis):
        if entry.end >= start and entry.start <= end and (text := _hint_of(results(analysis, entry.node))):
            hints.append(Hint(_place(analysis, entry), text, "the output shape; N is the batch"))
    inputs = analysis.root.get("inputs")
    for entry in inputs.entries if inputs is not None else ():
        if entry.node.find("columns") is None or not (start <= entry.start <= end):
            continue
        lowered = analysis.lowered
        values = None if lowered is None else lowered.outputs.get(str(entry.key))
        if values:
            place = analysis.text.ends[analysis.text.line_of(entry.key_end)]
            hints.append(Hint(place, shape_text(values[0].shape), "the shape of the record; N is the batch"))
    return hints


def _place(analysis: Analysis, entry: Entry) -> int:
    """Return the end of the line after which the shape of an entry stands: of its bracket, or of its first line."""
    text = analysis.text
    return text.ends[text.line_of(entry.node.end if entry.node.flow else entry.node.start)]


def _hint_of(found: list[Result]) -> str:
    """Return the shapes of an entry as one text; those of several nodes only once."""
    known = [" ".join(shape_text(value.shape) for value in values) for _, values in found if values]
    shapes = list(dict.fromkeys(known))
    return " | ".join(shapes[:_SHOWN]) + (" | …" if len(shapes) > _SHOWN else "")
