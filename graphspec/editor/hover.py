"""What is known about the word under the mouse, in Markdown: shapes of nodes, meanings of keys, names and words."""

from __future__ import annotations

from typing import NamedTuple

from graphspec.base.codes import Code
from graphspec.base.text import count
from graphspec.editor import grammar
from graphspec.editor.analysis import Analysis
from graphspec.editor.cursor import entry_at
from graphspec.editor.names import Symbol, instantiated, occurrence_at, scope_of
from graphspec.editor.nodes import Entry, Node
from graphspec.editor.places import Span
from graphspec.editor.problems import place_of
from graphspec.editor.shapes import Result, results, shape_text
from graphspec.graph.ir.dims import LearntSize
from graphspec.graph.ir.graph import Value
from graphspec.language.declarations import Ref, operand_text
from graphspec.language.schema_values import Schema
from graphspec.vocabulary.layers.base import Number

_INSTANCES = 4
"""The most concrete nodes that a text lists."""


class Hover(NamedTuple):
    """A text in Markdown, and the part of the document that it explains."""

    text: str
    span: Span


def hover(analysis: Analysis, offset: int) -> Hover | None:
    """Return what is known about the word at an offset; None if that is nothing."""
    at = entry_at(analysis, offset)
    parts: list[str] = []
    span = Span(offset, offset)
    if at is not None:
        entry, is_key = at
        span = Span(entry.start, entry.key_end) if is_key else Span(entry.node.start, entry.node.end)
        found = occurrence_at(analysis, offset)
        name = "" if is_key or entry.key != "name" else "name"
        if found is not None:
            span = found.span
            parts.append(_symbol(analysis, found.symbol))
        if name != "name" and not (found is not None and not is_key):
            parts.append(_key(entry) if is_key else _value(analysis, entry))
    parts.append(_codes(analysis, offset))
    text = "\n\n".join(part for part in parts if part)
    return Hover(text, span) if text else None


# Nodes


def _symbol(analysis: Analysis, symbol: Symbol) -> str:
    """Return what a name stands for."""
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
        learnt = isinstance(size, LearntSize)
        parts = ["parameters learnt from the training rows" if learnt else count(size, "parameter")]
        if cost.frozen and not learnt:
            parts[0] += f" ({cost.frozen:,} not trained)"
        if cost.multiply_adds and not learnt:
            parts.append(f"{cost.multiply_adds:,} multiply-adds per row")
        lines.append(", ".join(parts))
    decl = next((decl for decl in analysis.nodes.get(node.path, ()) if decl.name == found.name), None)
    if decl is not None and analysis.lowered is not None:
        refs = [] if None in decl.inputs else decl.operands()
        inputs = [(operand, analysis.lowered.value(operand) if isinstance(operand, Ref) else None) for operand in refs]
        known = [_read(operand) + (f" `{shape_text(v.shape)}`" if v is not None else "") for operand, v in inputs]
        lines += [f"reads {', '.join(known)}"] if known else []
    return "  \n".join(lines)


def _read(operand: Ref | Number | None) -> str:
    """Return an input as Markdown."""
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
    if entry.key == "type" and (text := _class(field.schema, entry.node.text)):
        return text
    text = _described(field.schema)
    if entry.node.kind == "scalar" and (of_class := _class(field.schema, entry.node.text)):
        return f"{text}\n\n{of_class}"
    return _with_words(field.schema, text)


def _value(analysis: Analysis, entry: Entry) -> str:
    """Return the meaning of a scalar: of the class that it names, or of the key."""
    schema = grammar.child(grammar.schema_at(entry.parent), entry)
    if schema is None:
        return ""
    text = _class(schema, entry.node.text)
    if entry.key == "type":
        holder = entry.parent
        node = (
            node_text(analysis, holder) if holder.parent is not None and holder.parent.path.endswith("layers") else ""
        )
        return f"{text}\n\n---\n\n{node}" if text and node else text or node
    if text and entry.key is None:
        return text
    return f"{_described(schema)}\n\n{text}" if text else _with_words(schema, _described(schema))


def _described(schema: Schema) -> str:
    title, text = str(schema.get("title", "")), str(schema.get("description", ""))
    if not text and (kind := grammar.kind_of(schema)) is not None:
        text = f"The {kind}."
    return f"#### {title}\n\n{text}".strip() if title else text


def _class(schema: Schema, name: str) -> str:
    """Return the meaning of a class that a value names."""
    kind = grammar.kind_of(schema)
    if kind is None or not name or (text := grammar.names_of(kind).get(name)) is None:
        return ""
    return (
        f"#### {name}\n\n* `{name}`: {text}" if "\n" not in text and kind not in _TITLED else f"#### {name}\n\n{text}"
    )


_TITLED = ("layer", "cell", "column")


def _with_words(schema: Schema, text: str) -> str:
    words = [word for word in grammar.choices(schema) if word not in ("true", "false", "null")]
    return f"{text}\n\n" + "\n".join(f"* `{word}`" for word in words) if words else text


# Diagnostics


def _codes(analysis: Analysis, offset: int) -> str:
    """Return the explanations of the codes of the problems at an offset."""
    found = [d.code for d in analysis.diagnostics if _covers(place_of(analysis, d), offset)]
    codes = [Code(code) for code in dict.fromkeys(found)]
    return "\n\n".join(f"**{code}** {code.summary}: {code.explanation} {code.remedy}" for code in codes)


def _covers(span: Span, offset: int) -> bool:
    return span.start <= offset < max(span.end, span.start + 1)
