"""NumPy's BLAS: which kernels it has, and how many threads it uses: one for each worker, what it was before afterwards."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np

_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
ONE_THREAD = dict.fromkeys((*_VARIABLES, "VECLIB_MAXIMUM_THREADS"), "1")
"""The environment of a process whose BLAS has one thread, whichever BLAS it is."""
_SYMBOLS = [f"{prefix}openblas_{{}}{suffix}" for prefix in ("scipy_", "") for suffix in ("64_", "")]
_WITH_SMALL_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")


class OpenBlas(NamedTuple):
    """What OpenBLAS tells: a getter and a setter of its number of threads, and what it takes the processor for."""

    get: Callable[[], int]
    set: Callable[[int], None]
    core: str


@cache
def openblas() -> OpenBlas | None:
    """NumPy's OpenBLAS, found through NumPy's own extension; None for another BLAS."""
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
    """Whether a small matrix product is quicker than a part of a large one: kernels that do not pack, and one thread."""
    blas = openblas()
    return blas is not None and blas.core in _WITH_SMALL_KERNELS and blas.get() == 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, this process's OpenBLAS has one thread. Another BLAS stays as it is: set its variable before the start."""
    blas = openblas()
    if blas is None:
        yield
        return
    before = blas.get()
    blas.set(1)
    try:
        yield
    finally:
        blas.set(before)
