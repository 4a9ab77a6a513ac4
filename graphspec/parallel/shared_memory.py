"""Memory that processes share: named arrays in one block that has no name in the file system and goes with its last user."""

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

from graphspec.arrays.layout import CACHE_LINE, Array
from graphspec.arrays.system_memory import free, human

Shape = Sequence[int]


@dataclass
class Memory:
    """A block of shared memory.

    Attributes:
        arrays: views into it, by name; zeros at first.
        description: plain JSON by which a child finds it (:func:`attach`).
        inherited: file descriptors that the child must be given.
    """

    arrays: dict[str, Array]
    description: dict[str, Any]
    inherited: tuple[int, ...]

    def close(self) -> None:
        """Let nobody else attach; the arrays live as long as they are used."""
        for fd in self.inherited:
            os.close(fd)
        self.inherited = ()


def allocate(wanted: Mapping[str, tuple[Shape, Any]]) -> Memory:
    """A block with an array of each shape and dtype, each on a cache line of its own.

    Raises:
        OSError: there is not that much memory, or no way to share it.
    """
    places: dict[str, tuple[int, str, list[int]]] = {}
    size = 0
    for name, (shape, dtype) in wanted.items():
        places[name] = size, np.dtype(dtype).str, [int(n) for n in shape]
        size += math.prod(shape) * np.dtype(dtype).itemsize
        size += -size % CACHE_LINE
    size = max(size, CACHE_LINE)
    if size > free():  # pages are taken when they are first written to, when it is too late to refuse
        raise OSError(errno.ENOMEM, f"{human(size)} of shared memory are more than the {human(free())} that are free")
    block, handle, inherited = _create(size)
    return Memory(_views(block, places), {"handle": handle, "size": size, "places": places}, inherited)


def attach(description: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays of a block that the parent process has described."""
    handle, size = description["handle"], description["size"]
    if sys.platform == "win32":
        block = mmap.mmap(-1, size, tagname=handle)
    else:
        block = mmap.mmap(handle, size)
        os.close(handle)
    return _views(block, description["places"])


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


def _views(block: mmap.mmap, places: Mapping[str, Sequence[Any]]) -> dict[str, Array]:
    raw = np.frombuffer(block, np.uint8)
    arrays = {}
    for name, (start, dtype, shape) in places.items():
        stop = start + math.prod(shape) * np.dtype(dtype).itemsize
        arrays[name] = raw[start:stop].view(dtype).reshape(shape)
    return arrays
