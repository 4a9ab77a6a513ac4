"""A document that is open in an editor: its text, the tree of it, and what checking it has found."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from graphspec.base.errors import Diagnostic, GivenText
from graphspec.editor.document import Entry, Node, Span, Text, parse, plain
from graphspec.engine.compiler.check import Checked, check
from graphspec.language.read import MAX_BYTES

if TYPE_CHECKING:
    from graphspec.engine.compiler.cost import NodeCost
    from graphspec.engine.compiler.lowered_network import Lowered
    from graphspec.language.declarations import NodeDecl, Spec

T = TypeVar("T")
_SCHEMA = re.compile(r"^#.*\$schema=.*graphspec", re.M)  # the comment that names the schema


class Analysis:
    """One version of a document. Everything is computed once, when it is first asked for.

    ``text``: the text in the editor, which may differ from that of the file; ``name``: the path of the file, to whose
    folder the paths in the spec are relative.
    """

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = Text(text), name
        self._memo: dict[str, Any] = {}

    def memo(self, key: str, compute: Callable[[], T]) -> T:
        if key not in self._memo:
            self._memo[key] = compute()
        found: T = self._memo[key]
        return found

    @property
    def is_json(self) -> bool:
        """Whether keys and texts have quotes: a JSON file."""
        return self.name.lower().endswith(".json")

    @cached_property
    def is_spec(self) -> bool:
        """Whether the document is a spec, not another YAML or JSON file: by a key, a comment or its name."""
        named = self.name.lower().endswith((".graphspec.yaml", ".graphspec.yml", ".graphspec.json"))
        if named or _SCHEMA.search(self.text.text):
            return True
        keys = {entry.key for entry in self.root.entries}
        return "graphspec" in keys or len(keys & {"inputs", "layers", "outputs"}) > 1

    @cached_property
    def root(self) -> Node:
        return parse(self.text) if len(self.text.text) <= MAX_BYTES else Node("empty", 0, 0)

    @cached_property
    def checked(self) -> Checked:
        """What ``graphspec validate`` finds in the text. It reads no data, only files of vocabularies."""
        return check(GivenText(self.name, self.text.text))

    @property
    def diagnostics(self) -> list[Diagnostic]:
        return self.checked.diagnostics

    @cached_property
    def known(self) -> Checked:
        """What is known of the network: of the spec, or of what can be understood of a text that cannot be read."""
        if self.checked.spec is not None:
            return self.checked
        from graphspec.language.parse import parse as parse_spec

        document = plain(self.root)
        spec, _ = parse_spec(document) if isinstance(document, dict) else (None, [])
        return self.checked if spec is None else check(replace(spec, base=Path(self.name).parent))

    @property
    def spec(self) -> Spec | None:
        """The spec with everything that is valid, or None."""
        return self.known.spec

    @property
    def lowered(self) -> Lowered | None:
        """The graph with everything that is valid, or None."""
        return self.known.lowered

    @cached_property
    def nodes(self) -> Mapping[str, list[NodeDecl]]:
        """The concrete nodes by the path of their entry: several for a repeated one, and for one of a block."""
        found: dict[str, list[NodeDecl]] = {}
        for node in () if self.spec is None else self.spec.nodes:
            found.setdefault(node.tree.path, []).append(node)
        return found

    @cached_property
    def costs(self) -> Mapping[str, NodeCost]:
        """Parameters and multiply-adds of one row by node, as far as they are known."""
        from graphspec.engine.compiler.cost import cost

        if self.spec is None or self.lowered is None:
            return {}
        values = [value for outputs in self.lowered.outputs.values() for value in outputs or ()]
        graph = self.lowered.graph.with_outputs({value.name: value for value in values})
        try:
            return cost(self.spec, replace(self.lowered, graph=graph), 1).nodes
        except Exception:  # an axis fits no length, or a part of the network is unknown
            return {}


# Where the cursor is in a text that may be half written: at a key or at a value, and of which mapping or list.
class Cursor(NamedTuple):
    """A place where something may be written."""

    role: Literal["key", "value"]
    container: Node  # the mapping or list that has or gets the entry
    entry: Entry | None  # the entry at the cursor; None for a new one
    token: Span  # what is written there already
    as_mapping: bool = False  # whether a key at this place would begin a mapping, which is the value


def locate(analysis: Analysis, offset: int) -> Cursor | None:
    """Return the place at an offset; None in comments, in long texts, and where only punctuation may follow."""
    text, root = analysis.text, analysis.root
    start = text.starts[text.line_of(offset)]
    before = text.text[start:offset]
    if before.lstrip().startswith("#"):
        return None
    if root.kind == "empty":
        return Cursor("key", root, None, Span(offset, offset))
    if root.kind == "scalar" and root.start <= offset <= root.end:
        return Cursor("key", root, None, Span(root.start, root.end))
    if root.flow:
        return _in_brackets(analysis, root, offset) if _inside(root, offset) else None
    found, decided = _at_token(analysis, root, offset)
    return found if decided or before.strip() else _on_empty_line(root, offset, len(before), start)


def entry_at(analysis: Analysis, offset: int) -> tuple[Entry, bool] | None:
    """Return the entry whose key or scalar is at an offset, and whether it is the key."""
    node = analysis.root
    while (entry := _last(node, offset)) is not None:
        if entry.key is not None and entry.start <= offset <= entry.key_end:
            return entry, True
        node = entry.node
        if node.start <= offset <= node.end and node.kind == "scalar":
            return entry, False
    return None


def _last(node: Node, offset: int) -> Entry | None:
    count = bisect_right(node.entries, offset, key=lambda entry: entry.start)
    return node.entries[count - 1] if count else None


def _inside(node: Node, offset: int) -> bool:
    return node.start < offset and (offset < node.end or (not node.closed and offset <= node.end))


def _at_token(analysis: Analysis, node: Node, offset: int) -> tuple[Cursor | None, bool]:
    """Return the place at a key or a value of a block, and whether the question is decided."""
    entry = _last(node, offset)
    if entry is None:
        return None, False
    if entry.key is not None and offset <= entry.key_end:
        return Cursor("key", node, entry, Span(entry.start, entry.key_end)), True
    inner, line_of = entry.node, analysis.text.line_of
    assert entry.colon is not None or inner.kind == "empty"
    if inner.kind in ("mapping", "list"):
        if inner.flow:
            return (_in_brackets(analysis, inner, offset), True) if _inside(inner, offset) else (None, False)
        return _at_token(analysis, inner, offset)
    if inner.kind == "scalar" and inner.start <= offset <= inner.end:
        begins = entry.key is None or entry.colon is None or line_of(entry.colon) != line_of(inner.start)
        return (None if inner.quote == "|" else Cursor("value", node, entry, inner.inner, begins)), True
    if inner.kind == "empty" and entry.colon is not None and line_of(offset) == line_of(entry.colon):
        if "#" in analysis.text.text[entry.colon : offset] or offset == entry.colon:
            return None, True
        return Cursor("value", node, entry, Span(offset, offset), entry.key is None), True
    return None, False


def _in_brackets(analysis: Analysis, node: Node, offset: int) -> Cursor | None:
    """Return the place between the brackets of a mapping or a list."""
    entry, here = _last(node, offset), Span(offset, offset)
    if entry is not None:
        inner = entry.node
        if inner.flow and _inside(inner, offset):
            return _in_brackets(analysis, inner, offset)
        if entry.key is not None and offset <= entry.key_end:
            return Cursor("key", node, entry, Span(entry.start, entry.key_end))
        if inner.kind == "scalar" and inner.start <= offset <= inner.end:
            return Cursor("value", node, entry, inner.inner)
        between = analysis.text.text[entry.end : offset]
        if inner.kind == "empty" and entry.colon is not None and "," not in between and "#" not in between:
            return Cursor("value", node, entry, here) if offset >= entry.colon else None
        if "," not in between or "#" in between.rpartition("\n")[2]:
            return None
    return Cursor("key" if node.kind == "mapping" else "value", node, None, here)


def _on_empty_line(root: Node, offset: int, column: int, line_start: int) -> Cursor | None:
    """Return the place in a line without content: the column tells the mapping."""
    chain: list[Entry] = []
    node = root
    while not node.flow and (entry := _last(node, line_start)) is not None:
        chain.append(entry)
        node = entry.node
    here = Span(offset, offset)
    if not chain:
        return Cursor("key", root, None, here) if root.kind == "mapping" and column == root.column else None
    last = chain[-1]
    if last.node.kind == "empty" and last.colon is not None and column > last.parent.column:
        return Cursor("value", last.parent, last, here, as_mapping=True)
    for entry in reversed(chain):
        if entry.parent.kind == "mapping" and entry.parent.column == column:
            return Cursor("key", entry.parent, None, here)
    return None


# Diagnostics as an editor shows them: the part of the text that is wrong, a message, and the other places it is about.
_LINE = re.compile(r"\bline (\d+)\b")


@dataclass(frozen=True)
class Related:
    """Another place that a problem is about."""

    span: Span
    text: str


@dataclass(frozen=True)
class Shown:
    """A diagnostic, as an editor shows it."""

    diagnostic: Diagnostic
    span: Span
    message: str  # a sentence, the nodes with their shapes, and how to fix it
    related: list[Related] = field(default_factory=list)  # the nodes, and the lines that the message names


def place_of(analysis: Analysis, diagnostic: Diagnostic) -> Span:
    """Return the part of the text that a diagnostic is about; of another file's or of no line, the first line."""
    if diagnostic.file != analysis.name:
        return analysis.text.of_mark(None, None)
    return analysis.text.of_mark(diagnostic.line, diagnostic.column, diagnostic.length)


def shown(analysis: Analysis, diagnostics: list[Diagnostic] | None = None) -> list[Shown]:
    """Return the diagnostics of a document, or the given ones of it, as an editor shows them."""
    return [_shown(analysis, d) for d in (analysis.diagnostics if diagnostics is None else diagnostics)]


def _shown(analysis: Analysis, diagnostic: Diagnostic) -> Shown:
    elsewhere = diagnostic.file not in (analysis.name, "<dict>")
    lines = [f"{diagnostic.file}: {diagnostic.message}" if elsewhere else diagnostic.message]
    lines += [f"{node.name} {node.shape_text} {node.origin}".replace("  ", " ") for node in diagnostic.nodes]
    lines += [f"help: {diagnostic.hint}"] if diagnostic.hint else []
    related: dict[int, str] = {}
    for node in diagnostic.nodes:
        if node.line is not None:
            related.setdefault(node.line, f"{node.name} {node.shape_text}".strip())
    for match in _LINE.finditer(f"{diagnostic.message}\n{diagnostic.hint or ''}"):
        related.setdefault(int(match[1]), "here")
    related.pop(diagnostic.line or 0, None)
    text, places = analysis.text, list[Related]()
    for line, what in related.items():
        if 1 <= line <= len(text.starts):  # the content of the line, without the space around it
            start, content = text.starts[line - 1], text.line_text(line - 1)
            begin = start + len(content) - len(content.lstrip())
            places.append(Related(Span(begin, start + len(content.rstrip())), what))
    return Shown(diagnostic, place_of(analysis, diagnostic), "\n".join(lines), places)
