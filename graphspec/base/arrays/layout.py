"""Memory layout of arrays: the order of axes, aligned blocks, views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

CACHE_LINE = 64
"""Bytes."""


def aligned(nbytes: int) -> Array:
    """Return ``nbytes`` uninitialised bytes that start on a cache line."""
    raw = np.empty(nbytes + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + nbytes]


def root(array: Array) -> int:
    """Return the ``id`` of the memory block that ``array`` views."""
    owner: Any = array
    while getattr(owner, "base", None) is not None:
        owner = owner.base
    return id(owner)


def axis_order(array: Array) -> tuple[int, ...]:
    """Return the axes of ``array`` by descending stride; axes of size 1 keep their index."""
    order = sorted((k for k in range(array.ndim) if array.shape[k] > 1), key=lambda k: -abs(array.strides[k]))
    positions = [k for k in range(array.ndim) if array.shape[k] > 1]
    result = list(range(array.ndim))
    for position, axis in zip(positions, order, strict=True):
        result[position] = axis
    return tuple(result)


def view_as(block: Array, shape: Sequence[int], dtype: np.dtype[Any], order: Sequence[int] | None) -> Array:
    """View the first bytes of ``block`` as an array whose axes have this ``order`` in memory, largest stride first."""
    count = math.prod(shape)
    flat = block[: count * dtype.itemsize].view(dtype)
    if order is None:
        return flat.reshape(tuple(shape))
    return flat.reshape([shape[k] for k in order]).transpose(np.argsort(order))
