"""NumPy's BLAS: its kernels and its number of threads.

graphspec computes with one thread of BLAS unless the user has set a number: threads of BLAS wait for each other by spinning,
so on cores that other programs use, too, a second one makes a step many times as long. Other cores are used by ``workers``,
and by threads over batches, which do not spin.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from graphspec.base.arrays.cores import threads_set

THREADS_SET: int | None = threads_set()
"""The number of threads that the user set before NumPy was imported; None for none, and ``graphspec`` sets one."""
_SYMBOLS = [f"{prefix}{{}}{suffix}" for prefix in ("scipy_", "") for suffix in ("64_", "")]
_WITH_SMALL_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")


class OpenBlas(NamedTuple):
    """OpenBLAS's functions that get and set its number of threads, and the name of the processor core it detected."""

    get: Callable[[], int]
    set: Callable[[int], None]
    core: str
    library: ctypes.PyDLL | None = None
    symbol: str = "{}"  # how a function's name is written in the library


@cache
def openblas() -> OpenBlas | None:
    """Return NumPy's OpenBLAS, found through NumPy's own extension; None if NumPy uses another BLAS."""
    try:
        # Its calls keep the interpreter's lock: they are short.
        library = ctypes.PyDLL(np.linalg._umath_linalg.__file__)
    except (AttributeError, OSError):
        return None
    for symbol in _SYMBOLS:
        names = [symbol.format(f"openblas_{name}") for name in ("get_num_threads", "set_num_threads", "get_corename")]
        if all(hasattr(library, name) for name in names):
            get, set_, core = (getattr(library, name) for name in names)
            core.restype = ctypes.c_char_p
            return OpenBlas(get, set_, core().decode(), library, symbol)
    return None


def product_functions() -> tuple[bool, *tuple[tuple[int, int], ...]] | None:
    """Return whether OpenBLAS's integers have 64 bits, and the addresses of gemm, gemv and dot for float32 and float64."""
    if (blas := openblas()) is None:
        return None
    names = [[blas.symbol.format(f"cblas_{kind}{name}") for kind in "sd"] for name in ("gemm", "gemv", "dot")]
    if not all(hasattr(blas.library, name) for pair in names for name in pair):
        return None
    addresses = [[ctypes.cast(getattr(blas.library, n), ctypes.c_void_p).value or 0 for n in pair] for pair in names]
    return blas.symbol.endswith("64_"), *((a, b) for a, b in addresses)


def small_kernels() -> bool:
    """Return whether a small matrix product is faster than the same part of a large one.

    That is so if OpenBLAS has kernels that do not pack small operands, and uses one thread.
    """
    blas = openblas()
    return blas is not None and blas.core in _WITH_SMALL_KERNELS and blas.get() == 1


class one_thread(ContextDecorator):  # noqa: N801 (it is used like a function)
    """Limit this process's OpenBLAS to one thread inside the ``with`` block; it costs about a microsecond.

    Blocks of several threads of Python may overlap: the last one that ends restores what was before the first. Another BLAS
    is not changed: set its environment variable before Python starts.
    """

    __slots__ = ()
    _changing, _blocks, _before = threading.Lock(), 0, 1  # how many are open, and the number of threads before them

    def __enter__(self) -> None:
        if (blas := openblas()) is not None:
            with one_thread._changing:
                if not one_thread._blocks:
                    one_thread._before = blas.get()
                one_thread._blocks += 1
                blas.set(1)

    def __exit__(self, *_: Any) -> None:
        if (blas := openblas()) is not None:
            with one_thread._changing:
                one_thread._blocks -= 1
                if not one_thread._blocks:
                    blas.set(one_thread._before)

    @staticmethod
    def new_lock() -> None:
        """Create the lock anew: that of a forked process may belong to a thread that it does not have."""
        one_thread._changing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=one_thread.new_lock)


class computing(one_thread):  # noqa: N801 (it is used like a function)
    """Do as :class:`one_thread`, unless the user has set a number of threads: whatever computes is in such a block."""

    __slots__ = ()

    def __enter__(self) -> None:
        if THREADS_SET is None:
            super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        if THREADS_SET is None:
            super().__exit__(*raised)
