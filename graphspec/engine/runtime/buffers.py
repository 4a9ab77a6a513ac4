"""Memory of a program: 64-byte-aligned buffers that are reused by liveness, and scratch memory shared by all nodes."""

from __future__ import annotations

import math
import mmap
import sys
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import CACHE_LINE, Array, aligned, root, view_as
from graphspec.graph.analysis import lookups
from graphspec.graph.ir.graph import Node, Segment, Shape, Value
from graphspec.graph.kernels.compiled import use_fast_kernel
from graphspec.graph.kernels.touched_rows import TouchedRows
from graphspec.graph.ops import OPS
from graphspec.graph.optimizers import Optimizer
from graphspec.graph.optimizers.vectors import Lookup

_MIN_MAPPED = 1 << 20  # bytes: larger blocks are mapped from the system, smaller ones allocated from the heap
_MIN_HUGE = 1 << 22  # bytes: larger blocks use huge pages, which need fewer address translations
_MAX_RESERVED = 1 << 28  # bytes reserved at once, unless a buffer is larger: some systems count untouched pages as used


def ints(shape: Shape) -> tuple[int, ...]:
    """Return a shape as integers; it must not have symbolic dimensions."""
    assert all(isinstance(d, int) for d in shape), shape
    return tuple(int(d) for d in shape)


def reserve(nbytes: int) -> Array:
    """Return ``nbytes`` zeros in address space of their own.

    The system allocates their pages when they are first written to, and gets all of them back at the end. Blocks below
    1 MiB come from the heap, which may keep freed memory.
    """
    if nbytes < _MIN_MAPPED:
        block = aligned(nbytes)
        block[:] = 0
        return block
    private = {} if sys.platform == "win32" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}
    pages = mmap.mmap(-1, nbytes, **private)
    if hasattr(mmap, "MADV_HUGEPAGE") and nbytes >= _MIN_HUGE:
        with suppress(OSError):  # a kernel without huge pages
            pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8)


class _Chunks:
    """Reserved address space, ``expected`` bytes at a time; on most systems, untouched pages use no memory."""

    def __init__(self, expected: int) -> None:
        self.arrays: list[Array] = []
        self._touched: list[int] = []
        self._expected = min(expected, _MAX_RESERVED)

    @property
    def nbytes(self) -> int:
        """The number of bytes that have been used at least once."""
        return sum(self._touched)

    def add(self, need: int) -> int:
        """Reserve a chunk of at least ``need`` bytes, and return its index."""
        self.arrays.append(reserve(max(need, self._expected)))
        self._touched.append(0)
        return len(self.arrays) - 1

    def block(self, chunk: int, start: int, stop: int) -> Array:
        """Return a range of a chunk's bytes as an array that is its own :func:`root`."""
        self._touched[chunk] = max(self._touched[chunk], stop)
        return np.frombuffer(self.arrays[chunk].data[start:stop], np.uint8)


def _size(shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    need = max(math.prod(shape) * dtype.itemsize, 1)
    return need + -need % CACHE_LINE


class Pool(_Chunks):
    """Allocates buffers best fit: each from the smallest free range that is large enough. Adjacent free ranges merge."""

    def __init__(self, expected: int) -> None:
        super().__init__(expected)
        self._free: list[tuple[int, int, int]] = []  # (chunk, start, stop), sorted
        self._used: dict[int, tuple[int, int, int]] = {}
        self._blocks: list[Array] = []  # keeps all blocks alive, since Python reuses the `id` of a freed object

    def take(self, shape: Sequence[int], dtype: Any, order: Sequence[int] | None = None) -> Array:
        """Allocate a buffer, with its axes in ``order`` in memory (largest stride first)."""
        dtype = np.dtype(dtype)
        need = _size(shape, dtype)
        sizes = [stop - start for _, start, stop in self._free]
        fits = [k for k, size in enumerate(sizes) if size >= need]
        if not fits:
            chunk = self.add(need)
            self._free.append((chunk, 0, self.arrays[chunk].size))
            index = len(self._free) - 1
        else:
            index = min(fits, key=sizes.__getitem__)
        chunk, start, stop = self._free.pop(index)
        if stop - start > need:
            self._free.insert(index, (chunk, start + need, stop))
        block = self.block(chunk, start, start + need)
        self._used[root(block)] = chunk, start, start + need
        self._blocks.append(block)
        return view_as(block, shape, dtype, order)

    def release(self, key: int) -> None:
        """Free the block with this ``id`` (see :func:`root`); ignore blocks that are not the pool's."""
        if key not in self._used:
            return
        chunk, start, stop = self._used.pop(key)
        index = bisect_left(self._free, (chunk, start, stop))
        if index < len(self._free) and self._free[index][:2] == (chunk, stop):
            stop = self._free.pop(index)[2]
        if index and self._free[index - 1][::2] == (chunk, start):
            index -= 1
            start = self._free.pop(index)[1]
        self._free.insert(index, (chunk, start, stop))


class Scratch(_Chunks):
    """A stack of temporary buffers: all nodes use the same memory, from its start."""

    def __init__(self, expected: int) -> None:
        super().__init__(expected)
        self._chunk = self._start = 0

    def mark(self) -> tuple[int, int]:
        """Return the position of the next buffer, for :meth:`reset`."""
        return self._chunk, self._start

    def reset(self, mark: tuple[int, int] = (0, 0)) -> None:
        """Free the buffers allocated since ``mark``, or all of them."""
        self._chunk, self._start = mark

    def take(self, shape: Sequence[int], dtype: Any, order: Sequence[int] | None = None) -> Array:
        dtype = np.dtype(dtype)
        need, chunks = _size(shape, dtype), self.arrays
        while self._chunk < len(chunks) and self._start + need > chunks[self._chunk].size:
            self._chunk, self._start = self._chunk + 1, 0
        if self._chunk == len(chunks):
            self.add(need)
        start = self._start
        self._start += need
        return view_as(self.block(self._chunk, start, self._start), shape, dtype, order)


# Liveness: the last node that needs each value of a program.
def backward_uses(nodes: Sequence[Node], differentiated: Collection[str], roots: Sequence[Value]) -> dict[str, int]:
    """Return, for each value that must survive the forward pass, the index of the last node whose backward calls read it.

    The backward pass visits the nodes in reverse, so this is the lowest index. It is -1 for the ``roots`` (outputs and
    loss), which are read after the program has run.
    """
    last: dict[str, int] = {}
    for index, node in enumerate(nodes):
        if not any(v.name in differentiated for v in node.sources):
            continue
        cls = OPS[node.op]
        kept = range(len(node.inputs)) if cls.keeps_in is None else cls.keeps_in
        inputs = [node.inputs[k] for k in kept if k < len(node.inputs)]
        for v in [*inputs, *(node.outputs if cls.keeps_out else ())]:
            if v is not None:
                last.setdefault(v.name, index)
    return last | dict.fromkeys((v.name for v in roots), -1)


def last_uses(nodes: Sequence[Node], survivors: Collection[str]) -> dict[str, int]:
    """Return the index of the last node that reads each value; beyond all nodes if it survives the forward pass."""
    last: dict[str, int] = {}
    for index, node in enumerate(nodes):
        last |= {v.name: index for v in node.sources}
    return last | dict.fromkeys(survivors, 1 << 60)


# The weights of a run whose gradients are kept by rows: those that a step only looks up by ids.
MIN_ELEMENTS = 1 << 19  # elements of a weight: the passes over a smaller one take little time
ROWS_PER_ID = 4  # rows of a weight per id of a batch: with fewer, most rows are written


def looked_up(optimizer: Optimizer, segments: Sequence[Segment]) -> Iterator[Segment]:
    """Yield the weights whose gradients are kept by rows, as far as that does not depend on the batch."""
    skips = optimizer.skips_rows()
    for segment in segments:
        param = segment.param
        if param.sparse or (param.looked_up and skips and use_fast_kernel(param.size >= MIN_ELEMENTS)):
            yield segment


def lookups_of(optimizer: Optimizer, segments: Sequence[Segment]) -> list[Lookup]:
    """Return these weights for one gradient vector: the programs that write to it, and the updates, share the result."""
    found = []
    for s in looked_up(optimizer, segments):
        rows, width = s.param.shape
        touched = TouchedRows(s.param.name, rows, width, sparse=s.param.sparse, kept=not optimizer.clips())
        found.append(Lookup(touched, s.start, s.stop))
    return found


def kept_by_rows(
    touched: Mapping[str, TouchedRows], nodes: Sequence[Node], types: Mapping[str, Value]
) -> dict[str, TouchedRows]:
    """Return those of the weights that a program of these nodes keeps by rows, and make room for their ids.

    Several lookups of one weight would add up in another order than whole gradients do.
    """
    kept = {}
    for name, readers in lookups(nodes, touched).items():
        ids = [v for node in readers if (v := node.inputs[1]) is not None]
        rows, count = touched[name], sum(math.prod(ints(types.get(v.name, v).shape)) for v in ids)
        if rows.sparse or (len(readers) <= 1 and use_fast_kernel(rows.rows >= ROWS_PER_ID * count)):
            rows.reserve(count)
            kept[name] = rows
    return kept
