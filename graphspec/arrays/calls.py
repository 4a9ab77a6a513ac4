"""Run a program: a flat list of calls, each a function with its operands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_BUFFER = 1024
# Elements. The fastest of 512, 1024 and 2048 for a convnet, an Inception-like and a ResNet-like network (benchmarks W5,
# W8 and W9).

Call = tuple[Any, ...]
"""A function and its operands: ``(f, *operands)``."""

Calls = list[Call]


@contextmanager
def settings() -> Iterator[None]:
    """Turn off NumPy's warnings and shrink its ufunc buffer while programs run; restore both afterwards.

    Warnings are not needed: the trainer checks that the loss is finite. If an operand is broadcast or not contiguous,
    NumPy loops over rows, and rows shorter than the buffer (8192 elements by default) take a path that is half as fast.
    """
    with np.errstate(all="ignore"):  # also restores the buffer size
        np.setbufsize(_BUFFER)
        yield


def runner(calls: Calls) -> Callable[[], None]:
    """Return a function that makes the calls in order.

    Functions and operands are separated here, once: doing so in every step costs 0.15 µs per call.
    """
    pairs = [(f, tuple(operands)) for f, *operands in calls]

    def run() -> None:
        for f, operands in pairs:
            f(*operands)

    return run
