"""The outline of a document: its sections, with inputs, columns, layers, blocks and heads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from graphspec.editor.analysis import Analysis
from graphspec.editor.nodes import Entry
from graphspec.editor.places import Span

OutlineKind = Literal["section", "input", "column", "layer", "block", "head", "source", "variable"]
_CHILDREN: dict[str, OutlineKind] = {
    "vars": "variable",
    "inputs": "input",
    "blocks": "block",
    "layers": "layer",
    "outputs": "head",
    "data": "source",
}


@dataclass(frozen=True)
class Symbol:
    """A part of a document.

    Attributes:
        detail: a type or a loss.
        whole: the place of all of it.
        name_span: the place of its name, within ``whole``.
    """

    name: str
    kind: OutlineKind
    detail: str
    whole: Span
    name_span: Span
    children: list[Symbol] = field(default_factory=list)


def outline(analysis: Analysis) -> list[Symbol]:
    """Return the sections of a document, in their order."""
    return [_symbol(entry, "section") for entry in analysis.root.entries if entry.key]


def _symbol(entry: Entry, kind: OutlineKind) -> Symbol:
    node = entry.node
    name = entry.key or node.scalar("name") or _kind_of(entry)
    at = Span(entry.start, entry.key_end) if entry.key is not None else Span(entry.start, entry.start + 1)
    if entry.key is None and (named := node.get("name")) is not None and named.kind == "scalar":
        at = Span(named.start, named.end)
    children: list[Symbol] = []
    if kind == "section" and entry.key in _CHILDREN:
        children = [_symbol(child, _CHILDREN[entry.key]) for child in node.entries]
    elif kind == "block" and (layers := node.get("layers")) is not None:
        children = [_symbol(child, "layer") for child in layers.entries]
    elif kind == "input" and (columns := node.get("columns")) is not None:
        children = [_symbol(child, "column") for child in columns.entries]
    return Symbol(name, kind, _detail(entry, kind), Span(entry.start, max(entry.end, at.end)), at, children)


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
    if kind in ("section", "variable") and node.kind == "scalar":
        return node.text[:60]
    return ""
