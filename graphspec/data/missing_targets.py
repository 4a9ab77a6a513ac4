"""Rows without a target: found, refused, or left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.memory import map_of
from graphspec.base.arrays.pictures import Pictures
from graphspec.base.arrays.strings import Strings, StringsBuilder
from graphspec.base.codes import Code
from graphspec.base.errors import Problem
from graphspec.data.convert import FILL_IN, chunks
from graphspec.data.source import MemoryBudget
from graphspec.graph.ir.graph import MISSING_INTEGER

if TYPE_CHECKING:
    from graphspec.base.arrays.growing import Allocate
    from graphspec.data.batches import Dataset
    from graphspec.graph.ir.graph import Array

DROP = "fill it in, or set `drop_missing_targets: true`"


def rows_without(target: Array | Strings) -> Array | None:
    """Return the mask of rows in which a value of the target is missing; None if there are none."""
    if isinstance(target, Strings):
        missing = target.lengths().reshape(len(target), -1) == 0
        return missing.any(1) if missing.any() else None
    if target.dtype.kind != "f" and target.dtype != np.int64:
        return None
    found = None
    for start, block in chunks(target):
        bad = np.isnan(block) if block.dtype.kind == "f" else block == MISSING_INTEGER
        if bad.any():
            found = np.zeros(len(target), bool) if found is None else found
            found[start : start + len(block)] = bad.reshape(len(block), -1).any(1)
    return found


def problem_of(missing: Array, place: Callable[[int], str], *, in_file: bool) -> Problem:
    """Return GS505 for the rows of a mask; ``place`` returns the words for a row."""
    count = int(np.count_nonzero(missing))
    text = f"has no target in {count:,} of {len(missing):,} rows; first: {place(int(missing.argmax()))}"
    return Problem(Code.MISSING_VALUE, text, DROP if in_file else FILL_IN)


def keep_rows(data: Dataset, keep: Array, allocate: Allocate | None = None) -> Dataset:
    """Return a dataset that contains only the rows of a mask; they are copied.

    Raises:
        DataError: GS602, there is too little memory for a copy of a memory-mapped file.
    """
    budget, count = MemoryBudget(), int(np.count_nonzero(keep))

    def kept(name: str, array: Any) -> Any:
        if isinstance(array, Strings):
            builder = StringsBuilder(array.shape[1:], f"{name}:kept", allocate, budget.reserve)
            return array.select(keep, builder)
        if allocate is None or isinstance(array, Pictures):
            if map_of(array) is not None:
                budget.reserve(array[:1].nbytes * count)
            return array[keep]
        found = allocate(f"{name}:kept", (count, *array.shape[1:]), array.dtype)
        done = 0
        for start, block in chunks(array):
            rows = block[keep[start : start + len(block)]]
            found[done : done + len(rows)] = rows
            done += len(rows)
        return found

    parts = ("inputs", "targets", "weights", "lengths")
    arrays: dict[str, Any] = {p: {n: kept(n, a) for n, a in getattr(data, p).items()} for p in parts}
    return replace(data, **arrays)
