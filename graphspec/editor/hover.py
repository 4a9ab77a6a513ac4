"""What is known about the word under the mouse, in Markdown: shapes of nodes, meanings of keys, names and words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from graphspec.base.codes import Code
from graphspec.base.text import count
from graphspec.editor import completion as grammar
from graphspec.editor.analysis import Analysis, entry_at, place_of
from graphspec.editor.document import Entry, Node, Span
from graphspec.editor.names import Scope, Symbol, instantiated, occurrence_at, scope_of
from graphspec.graph.ir.graph import LearntSize, Shape, Value, show
from graphspec.language.declarations import Ref, operand_text
from graphspec.language.schema import Schema
from graphspec.vocabulary.layers.formula import Formula
from graphspec.vocabulary.layers.layer import Number

# The outline of a document: its sections, with inputs, columns, layers, blocks and heads.
OutlineKind = Literal["section", "input", "column", "layer", "block", "head", "source", "variable"]
_CHILDREN: dict[str, OutlineKind] = {
    "vars": "variable",
    "inputs": "input",
    "blocks": "block",
    "layers": "layer",
    "outputs": "head",
    "data": "source",
}
_BELOW: dict[OutlineKind, tuple[str, OutlineKind]] = {"block": ("layers", "layer"), "input": ("columns", "column")}


@dataclass(frozen=True)
class Section:
    """A part of a document."""

    name: str
    kind: OutlineKind
    detail: str  # a type or a loss
    whole: Span  # the place of all of it
    name_span: Span  # the place of its name, within ``whole``
    children: list[Section] = field(default_factory=list)


def outline(analysis: Analysis) -> list[Section]:
    """Return the sections of a document, in their order."""
    return [_section(entry, "section") for entry in analysis.root.entries if entry.key]


def _section(entry: Entry, kind: OutlineKind) -> Section:
    node, named = entry.node, entry.node.get("name")
    at = Span(entry.start, entry.start + 1)
    if entry.key is not None:
        at = Span(entry.start, entry.key_end)
    elif named is not None and named.kind == "scalar":
        at = Span(named.start, named.end)
    name = entry.key or node.scalar("name") or _kind_of(entry)
    below, inner = _BELOW.get(kind, ("", kind))
    children = node.below(below)
    if kind == "section" and entry.key in _CHILDREN:
        children, inner = node.entries, _CHILDREN[entry.key]
    whole = Span(entry.start, max(entry.end, at.end))
    return Section(name, kind, _detail(entry, kind), whole, at, [_section(child, inner) for child in children])


def _kind_of(entry: Entry) -> str:
    node = entry.node
    return node.scalar("type") or node.scalar("block") or node.scalar("share") or f"layer {entry.index + 1}"


def _detail(entry: Entry, kind: OutlineKind) -> str:
    node = entry.node
    if kind == "layer":
        return _kind_of(entry) if node.find("name") is not None else ""
    if kind == "head":
        loss = node.get("loss")
        return "" if loss is None else loss.text or loss.scalar("type") or ""
    if kind == "column":
        return node.text or node.scalar("type") or ""
    if kind == "input":
        return "record" if node.find("columns") is not None else node.scalar("dtype") or ""
    return node.text[:60] if kind in ("section", "variable") and node.kind == "scalar" else ""


# The output shapes of the nodes that an entry of a spec stands for: hints after its line, texts under the mouse.
_SHOWN = 3  # the most shapes that a hint shows
_DEPTH = 40  # the deepest nesting of blocks whose outputs are followed


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
    assert analysis.lowered is not None
    outputs = block.container.get("outputs")
    names = [] if outputs is None or depth > _DEPTH else [outputs, *(entry.node for entry in outputs.entries)]
    found: list[Value] = []
    for scalar in names:
        if scalar.kind != "scalar":
            continue
        name, _, index = scalar.text.partition(":")
        k = int(index) if index.isdecimal() else 0
        values = list(analysis.lowered.outputs.get(f"{instance}/{name}") or ())
        symbol = block.nodes.get(name)
        if not values and symbol is not None and (inner := instantiated(analysis, block, symbol.node)) is not None:
            values = _outputs_of_block(analysis, inner, f"{instance}/{name}", depth + 1)
        found += values[k : k + 1]
    return found


def layer_entries(analysis: Analysis) -> Iterator[Entry]:
    """Yield the entries of ``layers``, of the document and of its blocks."""
    for holder in (analysis.root, *(entry.node for entry in analysis.root.below("blocks"))):
        yield from (entry for entry in holder.below("layers") if entry.key is None)


def shape_hints(analysis: Analysis, start: int, end: int) -> list[Hint]:
    """Return the output shape after the line of each node between two offsets."""
    text, lowered = analysis.text, analysis.lowered
    hints: list[Hint] = []
    for entry in layer_entries(analysis):
        if entry.end >= start and entry.start <= end and (shapes := _shapes_of(results(analysis, entry.node))):
            at = entry.node.end if entry.node.flow else entry.node.start  # after its bracket, or its first line
            hints.append(Hint(text.ends[text.line_of(at)], shapes, "the output shape; N is the batch"))
    for entry in analysis.root.below("inputs"):
        values = None if lowered is None else lowered.outputs.get(str(entry.key))
        if values and start <= entry.start <= end and entry.node.find("columns") is not None:
            place = text.ends[text.line_of(entry.key_end)]
            hints.append(Hint(place, shape_text(values[0].shape), "the shape of the record; N is the batch"))
    return hints


def _shapes_of(found: list[Result]) -> str:
    """Return the shapes of an entry as one text; those of several nodes only once."""
    texts = [" ".join(shape_text(value.shape) for value in values) for _, values in found if values]
    shapes = list(dict.fromkeys(texts))
    return " | ".join(shapes[:_SHOWN]) + (" | …" if len(shapes) > _SHOWN else "")


_INSTANCES = 4  # the most concrete nodes that a text lists


class Hover(NamedTuple):
    """A text in Markdown, and the part of the document that it explains."""

    text: str
    span: Span


def hover(analysis: Analysis, offset: int) -> Hover | None:
    """Return what is known about the word at an offset; None if that is nothing."""
    parts: list[str] = []
    span = Span(offset, offset)
    if (at := entry_at(analysis, offset)) is not None:
        entry, is_key = at
        span = Span(entry.start, entry.key_end) if is_key else Span(entry.node.start, entry.node.end)
        found = occurrence_at(analysis, offset)
        if found is not None:
            span = found.span
            parts.append(_symbol(analysis, found.symbol))
        if is_key or (found is None and entry.key != "name"):
            parts.append(_key(entry) if is_key else _value(analysis, entry))
    parts.append(_codes(analysis, offset))
    text = "\n\n".join(part for part in parts if part)
    return Hover(text, span) if text else None


# Nodes


def _symbol(analysis: Analysis, symbol: Symbol) -> str:
    if symbol.kind == "node":
        return node_text(analysis, symbol.node)
    if symbol.kind == "block":
        return f"**block** `{symbol.name}`"
    if symbol.kind == "variable":
        value = analysis.text.text[symbol.node.start : symbol.node.end]
        return f"**variable** `{symbol.name}`" + (f": `{value}`" if value and len(value) < 200 else "")
    lowered = analysis.lowered
    values = lowered.outputs.get(symbol.name) if lowered is not None and symbol.scope.is_top else None
    return f"**{symbol.kind}** `{symbol.name}`" + (f"\n\n{_outputs(values)}" if values else "")


def node_text(analysis: Analysis, node: Node) -> str:
    """Return what is known of an entry of ``layers``: its type, and of each concrete node the shapes and the costs."""
    kind = node.scalar("type") or node.scalar("block") or node.scalar("share") or "node"
    word = "block " if node.find("block") is not None else "the weights of " if node.find("share") is not None else ""
    found = results(analysis, node)
    title = f"**{word}{kind}**" + (f" `{name}`" if (name := node.scalar("name")) else "")
    if not found:
        return title
    if len(found) == 1:
        return f"{title}\n\n{_result(analysis, node, found[0])}"
    lines = [f"* `{one.name}`: {_brief(one)}" for one in found[:_INSTANCES]]
    more = [f"* … {len(found) - _INSTANCES} more"] if len(found) > _INSTANCES else []
    return "\n".join([title, "", *lines, *more])


def _brief(found: Result) -> str:
    return _outputs(found.values) if found.values else "the output is unknown because of an error"


def _result(analysis: Analysis, node: Node, found: Result) -> str:
    lines = [_brief(found)]
    cost = analysis.costs.get(found.name)
    if cost is not None and instantiated(analysis, scope_of(analysis, node), node) is None:
        size = cost.trainable + cost.frozen
        if isinstance(size, LearntSize):
            lines.append("parameters learnt from the training rows")
        else:
            frozen = f" ({cost.frozen:,} not trained)" if cost.frozen else ""
            adds = f", {cost.multiply_adds:,} multiply-adds per row" if cost.multiply_adds else ""
            lines.append(f"{count(size, 'parameter')}{frozen}{adds}")
    decl = next((decl for decl in analysis.nodes.get(node.path, ()) if decl.name == found.name), None)
    if decl is not None and analysis.lowered is not None and None not in decl.inputs:
        inputs = []
        for operand in decl.operands():
            value = analysis.lowered.value(operand) if isinstance(operand, Ref) else None
            inputs.append(_read(operand) + ("" if value is None else f" `{shape_text(value.shape)}`"))
        lines += [f"reads {', '.join(inputs)}"] if inputs else []
    if decl is not None and isinstance(decl.layer, Formula) and analysis.lowered is not None:
        steps = [n for n in analysis.lowered.graph.nodes if n.owner == decl.name]
        lines += [f"`{n.name.removeprefix(f'{decl.name}/')}` `{shape_text(n.outputs[0].shape)}`" for n in steps]
    return "  \n".join(lines)


def _read(operand: Ref | Number | None) -> str:
    if isinstance(operand, Ref):
        return f"`{operand.name}`" + (f":{operand.output}" if operand.output else "")
    return f"`{operand_text(operand)}`"


def _outputs(values: tuple[Value, ...]) -> str:
    return "output " + ", ".join(f"`{shape_text(value.shape)}` {value.dtype}" for value in values)


# Keys and values


def _key(entry: Entry) -> str:
    """Return the meaning of a key. That of ``type`` is the meaning of the class."""
    field = grammar.fields(grammar.schema_at(entry.parent), entry.parent).get(str(entry.key))
    if field is None:
        schema = grammar.schema_at(entry.node)
        return _described(schema) if schema is not None and "description" in schema else ""
    text, of_class = _described(field.schema), _class(field.schema, entry.node.text)
    if of_class and entry.key == "type":
        return of_class
    return f"{text}\n\n{of_class}" if of_class and entry.node.kind == "scalar" else _with_words(field.schema, text)


def _value(analysis: Analysis, entry: Entry) -> str:
    """Return the meaning of a scalar: of the class that it names, or of the key."""
    holder = entry.parent
    schema = grammar.child(grammar.schema_at(holder), entry)
    if schema is None:
        return ""
    text = _class(schema, entry.node.text)
    if entry.key == "type":
        is_layer = holder.parent is not None and holder.parent.path.endswith("layers")
        return "\n\n---\n\n".join(part for part in (text, node_text(analysis, holder) if is_layer else "") if part)
    if text and entry.key is None:
        return text
    return f"{_described(schema)}\n\n{text}" if text else _with_words(schema, _described(schema))


def _described(schema: Schema) -> str:
    title, text = str(schema.get("title", "")), str(schema.get("description", ""))
    if not text and (kind := grammar.kind_of(schema)) is not None:
        text = f"The {kind}."
    return f"#### {title}\n\n{text}".strip() if title else text


def _class(schema: Schema, name: str) -> str:
    kind = grammar.kind_of(schema)
    text = grammar.names_of(kind).get(name) if kind is not None and name else None
    if text is None:
        return ""
    is_short = "\n" not in text and kind not in ("layer", "cell", "column")
    return f"#### {name}\n\n" + (f"* `{name}`: {text}" if is_short else text)


def _with_words(schema: Schema, text: str) -> str:
    words = [word for word in grammar.choices(schema) if word not in ("true", "false", "null")]
    return f"{text}\n\n" + "\n".join(f"* `{word}`" for word in words) if words else text


# Diagnostics


def _codes(analysis: Analysis, offset: int) -> str:
    spans = [(place_of(analysis, d), d.code) for d in analysis.diagnostics]
    found = [code for at, code in spans if at.start <= offset < max(at.end, at.start + 1)]
    codes = [Code(code) for code in dict.fromkeys(found)]
    return "\n\n".join(f"**{code}** {code.summary}: {code.explanation} {code.remedy}" for code in codes)
