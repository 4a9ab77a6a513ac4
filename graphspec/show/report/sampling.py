"""Which rows are looked at, if not all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.strings import Strings
from graphspec.data.batches import Dataset

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array


def evenly(total: int, count: int) -> Array:
    """Return at most ``count`` indices below ``total``, rising, spread evenly."""
    if total <= 0 or count <= 0:
        return np.zeros(0, np.int64)
    return np.unique(np.linspace(0, total - 1, min(total, count)).astype(np.int64))


def taken(data: Dataset, rows: Array) -> Dataset:
    """Return copies of some rows, so that they can be changed."""
    places = rows if data.chosen is None else data.chosen[rows]

    def of(arrays: Mapping[str, Any]) -> dict[str, Any]:
        return {name: a.select(places) if isinstance(a, Strings) else a[places] for name, a in arrays.items()}

    return Dataset(of(data.inputs), of(data.targets), of(data.weights), of(data.lengths))
