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
from graphspec.base.arrays.calls import Calls
from graphspec.base.arrays.random import Stream
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.common import CACHE_ELEMENTS
from graphspec.graph.kernels.compiled import use_fast_kernel
from graphspec.graph.kernels.context import Context
from graphspec.graph.kernels.matmul import for_blas
from graphspec.graph.kernels.softmax import softmax_gradient

QUERIES = 64  # of a block, a multiple of 16: a counter of random numbers serves 16 elements
TILE = 128  # rows of a product, or half the terms of its sums, for which BLAS does not pack operands
ABSORBED = -1e30  # adding a mask element at or below this absorbs the score: no gradient passes to it
# The scores of a head from which blocks take less time: some are hidden, a step knows which, or none are.
_SOME_HIDDEN, _SOME_MASKED, _ALL_SEEN = 1 << 15, 1 << 18, 1 << 20

Head = tuple[slice, slice, int]  # samples, groups, and one head of each group
Sizes = tuple[int, int, int, int]  # samples, groups, keys, queries


def pays(queries: int, keys: int, *, hides: bool, masked: bool) -> bool:
    """Whether to use blocks of queries: ``hides`` is whether some scores are known to be hidden."""
    least = _SOME_HIDDEN if hides else _SOME_MASKED if masked else _ALL_SEEN
    return keys > 0 and use_fast_kernel(queries * keys >= least)


class Noise(NamedTuple):
    """Dropout of weights: those whose 16 random bits are below ``threshold`` are 0, others are multiplied by ``factor``."""

    stream: Stream
    first: int  # the number in the batch of this worker's first sample
    threshold: Array
    factor: Array


class _Block(NamedTuple):
    queries: slice
    keys: slice
    term: Array | None  # added to the scores


@dataclass
class QueryBlocks:
    """A pass over Q (N, groups, per_group, T, size), K (N, groups, S, size), V (N, groups, S, width) and Y, as Q.

    ``mask`` (N, groups, S, per_group, T), whose axes may be 1: bool, or added to the scores. ``largest`` and ``shares``
    (N, groups, per_group, 1, T) are saved between the passes, each of which has a QueryBlocks with its own memory.
    """

    ctx: Context
    q: Array
    k: Array
    v: Array
    y: Array
    scale: Array
    causal: bool
    mask: Array | None
    noise: Noise | None
    largest: Array
    shares: Array

    def __post_init__(self) -> None:
        ctx, (N, groups, per_group, T, size), (S, width) = self.ctx, self.q.shape, self.v.shape[2:]
        (self.q, first), (self.k, second), (self.v, third) = (for_blas(ctx, X) for X in (self.q, self.k, self.v))
        self._copies = [*first, *second, *third]
        self._tile = TILE if small_kernels() else S
        self._columns = min(QUERIES, -(-T // 16) * 16)
        fits = max(1, CACHE_ELEMENTS // (S * self._columns))
        self._samples, self._groups = max(1, min(N, fits // max(groups, 1))), max(1, min(groups, fits))
        self._lead = self._samples, groups, per_group
        self._queries = ctx.scratch((*self._lead, size, T))
        self._cells, self._wide, self._rows = (self._scratch(n) for n in (S, 8, max(size, width)))
        self._sums = self._scratch(max(size, width) * -(-S // (2 * self._tile)))
        future = np.where(np.tri(self._columns, k=-1, dtype=bool), -np.inf, 0.0)
        self._future = ctx.constant(future)  # added to scores: -∞ where the key follows the query
        self._ones, self._one = ctx.constant(np.ones((1, S))), ctx.constant(1.0)
        self._least, self._absorbed = ctx.constant(np.finfo(ctx.dtype).min), ctx.constant(ABSORBED)
        if self.noise is not None:
            self._words, self._keep, self._factors = (self._scratch(S, t) for t in (np.uint16, np.bool_, None))
        if self.mask is not None:
            count = prod(map(min, self.mask.shape, (self._samples, groups, S, per_group, self._columns)))
            self._hidden, self._term = ctx.scratch((count,), np.bool_), ctx.scratch((count,))

    def _scratch(self, size: int, dtype: object = None) -> Array:
        """Return scratch for ``size`` elements of each query of the heads that are processed at once."""
        return self.ctx.scratch((self._samples * self._groups * self._columns * size,), dtype)

    def forward(self) -> Calls:
        """Return the calls that write Y."""
        return [*self._copies, (self._forward,)]

    def _forward(self) -> None:
        for samples, queries in self._scaled_queries():
            for block, at, sizes in self._parts(samples):
                E, masked = self._scores(queries, block, at, sizes), block.term is not None
                largest, share = (X[*at, :, block.queries] for X in (self.largest, self.shares))
                self._maximum(E, largest)
                if masked:
                    np.maximum(largest, self._least, out=largest)
                np.subtract(E, largest, E)
                np.exp(E, E)
                np.matmul(self._ones[:, : sizes[2]], E, share)
                if masked:  # a query without a key sums to 0, all others to at least 1
                    np.maximum(share, self._one, out=share)
                np.reciprocal(share, share)
                if (kept := self._kept(block, at, sizes)) is not None:
                    np.multiply(E, kept, E)
                sums = self._summed(E, self.v[*at[:2], block.keys])
                np.multiply(sums, share.mT, self.y[*at, block.queries])

    def backward(self, dy: Array, dq: Array | None, dk: Array | None, dv: Array | None, dmask: Array | None) -> Calls:
        """Return the calls that write the gradients, whose shapes are those of Q, K, V and the mask."""
        ctx, lead, T, (S, width) = self.ctx, self._lead, self.q.shape[3], self.v.shape[2:]
        slopes, used = self._scratch(S), self._scratch(S) if self.noise else self._cells
        columns, rows, dots = (ctx.scratch((*lead, *shape)) for shape in ((width, T), (T, width), (1, T)))
        flags, seen = ctx.scratch(dots.shape, np.bool_), ctx.scratch(dots.shape)
        sum_k, sum_v = (ctx.scratch((*lead[:2], *X.shape[2:])) for X in (self.k, self.v))
        terms = ctx.scratch((self._samples * self._groups * S * max(self.q.shape[4], width),))
        absorbs = self.mask is not None and self.mask.dtype != np.bool_

        def add(sums: Array, at: Head, keys: slice, A: Array, B: Array) -> None:
            """Add A · B to the keys of the sums."""
            term, own = _take(terms, (*A.shape[:3], B.shape[3])), sums[: len(A), at[1], keys]
            self._products(A, B, term)
            np.add(own, term, own)

        def run() -> None:
            # E: exp(scores - largest), r: a query's share, K: 1, or what dropout multiplies weights by.
            # dV = K · E · r dY, d scores = E · (K · V r dYᵀ - r Σ dY · Y).
            if dmask is not None:
                dmask.fill(0)
            for samples, queries in self._scaled_queries():
                d, n = dy[samples], len(queries)
                np.multiply(d.mT, self.shares[samples], columns[:n])
                np.multiply(d, self.shares[samples].mT, rows[:n])
                np.vecdot(d, self.y[samples], dots[:n, :, :, 0])
                np.multiply(dots[:n], self.shares[samples], dots[:n])
                if absorbs:
                    np.greater(self.largest[samples], self._absorbed, flags[:n])
                    np.copyto(seen[:n], flags[:n])
                sum_k.fill(0)
                sum_v.fill(0)
                for block, at, sizes in self._parts(samples):
                    own = slice(n), *at[1:]
                    E = self._scores(queries, block, at, sizes)
                    np.subtract(E, self.largest[*at, :, block.queries], E)
                    np.exp(E, E)
                    kept = self._kept(block, at, sizes)
                    W = E if kept is None else np.multiply(E, kept, _take(used, sizes))
                    add(sum_v, at, block.keys, W, rows[*own, block.queries])
                    dS = _take(slopes, sizes)
                    self._products(self.v[*at[:2], block.keys], columns[*own, :, block.queries], dS)
                    dot, some = (X[*own, :, block.queries] for X in (dots, seen))
                    for f, *operands in softmax_gradient.numpy(dS, kept, dot, E, some if absorbs else None):
                        f(*operands)
                    if dmask is not None:
                        target = _chosen(dmask, (*at[:2], block.keys, at[2], block.queries))
                        axes = tuple(k for k, size in enumerate(target.shape) if size == 1)
                        total = (
                            np.add.reduce(dS, axes, out=_take(self._cells, target.shape), keepdims=True) if axes else dS
                        )
                        np.add(target, total, target)
                    add(sum_k, at, block.keys, dS, self.q[*at, block.queries])
                    if dq is not None:
                        np.multiply(self._summed(dS, self.k[*at[:2], block.keys]), self.scale, dq[*at, block.queries])
                if dk is not None:
                    np.multiply(sum_k[:n], self.scale, dk[samples])
                if dv is not None:
                    np.copyto(dv[samples], sum_v[:n])

        return [*self._copies, (run,)]

    def _scaled_queries(self) -> Iterator[tuple[slice, Array]]:
        """Yield samples that are processed together, and their queries as columns, times the scale."""
        for n in range(0, len(self.q), self._samples):
            samples = slice(n, min(n + self._samples, len(self.q)))
            queries = self._queries[: samples.stop - n]
            np.multiply(self.q[samples].mT, self.scale, queries)
            yield samples, queries

    def _parts(self, samples: slice) -> Iterator[tuple[_Block, Head, Sizes]]:
        """Yield each block of queries with heads that are processed at once, and the sizes of their scores."""
        groups, per_group = self._lead[1:]
        for start in range(0, self.q.shape[3], self._columns):
            block = self._block(samples, slice(start, min(start + self._columns, self.q.shape[3])))
            n, keys, queries = (s.stop - s.start for s in (samples, block.keys, block.queries))
            for g in range(0, groups, self._groups):
                some = slice(g, min(g + self._groups, groups))
                for head in range(per_group):
                    yield block, (samples, some, head), (n, some.stop - g, keys, queries)

    def _block(self, samples: slice, queries: slice) -> _Block:
        """Return queries with the keys that they attend to, and what the mask adds to the scores."""
        keys = slice(0, min(queries.stop, self.k.shape[2]) if self.causal else self.k.shape[2])
        if self.mask is None:
            return _Block(queries, keys, None)
        every = slice(None)
        mask = _chosen(self.mask, (samples, every, every, every, queries))
        keys = self._visible(mask[:, :, keys])
        chosen = mask[:, :, keys]
        term = _take(self._term, chosen.shape)
        if chosen.dtype == np.bool_:
            term.fill(0)
            np.copyto(term, -np.inf, where=np.logical_not(chosen, _take(self._hidden, chosen.shape)))
        else:
            np.copyto(term, chosen)
        return _Block(queries, keys, term)

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

    def _scores(self, queries: Array, block: _Block, at: Head, sizes: Sizes) -> Array:
        samples, groups, head = at
        Z, keys, first = _take(self._cells, sizes), block.keys, block.queries.start
        self._products(self.k[samples, groups, keys], queries[:, groups, head, :, block.queries], Z)
        if self.causal and keys.stop > first:
            start = max(first, keys.start)
            own = Z[:, :, start - keys.start :]
            np.add(own, self._future[start - first : keys.stop - first, : sizes[3]], own)
        if (term := block.term) is not None:
            every = slice(None)
            np.add(Z, _chosen(term, (every, groups, every, head, every)), Z)
        return Z

    def _kept(self, block: _Block, at: Head, sizes: Sizes) -> Array | None:
        """Return the factors of dropout. They depend on a weight's place in its head, and the head's in the batch."""
        if self.noise is None:
            return None
        (samples, groups, head), whole = at, (*sizes[:3], self._columns)
        words, keep, factors = (_take(X, whole) for X in (self._words, self._keep, self._factors))
        S, of_key = self.k.shape[2], self._columns // 16  # counters
        of_head = -(-self.q.shape[3] // self._columns) * S * of_key
        inner = (block.queries.start // self._columns * S + block.keys.start) * of_key
        for n in range(sizes[0]):
            for g in range(sizes[1]):
                number = (self.noise.first + samples.start + n) * self._lead[1] + groups.start + g
                number = number * self._lead[2] + head
                self.noise.stream.fill(words[n, g].view(np.uint64).reshape(-1, 4), number * of_head + inner)
        np.greater_equal(words, self.noise.threshold, keep)
        np.multiply(keep, self.noise.factor, factors)
        return factors[..., : sizes[3]]

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
        a, b = _tiles(A, most), _tiles(B, most)
        np.matmul(a.mT, b, sums[:, :, : keys // most])
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


def _chosen(X: Array, places: tuple[slice | int, ...]) -> Array:
    """Return the places of an array, of whose axes those of size 1 are for all."""
    one = (0 if isinstance(place, int) else slice(None) for place in places)
    return X[tuple(o if n == 1 else place for n, place, o in zip(X.shape, places, one, strict=True))]


def _take(flat: Array, shape: tuple[int, ...]) -> Array:
    """Return the start of flat memory as an array."""
    return flat[: prod(shape)].reshape(shape, copy=False)
