"""Text that people read on a terminal."""

from __future__ import annotations

_HARMLESS = frozenset("\n\t\u00a0\u200c\u200d")  # spaces, and the joiners that scripts and emoji need


def printable(text: str) -> str:
    """``text`` without characters that would steer a terminal or turn its direction; lines and tabs stay.

    Whatever comes from a file, a spec, data or an argument passes this on its way to a terminal.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _HARMLESS else "�" for c in text)
