"""A tree of any text, also of one that is half written: mappings, lists and scalars with their offsets.

``language/read.py`` decides what a spec is and stops at the first error of syntax. This parser never fails: an unclosed
bracket ends where the next entry of the block around it begins, a key without a colon is an entry without a value, and what
cannot be understood is skipped. Both have the same values, at the same places, for every text without errors.
"""

from __future__ import annotations

import json
import re

from graphspec.editor.nodes import Entry, Node, set_node
from graphspec.editor.places import Text
from graphspec.language.tree import MAX_DEPTH

_QUOTED = r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^']|'')*'"
_QUOTED_LINE = r'"(?:[^"\\\r\n]|\\.)*"|' + r"'(?:[^'\r\n]|'')*'"
_PLAIN_KEY = r"""[^ \t\r\n\[\]{}"'#&*!|>@`%,](?:(?![ \t]\#|:(?:[ \t\r\n]|\Z))[^\r\n])*"""
_KEY = re.compile(rf"(?P<key>{_QUOTED_LINE}|{_PLAIN_KEY}?)[ \t]*:(?=[ \t\r\n]|\Z)", re.X)
_DASH = re.compile(r"-(?=[ \t\r\n]|\Z)")
_STRING = re.compile(_QUOTED, re.S)
_STRING_LINE = re.compile(_QUOTED_LINE)
_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"[ \t]*(?:#[^\r\n]*)?")
_PROPERTIES = re.compile(r"(?:[&!][^\s,\[\]{}]*(?:[ \t]+|(?=[\r\n]|\Z)))+")
_PLAIN = re.compile(r"(?:(?![ \t]\#)[^\r\n])*")
_FLOW_PLAIN = re.compile(r"(?:\$\{[^}\r\n]*\}|(?![ \t]\#|:(?:[ \t\r\n,\[\]{}]|\Z))[^,\[\]{}\r\n])*")
_BLOCK_SCALAR = re.compile(r"[|>][0-9+-]*[ \t]*(?:#[^\r\n]*)?(?=[\r\n]|\Z)")


def parse(text: Text) -> Node:
    """Return the tree of a text."""
    return _Parser(text).document()


class _Parser:
    def __init__(self, text: Text) -> None:
        self.text, self.source = text, text.text
        self.lines: list[tuple[int, int]] = []  # of lines with content: the offset of the content, and its column
        for start, end in zip(text.starts, text.ends, strict=True):
            at = self._after(_BLANK, start)
            if at < end and self.source[at] not in "#\ufeff" and not self._is_marker(start, end):
                self.lines.append((at, at - start))
        self.index = 0
        self.at = self.lines[0][0] if self.lines else 0
        self.depth = 0

    def _is_marker(self, start: int, end: int) -> bool:
        return self.source[start:end].rstrip() in ("---", "...") or self.source.startswith("%", start)

    def _after(self, pattern: re.Pattern[str], at: int) -> int:
        match = pattern.match(self.source, at)
        return at if match is None else match.end()

    @property
    def done(self) -> bool:
        return self.index >= len(self.lines)

    @property
    def column(self) -> int:
        return self.at - self.text.starts[self.text.line_of(self.at)]

    def _next_line(self, after: int | None = None) -> None:
        """Go to the next line, or to the first one that begins after an offset."""
        self.index += 1
        while after is not None and not self.done and self.lines[self.index][0] < after:
            self.index += 1
        self.at = len(self.source) if self.done else self.lines[self.index][0]

    def document(self) -> Node:
        root = Node("empty", 0)
        while not self.done:  # what follows a broken part at the left margin belongs to the top, too
            before = self.at
            node = self.block(-1)
            if root.kind == "empty":
                root = node
            elif root.kind == node.kind == "mapping":
                for entry in node.entries:
                    entry.parent, entry.index = root, len(root.entries)
                    root.entries.append(entry)
                root.end = node.end
            if self.at == before:
                self._next_line()
        return root

    # Blocks

    def block(self, outer: int) -> Node:
        """Return the value at the current place, in a block whose entries are at column ``outer``."""
        self.depth += 1
        try:
            if self.depth > MAX_DEPTH:
                node = Node("empty", self.at)
                self._next_line()
                return node
            if _DASH.match(self.source, self.at):
                return self._list()
            if _KEY.match(self.source, self.at):
                return self._mapping()
            return self._value(outer)
        finally:
            self.depth -= 1

    def _list(self) -> Node:
        node, column = Node("list", self.at), self.column
        node.column = column
        while not self.done:
            here = self.column
            if here < column or (here == column and not _DASH.match(self.source, self.at)):
                break
            if here > column:  # neither an item nor a part of one
                self._next_line()
                continue
            entry = Entry(node, None, self.at, self.at + 1, self.at + 1)
            self._content(entry, column, same_column=False)
            node.end = max(node.end, entry.end)
        return node

    def _mapping(self) -> Node:
        node, column = Node("mapping", self.at), self.column
        node.column = column
        while not self.done:
            here = self.column
            if here < column or (here == column and _DASH.match(self.source, self.at)):
                break
            match = _KEY.match(self.source, self.at)
            if match is None:
                if here > column:
                    self._next_line()
                    continue
                end = self._after(_PLAIN, self.at)
                word = self.source[self.at : end].rstrip(" \t")
                if word[:1] not in '[{"':
                    Entry(node, word, self.at, self.at + len(word), None)
                    node.end = max(node.end, self.at + len(word))
                self._next_line()
                continue
            start, end = match.span("key")
            entry = Entry(node, _unquoted(match["key"])[0], start, end, match.end())
            self._content(entry, column, same_column=True)
            node.end = max(node.end, entry.end)
        return node

    def _content(self, entry: Entry, column: int, *, same_column: bool) -> None:
        """Parse the value after a colon or a dash."""
        assert entry.colon is not None
        at = self._after(_BLANK, entry.colon)
        if properties := _PROPERTIES.match(self.source, at):
            entry.anchor, at = at, properties.end()
            entry.anchor_name = properties[0].partition("&")[2].split(" ")[0].strip()
        line_end = self.text.ends[self.text.line_of(at)]
        if at < line_end and self.source[at] != "#":
            self.at = at
            set_node(entry, self.block(column) if not same_column else self._value(column))
            return
        entry.node.start = entry.node.end = min(self._after(_BLANK, entry.colon), line_end)
        self._next_line()
        if self.done:
            return
        inner = self.column
        if inner > column or (inner == column and same_column and _DASH.match(self.source, self.at)):
            set_node(entry, self.block(column))

    def _value(self, outer: int) -> Node:
        """Return a value that is no block mapping or list, and go to the line after it."""
        at, source = self.at, self.source
        character = source[at]
        if character in "{[":
            node = self._flow(at, outer, 0)
            self._next_line(node.end)
            return node
        if _BLOCK_SCALAR.match(source, at):
            node = Node("scalar", at, self.text.ends[self.text.line_of(at)])
            node.quote, node.closed = "|", False
            self._next_line()
            while not self.done and self.column > outer:
                node.end = self.text.ends[self.text.line_of(self.at)]
                self._next_line()
            node.text = source[node.start : node.end]
            return node
        if character in "\"'":
            node = self._string(at, outer)
            self._next_line(node.end)
            return node
        end = self._after(_PLAIN, at)
        words = [source[at:end].strip(" \t")]
        last = at + len(words[0])
        self._next_line()
        while not self.done and self.column > outer and not _KEY.match(source, self.at):
            piece = source[self.at : self._after(_PLAIN, self.at)].rstrip(" \t")
            last = self.at + len(piece)
            words.append(piece)
            self._next_line()
        node = Node("scalar", at, last)
        node.text = " ".join(words)
        return node

    def _string(self, at: int, outer: int) -> Node:
        """Return a scalar in quotes. Without an end on its line, it may go on in lines that are further to the right."""
        line_end = self.text.ends[self.text.line_of(at)]
        match = _STRING_LINE.match(self.source, at)
        if match is None and (match := _STRING.match(self.source, at)) is not None:
            for line in range(self.text.line_of(at) + 1, self.text.line_of(match.end()) + 1):
                content = self._after(_BLANK, self.text.starts[line])
                if content < self.text.ends[line] and content - self.text.starts[line] <= outer:
                    match = None
                    break
        node = Node("scalar", at, line_end if match is None else match.end())
        node.closed = match is not None
        node.text, node.quote = _unquoted(self.source[at : node.end], complete=node.closed)
        return node

    # Brackets

    def _flow(self, at: int, outer: int, depth: int) -> Node:
        """Return the mapping or list whose bracket is at ``at``."""
        opening = self.source[at]
        node = Node("mapping" if opening == "{" else "list", at, at + 1)
        node.flow, node.closed = True, False
        if depth > MAX_DEPTH:
            return node
        at = self._skip(at + 1, outer)
        while at >= 0 and at < len(self.source):
            character = self.source[at]
            if character in "}]":
                if (character == "}") == (opening == "{"):
                    node.closed, node.end = True, at + 1
                else:
                    node.end = at
                return node
            if character == ",":
                node.end = at + 1
                at = self._skip(at + 1, outer)
                continue
            end = self._flow_entry(node, at, outer, depth)
            node.end = max(end, at + 1)
            at = self._skip(node.end, outer)
        if at < 0:  # the bracket is not closed: its part ends with the line before
            node.end = self.text.ends[self.text.line_of(node.end)]
        else:
            node.end = len(self.source)
        return node

    def _flow_entry(self, node: Node, at: int, outer: int, depth: int) -> int:
        """Parse one entry, and return the offset after it."""
        entry = Entry(node, None, at, at, at)
        if node.kind == "mapping":
            key = self._flow_value(at, outer, depth)
            if key.kind != "scalar":
                node.entries.pop()
                return key.end
            entry.key, entry.key_end, entry.colon = key.text, key.end, None
            entry.node.start = entry.node.end = key.end
            colon = self._after(_BLANK, key.end)
            if self.source[colon : colon + 1] != ":":
                return key.end
            entry.colon = entry.node.start = entry.node.end = colon + 1
            at = self._after(_BLANK, colon + 1)
            entry.node.start = entry.node.end = at
            if (following := self._skip(at, outer)) < 0 or self.source[following : following + 1] in ",]}":
                return at
            at = following
        if properties := _PROPERTIES.match(self.source, at):
            entry.anchor, at = at, properties.end()
            entry.anchor_name = properties[0].partition("&")[2].split(" ")[0].strip()
        set_node(entry, self._flow_value(at, outer, depth))
        if entry.key == "" and entry.start == entry.key_end:  # a comma is missing before it
            node.entries.pop()
        return entry.node.end

    def _flow_value(self, at: int, outer: int, depth: int) -> Node:
        character = self.source[at : at + 1]
        if character in ("{", "["):
            return self._flow(at, outer, depth + 1)
        if character in ("'", '"'):
            return self._string(at, outer)
        text = self.source[at : self._after(_FLOW_PLAIN, at)].rstrip(" \t")
        node = Node("scalar", at, at + len(text))
        node.text = text
        return node

    def _skip(self, at: int, outer: int) -> int:
        """Return the next offset with content; -1 if that is an entry of the block around the brackets."""
        line = self.text.line_of(at)
        at = self._after(_GAP, at)
        while at >= self.text.ends[line]:
            line += 1
            if line >= len(self.text.starts):
                return len(self.source)
            start = self.text.starts[line]
            at = self._after(_GAP, start)
            if at < self.text.ends[line] and at - start <= outer and self.source[at] not in "]},":
                return -1
        return at


def _unquoted(text: str, *, complete: bool = True) -> tuple[str, str]:
    """Return a text without its quotes and escapes, and the quotation mark."""
    if text[:1] not in ("'", '"') or (complete and len(text) < 2):
        return text, ""
    body = text[1:-1] if complete else text[1:]
    if text[0] == "'":
        return body.replace("''", "'"), "'"
    if "\\" in body:
        try:
            loaded = json.loads(f'"{body}"')
        except ValueError:
            return body, '"'
        return str(loaded), '"'
    return body, '"'
