"""Pictures of several sizes, packed: the elements of all, one picture after the other, and the size of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import Array

_CHUNK_BYTES = 1 << 24  # of pictures that are computed together


class Pictures:
    """Pictures ``(N, height, width, channels)``, each with a height and a width of its own.

    One index returns a picture, ``(height, width, channels)``; rows of one size are an array with all of them in front, and
    others are pictures again. ``shape`` has the largest height and width. The arrays may be memory maps.

    Args:
        data: the elements of all pictures in row-major order.
        sizes: height and width of each, int64 ``(N, 2)``.
        channels: the size of the last axis of all.
    """

    ndim = 4

    def __init__(self, data: Array, sizes: Array, channels: int) -> None:
        self.data, self.sizes, self.dtype, self.nbytes = data, sizes, data.dtype, int(data.nbytes)
        self._offsets = np.concatenate([[0], np.cumsum(sizes.prod(axis=1) * channels)])
        self.shape = (len(sizes), *sizes.max(axis=0, initial=0).tolist(), channels)

    @classmethod
    def of(cls, rows: Any) -> Pictures | None:
        """Pack arrays ``(height, width, channels)``; None for anything else, and if all have one size."""
        if isinstance(rows, Pictures):
            return rows
        listed = isinstance(rows, list | tuple) or (isinstance(rows, np.ndarray) and rows.dtype == object)
        shapes: list[Any] = [row.shape if isinstance(row, np.ndarray) else () for row in rows] if listed else []
        if len(set(shapes)) < 2 or any(len(s) != 3 or s[2] != shapes[0][-1] for s in shapes):
            return None
        sizes = np.array(shapes, np.int64)[:, :2]
        return cls(np.concatenate([row.reshape(-1) for row in rows]), sizes, shapes[0][2])

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, int | np.integer):
            k = range(len(self))[rows]
            return self.data[self._offsets[k] : self._offsets[k + 1]].reshape(*self.sizes[k], self.shape[3])
        places = np.arange(len(self))[rows]
        if len(places) and (self.sizes[places] == self.sizes[places[0]]).all():
            return np.stack([self[k] for k in places])
        parts = [self.data[:0], *(self[k].reshape(-1) for k in places)]
        return Pictures(np.concatenate(parts), self.sizes[places], self.shape[3])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        listed = np.empty(len(self), object)
        listed[:] = [self[k] for k in range(len(self))]
        return listed

    def astype(self, dtype: Any, copy: bool = True) -> Pictures:
        return Pictures(self.data.astype(dtype, copy=copy), self.sizes, self.shape[3])

    def arrays(self) -> dict[str, Array]:
        """Return the argument of :meth:`from_arrays`."""
        return {"data": self.data, "sizes": self.sizes, "channels": np.array([self.shape[3]], np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Pictures:
        """Return the pictures of the arrays that :meth:`arrays` returned, which may be memory maps."""
        return cls(arrays["data"], arrays["sizes"], int(arrays["channels"][0]))


def in_chunks(arrays: Iterable[Any], rows: Array | int, most: int) -> Iterator[slice | Array]:
    """Yield at most ``most`` rows at a time, whose pictures have one size: slices, or indices if pictures differ in size.

    ``rows`` are the indices of the rows, or their number, for all.
    """
    packed = [array for array in arrays if isinstance(array, Pictures)]
    if not packed:
        for start in range(0, rows if isinstance(rows, int) else len(rows), most):
            yield slice(start, min(start + most, rows)) if isinstance(rows, int) else rows[start : start + most]
    for alike in _groups(packed, np.arange(rows) if isinstance(rows, int) else rows):
        step = max(1, min(most, _CHUNK_BYTES // max(sum(array[int(alike[0])].nbytes for array in packed), 1)))
        yield from (alike[start : start + step] for start in range(0, len(alike), step))


def of_one_size(arrays: Iterable[Any], rows: Array) -> Array:
    """Return those of some rows whose pictures have the size that most have; all without pictures of several sizes."""
    return max(_groups([a for a in arrays if isinstance(a, Pictures)], rows), key=len, default=rows)


def _groups(packed: Sequence[Pictures], rows: Array) -> Sequence[Array]:
    if not packed or not len(rows):
        return []
    sizes = np.concatenate([array.sizes for array in packed], axis=1)[rows]
    group = np.unique(sizes, axis=0, return_inverse=True)[1].reshape(-1)
    order = np.argsort(group, kind="stable")
    return np.split(rows[order], np.flatnonzero(np.diff(group[order])) + 1)
