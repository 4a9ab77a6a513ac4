"""Places in a text: offsets of characters, the positions of an editor, and edits.

An editor counts lines from 0 and columns in units of an encoding: in UTF-16, an emoji takes two. Diagnostics count lines and
characters from 1. Everything else in this package counts characters from the start of the text: offsets.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import Literal, NamedTuple

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
