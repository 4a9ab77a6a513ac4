"""Running a program: a list of calls, each a function with its operands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_BUFFER = 1024  # numbers; of 512 to 2048 the fastest for W5, W8 and W9


@contextmanager
def settings() -> Iterator[None]:
    """NumPy's settings while programs run: no warnings, and a small buffer; afterwards they are what they were.

    What is not finite is found in the loss. Where an operand repeats or has gaps, NumPy loops over rows; those shorter
    than its buffer (8192 numbers by default) take a path that is half as fast.
    """
    with np.errstate(all="ignore"):  # gives the buffer's size back, too
        np.setbufsize(_BUFFER)
        yield


def runner(calls: Calls) -> Callable[[], None]:
    """A function that makes the calls in their order.

    Operands are told from functions here: doing it in each step costs 0.15 µs a call.
    """
    pairs = [(f, tuple(operands)) for f, *operands in calls]

    def run() -> None:
        for f, operands in pairs:
            f(*operands)

    return run


Call = tuple[Any, ...]
"""A function and its operands, ``(f, *operands)``: a program is a flat list of them."""


Calls = list[Call]
