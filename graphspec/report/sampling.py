"""Which rows are looked at, if not all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphspec.ir.graph import Array


def evenly(total: int, count: int) -> Array:
    """Return at most ``count`` indices below ``total``, rising, spread evenly."""
    if total <= 0 or count <= 0:
        return np.zeros(0, np.int64)
    return np.unique(np.linspace(0, total - 1, min(total, count)).astype(np.int64))
