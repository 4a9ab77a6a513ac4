"""How a sequence was read: the edits between what is true and what was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple


class Edit(NamedTuple):
    """One step of an alignment; the element that is missing on one side is None."""

    kind: Literal["same", "other", "missed", "added"]
    true: int | None
    read: int | None


def align(true: Sequence[int], read: Sequence[int]) -> list[Edit]:
    """Return a shortest list of edits from ``true`` to ``read``; at ties another element comes before a missed one."""
    rows, columns = len(true), len(read)
    table = [list(range(columns + 1))]
    for i, element in enumerate(true, 1):
        above, row = table[-1], [i]
        for j, other in enumerate(read, 1):
            row.append(min(above[j - 1] + (element != other), above[j] + 1, row[j - 1] + 1))
        table.append(row)
    edits: list[Edit] = []
    i, j = rows, columns
    while i or j:
        here = table[i][j]
        if i and j and here == table[i - 1][j - 1] + (true[i - 1] != read[j - 1]):
            i, j = i - 1, j - 1
            edits.append(Edit("same" if true[i] == read[j] else "other", true[i], read[j]))
        elif i and here == table[i - 1][j] + 1:
            i -= 1
            edits.append(Edit("missed", true[i], None))
        else:
            j -= 1
            edits.append(Edit("added", None, read[j]))
    return edits[::-1]
