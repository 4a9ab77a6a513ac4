"""Softmax around exp and its sums, of arrays (outer, keys, inner): twins that Softmax, losses and Attention share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.compiled import twin


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
