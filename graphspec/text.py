"""Text for a terminal."""

from __future__ import annotations

import os
import shlex

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
