"""Text for a terminal: escaping, tables, and the lines of a text."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from typing import Any

_BLOCK = 2**16  # characters that `line_of` searches at a time
_BREAK = re.compile("\r\n|\r|\n")
_HARMLESS = frozenset("\n\t\u00a0\u200c\u200d")  # whitespace, and the joiners that scripts and emoji need


def printable(text: str) -> str:
    """Replace the characters of ``text`` that control a terminal or change the text direction. Lines and tabs stay.

    All text from files, specs, data and arguments goes through this function before it reaches a terminal.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _HARMLESS else "�" for c in text)


def shell(*words: str) -> str:
    """Return words as a command line for the shell of this system: a word with spaces is quoted."""
    if os.name == "nt":
        from subprocess import list2cmdline

        return list2cmdline(words)
    return shlex.join(words)


def count_breaks(text: str) -> int:
    """Return the number of line breaks. As in YAML, these are LF, CR LF and CR."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def line_of(text: str, number: int) -> str | None:
    """Return line ``number``, from 1, without its break, or None if there are fewer. It builds no list of all lines."""
    before, start = number - 1, 0
    while start < len(text):
        end = start + _BLOCK
        if text[end - 1 : end + 1] == "\r\n":
            end += 1
        block = text[start:end]
        if (breaks := count_breaks(block)) >= before:
            break
        before, start = before - breaks, end
    for match in _BREAK.finditer(text, start):
        if not before:
            return text[start : match.start()]
        before, start = before - 1, match.end()
    return None if before else text[start:]


def count(number: int, noun: str) -> str:
    """Return ``1 error``, ``2 errors``, ``12,345 parameters``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def columns(rows: Iterable[Iterable[Any]], right: Iterable[int] = ()) -> list[str]:
    """Return rows of cells as aligned lines; the columns in ``right`` are right-aligned."""
    table = [[str(cell) for cell in row] for row in rows]
    right_aligned = set(right)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            c.rjust(w) if k in right_aligned else c.ljust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
