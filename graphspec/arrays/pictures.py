"""Pictures of several sizes, packed: the elements of all, one picture after the other, and the size of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from graphspec.arrays.layout import Array

_CHUNK_BYTES = 1 << 24  # of pictures that are computed together


class Pictures:
    """Pictures ``(N, height, width, channels)``, each with a height and a width of its own.

    One index returns a picture, ``(height, width, channels)``; rows of one size are an array with all of them in front, and
    others are pictures again. The arrays may be memory maps.

    Args:
        data: the elements of all pictures in row-major order, one picture after the other.
        sizes: height and width of each, int64 ``(N, 2)``.
        channels: the size of the last axis of all.
    """

    ndim = 4

    def __init__(self, data: Array, sizes: Array, channels: int) -> None:
        self.data, self.sizes, self.dtype = data, sizes, data.dtype
        self._offsets = np.concatenate([[0], np.cumsum(sizes.prod(axis=1) * channels)])
        high, wide = sizes.max(axis=0, initial=0).tolist()
        self.shape = (len(sizes), high, wide, channels)
        """The height and the width are the largest."""
        self.nbytes = int(data.nbytes)

    @classmethod
    def of(cls, rows: Any) -> Pictures | None:
        """Pack a list of arrays ``(height, width, channels)``; None for anything else, and if all have one size."""
        if isinstance(rows, Pictures):
            return rows
        if not isinstance(rows, list | tuple | np.ndarray) or (isinstance(rows, np.ndarray) and rows.dtype != object):
            return None
        arrays = [row for row in rows if isinstance(row, np.ndarray) and row.ndim == 3]
        if (
            len(arrays) < max(len(rows), 2)
            or len({a.shape[2] for a in arrays}) > 1
            or len({a.shape for a in arrays}) < 2
        ):
            return None
        sizes = np.array([a.shape[:2] for a in arrays], np.int64)
        return cls(np.concatenate([a.reshape(-1) for a in arrays]), sizes, arrays[0].shape[2])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, int | np.integer):
            k = range(len(self))[rows]
            return self.data[self._offsets[k] : self._offsets[k + 1]].reshape(*self.sizes[k], self.shape[3])
        places = np.arange(len(self))[rows]
        if len(places) and (self.sizes[places] == self.sizes[places[0]]).all():
            return np.stack([self[k] for k in places])
        return self.select(places)

    def select(self, rows: Array) -> Pictures:
        """Return a copy of rows, packed also if they have one size."""
        parts = [self.data[:0], *(self[k].reshape(-1) for k in rows)]
        return Pictures(np.concatenate(parts), self.sizes[rows], self.shape[3])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        found = np.empty(len(self), object)
        found[:] = [self[k] for k in range(len(self))]
        return found

    def astype(self, dtype: Any, copy: bool = True) -> Pictures:
        """Return the pictures with elements of another dtype."""
        return Pictures(self.data.astype(dtype, copy=copy), self.sizes, self.shape[3])

    def changed(self, change: Callable[[int, Array], Array]) -> Pictures:
        """Return what ``change`` makes of each picture, given its row and an array with this row alone."""
        parts = [change(k, self[k][None]).reshape(-1) for k in range(len(self))]
        return Pictures(np.concatenate(parts or [self.data]), self.sizes, self.shape[3])

    def arrays(self) -> dict[str, Array]:
        """Return the arrays ``data``, ``sizes`` and ``channels``: the argument of :meth:`from_arrays`."""
        return {"data": self.data, "sizes": self.sizes, "channels": np.array([self.shape[3]], np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Pictures:
        """Return the pictures of the arrays that :meth:`arrays` returned, which may be memory maps."""
        return cls(arrays["data"], arrays["sizes"], int(arrays["channels"][0]))


def in_chunks(
    arrays: Iterable[Any], rows: Array | int, most: int, largest: int = _CHUNK_BYTES
) -> Iterator[slice | Array]:
    """Yield at most ``most`` rows at a time, whose pictures have one size: slices, or indices if pictures differ in size.

    Args:
        rows: the indices of the rows, or their number, for all.
        largest: the bytes of pictures in a chunk, unless one row has more.
    """
    packed = [array for array in arrays if isinstance(array, Pictures)]
    total = rows if isinstance(rows, int) else len(rows)
    if not packed:
        for start in range(0, total, most):
            part = slice(start, min(start + most, total))
            yield part if isinstance(rows, int) else rows[part]
        return
    places = np.arange(rows) if isinstance(rows, int) else rows
    sizes = np.concatenate([array.sizes for array in packed], axis=1)[places]
    group = np.unique(sizes, axis=0, return_inverse=True)[1].reshape(-1)
    order = np.argsort(group, kind="stable")
    for alike in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        each = sum(a[int(places[alike[0]])].nbytes for a in packed) if len(alike) else 1
        step = max(1, min(most, largest // max(each, 1)))
        for start in range(0, len(alike), step):
            yield places[alike[start : start + step]]


def of_one_size(arrays: Iterable[Any], rows: Array) -> Array:
    """Return those of some rows whose pictures have the size that most have; all without pictures of several sizes."""
    if not len(rows):
        return rows
    chunks = [np.asarray(chunk) for chunk in in_chunks(arrays, rows, len(rows), 1 << 62)]
    return np.sort(max(chunks, key=len))
