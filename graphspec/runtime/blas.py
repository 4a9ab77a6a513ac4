"""How many threads NumPy's matrix products use: one for each worker, and what it was before afterwards."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
ONE_THREAD = dict.fromkeys((*_VARIABLES, "VECLIB_MAXIMUM_THREADS"), "1")
"""The environment of a process whose BLAS has one thread, whichever BLAS it is."""
_SYMBOLS = [f"{prefix}openblas_{{}}_num_threads{suffix}" for prefix in ("scipy_", "") for suffix in ("64_", "")]


def _functions() -> tuple[Any, Any] | None:
    """OpenBLAS's getter and setter, found through NumPy's own extension; None for another BLAS."""
    try:
        library = ctypes.CDLL(np.linalg._umath_linalg.__file__)
    except (AttributeError, OSError):
        return None
    for symbol in _SYMBOLS:
        if hasattr(library, symbol.format("set")):
            return getattr(library, symbol.format("get")), getattr(library, symbol.format("set"))
    return None


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, this process's OpenBLAS has one thread. Another BLAS stays as it is: set its variable before the start."""
    found = _functions()
    if found is None:
        yield
        return
    get, set_ = found
    before = get()
    set_(1)
    try:
        yield
    finally:
        set_(before)
