"""Processes' signals, among threads."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from graphspec.engine.parallel.machine import Signals, Spin, counter_words


def never() -> None:
    return None


def spinning(size: int) -> list[Signals]:
    counters = np.zeros(counter_words(size), np.int64)
    return [Spin(counters, rank, size, never) for rank in range(size)]


def together(size: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
