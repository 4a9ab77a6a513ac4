"""Where the cursor is in a text that may be half written: at a key or at a value, and of which mapping or list."""

from __future__ import annotations

from typing import Literal, NamedTuple

from graphspec.editor.analysis import Analysis
from graphspec.editor.nodes import Entry, Node
from graphspec.editor.places import Span


class Cursor(NamedTuple):
    """A place where something may be written.

    Attributes:
        container: the mapping or list that has or gets the entry.
        entry: the entry at the cursor; None for a new one.
        token: what is written there already.
        as_mapping: whether a key at this place would begin a mapping, which is the value.
    """

    role: Literal["key", "value"]
    container: Node
    entry: Entry | None
    token: Span
    as_mapping: bool = False


def locate(analysis: Analysis, offset: int) -> Cursor | None:
    """Return the place at an offset; None in comments, in long texts, and where only punctuation may follow."""
    text, root = analysis.text, analysis.root
    line = text.line_of(offset)
    before = text.text[text.starts[line] : offset]
    if before.lstrip().startswith("#"):
        return None
    if root.kind == "empty" or (root.kind == "scalar" and root.start <= offset <= root.end):
        return Cursor("key", root, None, Span(offset, offset) if root.kind == "empty" else Span(root.start, root.end))
    if root.flow:
        return _in_brackets(analysis, root, offset) if _inside(root, offset) else None
    found, decided = _at_token(analysis, root, offset)
    if decided:
        return found
    return _on_empty_line(root, offset, len(before), text.starts[line]) if not before.strip() else None


def entry_at(analysis: Analysis, offset: int) -> tuple[Entry, bool] | None:
    """Return the entry whose key or scalar is at an offset, and whether it is the key."""
    node = analysis.root
    while node.entries:
        entry = _last(node, offset)
        if entry is None:
            return None
        if entry.key is not None and entry.start <= offset <= entry.key_end:
            return entry, True
        inner = entry.node
        if inner.start <= offset <= inner.end and inner.kind == "scalar":
            return entry, False
        node = inner
    return None


def _last(node: Node, offset: int) -> Entry | None:
    """Return the last entry that begins at or before an offset."""
    low, high = 0, len(node.entries)
    while low < high:
        middle = (low + high) // 2
        if node.entries[middle].start <= offset:
            low = middle + 1
        else:
            high = middle
    return node.entries[low - 1] if low else None


def _inside(node: Node, offset: int) -> bool:
    return node.start < offset and (offset < node.end or (not node.closed and offset <= node.end))


def _at_token(analysis: Analysis, node: Node, offset: int) -> tuple[Cursor | None, bool]:
    """Return the place at a key or a value of a block, and whether the question is decided."""
    entry = _last(node, offset)
    if entry is None:
        return None, False
    if entry.key is not None and offset <= entry.key_end:
        return Cursor("key", node, entry, Span(entry.start, entry.key_end)), True
    inner, text = entry.node, analysis.text
    assert entry.colon is not None or inner.kind == "empty"
    if inner.kind in ("mapping", "list"):
        if inner.flow:
            return (_in_brackets(analysis, inner, offset), True) if _inside(inner, offset) else (None, False)
        return _at_token(analysis, inner, offset)
    same_line = entry.colon is not None and text.line_of(entry.colon) == text.line_of(inner.start)
    if inner.kind == "scalar" and inner.start <= offset <= inner.end:
        begins = entry.key is None or not same_line
        return (None if inner.quote == "|" else Cursor("value", node, entry, inner.inner, begins)), True
    if inner.kind == "empty" and entry.colon is not None and text.line_of(offset) == text.line_of(entry.colon):
        if "#" in text.text[entry.colon : offset] or offset == entry.colon:
            return None, True
        return Cursor("value", node, entry, Span(offset, offset), entry.key is None), True
    return None, False


def _in_brackets(analysis: Analysis, node: Node, offset: int) -> Cursor | None:
    """Return the place between the brackets of a mapping or a list."""
    entry, source = _last(node, offset), analysis.text.text
    if entry is not None:
        inner = entry.node
        if inner.flow and _inside(inner, offset):
            return _in_brackets(analysis, inner, offset)
        if entry.key is not None and offset <= entry.key_end:
            return Cursor("key", node, entry, Span(entry.start, entry.key_end))
        if inner.kind == "scalar" and inner.start <= offset <= inner.end:
            return Cursor("value", node, entry, inner.inner)
        between = source[entry.end : offset] if offset > entry.end else ""
        if inner.kind == "empty" and entry.colon is not None and "," not in between and "#" not in between:
            return Cursor("value", node, entry, Span(offset, offset)) if offset >= entry.colon else None
        if "," not in between:
            return None
        if "#" in between.rpartition("\n")[2]:
            return None
    return Cursor("key" if node.kind == "mapping" else "value", node, None, Span(offset, offset))


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
