"""Classes of which there are few rows: too few to learn them and to check it."""

from __future__ import annotations

from collections.abc import Mapping

from graphspec.text import count

_FEW = 5


def small_classes(rows: Mapping[str, int], noun: str = "row") -> str | None:
    """Return what to know about classes of few rows, given the rows of each class; None if there are none."""
    small = {label: n for label, n in rows.items() if n < _FEW}
    if not small:
        return None
    label = min(small, key=lambda label: small[label])
    which = (
        f"{len(small):,} of {count(len(rows), 'class', 'classes')} {'has' if len(small) == 1 else 'have'} fewer than"
    )
    why = f"too few to learn, and to check what was learnt; add {noun}s, or join classes"
    return f"{which} {_FEW} {noun}s ('{label[:40]}' has {small[label]}): {why}"
