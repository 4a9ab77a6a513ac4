"""Patterns of names: ``*`` is any text, also with ``/`` and ``.``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=4096)
def parts(pattern: str) -> tuple[str, ...]:
    """Return the texts around the stars of a pattern; several stars in a row are one."""
    return tuple(re.split(r"\*+", pattern))


def matches(pattern: str, name: str) -> bool:
    """Return whether a name matches."""
    return stars(pattern, name) is not None


def stars(pattern: str, name: str) -> tuple[str, ...] | None:
    """Return the text that each ``*`` stands for, the first ones as short as possible; None if the name does not match.

    The time is linear in the length of the name: after the shortest text, all others still match if any does.
    """
    first, *others = parts(pattern)
    if not others:
        return () if name == first else None
    *inner, last = others
    end = len(name) - len(last)
    if end < len(first) or not (name.startswith(first) and name.endswith(last)):
        return None
    found, at = [], len(first)
    for text in inner:
        begin = name.find(text, at, end)
        if begin < 0:
            return None
        found.append(name[at:begin])
        at = begin + len(text)
    return (*found, name[at:end])


def filled(replacement: str, texts: Sequence[str]) -> str:
    """Return a replacement with a text for each ``*``; with fewer of them, the last texts: ``x_*/*`` → ``y.*``."""
    first, *others = parts(replacement)
    used = texts[len(texts) - len(others) :]
    return first + "".join(text + part for text, part in zip(used, others, strict=True))
