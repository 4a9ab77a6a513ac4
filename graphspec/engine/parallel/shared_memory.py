"""Shared memory: named arrays in one block that has no name in the file system and is freed with its last user."""

from __future__ import annotations

import errno
import math
import mmap
import os
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import CACHE_LINE, Array
from graphspec.base.arrays.memory import free, human

Shape = Sequence[int]


@dataclass
class Memory:
    """A block of shared memory.

    Attributes:
        arrays: views of the block, by name; initially zeros.
        description: plain JSON with which a child process attaches to the block (:func:`attach`).
        inherited: file descriptors that the child process must inherit.
    """

    arrays: dict[str, Array]
    description: dict[str, Any]
    inherited: tuple[int, ...]

    def close(self) -> None:
        """Prevent further processes from attaching; the arrays live as long as they are used."""
        for fd in self.inherited:
            os.close(fd)
        self.inherited = ()


def allocate(arrays: Mapping[str, tuple[Shape, Any]]) -> Memory:
    """Allocate a block with an array of each given shape and dtype; every array starts on a cache line.

    Raises:
        OSError: there is not enough memory, or the system cannot share it.
    """
    layout: dict[str, tuple[int, str, list[int]]] = {}
    size = 0
    for name, (shape, dtype) in arrays.items():
        layout[name] = size, np.dtype(dtype).str, [int(n) for n in shape]
        size += math.prod(shape) * np.dtype(dtype).itemsize
        size += -size % CACHE_LINE
    size = max(size, CACHE_LINE)
    if size > free():  # the system allocates pages when they are first written to: an error would then be too late
        raise OSError(errno.ENOMEM, f"training needs {human(size)} of shared memory, but {human(free())} are free")
    block, handle, inherited = _create(size)
    return Memory(_views(block, layout), {"handle": handle, "size": size, "layout": layout}, inherited)


def attach(description: Mapping[str, Any]) -> dict[str, Array]:
    """Return the arrays of a block that the parent process has described."""
    handle, size = description["handle"], description["size"]
    if sys.platform == "win32":
        block = mmap.mmap(-1, size, tagname=handle)
    else:
        block = mmap.mmap(handle, size)
        os.close(handle)
    return _views(block, description["layout"])


def _create(size: int) -> tuple[mmap.mmap, int | str, tuple[int, ...]]:
    if sys.platform == "win32":
        name = f"graphspec-{uuid.uuid4()}"
        return mmap.mmap(-1, size, tagname=name), name, ()
    if hasattr(os, "memfd_create"):  # not /dev/shm, which is 64 MiB in a container
        fd = os.memfd_create("graphspec")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        os.ftruncate(fd, size)
        return mmap.mmap(fd, size), fd, (fd,)
    except BaseException:
        os.close(fd)
        raise


def _views(block: mmap.mmap, layout: Mapping[str, Sequence[Any]]) -> dict[str, Array]:
    raw = np.frombuffer(block, np.uint8)
    arrays = {}
    for name, (start, dtype, shape) in layout.items():
        stop = start + math.prod(shape) * np.dtype(dtype).itemsize
        arrays[name] = raw[start:stop].view(dtype).reshape(shape)
    return arrays
