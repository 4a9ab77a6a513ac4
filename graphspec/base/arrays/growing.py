"""Arrays that grow while they are read, in memory or in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.base.files import sized_file

Allocate = Callable[[str, tuple[int, ...], np.dtype[Any]], Array]
"""Returns a writable array of a name, a shape and a dtype, in memory or in files.

If it is called again with the same name and a longer first axis, the array begins with the elements of the earlier one,
which is no longer used.
"""


class Growing:
    """A one-dimensional array to which values are appended.

    Args:
        name, allocate: where the array is; None for memory.
        reserve: called with the number of additional bytes before they are stored in memory.
    """

    def __init__(
        self, dtype: Any, name: str = "", allocate: Allocate | None = None, reserve: Callable[[int], None] | None = None
    ) -> None:
        self.dtype, self._name, self._allocate, self._reserve = np.dtype(dtype), name, allocate, reserve
        self._memory = bytearray()  # grows without a copy of large blocks, and without touching what is not used yet
        self._array = np.empty(0, self.dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, values: Array) -> None:
        if not len(values):
            return
        values = np.ascontiguousarray(values, self.dtype)
        count = self._count + len(values)
        if self._allocate is None:
            if self._reserve is not None:
                self._reserve(values.nbytes)
            self._memory += values.data.cast("B")
        else:
            if count > len(self._array):
                self._array = self._allocate(self._name, (max(2 * len(self._array), count),), self.dtype)
            self._array[self._count : count] = values
        self._count = count

    def result(self) -> Array:
        """Return the array; nothing may be appended afterwards."""
        return np.frombuffer(self._memory, self.dtype) if self._allocate is None else self._array[: self._count]


class InFiles:
    """Provides arrays in files of a folder (:class:`Allocate`); a file contains the elements alone, without a header."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._known = folder, set[str]()

    def path(self, name: str) -> Path:
        return self.folder / (quote(name, safe=" ") + ".bin")

    def __call__(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if nbytes == 0:
            return np.empty(shape, dtype)
        with sized_file(self.path(name), nbytes, new=name not in self._known) as file:
            self._known.add(name)
            return np.memmap(file, dtype, "r+", 0, shape)
