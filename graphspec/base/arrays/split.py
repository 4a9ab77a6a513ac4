"""Split ranges into pieces of a fixed length, or into one shard for each worker."""

from __future__ import annotations


def pieces(start: int, stop: int, size: int) -> list[slice]:
    """Split a range into pieces of length ``size``; the last may be shorter."""
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]


def shard_slice(total: int, rank: int, size: int) -> slice:
    """Return the shard of worker ``rank`` of ``size`` in a batch of ``total`` rows; lower ranks get the remainder."""
    base, remainder = divmod(total, size)
    start = rank * base + min(rank, remainder)
    return slice(start, start + base + (rank < remainder))
