"""Elementwise work in blocks, which stay in the cache from one call to the next and from one operator to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphspec.arrays.calls import Calls
from graphspec.arrays.layout import axis_order
from graphspec.ir.graph import Array
from graphspec.kernels.context import Context

BLOCK = 1 << 16
"""Numbers in a block: 256 KiB of float32."""


def blocks_of(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Corresponding flat pieces of arrays of one shape that lie alike in memory, without gaps; of others they themselves."""
    first = arrays[0]
    order = axis_order(first)
    lying = [a.transpose(order) for a in arrays if a.shape == first.shape]
    if first.size <= BLOCK or len(lying) < len(arrays) or not all(a.flags.c_contiguous for a in lying):
        yield arrays
        return
    flat = [a.reshape(-1) for a in lying]
    for start in range(0, first.size, BLOCK):
        yield tuple(f[start : start + BLOCK] for f in flat)


def in_blocks(ctx: Context, make: Callable[..., Calls], *arrays: Array) -> Calls:
    """The calls that ``make`` gives for one block after the other; all of them use the same temporaries."""
    calls: Calls = []
    taken = ctx.mark()
    for block in blocks_of(*arrays):
        ctx.reset(taken)
        calls += make(*block)
    return calls


def each_block(function: Callable[..., object], *operands: Array) -> Calls:
    """Calls of ``function`` with one block after the other."""
    return [(function, *block) for block in blocks_of(*operands)]
