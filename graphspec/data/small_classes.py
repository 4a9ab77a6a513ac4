"""Classes of which there are few rows: too few to learn them and to check it."""

from __future__ import annotations

from collections.abc import Mapping

from graphspec.text import count

_FEW = 5


def small_classes(rows: Mapping[str, int], noun: str = "row") -> str | None:
    """Return what to know about classes of few rows; None if there are none.

    Args:
        rows: the number of rows of each class that has any.
        noun: what a row is called.
    """
    if (alone := classes_alone(rows, noun)) is not None:
        return f"{alone}: is this the target that you mean?"
    small = [label for label, n in rows.items() if n < _FEW]
    if not small:
        return None
    label = min(small, key=lambda label: rows[label])
    has = "has" if len(small) == 1 else "have"
    which = f"{len(small):,} of {count(len(rows), 'class', 'classes')} {has} fewer than {_FEW} {noun}s"
    example = f"'{label[:40]}' has {rows[label]}"
    return f"{which} ({example}): too few to learn, and to check what was learnt; add {noun}s, or join classes"


def classes_alone(rows: Mapping[str, int], noun: str) -> str | None:
    """Return that nearly every row is a class of its own; None if it is not so."""
    total = sum(rows.values())
    if len(rows) <= max(total // 2, 2):
        return None
    return f"{len(rows):,} classes for {total:,} {noun}s, nearly every {noun} a class of its own"
