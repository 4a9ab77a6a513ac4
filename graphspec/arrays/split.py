"""How rows are shared out among workers."""

from __future__ import annotations


def shard_slice(total: int, rank: int, size: int) -> slice:
    """The rows of a batch of ``total`` that worker ``rank`` of ``size`` takes; earlier ranks take the remainder."""
    base, more = divmod(total, size)
    start = rank * base + min(rank, more)
    return slice(start, start + base + (rank < more))
