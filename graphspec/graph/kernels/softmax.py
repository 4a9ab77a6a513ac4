"""Softmax around exp and its sums, of arrays (outer, keys, inner), and of the masked scores of Attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import prod

import numpy as np

from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.common import CACHE_ELEMENTS, as_words, bit_mask
from graphspec.graph.kernels.compiled import twin, use_fast_kernel
from graphspec.graph.kernels.context import Calls, Context


def middle(X: Array, axis: int) -> Array:
    """Return a view of X, which is in C order, as (outer, keys, inner) with ``axis`` in the middle."""
    return X.reshape(prod(X.shape[:axis]), X.shape[axis], prod(X.shape[axis + 1 :]), copy=False)


@twin()
def subtract_largest(
    x: Array, least: Array | None, largest: Array, z: Array, /, *, maxima: Callable[[], Calls], source: Array
) -> Calls:
    """Return calls for ``largest = max(x, least)`` over the keys, (outer, 1, inner), and ``z = x - largest``.

    Which sign a maximum of 0 has is not defined. ``maxima`` returns the calls that write the maxima of ``x``; ``source`` is
    ``x``, or ``z`` if they copy it there.
    """
    calls = maxima()
    if least is not None:
        calls.append((partial(np.maximum, out=largest), largest, least))
    return [*calls, (np.subtract, source, largest, z)]


@twin()
def divide_by_sum(z: Array, total: Array, least: Array | None, kept: Array | None, product: Array | None, /) -> Calls:
    """Return calls for ``total = 1 / max(total, least)``, ``z = z · total`` and, with dropout, ``product = z · kept``."""
    calls: Calls = [] if least is None else [(partial(np.maximum, out=total), total, least)]
    calls += [(np.reciprocal, total, total), (np.multiply, z, total, z)]
    return calls if kept is None else [*calls, (np.multiply, z, kept, product)]


@twin()
def softmax_gradient(gradient: Array, kept: Array | None, total: Array, weights: Array, seen: Array | None, /) -> Calls:
    """Return calls for ``gradient = (gradient · kept - total) · weights · seen``, in place."""
    calls: Calls = [] if kept is None else [(np.multiply, gradient, kept, gradient)]
    calls += [(np.subtract, gradient, total, gradient), (np.multiply, gradient, weights, gradient)]
    return calls if seen is None else [*calls, (np.multiply, gradient, seen, gradient)]


# Softmax of masked scores and its gradient, key by key: the kernels of Attention.
#
# The scores of a head are a matrix with a row per key and a column per query. Sums and maxima over the keys then run along
# whole rows, and both products that make scores or their gradient have an untransposed second operand, for which OpenBLAS
# has faster kernels. The work is done in blocks of samples and groups whose scores stay in the cache.
Block = tuple[slice, slice]  # some samples and some groups of heads


def blocks(N: int, groups: int, elements: int) -> Iterator[Block]:
    """Yield the blocks of N samples; a group of one sample has ``elements`` scores."""
    fits = max(1, CACHE_ELEMENTS // max(elements, 1)) if use_fast_kernel(True) else N * groups
    samples, heads = max(1, fits // max(groups, 1)), min(max(groups, 1), fits)
    for n in range(0, N, samples):
        for g in range(0, groups, heads):
            yield slice(n, min(n + samples, N)), slice(g, min(g + heads, groups))


def part(X: Array, block: Block) -> Array:
    """Return a block of an array (N, groups, …), in which either axis may have size 1 for all."""
    return X[tuple(slice(None) if n == 1 else s for n, s in zip(X.shape[:2], block, strict=True))]


def by_key(mask: Array, groups: int) -> Array:
    """A view of a mask as (N, groups, S, per_group, T); its axes of size 1 stay so."""
    full = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    heads = full.shape[1]
    split = (groups, heads // groups) if heads > 1 else (1, 1)
    return full.reshape(full.shape[0], *split, *full.shape[2:], copy=False).transpose(0, 1, 4, 2, 3)


def added_to_scores(ctx: Context, mask: Array, groups: int) -> tuple[Array, Calls]:
    """The term added to the scores, (N, groups, S, per_group, T), and calls that compute it.

    A float mask is that term itself; a bool mask stands for 0 if true, else -∞. Axes of size 1 in the mask stay so.
    """
    full = by_key(mask, groups)
    if mask.dtype != np.bool_ and full.shape[4] == 1:
        return full, []
    term = ctx.scratch(full.shape)
    if mask.dtype != np.bool_:
        return term, [(np.copyto, term, full)]
    masked = ctx.scratch(full.shape, np.bool_)
    bits, spread = bit_mask(ctx, masked, ctx.dtype)
    minus_infinity = as_words(ctx.constant(-np.inf))
    return term, [(np.logical_not, full, masked), *spread, (np.bitwise_and, bits, minus_infinity, as_words(term))]


def largest(ctx: Context, scores: Array, out: Array) -> Calls:
    """Return calls that write the maxima over the keys of scores (n, groups, S, columns) into out, where S is 1."""
    calls, rows = Calls(), scores
    while rows.shape[2] > 1:
        half = -(-rows.shape[2] // 2)
        larger = out if half == 1 else ctx.scratch((*rows.shape[:2], half, rows.shape[3]))
        calls.append((partial(np.maximum, out=larger), rows[:, :, :half], rows[:, :, -half:]))
        rows = larger
    return calls or [(np.copyto, out, scores)]


def softmax(
    ctx: Context,
    scores: Array,
    row_max: Array,
    *,
    masked: bool,
    kept: Array | None = None,
    product: Array | None = None,
) -> Calls:
    """Return calls that replace scores (n, groups, S, columns) by their softmax over the keys, zeros if all are -∞.

    ``row_max`` (n, groups, 1, columns) gets their maximum, or the lowest number if all are -∞, which some may be if
    ``masked``; ``product`` gets the softmax times the factors ``kept``.
    """
    total, ones = ctx.scratch(row_max.shape), ctx.constant(np.ones((1, scores.shape[2])))
    least = ctx.constant(np.finfo(ctx.dtype).min) if masked else None  # in a row of -inf, exp must return 0, not NaN
    some = ctx.constant(1.0) if masked else None  # a query without a key sums to 0; all other sums are at least 1
    by_key, maxima, totals = (_blocks(X) for X in (scores, row_max, total))
    return [
        *subtract_largest(by_key, least, maxima, by_key, maxima=lambda: largest(ctx, scores, row_max), source=by_key),
        (np.exp, scores, scores),
        (np.matmul, ones, scores, total),
        *divide_by_sum(by_key, totals, some, *(None if X is None else _blocks(X) for X in (kept, product))),
    ]


def gradient(dS: Array, kept: Array | None, dot: Array, W: Array, seen: Array | None) -> Calls:
    """Return calls for ``dS = (dS · kept - dot) · W · seen``; shapes (n, groups, S, columns), with S 1 for dot and seen."""
    full = (None if X is None else _blocks(X) for X in (dS, kept, dot, W, seen))
    return softmax_gradient(*full)  # type: ignore[arg-type]


def _blocks(X: Array) -> Array:
    """A view with the axes of samples and groups joined."""
    return X.reshape(-1, *X.shape[2:], copy=False)
