"""Elementwise work in blocks that stay in the cache from one call to the next and from one operator to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphspec.base.arrays.calls import Calls
from graphspec.base.arrays.layout import axis_order
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.context import Context

BLOCK_ELEMENTS = 1 << 16
"""Elements of one array in a block of elementwise calls: 256 KiB of float32."""

CACHE_ELEMENTS = 1 << 17
"""Elements that stay in a core's second-level cache together with the results of the products that read them: 512 KiB
of float32."""


def blocks_of(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Yield corresponding flat blocks of arrays with equal shape and memory order and without gaps, else the arrays."""
    first = arrays[0]
    order = axis_order(first)
    ordered = [a.transpose(order) for a in arrays if a.shape == first.shape]
    contiguous = len(ordered) == len(arrays) and all(a.flags.c_contiguous for a in ordered)
    if first.size <= BLOCK_ELEMENTS or not contiguous:
        yield arrays
        return
    flat = [a.reshape(-1) for a in ordered]
    for start in range(0, first.size, BLOCK_ELEMENTS):
        yield tuple(f[start : start + BLOCK_ELEMENTS] for f in flat)


def in_blocks(ctx: Context, make: Callable[..., Calls], *arrays: Array) -> Calls:
    """Return the calls of ``make`` for each block in turn; all blocks share the same scratch buffers."""
    calls: Calls = []
    mark = ctx.mark()
    for block in blocks_of(*arrays):
        ctx.reset(mark)
        calls += make(*block)
    return calls


def each_block(function: Callable[..., object], *operands: Array) -> Calls:
    """Return one call of ``function`` per block."""
    return [(function, *block) for block in blocks_of(*operands)]
