"""Ranges in pieces: of a fixed length, or one for each worker."""

from __future__ import annotations


def pieces(start: int, stop: int, size: int) -> list[slice]:
    """The range in pieces of ``size``; the last may be shorter."""
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]


def shard_slice(total: int, rank: int, size: int) -> slice:
    """The rows of a batch of ``total`` that worker ``rank`` of ``size`` takes; earlier ranks take the remainder."""
    base, more = divmod(total, size)
    start = rank * base + min(rank, more)
    return slice(start, start + base + (rank < more))
