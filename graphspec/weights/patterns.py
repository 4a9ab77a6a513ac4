"""Patterns of names: ``*`` is any text, also with ``/`` and ``.``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("(.*)".join(re.escape(part) for part in re.split(r"\*+", pattern)), re.DOTALL)


def matches(pattern: str, name: str) -> bool:
    """Return whether a name matches."""
    return _compiled(pattern).fullmatch(name) is not None


def stars(pattern: str, name: str) -> tuple[str, ...] | None:
    """Return the text that each ``*`` stands for; None if the name does not match."""
    found = _compiled(pattern).fullmatch(name)
    return None if found is None else found.groups()


def filled(replacement: str, texts: Sequence[str]) -> str:
    """Return a replacement with a text for each ``*``; with fewer of them, the last texts: ``x_*/*`` → ``y.*``."""
    first, *parts = re.split(r"\*+", replacement)
    used = texts[len(texts) - len(parts) :]
    return first + "".join(text + part for text, part in zip(used, parts, strict=True))
