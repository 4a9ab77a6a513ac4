"""The values of a text that may be broken, with their offsets: what ``loose.py`` parses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from graphspec.base.errors import SpecError
from graphspec.editor.places import Span
from graphspec.language.tree import MAX_DEPTH, MAX_VALUES, child_path

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
