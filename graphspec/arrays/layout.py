"""How arrays lie in memory: the order of axes, aligned blocks, views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

CACHE_LINE = 64
"""Bytes."""


def aligned(nbytes: int) -> Array:
    """``nbytes`` uninitialised bytes that start on a cache line."""
    raw = np.empty(nbytes + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + nbytes]


def root(array: Array) -> int:
    """The identity of the memory block that ``array`` views."""
    owner: Any = array
    while getattr(owner, "base", None) is not None:
        owner = owner.base
    return id(owner)


def axis_order(array: Array) -> tuple[int, ...]:
    """The axes of ``array``, slowest in memory first; axes of size 1 stay where they are."""
    order = sorted((k for k in range(array.ndim) if array.shape[k] > 1), key=lambda k: -abs(array.strides[k]))
    places = [k for k in range(array.ndim) if array.shape[k] > 1]
    result = list(range(array.ndim))
    for place, axis in zip(places, order, strict=True):
        result[place] = axis
    return tuple(result)


def view_as(block: Array, shape: Sequence[int], dtype: np.dtype[Any], order: Sequence[int] | None) -> Array:
    """The first bytes of ``block`` as an array whose axes lie in ``order``, slowest first."""
    count = math.prod(shape)
    flat = block[: count * dtype.itemsize].view(dtype)
    if order is None:
        return flat.reshape(tuple(shape))
    return flat.reshape([shape[k] for k in order]).transpose(np.argsort(order))
