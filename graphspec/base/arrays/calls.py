"""Run a program: a flat list of calls, each a function with its operands."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

import numpy as np

from graphspec.base.arrays import blas
from graphspec.base.arrays.blas import computing

_BUFFER = 1024
# Elements. The fastest of 512, 1024 and 2048 for a convnet, an Inception-like and a ResNet-like network (benchmarks W5,
# W8 and W9).

Call = tuple[Any, ...]  # a function and its operands: ``(f, *operands)``
Calls = list[Call]


class settings:  # noqa: N801 (it is used like a function)
    """Turn off NumPy's warnings, shrink its ufunc buffer, and limit BLAS while programs run; restore all afterwards.

    Warnings are not needed: the trainer checks that the loss is finite. If an operand is broadcast or not contiguous,
    NumPy loops over rows, and rows shorter than the buffer (8192 elements by default) take a path that is half as fast.
    """

    __slots__ = ("_blas", "_errors")

    def __enter__(self) -> None:
        self._blas = computing()
        self._blas.__enter__()
        self._errors = np.errstate(all="ignore")
        self._errors.__enter__()
        np.setbufsize(_BUFFER)

    def __exit__(self, *raised: Any) -> None:
        self._errors.__exit__(*raised)  # also restores the buffer size
        self._blas.__exit__(*raised)


def apart(run: Callable[[], None]) -> Callable[[], None]:
    """Return a function that does the same under :class:`settings`, for one thread at a time.

    NumPy keeps its settings in a context variable: a context that has them is entered in 0.03 µs, ``settings`` in 2 µs.
    """
    context = copy_context()
    context.run(np.seterr, all="ignore")
    context.run(np.setbufsize, _BUFFER)
    alone = partial(context.run, run)
    return computing()(alone) if blas.THREADS_SET is None else alone
