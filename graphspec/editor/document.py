"""A document that may be half written: its text, its values with their places, and edits."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, NamedTuple

from ruamel.yaml.tokens import ScalarToken, Token

from graphspec.language.read import joined, plain_value
from graphspec.language.scan import ERRORS, scanner
from graphspec.language.tree import MAX_DEPTH, MAX_VALUES, Scalar, child_path

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


# The values of a text that may be broken, with their offsets.
Kind = Literal["mapping", "list", "scalar", "empty"]


@dataclass(eq=False, repr=False, slots=True)
class Node:
    """A value."""

    kind: Kind
    start: int
    end: int
    entries: list[Entry] = field(default_factory=list)  # of a mapping or a list
    text: str = ""  # of a scalar, without quotes and escapes. That of an alias begins with ``*``
    value: Scalar = None  # of a scalar, as the reader of specs has it
    quote: str = ""  # the quotation mark of a scalar, or an empty text
    flow: bool = False  # whether a mapping or list has brackets
    closed: bool = True  # whether these are complete
    column: int = -1  # of a block mapping or list, the column of its entries
    entry: Entry | None = None  # the entry whose value it is; None for the top

    @property
    def inner(self) -> Span:
        quoted = len(self.quote)
        closed = quoted and self.end - self.start > 1 and self.closed
        return Span(self.start + quoted, self.end - quoted if closed else self.end)

    def get(self, key: str) -> Node | None:
        """Return the value of a key; None if this is not a mapping or lacks the key."""
        entry = self.find(key)
        return None if entry is None else entry.node

    def find(self, key: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.key == key), None) if self.kind == "mapping" else None

    def scalar(self, key: str) -> str | None:
        node = self.get(key)
        return node.text if node is not None and node.kind == "scalar" else None

    def below(self, key: str) -> list[Entry]:
        """Return the entries of the value of a key; none without one."""
        node = self.get(key)
        return [] if node is None else node.entries

    @property
    def parent(self) -> Node | None:
        return None if self.entry is None else self.entry.parent

    @property
    def path(self) -> str:
        """The dotted path, as :class:`graphspec.language.tree.Tree` has it."""
        return "" if self.entry is None else self.entry.path

    def steps(self) -> list[Entry]:
        return [] if self.entry is None else [*self.entry.parent.steps(), self.entry]

    def keys(self) -> list[str]:
        """Return the keys from the top to this value; an item has an empty one."""
        return [entry.key or "" for entry in self.steps()]

    def walk(self) -> Iterator[Node]:
        yield self
        for entry in self.entries:
            yield from entry.node.walk()


@dataclass(eq=False, repr=False, slots=True)
class Entry:
    """An entry of a mapping or an item of a list."""

    parent: Node
    key: str | None  # None for an item
    start: int  # start, key_end: the place of the key with its quotes. An item of a block list starts at its dash
    key_end: int
    colon: int | None = None  # the offset after the colon, or after the dash; None for a key without a colon
    anchor: int | None = None  # the offset of an anchor or a tag before the value, or None
    anchor_name: str = ""  # the name of the anchor, or an empty text
    index: int = field(init=False)
    node: Node = field(init=False)

    def __post_init__(self) -> None:
        self.index, at = len(self.parent.entries), self.key_end if self.colon is None else self.colon
        self.put(Node("empty", at, at))
        self.parent.entries.append(self)

    def put(self, node: Node) -> None:
        self.node = node
        node.entry = self

    @property
    def end(self) -> int:
        """The offset after the value, or after the colon or the key if there is no value."""
        return max(self.node.end, self.colon or self.key_end)

    @property
    def path(self) -> str:
        name = (self.node.scalar("name") or str(self.index)) if self.key is None else self.key
        return child_path(self.parent.path, name)


def plain(node: Node) -> Any:
    """Return the plain value of a tree. Entries that are not complete are left out, and so is what exceeds the limits."""
    entries = (entry for part in node.walk() for entry in part.entries)
    anchors = {entry.anchor_name: entry.node for entry in entries if entry.anchor_name}
    opened, count = set[str](), itertools.count(1)

    def value(node: Node, depth: int) -> Any:
        if next(count) > MAX_VALUES or depth > MAX_DEPTH or node.kind == "empty":
            return None
        if node.kind == "mapping":
            found: dict[str, Any] = {}
            for entry in node.entries:
                if entry.colon is not None and entry.key is not None:
                    found.setdefault(entry.key, value(entry.node, depth + 1))
            return found
        if node.kind == "list":
            return [value(entry.node, depth + 1) for entry in node.entries if entry.node.kind != "empty"]
        if node.kind != "scalar" or node.quote or not node.text.startswith("*"):  # no alias of an anchor
            return node.value
        name = node.text[1:]
        if name not in anchors or name in opened:
            return None
        opened.add(name)
        found_there = value(anchors[name], depth + 1)
        opened.discard(name)
        return found_there

    return value(node, 0)


_BLANK = re.compile(r"[ \t]*")
_MAX_TOKENS = 4 * MAX_VALUES


def parse(text: Text) -> Node:
    """Return the tree of a text, also of one that is half written.

    The scanner is that of ``language/read.py``, which decides what a spec is and stops at the first error of syntax. If
    there is one, the text is parsed again by a scanner that goes on: a key without a colon is an entry without a value, and
    what cannot be understood is skipped. What exceeds the limits of a spec is left out.
    """
    for tolerant in (False, True):
        parser = _Parser(text, tolerant=tolerant)
        with suppress(_LimitError, *ERRORS):
            parser.document()
            if not parser.broken:
                break
    return parser.root


@cache
def _kind(token: type[object]) -> str:
    return token.__name__.removesuffix("Token") if issubclass(token, Token) else "StreamEnd"


class _LimitError(Exception):
    """The text is too deep, too long, or broken although it must not be."""


class _Parser:
    """Builds a tree from the tokens of a text."""

    def __init__(self, text: Text, *, tolerant: bool) -> None:
        self.text, self.source, self.tolerant = text, text.text, tolerant
        self.root = Node("empty", 0, 0)
        self.broken, self.last, self.depth, self.count = False, 0, 0, 0
        self.scanner: Any = None
        self.letters: dict[int, str] = {}
        self.token: Any = None
        self.next = "StreamStart"  # the kind of the next token, such as ``BlockEntry``

    def take(self) -> Any:
        """Return the next token, and look at the one after it."""
        token = self.token
        if token is not None and token.end_mark.index > token.start_mark.index:
            self.last = token.end_mark.index
        self.count += 1
        if self.count > _MAX_TOKENS:
            raise _LimitError
        self.token = self.scanner.get_token()
        self.next = _kind(self.token.__class__)
        return token

    def skip(self) -> None:
        self.broken = True
        if not self.tolerant:
            raise _LimitError
        if self.next in _BEGINS:
            self.node(_aside("list"))
        else:
            self.take()

    def document(self) -> None:
        """Read the whole text. Mappings that follow each other at the left margin are one."""
        self.scanner, self.letters = scanner(self.source, tolerant=self.tolerant)
        while self.next != "StreamEnd":
            if self.next in ("StreamStart", "Directive", "DocumentStart", "DocumentEnd"):
                self.take()
            elif self.next not in _BEGINS:
                self.skip()
            else:
                self.broken |= self.root.kind != "empty"
                self.node(_aside("list") if self.root.kind == "list" else None)

    def node(self, entry: Entry | None) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _LimitError
        tag = None
        while self.next in ("Anchor", "Tag"):
            token = self.take()
            if not isinstance(token.value, str):
                tag = token.value[1] if token.value[0] == "!!" else "str" if token.value[1] == "!" else None
            elif entry is not None:
                entry.anchor_name = token.value
            if entry is not None and entry.anchor is None:
                entry.anchor = token.start_mark.index
        kind = self.next
        if kind in ("Scalar", "Alias"):
            self.set(entry, self.scalar(tag))
        elif kind in ("BlockMappingStart", "FlowMappingStart"):
            self.mapping(self.begin(entry, "mapping"), flow=kind[0] == "F")
        elif kind in ("BlockSequenceStart", "FlowSequenceStart", "BlockEntry"):
            self.list(self.begin(entry, "list"), kind)
        self.depth -= 1

    def set(self, entry: Entry | None, node: Node) -> None:
        if entry is not None:
            entry.put(node)
        else:
            self.root = node

    def begin(self, entry: Entry | None, kind: Kind) -> Node:
        """Return a new mapping or list. It is in the tree at once, so that nothing is lost if reading stops."""
        if entry is None and kind == self.root.kind == "mapping":
            return self.root
        at = self.token.start_mark.index
        self.set(entry, node := Node(kind, at, at))
        return node

    def scalar(self, tag: str | None = None) -> Node:
        token = self.take()
        start, end = token.start_mark.index, token.end_mark.index
        node = Node("scalar", start, end)
        if not isinstance(token, ScalarToken):
            node.text = f"*{token.value}"
            return node
        node.text = joined(token.value.translate(self.letters) if self.letters else token.value)
        if token.style in ("|", ">"):
            node.quote, node.closed = "|", False
            node.end = start + len(self.source[start:end].rstrip())
        elif token.style is not None:
            node.quote = token.style
            node.closed = end - start > 1 and self.source[end - 1] == token.style
        try:
            node.value = node.text if token.style is not None or tag == "str" else plain_value(node.text)
        except ValueError:
            node.value = node.text
        if tag == "float" and isinstance(node.value, int):
            node.value = float(node.value)
        return node

    def list(self, node: Node, kind: str) -> None:
        self.opened(node, flow=kind == "FlowSequenceStart")
        if kind != "BlockEntry":
            self.take()
        while (following := self.next) not in (_ENDS if node.flow else _BLOCK_ENDS):
            at = self.token.start_mark.index
            if following == "FlowEntry" and node.flow:
                self.take()
            elif following == "BlockEntry" and not node.flow:
                self.take()
                self.value(Entry(node, None, at, at + 1, at + 1), ("BlockEntry", "BlockEnd"))
            elif following == "Key" and node.flow:
                pair = Node("mapping", at, at, flow=True)
                Entry(node, None, at, at, at).put(pair)
                self.entry(pair)
            elif following in _BEGINS and node.flow:
                self.node(Entry(node, None, at, at, at))
            elif kind == "BlockEntry":
                break
            else:
                self.skip()
        if kind == "BlockEntry":  # at the column of the keys around it: it ends without a token
            node.end = max(entry.end for entry in node.entries)
        else:
            self.end(node)

    def opened(self, node: Node, *, flow: bool) -> None:
        node.flow, node.closed = flow, not flow
        if not flow:
            node.column = self.text.column_of(node.start)

    def mapping(self, node: Node, *, flow: bool) -> None:
        self.opened(node, flow=flow)
        self.take()
        deeper = 0
        while (following := self.next) not in (_ENDS if flow else _BLOCK_ENDS) or (following == "BlockEnd" and deeper):
            if following in ("Key", "Value"):
                self.entry(node)
            elif following == "FlowEntry" and flow:
                self.take()
            elif following == "Scalar" and flow:
                scalar = self.scalar()
                entry = Entry(node, scalar.text, scalar.start, scalar.end)
                if not scalar.quote and scalar.text.endswith(":"):
                    # `{key:}` has no value yet; for YAML, it is `"key:"`
                    entry.key, entry.key_end, entry.colon = scalar.text[:-1], scalar.end - 1, scalar.end
                    entry.node.start = entry.node.end = scalar.end
            elif following in ("BlockMappingStart", "BlockEnd") and not flow:  # keys that are too far to the right
                self.broken = True
                deeper += 1 if following == "BlockMappingStart" else -1
                self.take()
            else:
                self.skip()
        self.end(node)

    def entry(self, node: Node) -> None:
        """Read a key and its value. One that is no text is left out."""
        token = self.token
        entry = _aside("mapping", token.start_mark.index)
        if self.next == "Key":
            self.take()
            while self.next in ("Anchor", "Tag"):
                self.take()
            if self.next == "Scalar":
                key = self.scalar()
                entry = Entry(node, key.text, key.start, key.end)
            elif self.next in _BEGINS:
                self.node(_aside("list"))
        if token.end_mark.index > token.start_mark.index:  # written as `? key`, complete without a value
            entry.colon = entry.key_end
        if self.next == "Value":
            entry.colon = self.take().end_mark.index
            self.value(entry, ("Key", "Value", "BlockEnd", *_ENDS, "FlowEntry"))

    def value(self, entry: Entry, without: tuple[str, ...]) -> None:
        """Read the value after a colon or a dash, unless a token follows before which there is none."""
        assert entry.colon is not None
        line_end = self.text.ends[self.text.line_of(entry.colon)]
        match = _BLANK.match(self.source, entry.colon)
        entry.node.start = entry.node.end = min(entry.colon if match is None else match.end(), line_end)
        if self.next in _BEGINS and self.next not in without:
            self.node(entry)

    def end(self, node: Node) -> None:
        """Read the end of a mapping or a list, and set where it ends."""
        wanted = f"Flow{'Mapping' if node.kind == 'mapping' else 'Sequence'}End" if node.flow else "BlockEnd"
        last = max((entry.end for entry in node.entries), default=node.start)
        if self.next != wanted:
            self.broken = True
            node.end = last
            return
        before, token = self.last, self.take()
        node.closed = not node.flow or token.end_mark.index > token.start_mark.index
        node.end = token.end_mark.index if node.flow else last
        if not node.closed:
            line_end = self.text.ends[self.text.line_of(before)]
            node.end = len(self.source) if self.next == "StreamEnd" else min(node.end, line_end)


def _aside(kind: Kind, at: int = 0) -> Entry:
    """Return an entry that is in no tree, for what is read and left out."""
    return Entry(Node(kind, 0, 0), None if kind == "list" else "", at, at)


_BLOCK_ENDS = ("BlockEnd", "StreamEnd", "DocumentStart", "DocumentEnd")
_ENDS = (*_BLOCK_ENDS, "FlowMappingEnd", "FlowSequenceEnd")
_BEGINS = (
    *("Scalar", "Alias", "Anchor", "Tag", "BlockEntry"),
    *("FlowMappingStart", "FlowSequenceStart", "BlockMappingStart", "BlockSequenceStart"),
)
