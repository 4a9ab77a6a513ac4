"""A document that may be half written: its text, its values with their places, and edits."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from graphspec.base.errors import SpecError
from graphspec.language.tree import MAX_DEPTH, MAX_VALUES, child_path

# Places in a text: offsets of characters, the positions of an editor, and edits.
Encoding = Literal["utf-8", "utf-16", "utf-32"]
_BREAK = re.compile("\r\n|\r|\n")


class Span(NamedTuple):
    """A part of a text: the offset of its first character and the offset after its last one."""

    start: int
    end: int


class Edit(NamedTuple):
    """A part of a text and what replaces it."""

    start: int
    end: int
    text: str


class Text:
    """A text with the offsets of its lines. Lines end in LF, CR LF or CR, as in YAML and in the protocol."""

    def __init__(self, text: str) -> None:
        self.text = text
        ends = [match.span() for match in _BREAK.finditer(text)]
        self.starts = [0, *(end for _, end in ends)]
        self.ends = [*(start for start, _ in ends), len(text)]

    def line_of(self, offset: int) -> int:
        """Return the line of an offset, from 0."""
        return bisect_right(self.starts, max(0, min(offset, len(self.text)))) - 1

    def column_of(self, offset: int) -> int:
        """Return the number of characters before an offset in its line."""
        return offset - self.starts[self.line_of(offset)]

    def line_text(self, line: int) -> str:
        """Return the text of a line, from 0, without its break."""
        return self.text[self.starts[line] : self.ends[line]]

    def of_mark(self, line: int | None, column: int | None, length: int = 1) -> Span:
        """Return the part of the text that a diagnostic marks. Without a line, it is the first line."""
        if line is None or not 1 <= line <= len(self.starts):
            return Span(0, self.ends[0])
        start = min(self.starts[line - 1] + (column or 1) - 1, self.ends[line - 1])
        return Span(start, max(start, min(start + length, self.ends[line - 1])))

    def position(self, offset: int, encoding: Encoding = "utf-16") -> tuple[int, int]:
        """Return line and column of an offset for an editor. An offset inside a line's break becomes the line's end."""
        line = self.line_of(offset)
        return line, _units(self.text[self.starts[line] : min(offset, self.ends[line])], encoding)

    def offset(self, line: int, column: int, encoding: Encoding = "utf-16") -> int:
        """Return the offset of a position of an editor. What is beyond a line's end or the text is its end."""
        if line >= len(self.starts):
            return len(self.text)
        text = self.line_text(max(line, 0))
        if encoding == "utf-32" or text.isascii():
            return self.starts[line] + min(max(column, 0), len(text))
        units = 0
        for k, character in enumerate(text):
            units += _units(character, encoding)
            if units > column:
                return self.starts[line] + k
        return self.ends[line]


def _units(text: str, encoding: Encoding) -> int:
    """Return the length of a text in units of an encoding."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    if encoding == "utf-8":
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def applied(text: str, edits: Iterable[Edit]) -> str:
    """Return ``text`` after edits, which do not overlap."""
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


# The values of a text that may be broken, with their offsets: what ``loose.py`` parses.
Kind = Literal["mapping", "list", "scalar", "empty"]


class Node:
    """A value.

    Attributes:
        entries: of a mapping or a list.
        text: of a scalar, without quotes and escapes.
        quote: the quotation mark of a scalar, or an empty text.
        flow: whether a mapping or list has brackets.
        closed: whether these are complete.
        column: of a block mapping or list, the column of its entries.
        entry: the entry whose value it is; None for the top.
    """

    __slots__ = ("closed", "column", "end", "entries", "entry", "flow", "kind", "quote", "start", "text")

    def __init__(self, kind: Kind, start: int, end: int | None = None) -> None:
        self.kind: Kind = kind
        self.start, self.end = start, start if end is None else end
        self.entries: list[Entry] = []
        self.text, self.quote = "", ""
        self.flow, self.closed, self.column = False, True, -1
        self.entry: Entry | None = None

    @property
    def inner(self) -> Span:
        """The place of a scalar without its quotes."""
        quoted = len(self.quote)
        closed = quoted and self.end - self.start > 1 and self.closed
        return Span(self.start + quoted, self.end - quoted if closed else self.end)

    def get(self, key: str) -> Node | None:
        """Return the value of a key; None if this is not a mapping or lacks the key."""
        entry = self.find(key)
        return None if entry is None else entry.node

    def find(self, key: str) -> Entry | None:
        """Return the first entry of a key."""
        return next((entry for entry in self.entries if entry.key == key), None) if self.kind == "mapping" else None

    def scalar(self, key: str) -> str | None:
        """Return the text of a scalar below a key, or None."""
        node = self.get(key)
        return node.text if node is not None and node.kind == "scalar" else None

    @property
    def parent(self) -> Node | None:
        """The mapping or list around this value."""
        return None if self.entry is None else self.entry.parent

    @property
    def path(self) -> str:
        """The dotted path, as :class:`graphspec.language.tree.Tree` has it."""
        return "" if self.entry is None else self.entry.path

    def steps(self) -> list[Entry]:
        """Return the entries from the top to this value."""
        steps: list[Entry] = []
        node: Node | None = self
        while node is not None and node.entry is not None:
            steps.append(node.entry)
            node = node.entry.parent
        return steps[::-1]

    def walk(self) -> Iterator[Node]:
        """Yield this value and all values in it."""
        yield self
        for entry in self.entries:
            yield from entry.node.walk()


class Entry:
    """An entry of a mapping or an item of a list.

    Attributes:
        key: the key; None for an item.
        start, key_end: the place of the key with its quotes. An item of a block list starts at its dash.
        colon: the offset after the colon, or after the dash; None for a key without a colon.
        anchor: the offset of an anchor or a tag before the value, or None.
        anchor_name: the name of the anchor, or an empty text.
    """

    __slots__ = ("anchor", "anchor_name", "colon", "index", "key", "key_end", "node", "parent", "start")

    def __init__(self, parent: Node, key: str | None, start: int, key_end: int, colon: int | None) -> None:
        self.parent, self.key, self.start, self.key_end, self.colon = parent, key, start, key_end, colon
        self.index = len(parent.entries)
        self.anchor: int | None = None
        self.anchor_name = ""
        self.node = Node("empty", key_end if colon is None else colon)
        self.node.entry = self
        parent.entries.append(self)

    @property
    def end(self) -> int:
        """The offset after the value, or after the colon or the key if there is no value."""
        return max(self.node.end, self.colon or self.key_end)

    @property
    def path(self) -> str:
        """The dotted path of the value."""
        name = self.key
        if name is None:
            name = self.node.scalar("name") or str(self.index)
        return child_path(self.parent.path, name)


def set_node(entry: Entry, node: Node) -> None:
    """Make ``node`` the value of ``entry``."""
    entry.node = node
    node.entry = entry


def plain(node: Node) -> Any:
    """Return the plain value of a tree. Entries that are not complete are left out, and so is what exceeds the limits."""
    return _Plain(node).value(node, 0)


class _Plain:
    def __init__(self, root: Node) -> None:
        self.anchors = {entry.anchor_name: entry.node for entry in _all_entries(root) if entry.anchor_name}
        self.scalars: dict[str, Any] = {}
        self.open: set[str] = set()
        self.count = 0

    def value(self, node: Node, depth: int) -> Any:
        self.count += 1
        if depth > MAX_DEPTH or node.kind == "empty" or self.count > MAX_VALUES:
            return None
        if node.kind == "mapping":
            found: dict[str, Any] = {}
            for entry in node.entries:
                if entry.colon is not None and entry.key is not None:
                    found.setdefault(entry.key, self.value(entry.node, depth + 1))
            return found
        if node.kind == "list":
            return [self.value(entry.node, depth + 1) for entry in node.entries if entry.node.kind != "empty"]
        if not node.quote and node.text.startswith("*"):
            return self._alias(node.text[1:], depth)
        return node.text if node.quote else self._scalar(node.text)

    def _alias(self, name: str, depth: int) -> Any:
        if name not in self.anchors or name in self.open:
            return None
        self.open.add(name)
        value = self.value(self.anchors[name], depth + 1)
        self.open.discard(name)
        return value

    def _scalar(self, text: str) -> Any:
        from graphspec.language.read import read_value

        if text not in self.scalars:
            try:
                self.scalars[text] = read_value(text, "").plain()
            except SpecError:  # no value at all
                self.scalars[text] = text
        return self.scalars[text]


def _all_entries(node: Node) -> Iterator[Entry]:
    for value in node.walk():
        yield from value.entries


# A tree of any text, also of one that is half written: mappings, lists and scalars with their offsets.
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
