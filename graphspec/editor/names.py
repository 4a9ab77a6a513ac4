"""Names and what they stand for: definitions, references and new names of nodes, inputs, blocks and variables."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal

from graphspec.base.formula import parse
from graphspec.editor.analysis import Analysis, entry_at
from graphspec.editor.document import Edit, Entry, Node, Span
from graphspec.language.names import is_name
from graphspec.vocabulary.layers import LAYERS

SymbolKind = Literal["input", "column", "node", "block", "variable", "head"]
_VARIABLE = re.compile(r"(?<!\$)\$\{([^{}]*)\}")
_MAX_SHARES = 20  # the most shares of shares that are followed to a block


class Rejected(Exception):  # noqa: N818 (it is an answer to the user, not a failure)
    """A name that cannot be given, with the reason."""


@dataclass(eq=False)
class Symbol:
    """What a name stands for."""

    name: str
    kind: SymbolKind
    span: Span  # the place of the name where it is declared
    node: Node  # the mapping of a node, an input or a block; the value of a variable
    scope: Scope  # the scope in which it is declared


@dataclass(eq=False)
class Scope:
    """The names of the document or of a block."""

    container: Node
    is_top: bool = False
    inputs: dict[str, Symbol] = field(default_factory=dict)
    nodes: dict[str, Symbol] = field(default_factory=dict)
    own_variables: dict[str, Symbol] = field(default_factory=dict)
    columns: dict[str, Symbol] = field(default_factory=dict)
    heads: dict[str, Symbol] = field(default_factory=dict)
    blocks: dict[str, Symbol] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Symbol | None:
        """Return a node or an input; of ``deep_2``, which is a copy, the node ``deep`` with ``repeat``."""
        if (found := self.nodes.get(name) or self.inputs.get(name)) is not None:
            return found
        node = self.nodes.get(re.sub(r"_\d+$", "", name))
        return node if node is not None and node.node.find("repeat") is not None else None


@dataclass(frozen=True)
class Occurrence:
    """A place where a symbol is named."""

    symbol: Symbol
    span: Span


def scopes(analysis: Analysis) -> list[Scope]:
    """Return the scopes of a document: its own, and one for each block."""
    return analysis.memo("scopes", lambda: _scopes(analysis))


def occurrences(analysis: Analysis) -> list[Occurrence]:
    """Return all places where a symbol is named, declarations included, in their order."""
    return analysis.memo("occurrences", lambda: sorted(_occurrences(analysis), key=attrgetter("span")))


def scope_of(analysis: Analysis, node: Node) -> Scope:
    """Return the scope in which a value is."""
    steps = node.steps()
    top, *others = scopes(analysis)
    if len(steps) > 1 and steps[0].key == "blocks":
        return next((scope for scope in others if scope.container is steps[1].node), top)
    return top


def occurrence_at(analysis: Analysis, offset: int) -> Occurrence | None:
    """Return the name at an offset."""
    return next((o for o in occurrences(analysis) if o.span.start <= offset <= o.span.end), None)


def definition(analysis: Analysis, offset: int) -> Span | None:
    """Return the place where the name at an offset is declared."""
    if (found := occurrence_at(analysis, offset)) is not None:
        return found.symbol.span
    entry, is_key = entry_at(analysis, offset) or (None, True)
    if entry is None or analysis.spec is None or is_key:
        return None
    within = entry.parent.entry if entry.key is None else entry  # a node without a name has a default one
    if within is None or within.key not in ("inputs", "share", "layer", "target"):
        return None
    name = entry.node.text.partition(":")[0]
    node = next((node for node in analysis.spec.nodes if node.name == name), None)
    return None if node is None or node.mark.line is None else analysis.text.of_mark(node.mark.line, node.mark.column)


def references(analysis: Analysis, offset: int, *, declaration: bool = True) -> list[Span]:
    """Return all places of the name at an offset, with or without that of its declaration."""
    found = occurrence_at(analysis, offset)
    if found is None:
        return []
    places = dict.fromkeys(o.span for o in occurrences(analysis) if o.symbol is found.symbol)
    return [span for span in places if declaration or span != found.symbol.span]


def rename(analysis: Analysis, offset: int, name: str) -> list[Edit]:
    """Return the edits that rename the symbol at an offset. Raises Rejected: there is none, or the name is not possible."""
    found = occurrence_at(analysis, offset)
    if found is None:
        raise Rejected("there is no name of a node, an input, a block or a variable here")
    symbol, scope = found.symbol, found.symbol.scope
    if not is_name(name) and not (symbol.kind == "column" and name):
        raise Rejected(f"'{name}' is no name: it may contain only letters, digits, '_', '-' and '.'")
    others: dict[str, Container[str]] = {
        "block": scope.blocks,
        "variable": scope.own_variables,
        "column": {key.partition("/")[2] for key in scope.columns},
    }
    if name != symbol.name and name in others.get(symbol.kind, {**scope.inputs, **scope.nodes, **scope.heads}):
        raise Rejected(f"there is a '{name}' already")
    return [Edit(*span, name) for span in references(analysis, offset)]


# Declarations


def _scopes(analysis: Analysis) -> list[Scope]:
    root = analysis.root
    top = Scope(root, is_top=True)
    for entry in root.below("inputs"):
        symbol = _declare(analysis, top, top.inputs, entry, "input")
        for column in entry.node.below("columns") if symbol is not None else ():
            if symbol is not None and (span := key_span(analysis, column)) is not None:
                top.columns[f"{symbol.name}/{column.key}"] = Symbol(str(column.key), "column", span, column.node, top)
    _declare_layers(analysis, top)
    for entry in root.below("vars"):
        _declare(analysis, top, top.own_variables, entry, "variable")
    top.variables = dict.fromkeys(top.own_variables, "variable")
    for entry in root.below("outputs"):
        if entry.node.find("layer") is not None:
            _declare(analysis, top, top.heads, entry, "head")
    found = [top]
    for entry in root.below("blocks"):
        if _declare(analysis, top, top.blocks, entry, "block") is None:
            continue
        scope = Scope(entry.node, blocks=top.blocks)
        for scalar in _scalars(entry.node.get("inputs")):
            if (span := _exact(analysis, scalar)) is not None:
                scope.inputs.setdefault(scalar.text, Symbol(scalar.text, "input", span, scalar, scope))
        for param in entry.node.below("params"):
            _declare(analysis, scope, scope.own_variables, param, "variable")
        scope.variables = top.variables | dict.fromkeys(scope.own_variables, "param")
        _declare_layers(analysis, scope)
        found.append(scope)
    return found


def _declare(
    analysis: Analysis, scope: Scope, symbols: dict[str, Symbol], entry: Entry, kind: SymbolKind
) -> Symbol | None:
    span = key_span(analysis, entry)
    if span is None or entry.key is None:
        return None
    return symbols.setdefault(entry.key, Symbol(entry.key, kind, span, entry.node, scope))


def _declare_layers(analysis: Analysis, scope: Scope) -> None:
    for entry in scope.container.below("layers"):
        name = entry.node.get("name")
        if name is not None and name.kind == "scalar" and (span := _exact(analysis, name)) is not None:
            scope.nodes.setdefault(name.text, Symbol(name.text, "node", span, entry.node, scope))


def key_span(analysis: Analysis, entry: Entry) -> Span | None:
    """Return the place of a key without its quotes; None if it has escapes."""
    source = analysis.text.text
    for cut in (0, 1):
        span = Span(entry.start + cut, entry.key_end - cut)
        if source[span.start : span.end] == entry.key:
            return span
    return None


def _exact(analysis: Analysis, scalar: Node) -> Span | None:
    """Return the place of a scalar's text; None if it has escapes or variables."""
    span = scalar.inner
    return span if analysis.text.text[span.start : span.end] == scalar.text and "${" not in scalar.text else None


def _scalars(node: Node | None) -> list[Node]:
    nodes = [] if node is None or node.kind == "mapping" else [node, *(entry.node for entry in node.entries)]
    return [found for found in nodes if found.kind == "scalar"]


# References


def _occurrences(analysis: Analysis) -> Iterator[Occurrence]:
    root, top = analysis.root, scopes(analysis)[0]
    for scope in scopes(analysis):
        groups = [scope.inputs, scope.nodes, scope.own_variables, scope.heads]
        groups += [scope.columns, scope.blocks] if scope.is_top else []
        yield from (Occurrence(symbol, symbol.span) for group in groups for symbol in group.values())
        for entry in scope.container.below("layers"):
            yield from _of_layer(analysis, scope, entry.node)
        if not scope.is_top:
            yield from _named(analysis, scope, scope.container.get("outputs"))
    for entry in root.below("outputs"):
        yield from _named(analysis, top, entry.node.get("target"))
        for scale in entry.node.below("scale"):
            yield from _named(analysis, top, scale.node if scale.key == "window" else None)
        if (layer := entry.node.get("layer")) is not None:
            yield from _named(analysis, top, layer)
        else:
            yield from _key_of(analysis, top.find(str(entry.key)), entry)
    for part in root.below("data"):
        yield from _of_data(analysis, top, part.node)
    yield from _of_variables(analysis)


def _key_of(analysis: Analysis, symbol: Symbol | None, entry: Entry) -> Iterator[Occurrence]:
    if symbol is not None and (span := key_span(analysis, entry)) is not None:
        yield _at(symbol, span.start)


def _at(symbol: Symbol, start: int) -> Occurrence:
    """Return the place of a name that begins at an offset; the number of a copy behind it is no part of it."""
    return Occurrence(symbol, Span(start, start + len(symbol.name)))


def _of_layer(analysis: Analysis, scope: Scope, node: Node) -> Iterator[Occurrence]:
    kind = node.scalar("type")
    calls = getattr(LAYERS.get(kind), "call_arguments", ()) if kind else ()
    for key in ("inputs", "share", *calls):
        yield from _named(analysis, scope, node.get(key))
    formula = node.get("value") if kind == "Formula" else None
    if formula is not None and formula.kind == "scalar" and (whole := _exact(analysis, formula)) is not None:
        for term in (term for term in parse(formula.text).terms if term.kind == "name"):
            at = whole.start + term.start + (formula.text[term.start] == "`")
            name = term.value.partition(":")[0]
            variable = scope.own_variables.get(name) or scopes(analysis)[0].own_variables.get(name)
            if scope.find(name.partition("/")[0]) is None and variable is not None:
                yield Occurrence(variable, Span(at, at + len(name)))
            yield from _steps(analysis, scope, name, at)
    block = node.get("block")
    if block is None or block.kind != "scalar" or (symbol := scope.blocks.get(block.text)) is None:
        return
    if (span := _exact(analysis, block)) is not None:
        yield Occurrence(symbol, span)
    definition = next((s for s in scopes(analysis)[1:] if s.container is symbol.node), None)
    params = {} if definition is None else definition.own_variables
    for entry in node.below("params"):
        yield from _key_of(analysis, params.get(str(entry.key)), entry)


def _of_data(analysis: Analysis, top: Scope, part: Node) -> Iterator[Occurrence]:
    for entry in part.below("inputs"):
        yield from _key_of(analysis, top.inputs.get(str(entry.key)), entry)
    for entry in part.below("targets"):
        yield from _key_of(analysis, top.heads.get(str(entry.key)) or top.find(str(entry.key)), entry)
    for entry in part.below("windows"):
        yield from _named(analysis, top, entry.node if entry.key in ("future", "static") else None)
    stratify = part.get("stratify")
    if stratify is not None and (head := top.heads.get(stratify.text) or top.find(stratify.text)) is not None:
        yield _at(head, stratify.inner.start)


def _named(analysis: Analysis, scope: Scope, node: Node | None) -> Iterator[Occurrence]:
    """Yield the symbols in references, one or a list: ``node``, ``node:1``, ``instance/node``, ``record/column``."""
    for scalar in _scalars(node):
        if (span := _exact(analysis, scalar)) is not None:
            yield from _steps(analysis, scope, scalar.text.partition(":")[0], span.start)


def _steps(analysis: Analysis, scope: Scope, reference: str, at: int) -> Iterator[Occurrence]:
    """Yield the symbols between the slashes of a reference, which begins at an offset."""
    inner, path = scope, ""
    for step in reference.split("/"):
        path = f"{path}/{step}" if path else step
        symbol = scope.columns.get(path) if inner is scope and "/" in path else inner.find(step)
        if symbol is None:
            return
        yield _at(symbol, at)
        at += len(step) + 1
        inner = instantiated(analysis, symbol.scope, symbol.node) or inner


def instantiated(analysis: Analysis, scope: Scope, node: Node) -> Scope | None:
    """Return the scope of the block that an entry of ``layers`` instantiates, by itself or by sharing; None for others."""
    for _ in range(_MAX_SHARES):
        if (name := node.scalar("block")) is not None:
            block = scope.blocks.get(name)
            return next((s for s in scopes(analysis)[1:] if block is not None and s.container is block.node), None)
        owner = scope.find(node.scalar("share") or "")
        if owner is None:
            return None
        node = owner.node
    return None


def _of_variables(analysis: Analysis) -> Iterator[Occurrence]:
    source, top = analysis.text.text, scopes(analysis)[0]
    for node in analysis.root.walk() if "${" in source else ():
        if node.kind == "scalar" and "${" in node.text:
            scope = scope_of(analysis, node)
            for match in _VARIABLE.finditer(source, node.start, node.end):
                text, at = match[1], match.start(1)
                names = [(text.strip(), at + len(text) - len(text.lstrip()))]
                terms = [t for t in parse(text).terms if t.kind == "name" and t.value != text.strip()]
                names += [(t.value, at + t.start) for t in terms]
                for name, start in names:
                    if (symbol := scope.own_variables.get(name) or top.own_variables.get(name)) is not None:
                        yield Occurrence(symbol, Span(start, start + len(name)))
