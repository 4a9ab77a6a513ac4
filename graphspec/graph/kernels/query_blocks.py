"""Attention by blocks of queries: memory grows with the length, not its square, and hidden keys are skipped.

A block of queries meets all keys that one of them attends to, so there is one softmax and no sum to correct later. Saved
are the largest score of each query and the inverse of its sum; the gradient computes scores anew. Dao,
*FlashAttention-2*, 2023. As in :mod:`.softmax`, scores have a row per key and a column per query.

Each pass is one function, not a list of calls: only a step knows which keys a mask hides, and a list would grow with T².
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from graphspec.base.arrays.blas import small_kernels
from graphspec.base.arrays.random import Stream
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.common import CACHE_ELEMENTS
from graphspec.graph.kernels.compiled import use_fast_kernel
from graphspec.graph.kernels.context import Calls, Context
from graphspec.graph.kernels.matmul import for_blas

QUERIES = 64  # of a block, or half of them; a multiple of 16: a counter of random numbers serves 16 elements
TILE = 128  # rows of a product, or half the terms of its sums, for which BLAS does not pack operands
ABSORBED = -1e30  # adding a mask element at or below this absorbs the score: no gradient passes to it
# The scores of a head from which blocks take less time or, the last, much less memory: if some are hidden, if a bool mask
# may hide some, and else. A mask that is added gives a query without keys, such as of padding, all of them.
_SOME_HIDDEN, _SOME_MASKED, _ALL_SEEN = 1 << 15, 1 << 18, 1 << 20
_COMPILED = 1 << 14, 1 << 15, 1 << 16  # the same where a kernel makes the whole pass
_ALL = slice(None)


def pays(queries: int, keys: int, *, hides: bool, masked: bool, compiled: bool = False) -> bool:
    """Whether to use blocks of queries: ``hides`` is whether some scores are known to be hidden."""
    some_hidden, some_masked, all_seen = _COMPILED if compiled else (_SOME_HIDDEN, _SOME_MASKED, _ALL_SEEN)
    least = some_hidden if hides else some_masked if masked else all_seen
    return keys > 0 and use_fast_kernel(queries * keys >= least)


class _Part(NamedTuple):
    """Scores that are computed at once, of one head of each group."""

    samples: slice
    groups: slice
    head: int
    keys: slice
    queries: slice
    sizes: tuple[int, int, int, int]  # samples, groups, keys, queries
    term: Array | None  # added to the scores


@dataclass
class QueryBlocks:
    """A pass over Q (N, groups, per_group, T, size), K (N, groups, S, size), V (N, groups, S, width) and Y, as Q.

    ``mask`` (N, groups, S, per_group, T), whose axes may be 1: bool, or added to the scores. ``noise`` of dropout: its
    random numbers, the number of this worker's first sample in the batch, and the ratio. ``largest`` and ``shares`` (N,
    groups, per_group, 1, T) are saved between the passes, each of which has a QueryBlocks with its own memory.
    """

    ctx: Context
    q: Array
    k: Array
    v: Array
    y: Array
    scale: float
    causal: bool
    mask: Array | None
    noise: tuple[Stream, int, float] | None
    largest: Array
    shares: Array

    def __post_init__(self) -> None:
        ctx, (N, groups, per_group, T, size), (S, width) = self.ctx, self.q.shape, self.v.shape[2:]
        (self.q, first), (self.k, second), (self.v, third) = (for_blas(ctx, X) for X in (self.q, self.k, self.v))
        self._copies = [*first, *second, *third]
        # More hide more keys in vain, and read keys less often.
        most = QUERIES if self.causal and S < 2048 else 2 * QUERIES
        self._tile, self._columns = TILE if small_kernels() else S, min(most, -(-T // 16) * 16)
        fits = max(1, CACHE_ELEMENTS // (S * self._columns))
        self._samples, self._groups = max(1, min(N, fits // max(groups, 1))), max(1, min(groups, fits))
        self._lead = self._samples, groups, per_group
        self._queries = ctx.scratch((*self._lead, size, T))
        sums = max(size, width) * -(-S // (2 * self._tile))
        self._cells, self._wide, self._rows, self._sums = map(self._scratch, (S, 8, max(size, width), sums))
        future = np.where(np.tri(self._columns, k=-1, dtype=bool), -np.inf, 0.0)
        self._future = ctx.constant(future)  # added to scores: -∞ where the key follows the query
        numbers = self.scale, 1.0, np.finfo(ctx.dtype).min, ABSORBED, np.ones((1, S))
        self._scale, self._one, self._least, self._absorbed, self._ones = map(ctx.constant, numbers)
        if self.noise is not None:
            ratio = self.noise[2]
            self._threshold = ctx.constant(round(ratio * (1 << 16)), np.uint16)
            self._factor, self._factors = ctx.constant(1 / (1 - ratio)), self._scratch(S)
            self._words, self._keep = self._scratch(S, np.uint16), self._scratch(S, np.bool_)
        if self.mask is not None:
            count = prod(map(min, self.mask.shape, (self._samples, groups, S, per_group, self._columns)))
            self._hidden, self._term = ctx.scratch((count,), np.bool_), ctx.scratch((count,))

    def _scratch(self, size: int, dtype: object = None) -> Array:
        """Return scratch for ``size`` elements of each query of a part."""
        return self.ctx.scratch((self._samples * self._groups * self._columns * size,), dtype)

    def forward(self) -> Calls:
        return [*self._copies, (self._forward,)]

    def _forward(self) -> None:
        for samples, queries in self._scaled_queries():
            for part in self._parts(samples):
                E = self._scores(queries, part)
                largest, share = (X[*part[:3], :, part.queries] for X in (self.largest, self.shares))
                self._maximum(E, largest)
                if part.term is not None:
                    np.maximum(largest, self._least, out=largest)
                np.subtract(E, largest, E)
                np.exp(E, E)
                np.matmul(self._ones[:, : part.sizes[2]], E, share)
                if part.term is not None:  # a query without a key sums to 0, all others to at least 1
                    np.maximum(share, self._one, out=share)
                np.reciprocal(share, share)
                if (kept := self._kept(part)) is not None:
                    np.multiply(E, kept, E)
                sums = self._summed(E, self.v[*part[:2], part.keys])
                np.multiply(sums, share.mT, self.y[*part[:3], part.queries])

    def backward(self, dy: Array, dq: Array | None, dk: Array | None, dv: Array | None, dmask: Array | None) -> Calls:
        """Return the calls that write the gradients, whose shapes are those of Q, K, V and the mask."""
        ctx, lead, T, (S, width) = self.ctx, self._lead, self.q.shape[3], self.v.shape[2:]
        slopes, used = self._scratch(S), self._scratch(S) if self.noise else self._cells
        columns, rows, dots = (ctx.scratch((*lead, *shape)) for shape in ((width, T), (T, width), (1, T)))
        flags, shares = ctx.scratch(dots.shape, np.bool_), ctx.scratch(dots.shape)
        sum_k, sum_v = (ctx.scratch((*lead[:2], *X.shape[2:])) for X in (self.k, self.v))
        terms = ctx.scratch((self._samples * self._groups * S * max(self.q.shape[4], width),))

        def add(sums: Array, part: _Part, A: Array, B: Array) -> None:
            """Add A · B to the sums over queries, by key."""
            term, own = _take(terms, (*A.shape[:3], B.shape[3])), sums[: len(A), part.groups, part.keys]
            self._products(A, B, term)
            np.add(own, term, own)

        def run() -> None:
            # E: exp(scores - largest), r: a query's share, K: 1, or what dropout multiplies weights by.
            # dV = K · E · r dY, d scores = E · (K · V r dYᵀ - r Σ dY · Y), 0 for a query whose scores are absorbed.
            if dmask is not None:
                dmask.fill(0)
            for samples, queries in self._scaled_queries():
                d, n = dy[samples], len(queries)
                np.multiply(d, self.shares[samples].mT, rows[:n])
                np.greater(self.largest[samples], self._absorbed, flags[:n])
                np.multiply(self.shares[samples], flags[:n], shares[:n])
                np.multiply(d.mT, shares[:n], columns[:n])
                np.vecdot(d, self.y[samples], dots[:n, :, :, 0])
                np.multiply(dots[:n], shares[:n], dots[:n])
                sum_k.fill(0)
                sum_v.fill(0)
                for part in self._parts(samples):
                    own = slice(n), *part[1:3]
                    E, dS = self._scores(queries, part), _take(slopes, part.sizes)
                    np.subtract(E, self.largest[*part[:3], :, part.queries], E)
                    np.exp(E, E)
                    kept = self._kept(part)
                    add(sum_v, part, _times(E, kept, used), rows[*own, part.queries])
                    self._products(self.v[*part[:2], part.keys], columns[*own, :, part.queries], dS)
                    np.subtract(_times(dS, kept, slopes), dots[*own, :, part.queries], dS)
                    np.multiply(dS, E, dS)
                    if dmask is not None:
                        target = _chosen(dmask, *part[:2], part.keys, part.head, part.queries)
                        axes = tuple(k for k, size in enumerate(target.shape) if size == 1)
                        total = np.add.reduce(dS, axes, out=_take(self._cells, target.shape), keepdims=True)
                        np.add(target, total, target)
                    add(sum_k, part, dS, self.q[*part[:3], part.queries])
                    if dq is not None:
                        target = dq[*part[:3], part.queries]
                        np.multiply(self._summed(dS, self.k[*part[:2], part.keys]), self._scale, target)
                for out, sums, factor in ((dk, sum_k, self._scale), (dv, sum_v, self._one)):
                    if out is not None:
                        np.multiply(sums[:n], factor, out[samples])

        return [*self._copies, (run,)]

    def _scaled_queries(self) -> Iterator[tuple[slice, Array]]:
        """Yield samples that are processed together, and their queries as columns, times the scale."""
        for n in range(0, len(self.q), self._samples):
            samples = slice(n, min(n + self._samples, len(self.q)))
            yield samples, np.multiply(self.q[samples].mT, self._scale, self._queries[: samples.stop - n])

    def _parts(self, samples: slice) -> Iterator[_Part]:
        """Yield the parts of some samples: for each block of queries the keys that they attend to, and some heads."""
        groups, per_group, T, S = *self._lead[1:], self.q.shape[3], self.k.shape[2]
        for start in range(0, T, self._columns):
            queries, term = slice(start, min(start + self._columns, T)), None
            keys = slice(0, min(queries.stop, S) if self.causal else S)
            if self.mask is not None:
                mask = _chosen(self.mask, samples, _ALL, _ALL, _ALL, queries)
                keys = self._visible(mask[:, :, keys])
                term = self._added(mask[:, :, keys])
            for g in range(0, groups, self._groups):
                some = slice(g, min(g + self._groups, groups))
                n, count, e, b = (s.stop - s.start for s in (samples, some, keys, queries))
                for head in range(per_group):
                    yield _Part(samples, some, head, keys, queries, (n, count, e, b), term)

    def _added(self, mask: Array) -> Array:
        """Return what a block's mask adds to the scores."""
        term = _take(self._term, mask.shape)
        if mask.dtype != np.bool_:
            np.copyto(term, mask)
        else:
            term.fill(0)
            np.copyto(term, -np.inf, where=np.logical_not(mask, _take(self._hidden, mask.shape)))
        return term

    def _visible(self, mask: Array) -> slice:
        """Return the keys of a block without those at both ends that no query attends to."""
        every, adds = slice(0, mask.shape[2]), mask.dtype != np.bool_
        if adds and self.causal:
            return every
        most = np.maximum.reduce(mask, (0, 1, 3, 4))
        ids = np.flatnonzero(most > ABSORBED if adds else most)
        if not len(ids):
            return every if adds else slice(0, 1)
        fewer = slice(int(ids[0]), int(ids[-1]) + 1)
        # A query whose scores are all absorbed attends to all keys alike.
        for_all = adds and fewer != every and np.maximum.reduce(mask[:, :, fewer], 2).min() <= ABSORBED
        return every if for_all else fewer

    def _scores(self, queries: Array, part: _Part) -> Array:
        Z, keys, first, b = _take(self._cells, part.sizes), part.keys, part.queries.start, part.sizes[3]
        self._products(self.k[*part[:2], keys], queries[:, part.groups, part.head, :, part.queries], Z)
        if self.causal and keys.stop > first:
            start = max(first, keys.start)
            own = Z[:, :, start - keys.start :]
            np.add(own, self._future[start - first : keys.stop - first, :b], own)
        if part.term is not None:
            np.add(Z, _chosen(part.term, _ALL, part.groups, _ALL, part.head, _ALL), Z)
        return Z

    def _kept(self, part: _Part) -> Array | None:
        """Return the factors of dropout. They depend on a weight's place in its head, and the head's in the batch."""
        if self.noise is None:
            return None
        (stream, before, _), sizes = self.noise, part.sizes
        words = _take(self._words, (*sizes[:3], self._columns))
        (groups, per_group), S, of_key = self._lead[1:], self.k.shape[2], self._columns // 16  # counters
        of_head = -(-self.q.shape[3] // self._columns) * S * of_key
        inner = (part.queries.start // self._columns * S + part.keys.start) * of_key
        for n, g in np.ndindex(sizes[:2]):
            number = (before + part.samples.start + n) * groups + part.groups.start + g
            head = words[n, g].view(np.uint64).reshape(-1, 4)
            stream.fill(head, (number * per_group + part.head) * of_head + inner)
        keep = np.greater_equal(words[..., : sizes[3]], self._threshold, _take(self._keep, sizes))
        return np.multiply(keep, self._factor, _take(self._factors, sizes))

    def _maximum(self, Z: Array, out: Array) -> None:
        """Write the largest scores of queries: first of each eighth row, since NumPy takes long for short rows."""
        n, groups, keys, queries = Z.shape
        if keys % 8 == 0:
            wide = _take(self._wide, (n, groups, 1, 8 * queries))
            np.maximum.reduce(Z.reshape(n, groups, keys // 8, 8 * queries, copy=False), 2, out=wide, keepdims=True)
            Z = wide.reshape(n, groups, 8, queries)
        np.maximum.reduce(Z, 2, out=out, keepdims=True)

    def _summed(self, A: Array, B: Array) -> Array:
        """Return ``Aᵀ · B``, sums over the keys: in parts of two tiles if there are many."""
        keys, most = A.shape[2], 2 * self._tile
        out = _take(self._rows, (*A.shape[:2], A.shape[3], B.shape[3]))
        if keys < 2 * most:
            return np.matmul(A.mT, B, out)
        sums, rest = _take(self._sums, (*A.shape[:2], -(-keys // most), *out.shape[2:])), keys % most
        np.matmul(_tiles(A, most).mT, _tiles(B, most), sums[:, :, : keys // most])
        if rest:
            np.matmul(A[:, :, -rest:].mT, B[:, :, -rest:], sums[:, :, -1])
        return np.add.reduce(sums, 2, out=out)

    def _products(self, A: Array, B: Array, out: Array) -> None:
        """Write ``out = A · B`` for many rows of A, in tiles."""
        rest = A.shape[2] % self._tile
        if rest < A.shape[2]:
            np.matmul(_tiles(A, self._tile), B[:, :, None], _tiles(out, self._tile))
        if rest:
            np.matmul(A[:, :, -rest:], B, out[:, :, -rest:])


def _tiles(X: Array, rows: int) -> Array:
    """Return a view of (n, groups, …, size) with an axis more: the tiles of ``rows`` rows, without the rest."""
    return X[:, :, : X.shape[2] // rows * rows].reshape(*X.shape[:2], -1, rows, X.shape[3], copy=False)


def _chosen(X: Array, *places: slice | int) -> Array:
    """Return the places of an array, of whose axes those of size 1 are for all."""
    return X[tuple(p if n > 1 else 0 if isinstance(p, int) else _ALL for n, p in zip(X.shape, places, strict=True))]


def _times(X: Array, kept: Array | None, flat: Array) -> Array:
    """Return X times the factors of dropout, in other memory; X itself without dropout."""
    return X if kept is None else np.multiply(X, kept, _take(flat, X.shape))


def _take(flat: Array, shape: tuple[int, ...]) -> Array:
    """Return the start of flat memory as an array."""
    return flat[: prod(shape)].reshape(shape, copy=False)
