"""Memory layout of arrays: the order of axes, aligned blocks, views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.base.arrays.calls import Calls

Array = np.ndarray[Any, Any]

CACHE_LINE = 64  # bytes


def aligned(nbytes: int) -> Array:
    """Return ``nbytes`` uninitialised bytes that start on a cache line."""
    raw = np.empty(nbytes + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + nbytes]


def little_endian(array: Array) -> Array:
    """Return an array whose bytes have the order of files and checksums on every machine, the lowest first."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def root(array: Array) -> int:
    """Return the ``id`` of the memory block that ``array`` views."""
    owner: Any = array
    while getattr(owner, "base", None) is not None:
        owner = owner.base
    return id(owner)


def axis_order(array: Array) -> tuple[int, ...]:
    """Return the axes of ``array`` by descending stride; axes of size 1 keep their index."""
    if array.flags.c_contiguous:
        return tuple(range(array.ndim))
    order = iter(sorted((k for k in range(array.ndim) if array.shape[k] > 1), key=lambda k: -abs(array.strides[k])))
    return tuple(next(order) if array.shape[k] > 1 else k for k in range(array.ndim))


def view_as(block: Array, shape: Sequence[int], dtype: np.dtype[Any], order: Sequence[int] | None) -> Array:
    """View the first bytes of ``block`` as an array whose axes have this ``order`` in memory, largest stride first."""
    flat = block[: math.prod(shape) * dtype.itemsize].view(dtype)
    if order is None or (*order,) == (*range(len(order)),):
        return flat.reshape(tuple(shape))
    return flat.reshape([shape[k] for k in order]).transpose(np.argsort(order))


# Split ranges into pieces of a fixed length, or into one shard for each worker.
def pieces(start: int, stop: int, size: int) -> list[slice]:
    """Split a range into pieces of length ``size``; the last may be shorter."""
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]


def shard_slice(total: int, rank: int, size: int) -> slice:
    """Return the shard of worker ``rank`` of ``size`` in a batch of ``total`` rows; lower ranks get the remainder."""
    base, remainder = divmod(total, size)
    start = rank * base + min(rank, remainder)
    return slice(start, start + base + (rank < remainder))


# The windows of a spectrum: weights of the samples of a frame.
COSINES = {  # the weights of the cosines of 0, 1, 2, … periods that a window is the sum of
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
    "boxcar": (1.0,),
}


def spectral_window(window: str | tuple[float, ...] | None, length: int, periodic: bool) -> Array:
    """Return the weights (length,) in float64; a ``periodic`` window ends one sample before it would repeat itself."""
    if window is None or length == 1:
        return np.ones(length)
    if not isinstance(window, str):
        return np.asarray(window, np.float64)
    x = np.linspace(-np.pi, np.pi, length + periodic)[:length]
    return np.asarray(sum(a * np.cos(k * x) for k, a in enumerate(COSINES[window])), np.float64)


# Sums in a fixed order: each array and its neighbour first, then each sum and its neighbour, as in a binary tree. The sums
# of 2, 4, 8, … neighbours, from the first array on, are inner nodes of the tree. So a worker may add its own arrays before
# all workers add theirs, and the bits are those of one worker that adds all.
def until_two(parts: Sequence[Array], *, overwrite: bool = False) -> tuple[Calls, Sequence[Array]]:
    """Return the calls that add neighbours until at most two arrays are left, and these.

    Sums are stored in new arrays, or with ``overwrite`` in ``parts``.
    """
    calls: Calls = []
    while len(parts) > 2:
        sums = [(a if overwrite else np.empty_like(a)) for a in parts[: len(parts) // 2 * 2 : 2]]
        calls += [(np.add, a, b, total) for a, b, total in zip(parts[::2], parts[1::2], sums, strict=False)]
        parts = [*sums, *parts[len(sums) * 2 :]]
        overwrite = True  # the last part of an odd number is never the first of two
    return calls, parts


def sum_into_first(parts: Sequence[Array]) -> Calls:
    """Return the calls that add all arrays; the sum is stored in the first, and sums of neighbours in others."""
    calls, rest = until_two(parts, overwrite=True)
    return [*calls, *((np.add, rest[0], other, rest[0]) for other in rest[1:])]
