"""Batch sizes that are fixed in a file: what stands for one batch size and for all.

A file that was saved for one row, or a fixed number, has that number in its reshapes and states. A reshape that keeps each
row's elements together does the same to every row, so its number of rows may be any. Everything else is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphspec.graph.ir.dims import Dim, has_rows, mul, product
from graphspec.graph.ir.graph import Value

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder


def reshape_sizes(shape: Sequence[Dim], sizes: Sequence[int], batch: int) -> list[int]:
    """Return the sizes of a Reshape with 0, a copy, or -1 in place of the fixed ``batch`` or a multiple of it.

    Shapes: rows are in an axis of ``shape``, whose size is N or a multiple. A size is the batch's if the sizes in front of
    it are those of ``shape``, or have their product: then each row keeps its elements. The other sizes fix N.

    >>> reshape_sizes(("N", 8, 4), [1, 32], 1), reshape_sizes((8, "N", 4), [8, 1, 2, 2], 1)
    ([0, 32], [8, 0, 2, 2])
    >>> reshape_sizes((5, "N", 8), [5, 2, 4], 1), reshape_sizes(("N*2", 5, 4), [1, 2, 5, 4], 1)  # the heads of attention
    ([5, -1, 4], [-1, 2, 5, 4])
    >>> reshape_sizes((5, "N", 2, 4), [5, 8], 1)  # the rows of a matrix are steps and rows
    [-1, 8]
    >>> reshape_sizes(("N", 8, 4), [8, 1, 4], 1)  # is refused later: it mixes the rows
    [8, 1, 4]
    """
    at = next((k for k, d in enumerate(shape) if has_rows((d,))), None)
    if at is None:
        return list(sizes)
    if shape[at] == "N" and at < len(sizes) and sizes[at] == batch:
        front = all(d in (0, e) for d, e in zip(sizes[:at], shape[:at], strict=True))
        rest, own = sizes[at + 1 :], product(tuple(shape[at + 1 :]))
        copied = len(shape) - at - 1 >= len(rest) or 0 not in rest[len(shape) - at - 1 :]
        fits = copied and (
            -1 in rest or product(tuple(shape[at + 1 + k] if d == 0 else d for k, d in enumerate(rest))) == own
        )
        if front and fits:
            return [*sizes[:at], 0, *rest]
    if min(sizes, default=0) < 1:
        return list(sizes)
    before = product(tuple(shape[:at]))
    if at and len(sizes) == 2 and mul(before, batch) == sizes[0]:
        return [-1, sizes[1]]
    places = [k for k, d in enumerate(sizes) if product(tuple(sizes[:k])) == before and d % batch == 0]
    places = [k for k in places if sizes[k] == batch] if batch in sizes else places
    return [-1 if k in places[:1] else d for k, d in enumerate(sizes)]


def is_shape(shape: Sequence[Dim], sizes: Sequence[int], batch: int | None) -> bool:
    """Return whether ``sizes`` are ``shape``, with the fixed ``batch`` for N, and perhaps one -1."""
    return len(shape) == len(sizes) and all(
        d in (e, -1) or (e == "N" and d == batch) for d, e in zip(sizes, shape, strict=True)
    )


def for_all_rows(g: Builder, X: Value, like: Value, axis: int, *, fixed: bool = False) -> Value:
    """Return X with the rows of ``like`` on ``axis``: a value of one row that depends on no input stands for all.

    Args:
        fixed: whether X is constant in the file, though it may be a weight here.
    """
    rows = like.shape[axis]
    if not (fixed or _constant(X)) or X.shape[axis] != 1 or rows == 1:
        return X
    size = g.size(like, axis)
    return g.Expand(X, g.ints([size if a == axis else 1 for a in range(X.rank)]))


def _constant(X: Value) -> bool:
    """Return whether a value depends on sizes and constants alone, and has no rows."""
    stack, seen = [X], set[str]()
    while stack:
        v = stack.pop()
        if v.kind in ("input", "target"):
            return False
        if v.name in seen:
            continue
        seen.add(v.name)
        if v.node is not None and v.node.op not in ("Shape", "Size"):
            stack.extend(u for u in v.node.inputs if u is not None)
    return True
