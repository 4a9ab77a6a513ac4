"""Tests of synchronization: no worker is ahead of the others."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
from signalling import never, spinning, together

from graphspec.engine.parallel.machine import Pipes, Signals


def piping(size: int) -> list[Signals]:
    downs, ups = [os.pipe() for _ in range(1, size)], [os.pipe() for _ in range(1, size)]
    first = Pipes([r for r, _ in ups], [w for _, w in downs], 0, never)
    return [first, *(Pipes([down[0]], [up[1]], 1, never) for down, up in zip(downs, ups, strict=True))]


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("create", [spinning, piping])
def test_signals(create: Callable[[int], list[Signals]], size: int) -> None:
    """Rank 0 launches a step, all workers meet at barriers, rank 0 waits for the others: no worker is ever ahead."""
    signals, progress = create(size), np.zeros(size, int)
    seen: list[list[int]] = [[] for _ in range(size)]

    def work(rank: int) -> None:
        for step in range(1, 30):
            if rank == 0:
                signals[0].notify()
            else:
                signals[rank].wait()
            progress[rank] = 10 * step
            signals[rank].barrier()
            seen[rank].append(int(progress.min()) - 10 * step)
            signals[rank].barrier()
            progress[rank] += 1
            if rank == 0:
                signals[0].wait()
                seen[0].append(int(progress[1:].min()) - 10 * step - 1)
            else:
                signals[rank].notify()

    together(size, work)
    assert all(not any(values) for values in seen)
