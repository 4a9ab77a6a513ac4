"""NumPy's BLAS: its kernels and its number of threads. Each worker of a group uses one thread."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np

_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
ONE_THREAD = dict.fromkeys((*_VARIABLES, "VECLIB_MAXIMUM_THREADS"), "1")
"""Environment variables that limit any BLAS to one thread when a process starts."""
_SYMBOLS = [f"{prefix}openblas_{{}}{suffix}" for prefix in ("scipy_", "") for suffix in ("64_", "")]
_WITH_SMALL_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")


class OpenBlas(NamedTuple):
    """OpenBLAS's functions that get and set its number of threads, and the name of the processor core it detected."""

    get: Callable[[], int]
    set: Callable[[int], None]
    core: str


@cache
def openblas() -> OpenBlas | None:
    """Return NumPy's OpenBLAS, found through NumPy's own extension; None if NumPy uses another BLAS."""
    try:
        library = ctypes.CDLL(np.linalg._umath_linalg.__file__)
    except (AttributeError, OSError):
        return None
    for symbol in _SYMBOLS:
        names = [symbol.format(name) for name in ("get_num_threads", "set_num_threads", "get_corename")]
        if all(hasattr(library, name) for name in names):
            get, set_, core = (getattr(library, name) for name in names)
            core.restype = ctypes.c_char_p
            return OpenBlas(get, set_, core().decode())
    return None


def small_kernels() -> bool:
    """Return whether a small matrix product is faster than the same part of a large one.

    That is so if OpenBLAS has kernels that do not pack small operands, and uses one thread.
    """
    blas = openblas()
    return blas is not None and blas.core in _WITH_SMALL_KERNELS and blas.get() == 1


_open: list[list[int]] = []
"""For each block of :func:`one_thread` that is open, in the order of their beginnings, the number of threads after it."""
_opening = threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit this process's OpenBLAS to one thread inside the ``with`` block.

    Blocks of several threads of Python may overlap: the last one that ends restores what was before the first. Another BLAS
    is not changed: set its environment variable before Python starts.
    """
    blas = openblas()
    if blas is None:
        yield
        return
    with _opening:
        own = [blas.get()]
        _open.append(own)
        blas.set(1)
    try:
        yield
    finally:
        with _opening:
            at = next(k for k, block in enumerate(_open) if block is own)
            del _open[at]
            if at == len(_open):
                blas.set(own[0])
            else:  # a later block still needs one thread
                _open[at][0] = own[0]
